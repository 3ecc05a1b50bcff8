package check

import (
	"cmp"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// Metrics lists the metrics there are.
//
// Of a binary task: accuracy, precision, recall and f1 at a threshold; auroc; log_loss (probabilities clipped to
// [2⁻⁵², 1−2⁻⁵²]); brier, mean (p − y)²; ece, expected calibration error over bins of equal width. Of several classes:
// accuracy and ece of the class with the highest probability, log_loss, brier, mean Σ(p − y)²; precision, recall, f1 and
// auroc of one class against the rest, or their mean over the classes. Of a regression: mae, rmse, r2, bias (mean answer −
// truth) and pinball, the loss of a quantile. They agree with scikit-learn, which has no ece and no bias.
func Metrics() []string {
	return []string{
		"accuracy", "auroc", "log_loss", "brier", "ece", "precision", "recall", "f1", "mae", "rmse", "r2", "bias", "pinball",
	}
}

// MetricsOf lists the metrics of a task.
func MetricsOf(task fairlead.Task) []string {
	switch task {
	case fairlead.TaskBinary, fairlead.TaskMulticlass:
		return Metrics()[:8]
	case fairlead.TaskRegression:
		return Metrics()[8:]
	}
	return nil
}

// higherIsBetter says which way a metric is good.
func higherIsBetter(metric string) bool {
	return slices.Contains([]string{"accuracy", "auroc", "precision", "recall", "f1", "r2"}, metric)
}

// estimate is a metric over rows: its value, and each row's influence on it, the infinitesimal change of the value with
// the row's weight times n, of mean 0. The variance of the value is Σ influence²/n² (of rows that are drawn together: of
// their sums), which for auroc is that of DeLong, DeLong and Clarke-Pearson (1988), up to n/(n−1).
type estimate struct {
	value     float64
	influence []float64
	share     *share // the value is a share of rows, or follows from one
}

// share is k of n, and the value as a function of k/n; nil: the share itself.
type share struct {
	k, n  float64
	value func(float64) float64
}

// rows is what metrics are computed of. truth is not NaN. Of several classes score is rows × width.
type rows struct {
	score []float64
	width int
	truth []float64
	class []float64 // what an output of role label said; nil: the score decides
}

func (r rows) n() int { return len(r.truth) }

func (r rows) pick(at []int) rows {
	out := rows{width: r.width, truth: pickAll(r.truth, at), class: pickAll(r.class, at)}
	if r.score != nil {
		out.score = make([]float64, 0, len(at)*r.width)
		for _, i := range at {
			out.score = append(out.score, r.score[i*r.width:(i+1)*r.width]...)
		}
	}
	return out
}

// mean is the estimate of a mean.
func mean(xs []float64) estimate {
	e := estimate{influence: make([]float64, len(xs))}
	for _, x := range xs {
		e.value += x
	}
	e.value /= float64(len(xs))
	for i, x := range xs {
		e.influence[i] = x - e.value
	}
	return e
}

// ratio is Σa/Σb; its influence is (a − value·b)/mean(b). NaN where Σb is 0.
func ratio(a, b []float64) estimate {
	var sumA, sumB float64
	for i := range a {
		sumA, sumB = sumA+a[i], sumB+b[i]
	}
	e := estimate{value: sumA / sumB, influence: make([]float64, len(a)), share: &share{k: sumA, n: sumB}}
	scale := float64(len(a)) / sumB
	for i := range a {
		e.influence[i] = (a[i] - e.value*b[i]) * scale
	}
	return e
}

// measure computes a metric; the value is NaN where it is not defined.
func (m *Metric) measure(task fairlead.Task, classes []string, r rows) estimate {
	if r.n() == 0 {
		return estimate{value: math.NaN()}
	}
	switch {
	case task == fairlead.TaskRegression:
		return m.regression(r)
	case task == fairlead.TaskBinary:
		return m.binary(r, m.decisions(r))
	case m.Class != "":
		return m.against(r, slices.Index(classes, m.Class))
	case slices.Contains([]string{"precision", "recall", "f1", "auroc"}, m.Metric):
		return m.macro(r, max(len(classes), r.width))
	}
	return m.several(r)
}

// decisions are 1 where the model says yes: by its own word where it has one, unless the test names a threshold.
func (m *Metric) decisions(r rows) []float64 {
	if r.class != nil && (r.score == nil || !m.Cut) {
		return r.class
	}
	out := make([]float64, len(r.score))
	for i, s := range r.score {
		out[i] = number(s >= m.Threshold)
	}
	return out
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// binary is a metric of probabilities and decisions against 0 and 1.
func (m *Metric) binary(r rows, decided []float64) estimate {
	n := r.n()
	a, b := make([]float64, n), make([]float64, n)
	switch m.Metric {
	case "accuracy":
		for i, y := range r.truth {
			a[i], b[i] = number(decided[i] == y), 1
		}
		return ratio(a, b)
	case "precision":
		for i, y := range r.truth {
			a[i], b[i] = decided[i]*y, decided[i]
		}
		return ratio(a, b)
	case "recall":
		for i, y := range r.truth {
			a[i], b[i] = decided[i]*y, y
		}
		return ratio(a, b)
	case "f1":
		return f1(decided, r.truth)
	}
	if r.score == nil {
		return estimate{value: math.NaN()}
	}
	switch m.Metric {
	case "auroc":
		return auroc(r.score, r.truth)
	case "ece":
		return estimate{value: m.ece(r.score, r.truth, nil)}
	}
	if slices.Min(r.score) < 0 || slices.Max(r.score) > 1 {
		return estimate{value: math.NaN()}
	}
	for i, y := range r.truth {
		if m.Metric == "brier" {
			a[i] = (r.score[i] - y) * (r.score[i] - y)
		} else {
			a[i] = logLoss(r.score[i], y)
		}
	}
	return mean(a)
}

// logLoss is −ln of the probability given to the truth.
func logLoss(p, y float64) float64 {
	const clip = 0x1p-52
	p = min(max(p, clip), 1-clip)
	if y == 1 {
		return -math.Log(p)
	}
	return -math.Log1p(-p)
}

// f1 is 2TP/(2TP+FP+FN), which is 2J/(1+J) of the share J = TP/(TP+FP+FN).
func f1(decided, truth []float64) estimate {
	a, b := make([]float64, len(truth)), make([]float64, len(truth))
	var hits, union float64
	for i, y := range truth {
		a[i], b[i] = 2*decided[i]*y, decided[i]+y
		hits, union = hits+decided[i]*y, union+max(decided[i], y)
	}
	e := ratio(a, b)
	e.share = &share{k: hits, n: union, value: func(j float64) float64 { return 2 * j / (1 + j) }}
	return e
}

// auroc is the probability that a positive row scores above a negative one, ties counting ½. The influence of a positive
// row is (share of negatives below it − value)·n/positives, that of a negative one alike.
func auroc(score, truth []float64) estimate {
	n := len(score)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	var positives float64
	for _, y := range truth {
		positives += y
	}
	negatives := float64(n) - positives
	if positives == 0 || negatives == 0 {
		return estimate{value: math.NaN()}
	}
	e := estimate{influence: make([]float64, n)}
	var p, q float64 // positives and negatives below
	for i := 0; i < n; {
		j, tiedP := i, 0.0
		for ; j < n && score[order[j]] == score[order[i]]; j++ {
			tiedP += truth[order[j]]
		}
		tiedQ := float64(j-i) - tiedP
		for _, k := range order[i:j] {
			if truth[k] == 1 {
				e.influence[k] = (q + tiedQ/2) / negatives
			} else {
				e.influence[k] = (positives - p - tiedP/2) / positives
			}
		}
		e.value += tiedP * (q + tiedQ/2)
		p, q, i = p+tiedP, q+tiedQ, j
	}
	e.value /= positives * negatives
	for k, y := range truth {
		size := negatives
		if y == 1 {
			size = positives
		}
		e.influence[k] = (e.influence[k] - e.value) * float64(n) / size
	}
	return e
}

// ece is Σ over bins of |Σy − Σp|/n, bins of equal width over [0, 1], p = 1 in the last. times is how often each row counts;
// nil: once. It is NaN where a p is no probability.
func (m *Metric) ece(p, y []float64, times []int) float64 {
	sum := 0.0
	for _, g := range m.gaps(p, y, times) {
		sum += math.Abs(g)
	}
	return sum
}

// gaps are the bins' (Σy − Σp)/n.
func (m *Metric) gaps(p, y []float64, times []int) []float64 {
	gaps := make([]float64, m.Bins)
	n := 0.0
	for i := range p {
		t := 1.0
		if times != nil {
			t = float64(times[i])
		}
		if !(p[i] >= 0 && p[i] <= 1) {
			return []float64{math.NaN()}
		}
		gaps[min(int(p[i]*float64(m.Bins)), m.Bins-1)] += t * (y[i] - p[i])
		n += t
	}
	for b := range gaps {
		gaps[b] /= n
	}
	return gaps
}
