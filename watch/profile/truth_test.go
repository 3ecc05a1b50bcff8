package profile

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// A reference with labels knows how often each bin of the score was right, keeps it, and one without is written as ever.
func TestTruth(t *testing.T) {
	const n = 5000
	rng := rand.New(rand.NewPCG(5, 5))
	score := fairlead.TableColumn{Name: "p", Floats: make([]float64, n), Null: make([]bool, n)}
	label := make([]int, n) // −1: none
	var rows, positive, predicted, correct uint64
	for i := range n {
		score.Floats[i], score.Null[i] = rng.Float64(), i%50 == 0
		switch {
		case i%10 == 0:
			label[i] = -1
		case rng.Float64() < score.Floats[i]:
			label[i] = 1
		}
		if score.Null[i] || label[i] < 0 {
			continue
		}
		rows++
		yes := score.Floats[i] >= 0.5
		if label[i] == 1 {
			positive++
		}
		if yes {
			predicted++
		}
		if yes == (label[i] == 1) {
			correct++
		}
	}
	fields := []fairlead.Field{{Name: "p", Output: true, Type: fairlead.FP64}}
	table := &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{score}}
	plain, err := Learn(fields, table, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := Learn(fields, table, Options{Score: "p", Threshold: 0.5, Label: func(row int) (bool, bool) { return label[row] == 1, label[row] >= 0 }})
	if err != nil {
		t.Fatal(err)
	}
	sum := func(counts []uint64) (n uint64) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	truth := ref.Truth
	if got := [...]uint64{sum(truth.Rows), sum(truth.Positive), sum(truth.Predicted), sum(truth.Correct)}; got != [...]uint64{rows, positive, predicted, correct} {
		t.Errorf("counted %v, want %v", got, [...]uint64{rows, positive, predicted, correct})
	}
	b, _ := ref.MarshalBinary()
	again, err := ParseReference(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Truth, truth) {
		t.Errorf("read %+v, written %+v", again.Truth, truth)
	}
	old, _ := plain.MarshalBinary()
	if again, err := ParseReference(old); err != nil || again.Truth != nil {
		t.Errorf("a reference without labels: %v, %v", again.Truth, err)
	}
	if string(b[:len(old)-4]) != string(old[:len(old)-4]) {
		t.Error("what stands before the labels is written differently")
	}
	for cut := range b { // every damaged one is refused
		damaged := append([]byte(nil), b...)
		damaged[cut] ^= 1
		if _, err := ParseReference(damaged); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Fatalf("a flipped bit in byte %d of %d: %v", cut, len(b), err)
		}
	}
	truth.Correct[len(truth.Correct)/2] = truth.Rows[len(truth.Rows)/2] + 1
	b, _ = ref.MarshalBinary()
	if _, err := ParseReference(b); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("more right than rows: %v", err)
	}
}

// Labels of a column that is no score, or of no row, are no truth.
func TestNoTruth(t *testing.T) {
	fields := []fairlead.Field{{Name: "p", Output: true, Type: fairlead.FP64}, {Name: "x", Type: fairlead.FP64}}
	table := &fairlead.Table{Rows: 3, Columns: []fairlead.TableColumn{{Name: "p", Floats: []float64{0.1, 0.2, 0.9}}, {Name: "x", Floats: []float64{1, 2, 3}}}}
	for name, opt := range map[string]Options{
		"an input":       {Score: "x", Label: func(int) (bool, bool) { return true, true }},
		"nobody knows":   {Score: "p", Label: func(int) (bool, bool) { return false, false }},
		"no such column": {Score: "q", Label: func(int) (bool, bool) { return true, true }},
	} {
		r, err := Learn(fields, table, opt)
		if err != nil || r.Truth != nil {
			t.Errorf("%s: %+v, %v", name, r.Truth, err)
		}
	}
}
