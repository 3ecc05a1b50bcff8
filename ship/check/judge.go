package check

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var spans = map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour}

// judged is one side of a metric test: the rows that have a label and an answer, and those of another version beside them.
type judged struct {
	m        *Metric
	sample   *Sample
	rows     rows
	other    *rows
	row      []int  // place in the sample
	clusters []int  // nil: every row is one
	strange  string // a label that is not understood
	mute     int    // rows with a label to which this version gave no number
}

// Judge asks a metric test of rows with outcomes, wherever they come from. The result has no name and took no time. An error
// is one of the source; what is wrong with the definition fails the test.
func Judge(ctx context.Context, m *Metric, from Source) (Result, error) {
	s, err := from.Sample(ctx, "")
	if err != nil {
		return Result{}, err
	}
	if s == nil {
		return Result{Verdict: Skipped, Text: "there is no evaluation set: give the bundle a reference with labels"}, nil
	}
	var other *Sample
	if m.OtherThan != "" {
		if other, err = from.Sample(ctx, m.OtherThan); err != nil {
			return Result{}, err
		}
		if other == nil {
			return Result{Verdict: Skipped, Text: fmt.Sprintf("there is no %s to compare with, or it is this version", m.OtherThan)}, nil
		}
	}
	j, err := newJudged(m, s, other)
	if err != nil {
		return wrong(err)
	}
	r := j.all
	if len(m.By) > 0 {
		r = j.groups
	}
	result, err := r()
	if err == nil && j.mute > 0 { // a model must not do better by not answering
		result.Verdict, result.Fails = Failed, true
		result.Text += fmt.Sprintf("; to %d more rows the model gave no finite number", j.mute)
	}
	if err == nil && j.strange != "" {
		result.Text += fmt.Sprintf("; rows with labels such as %q, which is no class, are left out", j.strange)
	}
	return result, err
}

// wrong is the result of a test that cannot be asked as it stands.
func wrong(err error) (Result, error) {
	if fairlead.CodeOf(err) != fairlead.CodeInvalid {
		return Result{}, err
	}
	return Result{Verdict: Failed, Fails: true, Text: err.Error()}, nil
}

func newJudged(m *Metric, s, other *Sample) (*judged, error) {
	if !slices.Contains(MetricsOf(s.Task), m.Metric) {
		return nil, fairlead.Invalid("a model of task %s has no %s", s.Task, m.Metric).Hintf("it has %s", strings.Join(MetricsOf(s.Task), ", "))
	}
	if m.Class != "" && !slices.Contains(s.Classes, m.Class) {
		return nil, fairlead.Invalid("there is no class %q%s", m.Class, didYouMean(m.Class, s.Classes)).Hintf("the classes are %s", strings.Join(s.Classes, ", "))
	}
	truth, strange, err := s.truth()
	if err != nil {
		return nil, err
	}
	in, err := matches(s.Rows, m.Where)
	if err != nil {
		return nil, err
	}
	j := &judged{m: m, sample: s, strange: strange}
	whole := s.numbers(truth)
	var others rows
	if other != nil {
		if err := s.comparable(other, m.OtherThan); err != nil {
			return nil, err
		}
		others = other.numbers(truth)
		if others.width != whole.width || others.n() != whole.n() {
			return nil, fairlead.Invalid("%s answers otherwise: %d numbers a row, not %d", m.OtherThan, others.width, whole.width)
		}
	}
	for i, y := range truth {
		if math.IsNaN(y) || in != nil && !in[i] {
			continue
		}
		if !whole.answered(i) {
			j.mute++
			continue
		}
		if other != nil && !others.answered(i) {
			continue
		}
		j.row = append(j.row, i)
	}
	j.rows = whole.pick(j.row)
	if other != nil {
		picked := others.pick(j.row)
		j.other = &picked
	}
	if m.Cluster != "" {
		c := s.Rows.Column(m.Cluster)
		if c == nil {
			return nil, noColumn(s.Rows, m.Cluster)
		}
		if m.Span != "" && c.Times == nil {
			return nil, fairlead.Invalid("%s holds no timestamps, so it has no %ss", m.Cluster, m.Span)
		}
		number := map[string]int{}
		for _, i := range j.row {
			v := valueAt(c, i)
			if span := spans[m.Span]; span > 0 {
				v = c.Times[i].UTC().Truncate(span).String() // zero time was a Monday
			}
			if _, known := number[v]; !known {
				number[v] = len(number)
			}
			j.clusters = append(j.clusters, number[v])
		}
	}
	return j, nil
}

// comparable says whether the answers of another version to the same rows mean the same.
func (s *Sample) comparable(other *Sample, name string) error {
	if other.Task != s.Task {
		return fairlead.Invalid("%s is a model of task %s, this one of task %s", name, other.Task, s.Task).Hintf("compare versions that do the same")
	}
	if s.Classes != nil && other.Classes != nil && !slices.Equal(s.Classes, other.Classes) {
		return fairlead.Invalid("%s has the classes %s, this version %s", name, strings.Join(other.Classes, ", "), strings.Join(s.Classes, ", ")).
			Hintf("name the same classes in the same order in both")
	}
	return nil
}

// numbers are the answers as metrics take them.
func (s *Sample) numbers(truth []float64) rows {
	r := rows{width: s.Answers.Width, truth: truth}
	if s.Answers.Score && s.Task != fairlead.TaskMulticlass || s.Answers.Width > 1 && s.Task == fairlead.TaskMulticlass {
		r.score = s.Answers.Values // one number says nothing about several classes
	}
	if s.Answers.Class != nil && s.Task != fairlead.TaskRegression {
		r.class = make([]float64, len(s.Answers.Class))
		for i, c := range s.Answers.Class {
			if s.Task == fairlead.TaskBinary {
				r.class[i] = positive(c, s.Classes)
			} else {
				r.class[i] = place(c, s.Classes)
				if math.IsNaN(r.class[i]) {
					r.class[i] = -1 // a class that nobody knows is an answer, and a wrong one
				}
			}
		}
	}
	return r
}

// answered says whether the model gave row i numbers that a metric can use.
func (r rows) answered(i int) bool {
	if r.score != nil {
		for _, x := range r.score[i*r.width : (i+1)*r.width] {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return false
			}
		}
	}
	return (r.score != nil || r.class != nil) && (r.class == nil || !math.IsNaN(r.class[i]))
}

// found is a metric, or the harm of a comparison, with its interval.
type found struct {
	value, low, high, this, that float64
	n, clusters                  int // rows, and what they belong to; clusters 0: every row is one
}

// find computes the metric of some of the rows. In a comparison value is how much worse this version is, low and high its
// interval, this and that the two versions' metrics.
func (j *judged) find(at []int, confidence float64) found {
	m, s := j.m, j.sample
	r, clusters := j.rows.pick(at), renumber(pickAll(j.clusters, at))
	e := m.measure(s.Task, s.Classes, r)
	f := found{value: e.value, n: len(at)}
	if len(clusters) > 0 {
		f.clusters = 1 + slices.Max(clusters)
	}
	if j.other == nil {
		f.low, f.high = j.interval(e, r, nil, clusters, confidence)
		return f
	}
	o := j.other.pick(at)
	b := m.measure(s.Task, s.Classes, o)
	sign := 1.0
	if higherIsBetter(m.Metric) {
		sign = -1
	}
	harm := estimate{value: sign * (e.value - b.value)}
	if e.influence != nil && b.influence != nil {
		harm.influence = make([]float64, len(at))
		for i := range harm.influence {
			harm.influence[i] = sign * (e.influence[i] - b.influence[i])
		}
	}
	f.value, f.this, f.that = harm.value, e.value, b.value
	f.low, f.high = j.interval(harm, r, &o, clusters, confidence)
	return f
}
