package keep

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

func request(n int) *fairlead.Prediction {
	p := &fairlead.Prediction{ID: "r"}
	x := make([]float32, 2*n)
	for i := range n {
		p.Rows = append(p.Rows, fairlead.RowMeta{ID: fmt.Sprint("id", i)})
		x[2*i], x[2*i+1] = float32(i), float32(-i)
	}
	p.Inputs = []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(n), 2}, Data: x}}
	return p
}

func never(int) bool { return false }

// Rows weighted by one over their probability count what was answered, whatever part of them is the tail.
func TestWeightedRowsCountAllAnswers(t *testing.T) {
	const seed, n = 7, 20_000
	p := &Policy{Sample: 0.1, Slow: time.Second}
	kept := p.Rows(request(n), func(i int) bool { return i%50 == 0 }, Chance(seed))
	weighted, tail := 0.0, 0
	for _, probability := range kept.Probability {
		weighted += 1 / probability
		if probability == 1 {
			tail++
		}
	}
	if tail != n/50 {
		t.Errorf("%d rows of the tail, want %d", tail, n/50)
	}
	// 19,600 rows at 0.1: the estimate's standard deviation is √(19600·0.9/0.1) = 420.
	if math.Abs(weighted-n) > 4*420 {
		t.Errorf("seed %d: the weights add up to %.0f, want about %d", seed, weighted, n)
	}
	x := kept.Inputs[0].Data.([]float32)
	for k, row := range kept.Rows {
		if want := fmt.Sprint("id", int(x[2*k])); row.ID != want || x[2*k] != -x[2*k+1] {
			t.Fatalf("row %d is %s with the values of %s", k, row.ID, want)
		}
	}
}

func TestRows(t *testing.T) {
	all := request(10)
	if Default().Rows(all, never, nil) != all {
		t.Error("the default copies what it keeps")
	}
	if allocs := testing.AllocsPerRun(100, func() { (&Policy{Sample: 1}).Rows(all, never, nil) }); allocs > 0 {
		t.Errorf("%v allocations to keep all", allocs)
	}
	none := &Policy{Slow: time.Second}
	if none.Rows(all, never, Chance(1)) != nil {
		t.Error("a sample of 0 keeps rows")
	}
	slow := request(3)
	slow.Latency.Run = time.Second
	if got := none.Rows(slow, never, Chance(1)); got == nil || !slices.Equal(got.Probability, []float64{1, 1, 1}) {
		t.Errorf("a slow request is kept as %+v", got)
	}
}

// A row and its shadow's share an id, and so their chance.
func TestChance(t *testing.T) {
	a, b, other := Chance(1), Chance(1), Chance(2)
	same := 0
	for i := range 1000 {
		id := fmt.Sprint(i)
		if x := a(id); x != b(id) || x < 0 || x >= 1 {
			t.Fatalf("%s: %v and %v", id, x, b(id))
		}
		if (a(id) < 0.5) == (other(id) < 0.5) {
			same++
		}
	}
	if same < 400 || same > 600 {
		t.Errorf("two seeds agree on %d of 1000 rows", same)
	}
}

func TestTags(t *testing.T) {
	p := &Policy{Key: []byte("0123456789abcdef"), Redact: []Rule{
		{Name: "secret", Action: Drop}, {Name: "user", Action: Hash}, {Name: "note", Action: Truncate, Bytes: 5},
	}}
	got := p.Tags(map[string]string{"secret": "s", "user": "u", "note": "Zürüch", "free": "f"})
	// printf u | openssl dgst -sha256 -hmac 0123456789abcdef
	if len(got) != 3 || got["user"] != "373d81c1c8b83ed95172284ddfe56ec2" || got["note"] != "Zür" || got["free"] != "f" {
		t.Errorf("tags %q", got)
	}
	p.Key = nil
	if _, ok := p.Tags(map[string]string{"user": "u"})["user"]; ok {
		t.Error("without a key a tag to be hashed is stored")
	}
	same := map[string]string{"free": "f"}
	if allocs := testing.AllocsPerRun(100, func() { p.Tags(same) }); allocs > 0 {
		t.Errorf("%v allocations for tags that nothing touches", allocs)
	}
}

func TestSummarise(t *testing.T) {
	x := &fairlead.Tensor{Type: fairlead.FP32, Shape: []int64{2, 4}, Data: []float32{1e7, 1e7 + 1, 1e7 + 2, float32(math.NaN()), 1, 1, 1, 1}}
	s := Summarise(x, 0)
	if s.Count != 4 || s.Mean != 1e7+1 || math.Abs(s.Std-math.Sqrt(2.0/3)) > 1e-9 || s.Min != 1e7 || s.Max != 1e7+2 {
		t.Errorf("%+v", s)
	}
	if s = Summarise(x, 1); s != (Summary{Count: 4, Mean: 1, Min: 1, Max: 1}) {
		t.Errorf("%+v", s)
	}
	if s = Summarise(&fairlead.Tensor{Type: fairlead.Bytes, Shape: []int64{1, 2}, Data: []string{"a", "b"}}, 0); s.Count != 2 || !math.IsNaN(s.Mean) {
		t.Errorf("%+v", s)
	}
}
