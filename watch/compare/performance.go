package compare

import (
	"math"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/gbdt"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// Performance is how well the model does on both sides.
type Performance struct {
	Task     fairlead.Task `json:"task"`
	Positive string        `json:"positive,omitempty"`
	Labelled struct {
		Reference int `json:"reference"`
		Current   int `json:"current"`
	} `json:"labelled"` // rows
	Metrics []Metric `json:"metrics"`
	// Calibration of the reference's scores, on which the estimate rests.
	ECE         Number         `json:"ece,omitempty"`
	Calibration string         `json:"calibration,omitempty"`
	Cause       estimate.Cause `json:"cause,omitempty"` // of a change, where there are labels to tell
}

// Metric is one measure of performance.
type Metric struct {
	Name      string `json:"name"`
	Reference Number `json:"reference"` // with its labels
	Realised  Number `json:"realised"`  // with the current rows' labels
	Estimated Number `json:"estimated"` // without any: what the scores promise, calibrated on the reference
	Low       Number `json:"low"`       // 95 of 100 times the realised metric lies between
	High      Number `json:"high"`
	// Shifted is the estimate with the reference weighted to look like the current rows (PAPE), on the sample.
	Shifted Number `json:"shifted"`
}

// calibrationRows bounds the rows that a calibrator is fitted on.
const calibrationRows = 50_000

// scored are the rows of a side that have a score.
type scored struct {
	scores  []float64
	truth   []float64 // NaN: no label; of a binary task 0 or 1
	unknown int       // labels that mean nothing to the task
}

// performance holds scores against labels, and says what the scores promise.
func (c *comparison) performance() error {
	if c.o.Score == "" {
		return nil
	}
	classes, err := c.classes()
	if err != nil {
		return err
	}
	ref, err := c.scored(c.reference, classes)
	if err != nil || ref == nil {
		return err
	}
	cur, err := c.scored(c.current, classes)
	if err != nil || cur == nil {
		return err
	}
	p := &Performance{Task: c.o.Task, ECE: Number(math.NaN())}
	p.Labelled.Reference, p.Labelled.Current = ref.labelled(), cur.labelled()
	for _, s := range []struct {
		side *scored
		name string
	}{{ref, c.reference.Name}, {cur, c.current.Name}} {
		if s.side.unknown > 0 {
			c.r.Notes = append(c.r.Notes, strconv.Itoa(s.side.unknown)+" labels of "+s.name+" mean nothing to the task and were left out")
		}
	}
	switch c.o.Task {
	case fairlead.TaskBinary:
		if len(classes) > 0 {
			p.Positive = classes[len(classes)-1]
		}
		c.binary(p, ref, cur)
	case fairlead.TaskRegression:
		c.regression(p, ref, cur)
	default:
		return fairlead.Invalid("performance of the task %s cannot be compared offline", c.o.Task).Hintf("binary and regression can")
	}
	c.r.Performance = p
	return nil
}

// classes of a binary task, the positive one last; nil where labels say it themselves (1, true).
func (c *comparison) classes() ([]string, error) {
	if c.o.Task != fairlead.TaskBinary || c.o.Label == "" {
		return nil, nil
	}
	if c.o.Positive != "" {
		return []string{"", c.o.Positive}, nil
	}
	col, err := c.reference.Column(c.o.Label)
	if err != nil || col == nil || col.Strings == nil {
		return nil, err
	}
	var seen []string
	for i, s := range col.Strings {
		if !col.IsNull(i) && !slices.Contains(seen, s) {
			if seen = append(seen, s); len(seen) > 2 {
				return nil, fairlead.Invalid("column %q holds more than two labels: %s", c.o.Label, list(seen)).Hintf("--positive says which one counts")
			}
		}
	}
	slices.Sort(seen)
	if len(seen) == 2 {
		if _, known := realised.Positive(seen[0], nil); known {
			return nil, nil
		}
	}
	return seen, nil
}

// scored reads scores and labels of a side, nil if it has no scores.
func (c *comparison) scored(side Side, classes []string) (*scored, error) {
	score, err := side.Column(c.o.Score)
	if err != nil || score == nil {
		return nil, err
	}
	if score.Floats == nil {
		return nil, fairlead.Invalid("column %q of %s should hold scores and holds no numbers", c.o.Score, side.Name)
	}
	out := &scored{scores: score.Floats, truth: make([]float64, side.Rows)}
	for i := range out.truth {
		out.truth[i] = math.NaN()
	}
	if c.o.Label == "" {
		return out, nil
	}
	label, err := side.Column(c.o.Label)
	if err != nil || label == nil {
		return out, err
	}
	for i := range out.truth {
		switch {
		case label.IsNull(i):
		case c.o.Task != fairlead.TaskBinary:
			out.truth[i] = label.Float(i)
		default:
			text := ""
			if label.Strings != nil {
				text = label.Strings[i]
			} else {
				text = strconv.FormatFloat(label.Floats[i], 'g', -1, 64)
			}
			positive, known := realised.Positive(text, classes)
			switch {
			case !known:
				out.unknown++
			case positive:
				out.truth[i] = 1
			default:
				out.truth[i] = 0
			}
		}
	}
	return out, nil
}

func (s *scored) labelled() int {
	n := 0
	for _, t := range s.truth {
		if !math.IsNaN(t) {
			n++
		}
	}
	return n
}

// both are the rows with score and label.
func (s *scored) both() (scores, truth []float64) {
	for i, t := range s.truth {
		if !math.IsNaN(t) && finite(s.scores[i]) {
			scores, truth = append(scores, s.scores[i]), append(truth, t)
		}
	}
	return scores, truth
}

func booleans(truth []float64) []bool {
	out := make([]bool, len(truth))
	for i, t := range truth {
		out[i] = t > 0
	}
	return out
}

func (c *comparison) binary(p *Performance, ref, cur *scored) {
	measured := func(s *scored) map[string]float64 {
		scores, truth := s.both()
		if len(scores) == 0 {
			return nil
		}
		m := realised.Binary(scores, booleans(truth), c.o.Threshold)
		return map[string]float64{"accuracy": m.Accuracy, "auroc": m.AUROC, "log_loss": m.LogLoss, "brier": m.Brier, "positive_rate": m.PositiveRate}
	}
	before, now := measured(ref), measured(cur)
	expected, shifted := map[string]estimate.Interval{}, map[string]float64{}
	rows := estimate.Binary{}
	if scores, truth := ref.both(); len(scores) >= fewest && c.o.Pick != nil && c.o.Perm != nil {
		pick := c.o.Pick(len(scores), min(len(scores), calibrationRows))
		s, t := take(scores, pick), take(truth, pick)
		cal := estimate.Calibrate(s, booleans(t), nil, c.o.Perm)
		p.ECE, p.Calibration = Number(cal.Before), cal.Why
		rows = estimate.EstimateBinary(c.served(cur.scores, cal.Probability), float64(len(pick)), 0.95)
		expected = intervals(rows)
		shifted = c.shifted(ref, cur)
	}
	for _, name := range []string{"accuracy", "auroc", "precision", "recall", "f1", "log_loss", "brier", "positive_rate"} {
		m := Metric{Name: name, Reference: number(before, name), Realised: number(now, name), Shifted: number(shifted, name)}
		m.Estimated, m.Low, m.High = interval(expected, name)
		if finite(float64(m.Reference)) || finite(float64(m.Realised)) || finite(float64(m.Estimated)) && m.High > m.Low {
			p.Metrics = append(p.Metrics, m)
		}
	}
	if len(now) > 0 && len(before) > 0 && rows.Rows > 0 {
		n, m := float64(p.Labelled.Reference), float64(p.Labelled.Current)
		mean := func(v, n float64) estimate.Mean {
			return estimate.Mean{Value: v, SE: math.Sqrt(math.Max(v*(1-v), 1e-12) / n)}
		}
		e := rows.Accuracy
		p.Cause = estimate.Attribute(mean(before["accuracy"], n), estimate.Mean{Value: e.Value, SE: e.SE}, mean(now["accuracy"], m), 1.96)
	}
}

func intervals(b estimate.Binary) map[string]estimate.Interval {
	return map[string]estimate.Interval{"accuracy": b.Accuracy, "auroc": b.AUROC, "precision": b.Precision, "recall": b.Recall, "f1": b.F1}
}

func interval(of map[string]estimate.Interval, name string) (value, low, high Number) {
	i, ok := of[name]
	if !ok {
		nan := Number(math.NaN())
		return nan, nan, nan
	}
	return Number(i.Value), Number(i.Low), Number(i.High)
}

func number(of map[string]float64, name string) Number {
	v, ok := of[name]
	if !ok {
		return Number(math.NaN())
	}
	return Number(v)
}

func (c *comparison) served(scores []float64, probability func(float64) float64) []estimate.Row {
	rows := make([]estimate.Row, len(scores))
	for i, s := range scores {
		rows[i] = estimate.Row{Score: s, Probability: probability(s), Predicted: s >= c.o.Threshold}
	}
	return rows
}

func take(values []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for i, r := range rows {
		out[i] = values[r]
	}
	return out
}

// shifted is the estimate of PAPE, of the sample's rows.
func (c *comparison) shifted(ref, cur *scored) map[string]float64 {
	if c.rows.reference == nil || len(c.sample.names) == 0 {
		return nil
	}
	l := estimate.Labelled{Columns: make([][]float64, len(c.sample.names))}
	for i, row := range c.rows.reference {
		if t := ref.truth[row]; !math.IsNaN(t) && finite(ref.scores[row]) {
			l.Scores, l.Positive = append(l.Scores, ref.scores[row]), append(l.Positive, t > 0)
			for k := range l.Columns {
				l.Columns[k] = append(l.Columns[k], c.sample.reference[k][i])
			}
		}
	}
	if len(l.Scores) < fewest {
		return nil
	}
	scores := take(cur.scores, c.rows.current)
	s, err := estimate.PAPE(l, c.sample.current, scores, gbdt.Options{Trees: 60}, c.o.Perm)
	if err != nil {
		c.r.Notes = append(c.r.Notes, "the estimate under shift could not be made: "+err.Error())
		return nil
	}
	e := estimate.EstimateBinary(c.served(scores, s.Probability), s.Effective, 0.95)
	out := map[string]float64{}
	for name, i := range intervals(e) {
		out[name] = i.Value
	}
	return out
}

func (c *comparison) regression(p *Performance, ref, cur *scored) {
	measured := func(s *scored) map[string]float64 {
		scores, truth := s.both()
		if len(scores) == 0 {
			return nil
		}
		m := realised.Regression(scores, truth)
		return map[string]float64{"mae": m.MAE, "rmse": m.RMSE, "bias": m.Bias}
	}
	before, now := measured(ref), measured(cur)
	expected := map[string]estimate.Interval{}
	var predicted, truth []float64
	columns := make([][]float64, len(c.sample.names))
	for i, row := range c.rows.reference {
		if t := ref.truth[row]; !math.IsNaN(t) && finite(ref.scores[row]) {
			predicted, truth = append(predicted, ref.scores[row]), append(truth, t)
			for k := range columns {
				columns[k] = append(columns[k], c.sample.reference[k][i])
			}
		}
	}
	var loss estimate.Regression
	if len(columns) > 0 && len(truth) >= fewest && c.o.Perm != nil {
		dle, err := estimate.FitDLE(columns, predicted, truth, gbdt.Options{Trees: 60}, c.o.Perm)
		if err != nil {
			c.r.Notes = append(c.r.Notes, "the estimate could not be made: "+err.Error())
		} else {
			loss = dle.Estimate(c.sample.current, take(cur.scores, c.rows.current), 0.95)
			expected["mae"], expected["rmse"] = loss.MAE, loss.RMSE
		}
	}
	for _, name := range []string{"mae", "rmse", "bias"} {
		m := Metric{Name: name, Reference: number(before, name), Realised: number(now, name), Shifted: Number(math.NaN())}
		m.Estimated, m.Low, m.High = interval(expected, name)
		if finite(float64(m.Reference)) || finite(float64(m.Realised)) || finite(float64(m.Estimated)) {
			p.Metrics = append(p.Metrics, m)
		}
	}
}
