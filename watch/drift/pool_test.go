package drift

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPoolKeepsRowsAndNewValuesApart(t *testing.T) {
	ref := []uint64{500, 300, 150, 30, 20, 0, 0} // the last two: unseen and null
	cur := []uint64{40, 30, 20, 3, 3, 4, 0}
	r, c := Pool(ref, cur, 100, 1000)
	if want := []uint64{500, 300, 150, 0, 0, 50}; !slices.Equal(r, want) {
		t.Errorf("reference %v, want %v", r, want)
	}
	if want := []uint64{40, 30, 20, 4, 0, 6}; !slices.Equal(c, want) {
		t.Errorf("window %v, want %v", c, want)
	}
	if total(r) != total(ref) || total(c) != total(cur) {
		t.Error("pooling lost rows")
	}
	if r, _ := Pool(ref, cur, 0, 1000); !slices.Equal(r, ref) {
		t.Error("without rows the counts are left alone")
	}
	if r, _ := Pool(ref, cur, 1, 1000); !slices.Equal(r, ref) {
		t.Error("one row: everything would be pooled into one bin, which always agrees")
	}
}

// TestPooledFloorHolds draws windows from a Zipf reference of 100 categories without drift: the floor at one in a thousand
// must not be passed more often than about that, and lie well under that of all categories.
func TestPooledFloorHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	weights := make([]float64, 100)
	for i := range weights {
		weights[i] = 1 / float64(i+1)
	}
	draw := func(rows int) []uint64 {
		counts := make([]uint64, len(weights))
		cumulated := slices.Clone(weights)
		for i := 1; i < len(cumulated); i++ {
			cumulated[i] += cumulated[i-1]
		}
		for range rows {
			i, _ := slices.BinarySearch(cumulated, rng.Float64()*cumulated[len(cumulated)-1])
			counts[min(i, len(counts)-1)]++
		}
		return counts
	}
	const n, m, rounds = 700, 6000, 4000
	passed := 0
	for range rounds {
		measured := Measure(draw(m), draw(n), nil, nil, n, m)
		if measured.PSI > measured.PSIFloor {
			passed++
		}
		if all := PSIFloor(n, m, 100, FloorAlpha); measured.PSIFloor > 0.6*all {
			t.Fatalf("pooled floor %.3f against %.3f of all categories: nothing is gained", measured.PSIFloor, all)
		}
	}
	if passed > 14 { // 4 expected; 15 or more has a chance of 2 in 100,000
		t.Errorf("%d of %d windows without drift pass the floor of 1 in 1,000", passed, rounds)
	}
}
