package realised

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/google/go-cmp/cmp"
)

type golden struct {
	Binary []struct {
		Name            string
		Scores          []float64
		Positive        []bool
		Threshold       float64
		Accuracy, Brier float64
		AUROC           *float64
		LogLoss         float64 `json:"log_loss"`
		PositiveRate    float64 `json:"positive_rate"`
		PredictedRate   float64 `json:"predicted_rate"`
	}
	Regression []struct {
		Name             string
		Predicted, Truth []float64
		MAE, RMSE, Bias  float64
	}
}

// near compares relatively, because the two sides add in another order.
func near(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-12*max(1, math.Abs(b))
}

func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Binary) == 0 || len(g.Regression) == 0 {
		t.Fatal("no golden cases")
	}
	for _, c := range g.Binary {
		m := Binary(c.Scores, c.Positive, c.Threshold)
		auroc := math.NaN()
		if c.AUROC != nil {
			auroc = *c.AUROC
		}
		want := BinaryMetrics{c.Accuracy, auroc, c.LogLoss, c.Brier, c.PositiveRate, c.PredictedRate}
		if d := cmp.Diff(want, m, cmp.Comparer(near)); d != "" {
			t.Errorf("binary %q (-scikit-learn +ours):\n%s", c.Name, d)
		}
	}
	for _, c := range g.Regression {
		m := Regression(c.Predicted, c.Truth)
		if d := cmp.Diff(RegressionMetrics{c.MAE, c.RMSE, c.Bias}, m, cmp.Comparer(near)); d != "" {
			t.Errorf("regression %q (-scikit-learn +ours):\n%s", c.Name, d)
		}
	}
}

func TestPositive(t *testing.T) {
	flights := []string{"on_time", "late"}
	for _, c := range []struct {
		label           string
		classes         []string
		positive, known bool
	}{
		{"late", flights, true, true},
		{"on_time", flights, false, true},
		{"1", flights, true, true},
		{"1.0", flights, true, true},
		{"0", flights, false, true},
		{"True", flights, true, true},
		{"false", nil, false, true},
		{"Late", flights, false, false}, // class names are exact
		{"2", nil, false, false},
		{"NaN", nil, false, false},
		{"", flights, false, false},
		{"2", []string{"1", "2"}, true, true}, // class names come before "1" and "true"
		{"1", []string{"1", "2"}, false, true},
	} {
		positive, known := Positive(c.label, c.classes)
		if positive != c.positive || known != c.known {
			t.Errorf("Positive(%q, %q) = %v, %v; want %v, %v", c.label, c.classes, positive, known, c.positive, c.known)
		}
	}
}

func TestComputeBinary(t *testing.T) {
	nan := math.NaN()
	s := Compute(fairlead.TaskBinary, []string{"on_time", "late"}, Threshold, []Outcome{
		{Score: 0.9, Label: "late"},
		{Score: 0.2, Label: "on_time"},
		{Score: 0.6, Label: "0"},
		{Score: 0.3, Label: "maybe"},                   // unknown: no metric but the predicted rate
		{Score: nan, Label: "late"},                    // unscored
		{Score: 0.4, Predicted: "late", Label: "late"}, // the served label decides, not the threshold
		{Score: 0.7},                                   // no label yet
	})
	want := Summary{N: 7, Labelled: 6, Unknown: 1, Unscored: 1, Values: map[string]float64{
		"accuracy": 3. / 4, "auroc": 3. / 4,
		"log_loss": -(math.Log(.9) + math.Log(.8) + math.Log(.4) + math.Log(.4)) / 4,
		"brier":    (.01 + .04 + .36 + .36) / 4, "positive_rate": 3. / 5, "predicted_rate": 4. / 6,
	}}
	if d := cmp.Diff(want, s, cmp.Comparer(near)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestComputeOtherTasks(t *testing.T) {
	s := Compute(fairlead.TaskMulticlass, nil, Threshold, []Outcome{
		{Predicted: "cat", Label: "cat"}, {Predicted: "dog", Label: "cat"}, {Label: "cat"}, {Predicted: "dog"},
	})
	want := Summary{N: 4, Labelled: 3, Unscored: 1, Values: map[string]float64{"accuracy": .5}}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("multiclass -want +got:\n%s", d)
	}
	s = Compute(fairlead.TaskRegression, nil, Threshold, []Outcome{
		{Score: 3, Label: "1"}, {Score: -1, Label: "-1e0"}, {Score: 3, Label: "late"}, {Score: 3, Label: "+Inf"},
		{Score: math.NaN(), Label: "2"}, {Score: 4},
	})
	want = Summary{N: 6, Labelled: 5, Unknown: 2, Unscored: 1, Values: map[string]float64{"mae": 1, "rmse": math.Sqrt2, "bias": 1}}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("regression -want +got:\n%s", d)
	}
	s = Compute(fairlead.TaskNone, nil, Threshold, []Outcome{{Score: 3, Label: "1"}})
	if d := cmp.Diff(Summary{N: 1, Labelled: 1, Values: map[string]float64{}}, s); d != "" {
		t.Errorf("none -want +got:\n%s", d)
	}
}

func TestEveryNameHasAValue(t *testing.T) {
	for _, task := range []fairlead.Task{fairlead.TaskBinary, fairlead.TaskMulticlass, fairlead.TaskRegression, fairlead.TaskNone} {
		s := Compute(task, nil, Threshold, nil)
		if len(s.Values) != len(Names(task)) {
			t.Errorf("%s: %d values, %d names", task, len(s.Values), len(Names(task)))
		}
		for _, name := range Names(task) {
			if v, ok := s.Values[name]; !ok || !math.IsNaN(v) {
				t.Errorf("%s: %s of no rows is %v, %v; want NaN", task, name, v, ok)
			}
		}
	}
}

func TestScoresThatAreNoProbabilities(t *testing.T) {
	m := Binary([]float64{-3, math.Inf(1), 2, -1}, []bool{false, true, true, false}, 0)
	want := BinaryMetrics{1, 1, math.NaN(), math.NaN(), .5, .5}
	if d := cmp.Diff(want, m, cmp.Comparer(near)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// The evaluation store returns rows in any order; a replay must give the same bits.
func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]Outcome, 1000)
	for i := range rows {
		rows[i].Score = math.Round(r.Float64()*500) / 500
		if r.IntN(5) > 0 {
			rows[i].Label = []string{"0", "1"}[r.IntN(2)]
		}
	}
	for _, task := range []fairlead.Task{fairlead.TaskBinary, fairlead.TaskRegression} {
		want := Compute(task, nil, Threshold, rows)
		for range 20 {
			r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			if d := cmp.Diff(want, Compute(task, nil, Threshold, rows)); d != "" {
				t.Fatalf("%s: -want +got:\n%s", task, d)
			}
		}
	}
}

func TestAUROCByPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n := 1 + r.IntN(40)
		scores, positive := make([]float64, n), make([]bool, n)
		for i := range n {
			scores[i], positive[i] = float64(r.IntN(6)), r.IntN(2) == 0
		}
		var wins, pairs float64
		for i := range n {
			for j := range n {
				if positive[i] && !positive[j] {
					pairs++
					switch {
					case scores[i] > scores[j]:
						wins++
					case scores[i] == scores[j]:
						wins += .5
					}
				}
			}
		}
		if got := Binary(scores, positive, 3).AUROC; !near(got, wins/pairs) {
			t.Fatalf("AUROC(%v, %v) = %v, by pairs %v", scores, positive, got, wins/pairs)
		}
	}
}

func BenchmarkCompute(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]Outcome, 100_000)
	for i := range rows {
		rows[i] = Outcome{Score: r.Float64(), Label: []string{"0", "1"}[r.IntN(2)]}
	}
	for b.Loop() {
		Compute(fairlead.TaskBinary, []string{"on_time", "late"}, Threshold, rows)
	}
}
