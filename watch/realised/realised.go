package realised

import (
	"math"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Threshold is the default decision threshold of a binary task.
const Threshold = 0.5

// Summary is the realised performance of one set of outcomes. N counts all of them; the metrics are over those whose
// label is known and understood, predicted_rate over all. A metric that is not defined on these outcomes is NaN.
type Summary struct {
	Values   map[string]float64 // one for each of Names(task)
	N        int                // predictions
	Labelled int                // of them with a label, understood or not
	Unknown  int                // labels that are no class of a binary task, or no finite number of a regression
	Unscored int                // understood labels whose prediction gave nothing to compare: no score, no served label
}

// Names lists the metrics of a task in display order; nil for a task without metrics.
func Names(task fairlead.Task) []string {
	switch task {
	case fairlead.TaskBinary:
		return []string{"accuracy", "auroc", "log_loss", "brier", "positive_rate", "predicted_rate"}
	case fairlead.TaskMulticlass:
		return []string{"accuracy"}
	case fairlead.TaskRegression:
		return []string{"mae", "rmse", "bias"}
	}
	return nil
}

// Compute summarises outcomes by the metrics of the task. classes are the class names of the score output, the
// positive one last; it may be nil. The result has the same bits for every order of the outcomes.
func Compute(task fairlead.Task, classes []string, threshold float64, outcomes []Outcome) Summary {
	s := Summary{Values: map[string]float64{}}
	for _, o := range outcomes {
		s.N += max(1, o.Times)
		if o.Label != "" {
			s.Labelled++
		}
	}
	switch task {
	case fairlead.TaskBinary:
		s.binary(classes, threshold, outcomes)
	case fairlead.TaskMulticlass:
		s.multiclass(outcomes)
	case fairlead.TaskRegression:
		s.regression(outcomes)
	}
	return s
}

// Positive reads a binary label. The last of classes is the positive class and every other one of them is negative.
// Without such a match "1" and "true" (any case, any spelling of the number one) are positive, "0" and "false"
// negative. known is false for everything else.
func Positive(label string, classes []string) (positive, known bool) {
	for i, class := range classes {
		if label == class {
			return i == len(classes)-1, true
		}
	}
	switch {
	case strings.EqualFold(label, "true"):
		return true, true
	case strings.EqualFold(label, "false"):
		return false, true
	}
	switch x, err := strconv.ParseFloat(label, 64); {
	case err != nil:
		return false, false
	case x == 1:
		return true, true
	case x == 0:
		return false, true
	}
	return false, false
}

// decide is the decision that was served: the served label where it is understood, else the score against the
// threshold. ok is false when the model gave neither.
func decide(o Outcome, classes []string, threshold float64) (positive, ok bool) {
	if o.Predicted != "" {
		if p, known := Positive(o.Predicted, classes); known {
			return p, true
		}
	}
	return o.Score >= threshold, !math.IsNaN(o.Score)
}

func (s *Summary) binary(classes []string, threshold float64, outcomes []Outcome) {
	var scores []float64
	var truth []bool
	var right, judged, decided, predicted int
	for _, o := range outcomes {
		decision, ok := decide(o, classes, threshold)
		if ok {
			times := max(1, o.Times)
			decided += times
			predicted += times * count(decision)
		}
		if o.Label == "" {
			continue
		}
		positive, known := Positive(o.Label, classes)
		if !known {
			s.Unknown++
			continue
		}
		if !ok {
			s.Unscored++
		} else {
			judged++
			right += count(decision == positive)
		}
		scores, truth = append(scores, o.Score), append(truth, positive)
	}
	m := Binary(scores, truth, threshold)
	s.Values["accuracy"] = ratio(right, judged)
	s.Values["auroc"] = m.AUROC
	s.Values["log_loss"] = m.LogLoss
	s.Values["brier"] = m.Brier
	s.Values["positive_rate"] = m.PositiveRate
	s.Values["predicted_rate"] = ratio(predicted, decided)
}

func (s *Summary) multiclass(outcomes []Outcome) {
	var right, judged int
	for _, o := range outcomes {
		switch {
		case o.Label == "":
		case o.Predicted == "":
			s.Unscored++
		default:
			judged++
			right += count(o.Predicted == o.Label)
		}
	}
	s.Values["accuracy"] = ratio(right, judged)
}

func (s *Summary) regression(outcomes []Outcome) {
	var predicted, truth []float64
	for _, o := range outcomes {
		if o.Label == "" {
			continue
		}
		y, err := strconv.ParseFloat(o.Label, 64)
		switch {
		case err != nil || math.IsNaN(y) || math.IsInf(y, 0):
			s.Unknown++
		case math.IsNaN(o.Score) || math.IsInf(o.Score, 0):
			s.Unscored++
		default:
			predicted, truth = append(predicted, o.Score), append(truth, y)
		}
	}
	m := Regression(predicted, truth)
	s.Values["mae"], s.Values["rmse"], s.Values["bias"] = m.MAE, m.RMSE, m.Bias
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ratio is a/b, NaN for b = 0.
func ratio(a, b int) float64 {
	if b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}
