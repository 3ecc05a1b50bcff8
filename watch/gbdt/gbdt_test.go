package gbdt

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/realised"
)

func transpose(columns [][]float64, i int) []float64 {
	row := make([]float64, len(columns))
	for c := range columns {
		row[c] = columns[c][i]
	}
	return row
}

func auroc(m *Model, columns [][]float64, target []float64) float64 {
	scores, positive := make([]float64, len(target)), make([]bool, len(target))
	for i := range target {
		scores[i], positive[i] = m.Predict(transpose(columns, i)), target[i] == 1
	}
	return realised.Binary(scores, positive, 0.5).AUROC
}

// made draws columns and a label that needs two of them together; the third is noise.
func made(seed uint64, n int) (columns [][]float64, target []float64) {
	r := rand.New(rand.NewPCG(seed, 1))
	columns, target = [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}, make([]float64, n)
	for i := range n {
		for c := range columns {
			columns[c][i] = r.NormFloat64()
		}
		p := logistic(3 * columns[0][i] * columns[1][i])
		if r.Float64() < p {
			target[i] = 1
		}
	}
	return columns, target
}

// TestLearns: an interaction that no single column shows, on rows it has not seen, and honest probabilities.
func TestLearns(t *testing.T) {
	columns, target := made(1, 5000)
	m, err := Fit(columns, target, nil, Logistic, Options{})
	if err != nil {
		t.Fatal(err)
	}
	columns, target = made(2, 5000)
	got := auroc(m, columns, target)
	scores, positive := make([]float64, len(target)), make([]bool, len(target))
	var sum, ones float64
	for i := range target {
		scores[i], positive[i] = logistic(3*columns[0][i]*columns[1][i]), target[i] == 1
		sum += m.Predict(transpose(columns, i))
		ones += target[i]
	}
	best := realised.Binary(scores, positive, 0.5).AUROC
	t.Logf("AUROC %.3f on new rows; %.3f is the best there is", got, best)
	if got < best-0.03 {
		t.Errorf("AUROC %.3f on new rows, the best there is %.3f", got, best)
	}
	if math.Abs(sum-ones)/ones > 0.05 {
		t.Errorf("the probabilities add up to %.0f, there are %.0f positives", sum, ones)
	}
}

// TestNothingToLearn: labels that have nothing to do with the columns give no better than chance on new rows.
func TestNothingToLearn(t *testing.T) {
	columns, target := made(3, 2000)
	r := rand.New(rand.NewPCG(4, 4))
	for i := range target {
		target[i] = float64(r.IntN(2))
	}
	m, err := Fit(columns, target, nil, Logistic, Options{Trees: 30, Leaves: 8})
	if err != nil {
		t.Fatal(err)
	}
	for i := range target {
		target[i] = float64(r.IntN(2))
	}
	if got := auroc(m, columns, target); math.Abs(got-0.5) > 0.04 {
		t.Errorf("AUROC %.3f of labels by chance", got)
	}
}

// TestStump: one tree with two leaves is the best of all splits, found by trying each.
func TestStump(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 30 {
		n := 60
		columns, target, weight := [][]float64{make([]float64, n), make([]float64, n)}, make([]float64, n), make([]float64, n)
		for i := range n {
			columns[0][i], columns[1][i] = float64(r.IntN(12)), r.NormFloat64()
			if r.IntN(8) == 0 {
				columns[0][i] = math.NaN()
			}
			target[i], weight[i] = columns[1][i]+r.NormFloat64(), 0.2+r.Float64()
		}
		m, err := Fit(columns, target, weight, Squared, Options{Trees: 1, Leaves: 2, Rate: 1, LeafRows: 5, Bins: 200})
		if err != nil {
			t.Fatal(err)
		}
		loss := func(predict func(row []float64) float64) (sum float64) {
			for i := range n {
				d := target[i] - predict(transpose(columns, i))
				sum += weight[i] * d * d
			}
			return sum
		}
		got, best := loss(m.Predict), math.Inf(1)
		for c := range columns {
			for _, at := range columns[c] {
				for _, missingLeft := range []bool{true, false} {
					best = min(best, splitLoss(columns[c], target, weight, at, missingLeft))
				}
			}
		}
		if math.Abs(got-best) > 1e-9*best {
			t.Fatalf("the stump leaves %v, the best split %v", got, best)
		}
	}
}

func splitLoss(column, target, weight []float64, at float64, missingLeft bool) float64 {
	var sum, squares, total [2]float64
	var rows [2]int
	for i, v := range column {
		side := 1
		if v <= at || math.IsNaN(v) && missingLeft {
			side = 0
		}
		if math.IsNaN(at) { // missing against the rest
			side = 0
			if !math.IsNaN(v) {
				side = 1
			}
		}
		sum[side] += weight[i] * target[i]
		squares[side] += weight[i] * target[i] * target[i]
		total[side] += weight[i]
		rows[side]++
	}
	if min(rows[0], rows[1]) < 5 {
		return math.Inf(1)
	}
	return squares[0] - sum[0]*sum[0]/total[0] + squares[1] - sum[1]*sum[1]/total[1]
}

// TestPredictsWhatItLearnt: predictions from values are the scores that the bins gave, with missing and infinite values, so that bins and
// thresholds agree; and the loss falls with every tree.
func TestPredictsWhatItLearnt(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	n := 500
	columns, target := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}, make([]float64, n)
	for i := range n {
		columns[0][i] = math.Exp(5 * r.NormFloat64())
		columns[1][i] = float64(r.IntN(4))
		columns[2][i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), r.NormFloat64(), math.MaxFloat64, math.Nextafter(1, 2), 1}[r.IntN(7)]
		target[i] = columns[1][i] + r.NormFloat64()
		if math.IsNaN(columns[2][i]) {
			target[i] += 3
		}
	}
	o := Options{Trees: 20, Leaves: 6, LeafRows: 3}.withDefaults()
	f := newFitter(columns, target, nil, Squared, o)
	m := &Model{Loss: Squared, Start: f.start()}
	for i := range f.score {
		f.score[i] = m.Start
	}
	before := math.Inf(1)
	for range o.Trees {
		tree, ok := f.grow()
		if !ok {
			t.Fatal("there is more to learn")
		}
		m.Trees = append(m.Trees, tree)
		loss := 0.0
		for i := range n {
			if got := m.Predict(transpose(columns, i)); math.Abs(got-f.score[i]) > 1e-9 {
				t.Fatalf("row %v: predicted %v, learnt %v", transpose(columns, i), got, f.score[i])
			}
			loss += (target[i] - f.score[i]) * (target[i] - f.score[i])
		}
		if loss > before {
			t.Fatalf("the loss rose from %v to %v", before, loss)
		}
		before = loss
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var stored Model
	if err := json.Unmarshal(b, &stored); err != nil || !reflect.DeepEqual(&stored, m) {
		t.Errorf("stored and read again it is another model (%v)", err)
	}
}

// TestWeights: a row of weight 3 is three rows, and the same input gives the same model.
func TestWeights(t *testing.T) {
	columns, target := made(7, 400)
	weight := make([]float64, len(target))
	repeated, again := make([][]float64, len(columns)), []float64(nil)
	for i := range target {
		weight[i] = float64(1 + i%3)
		for range i%3 + 1 {
			for c := range columns {
				repeated[c] = append(repeated[c], columns[c][i])
			}
			again = append(again, target[i])
		}
	}
	o := Options{Trees: 5, Leaves: 4, LeafRows: 1, Bins: 255}
	for c := range columns { // few values, so that both see the same bins
		for i := range columns[c] {
			columns[c][i] = math.Round(4 * columns[c][i])
		}
		for i := range repeated[c] {
			repeated[c][i] = math.Round(4 * repeated[c][i])
		}
	}
	a, err := Fit(columns, target, weight, Logistic, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Fit(repeated, again, nil, Logistic, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range target {
		row := transpose(columns, i)
		if math.Abs(a.Predict(row)-b.Predict(row)) > 1e-9 {
			t.Fatalf("row %v: %v with weights, %v repeated", row, a.Predict(row), b.Predict(row))
		}
	}
	if c, err := Fit(columns, target, weight, Logistic, o); err != nil || !reflect.DeepEqual(a, c) {
		t.Errorf("the same input gives another model (%v)", err)
	}
}

func TestRefuses(t *testing.T) {
	ok := [][]float64{{1, 2, 3}}
	for name, c := range map[string]struct {
		columns        [][]float64
		target, weight []float64
	}{
		"no columns": {nil, []float64{1}, nil}, "no rows": {[][]float64{{}}, nil, nil}, "uneven": {[][]float64{{1}}, []float64{0, 1, 1}, nil},
		"a target that is no number": {ok, []float64{0, math.NaN(), 1}, nil}, "not a probability": {ok, []float64{0, 2, 1}, nil},
		"a negative weight": {ok, []float64{0, 1, 1}, []float64{1, -1, 1}}, "no weight at all": {ok, []float64{0, 1, 1}, []float64{0, 0, 0}},
		"few weights": {ok, []float64{0, 1, 1}, []float64{1}},
	} {
		if _, err := Fit(c.columns, c.target, c.weight, Logistic, Options{}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	m, err := Fit([][]float64{{1, 1, 1}}, []float64{0, 1, 1}, nil, Logistic, Options{LeafRows: 1})
	if err != nil || len(m.Trees) != 0 || math.Abs(m.Predict([]float64{9})-2./3) > 1e-9 {
		t.Errorf("a column that never varies: %+v, %v", m, err)
	}
}

func BenchmarkFit(b *testing.B) {
	columns, target := made(8, 10_000)
	for b.Loop() {
		if _, err := Fit(columns, target, nil, Logistic, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
