package check

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

type reference struct {
	Name                string
	Score, Truth        []float64
	Width               int
	Threshold, Quantile float64
	DeLong              float64 `json:"delong"`
	Want, Second        map[string]float64
}

func golden(t *testing.T) (g struct {
	Binary, Several, Regression []reference
	Wilson                      []struct{ K, N, Confidence, Low, High float64 }
	Student                     []struct{ Confidence, DF, T float64 }
	Classes                     struct {
		Said, Truth []float64
		Want        map[string]float64
	}
}) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func close12(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(b)) }

// Metrics are those of scikit-learn.
func TestMetricsAgainstReference(t *testing.T) {
	g := golden(t)
	classes := []string{"a", "b", "c"}
	compare := func(task fairlead.Task, r reference, class string, want map[string]float64) {
		for name, w := range want {
			m := Metric{Metric: name, Threshold: r.Threshold, Quantile: r.Quantile, Bins: 10, Class: class}
			got := m.measure(task, classes, rows{score: r.Score, width: max(1, r.Width), truth: r.Truth})
			if !close12(got.value, w) {
				t.Errorf("%s, %s %s: %.15g, the reference has %.15g", r.Name, name, class, got.value, w)
			}
		}
	}
	for _, r := range g.Binary {
		compare(fairlead.TaskBinary, r, "", r.Want)
		e := auroc(r.Score, r.Truth)
		if se := spreadOf(e.influence, nil, 0.95).se; !close12(se, r.DeLong) {
			t.Errorf("%s: standard error of auroc %.15g, DeLong's is %.15g", r.Name, se, r.DeLong)
		}
	}
	for _, r := range g.Several {
		compare(fairlead.TaskMulticlass, r, "", r.Want)
		compare(fairlead.TaskMulticlass, r, "b", r.Second)
	}
	for _, r := range g.Regression {
		compare(fairlead.TaskRegression, r, "", r.Want)
	}
	// A model that says classes and no scores; one that it says is never true, one that is true it never says.
	for name, w := range g.Classes.Want {
		m := Metric{Metric: name}
		got := m.measure(fairlead.TaskMulticlass, []string{"a", "b", "c", "d"}, rows{truth: g.Classes.Truth, class: g.Classes.Said})
		if !close12(got.value, w) {
			t.Errorf("classes, %s: %.15g, the reference has %.15g", name, got.value, w)
		}
	}
	for _, w := range g.Student {
		if got := studentT(w.Confidence, w.DF); math.Abs(got/w.T-1) > 1e-9 {
			t.Errorf("Student's t of %g with %g degrees of freedom: %.12g, SciPy has %.12g", w.Confidence, w.DF, got, w.T)
		}
	}
	for _, w := range g.Wilson {
		low, high := Wilson(w.K, w.N, w.Confidence)
		if math.Abs(low-w.Low) > 1e-9 || math.Abs(high-w.High) > 1e-9 {
			t.Errorf("Wilson %g of %g: [%g, %g], SciPy has [%g, %g]", w.K, w.N, low, high, w.Low, w.High)
		}
	}
	if low, high := Wilson(0, 0, 0.95); low != 0 || high != 1 {
		t.Errorf("of nothing nothing is known: [%g, %g]", low, high)
	}
}

// noisy are rows of a calibrated binary model, or of a regression.
func noisy(seed uint64, n int) rows {
	c := chance{seed}
	r := rows{width: 1}
	for range n {
		p := c.float()
		r.score, r.truth = append(r.score, p), append(r.truth, number(c.float() < p))
	}
	return r
}

// The influence of a row is what leaving it out changes, (n−1)(value − value without it), up to 1/n.
func TestInfluenceIsThatOfTheJackknife(t *testing.T) {
	const n = 300
	for task, metrics := range map[fairlead.Task][]string{
		fairlead.TaskBinary:     {"accuracy", "auroc", "log_loss", "brier", "precision", "recall", "f1"},
		fairlead.TaskRegression: MetricsOf(fairlead.TaskRegression),
		fairlead.TaskMulticlass: {"precision", "recall", "f1", "auroc", "brier"},
	} {
		for _, name := range metrics {
			r := noisy(7, n)
			switch task {
			case fairlead.TaskRegression:
				c := chance{9}
				for i := range r.truth {
					r.truth[i] = r.score[i] + c.float()
				}
			case fairlead.TaskMulticlass:
				r.width = 3
				c := chance{11}
				r.score = nil
				for i := range n {
					a, b, d := c.float(), c.float(), c.float()
					s := a + b + d
					r.score = append(r.score, a/s, b/s, d/s)
					r.truth[i] = float64(c.below(3))
				}
			}
			m := Metric{Metric: name, Threshold: 0.4, Quantile: 0.8, Bins: 10}
			whole := m.measure(task, []string{"a", "b", "c"}, r)
			largest, sum := 0.0, 0.0
			for _, x := range whole.influence {
				largest, sum = max(largest, math.Abs(x)), sum+x
			}
			if math.Abs(sum/n) > 1e-9*max(1, largest) {
				t.Errorf("%s %s: the mean influence is %g", task, name, sum/n)
			}
			for i := range n {
				rest := append(sequence(i), sequence(n)[i+1:]...)
				without := m.measure(task, []string{"a", "b", "c"}, r.pick(rest))
				if jack := (n - 1) * (whole.value - without.value); math.Abs(jack-whole.influence[i]) > 0.03*largest {
					t.Fatalf("%s %s: influence of row %d is %g, the jackknife's %g", task, name, i, whole.influence[i], jack)
				}
			}
		}
	}
}

// A 90 % interval covers the truth in about 90 of 100 samples; the bootstrap agrees with the formula.
func TestIntervalsCover(t *testing.T) {
	const trials, n = 400, 400
	// Of the model of noisy, p uniform and y = 1 with probability p.
	truth := map[string]float64{"accuracy": 0.75, "brier": 1.0 / 6, "auroc": 5.0 / 6, "log_loss": 0.5, "recall": 0.75, "f1": 0.75}
	for name, want := range truth {
		m := Metric{Metric: name, Threshold: 0.5, Bins: 10, Confidence: 0.9}
		covered, width := 0, 0.0
		for k := range trials {
			r := noisy(uint64(1000+k), n)
			j := judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: r}
			f := j.find(sequence(n), 0.9)
			if f.low <= want && want <= f.high {
				covered++
			}
			width += (f.high - f.low) / trials
		}
		if share := float64(covered) / trials; share < 0.86 || share > 0.94 {
			t.Errorf("%s: %.3f of the 90 %% intervals cover %g", name, share, want)
		}
		r := noisy(5, n)
		_, deviation := Bootstrap(n, 400, 3, func(times []int) float64 {
			var at []int
			for i, k := range times {
				for range k {
					at = append(at, i)
				}
			}
			return m.measure(fairlead.TaskBinary, nil, r.pick(at)).value
		})
		if b := 2 * z(0.9) * deviation; b < 0.85*width || b > 1.18*width {
			t.Errorf("%s: the bootstrap's interval is %g wide, the formula's %g", name, b, width)
		}
	}
	if a, b := Bootstrap(10, 50, 1, func([]int) float64 { return math.NaN() }); !math.IsNaN(a) || !math.IsNaN(b) {
		t.Errorf("a statistic that is never defined: %g, %g", a, b)
	}
}

// Rows that belong together are worth fewer: ten copies of each row, drawn together, give the interval of the originals.
func TestClustersAreOneDraw(t *testing.T) {
	alone := noisy(3, 200)
	var copies rows
	copies.width = 1
	var clusters []int
	for i := range alone.truth {
		for range 10 {
			copies.score, copies.truth = append(copies.score, alone.score[i]), append(copies.truth, alone.truth[i])
			clusters = append(clusters, i)
		}
	}
	for _, name := range []string{"brier", "auroc", "accuracy", "f1", "ece"} {
		m := Metric{Metric: name, Threshold: 0.5, Bins: 10}
		one := (&judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: alone}).find(sequence(200), 0.95)
		ten := (&judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: copies, clusters: clusters}).find(sequence(2000), 0.95)
		if !close12(one.value, ten.value) || math.Abs((ten.high-ten.low)/(one.high-one.low)-1) > 0.02 {
			t.Errorf("%s: [%g, %g] of the rows, [%g, %g] of their copies", name, one.low, one.high, ten.low, ten.high)
		}
	}
}

// Where a metric is not defined it is NaN, and nothing panics.
func TestUndefinedMetrics(t *testing.T) {
	for name, r := range map[string]rows{
		"auroc":     {score: []float64{0.1, 0.9}, width: 1, truth: []float64{1, 1}},
		"precision": {score: []float64{0.1, 0.2}, width: 1, truth: []float64{1, 0}},
		"recall":    {score: []float64{0.1, 0.2}, width: 1, truth: []float64{0, 0}},
		"log_loss":  {score: []float64{-3, 4}, width: 1, truth: []float64{0, 1}},
		"ece":       {score: []float64{-3, 4}, width: 1, truth: []float64{0, 1}},
		"brier":     {width: 1},
	} {
		m := Metric{Metric: name, Threshold: 0.5, Bins: 10}
		if e := m.measure(fairlead.TaskBinary, nil, r); !math.IsNaN(e.value) {
			t.Errorf("%s of %v is %g", name, r, e.value)
		}
	}
	perfect := rows{score: []float64{0.1, 0.2, 0.8, 0.9}, width: 1, truth: []float64{0, 0, 1, 1}}
	m := Metric{Metric: "auroc", MinRows: 1}
	f := (&judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: perfect}).find(sequence(4), 0.95)
	if f.value != 1 || f.high != 1 || f.low > 0.2 || f.low < 0.1 {
		t.Errorf("four rows do not show that a ranking is perfect: %+v", f)
	}
}
