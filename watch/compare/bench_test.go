package compare_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead/ship/reference"
	"github.com/fairlead-ml/fairlead/watch/compare"
)

// open reads a file for a test.
func open(t testing.TB, path string) compare.Side {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skip("there is no file to compare: ", err)
	}
	f, err := reference.Open(path, b)
	if err != nil {
		t.Fatal(err)
	}
	return compare.Side{Name: path, Rows: f.Rows, Source: f}
}

// chance fills in the options that draw.
func chance(o compare.Options, seed uint64) compare.Options {
	rng := rand.New(rand.NewPCG(seed, seed))
	o.Perm = rng.Perm
	o.Pick = func(n, k int) []int {
		rows := rng.Perm(n)[:k]
		slices.Sort(rows)
		return rows
	}
	return o
}

func BenchmarkCompare(b *testing.B) {
	ref, cur := open(b, os.Getenv("FAIRLEAD_COMPARE_REFERENCE")), open(b, os.Getenv("FAIRLEAD_COMPARE_CURRENT"))
	for b.Loop() {
		if _, err := compare.Compare(ref, cur, chance(compare.Options{Workers: 2}, 1)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ref.Rows+cur.Rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
