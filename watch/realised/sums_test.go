package realised

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// cellOf counts one outcome, as the evaluation store does in SQL.
func cellOf(task fairlead.Task, classes []string, o Outcome) Cell {
	c := Cell{Labelled: o.Label != "", N: 1, Bin: NoScore}
	yes := true
	switch task {
	case fairlead.TaskBinary:
		if d, ok := decide(o, classes, Threshold); ok {
			c.Decision = &d
		}
		if p, known := Positive(o.Label, classes); c.Labelled && known {
			c.Truth = &p
		}
		switch {
		case math.IsNaN(o.Score):
		case o.Score < 0 || o.Score > 1:
			c.Bin = Outside
		default:
			c.Bin = min(int(o.Score*Bins), Bins-1)
			if c.Truth != nil {
				y, p := float64(count(*c.Truth)), min(max(o.Score, clip), 1-clip)
				loss, brier := -y*math.Log(p)-(1-y)*math.Log1p(-p), (o.Score-y)*(o.Score-y)
				c.Sums = [4]float64{loss, loss * loss, brier, brier * brier}
			}
		}
	case fairlead.TaskMulticlass:
		if right := o.Predicted == o.Label; c.Labelled {
			c.Truth = &yes
			if o.Predicted != "" {
				c.Decision = &right
			}
		}
	case fairlead.TaskRegression:
		y, err := strconv.ParseFloat(o.Label, 64)
		if err != nil || math.IsNaN(y) || math.IsInf(y, 0) {
			break
		}
		c.Truth = &yes
		if !math.IsNaN(o.Score) {
			e := o.Score - y
			c.Decision, c.Sums = &yes, [4]float64{e, math.Abs(e), e * e, e * e * e * e}
		}
	}
	return c
}

// The sums of cells give the metrics of the rows, in whatever parts they come.
func TestSumsAreTheMetricsOfTheRows(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, task := range []fairlead.Task{fairlead.TaskBinary, fairlead.TaskMulticlass, fairlead.TaskRegression} {
		var outcomes []Outcome
		var s Sums
		for range 5000 {
			o := Outcome{Score: (float64(rng.IntN(Bins)) + 0.5) / Bins} // no two in one bin that differ
			switch task {
			case fairlead.TaskBinary:
				o.Label = []string{"late", "on_time", "", "who knows"}[rng.IntN(4)]
				o.Predicted = []string{"late", "on_time", ""}[rng.IntN(3)]
			case fairlead.TaskMulticlass:
				o.Label, o.Predicted = []string{"a", "b", "c", ""}[rng.IntN(4)], []string{"a", "b", "c", ""}[rng.IntN(4)]
			case fairlead.TaskRegression:
				o.Label = []string{strconv.FormatFloat(rng.NormFloat64(), 'g', -1, 64), "", "x", "inf"}[rng.IntN(4)]
			}
			if rng.IntN(20) == 0 {
				o.Score = math.NaN()
			}
			outcomes = append(outcomes, o)
			s.Add(task, cellOf(task, []string{"on_time", "late"}, o))
		}
		want := Compute(task, []string{"on_time", "late"}, Threshold, outcomes)
		total := s.Totals()
		if total.N != uint64(want.N) || total.Labelled != uint64(want.Labelled) {
			t.Errorf("%s: %d rows, %d labelled; want %d, %d", task, total.N, total.Labelled, want.N, want.Labelled)
		}
		got := total.Metrics(task)
		for _, name := range Names(task) {
			m := got[name]
			if math.Abs(m.Value-want.Values[name]) > 1e-9 || !(m.Low < m.Value && m.Value < m.High) {
				t.Errorf("%s: %s is %+v, want %g", task, name, m, want.Values[name])
			}
		}
	}
}

// 95 of 100 intervals hold the truth.
func TestIntervalsOfSums(t *testing.T) {
	const seed, rounds = 3, 1000
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	truth := map[string]float64{"accuracy": 0.75, "auroc": 5.0 / 6, "brier": 1.0 / 6, "positive_rate": 0.5, "log_loss": 0.5} // labels drawn by uniform scores
	held := map[string]int{}
	for range rounds {
		var s Sums
		for range 400 {
			p := rng.Float64()
			label := "0"
			if rng.Float64() < p {
				label = "1"
			}
			s.Add(fairlead.TaskBinary, cellOf(fairlead.TaskBinary, nil, Outcome{Score: p, Label: label}))
		}
		total := s.Totals()
		m := total.Metrics(fairlead.TaskBinary)
		for name, v := range truth {
			held[name] += count(m[name].Low <= v && v <= m[name].High)
		}
	}
	for name, n := range held {
		if got := float64(n) / rounds; got < 0.925 || got > 0.975 {
			t.Errorf("%s: %g of the intervals hold %g", name, got, truth[name])
		}
	}
}

func TestSumsOfNothing(t *testing.T) {
	for _, task := range []fairlead.Task{fairlead.TaskBinary, fairlead.TaskMulticlass, fairlead.TaskRegression} {
		for name, m := range (&Totals{}).Metrics(task) {
			if !math.IsNaN(m.Value) || !math.IsNaN(m.Low) || !math.IsNaN(m.High) {
				t.Errorf("%s of nothing is %+v", name, m)
			}
		}
	}
}
