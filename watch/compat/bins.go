package compat

import (
	"math"
	"slices"
	"sort"
)

// sturges are numpy's "sturges" edges.
func sturges(x []float64) []float64 {
	return even(x, math.Log2(float64(len(x)))+1)
}

// doane are numpy's "doane" edges: sturges with a correction for skewness.
func doane(x []float64) []float64 {
	n := float64(len(x))
	sigma, bins := deviation(x), math.Log2(n)+1
	if n > 2 && sigma > 0 {
		m, g := mean(x), 0.0
		for _, v := range x {
			g += math.Pow((v-m)/sigma, 3) / n
		}
		bins += math.Log2(1 + math.Abs(g)/math.Sqrt(6*(n-2)/((n+1)*(n+3))))
	}
	return even(x, bins)
}

// even cuts the range of x into so many bins, rounded up, of equal width; a constant is in the middle of one bin of width 1.
func even(x []float64, bins float64) []float64 {
	low, high := slices.Min(x), slices.Max(x)
	k := max(1, int(math.Ceil(bins)))
	if low == high {
		low, high, k = low-0.5, high+0.5, 1
	}
	edges := make([]float64, k+1)
	for i := range edges {
		edges[i] = low + (high-low)*float64(i)/float64(k)
	}
	edges[k] = high
	return edges
}

// histogram counts as numpy does: the last bin holds its upper edge, and what lies outside is not counted.
func histogram(x, edges []float64) []uint64 {
	counts := make([]uint64, len(edges)-1)
	for _, v := range x {
		switch {
		case v < edges[0] || v > edges[len(edges)-1]:
		case v == edges[len(edges)-1]:
			counts[len(counts)-1]++
		default:
			counts[sort.Search(len(edges), func(i int) bool { return edges[i] > v })-1]++
		}
	}
	return counts
}

// outside are the shares by frozen edges, with what lies outside of them in one bin more.
func outside(x, edges []float64) []float64 {
	counts, n := histogram(x, edges), float64(len(x))
	shares := make([]float64, len(counts)+1)
	rest := 1.0
	for i, c := range counts {
		shares[i] = float64(c) / n
		rest -= shares[i]
	}
	shares[len(counts)] = math.Max(0, rest)
	if rest < 1e-12 {
		shares[len(counts)] = 0
	}
	return shares
}

// deciles counts both sides in ten bins cut at the reference's deciles, open at both ends.
func deciles(x, y []float64) (ref, cur []uint64) {
	sorted := slices.Sorted(slices.Values(x))
	var edges []float64
	for k := 1; k < 10; k++ {
		at := float64(k) / 10 * float64(len(sorted)-1)
		i := int(at)
		edges = append(edges, sorted[i]+(at-float64(i))*(sorted[min(i+1, len(sorted)-1)]-sorted[i]))
	}
	count := func(values []float64) []uint64 {
		counts := make([]uint64, 10)
		for _, v := range values {
			counts[sort.Search(len(edges), func(i int) bool { return edges[i] > v })]++
		}
		return counts
	}
	return count(x), count(y)
}

func mean(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total / float64(len(x))
}

// deviation is that of the population.
func deviation(x []float64) float64 {
	m, total := mean(x), 0.0
	for _, v := range x {
		total += (v - m) * (v - m)
	}
	return math.Sqrt(total / float64(len(x)))
}

// Bucket is a bin of a histogram: Count rows spread evenly over [Low, High).
type Bucket struct{ Low, High, Count float64 }

// TFDVJS is TensorFlow Data Validation's divergence of two histograms: buckets are split at the edges of both, their rows evenly,
// and rows without a number never match. Logarithm to base 2, no root.
func TFDVJS(ref, cur []Bucket, refNaN, curNaN float64) float64 {
	var edges []float64
	for _, b := range slices.Concat(ref, cur) {
		edges = append(edges, b.Low, b.High)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	p, q := aligned(ref, edges), aligned(cur, edges)
	p, q = append(p, refNaN, 0), append(q, 0, curNaN)
	return js2(shares(p), shares(q))
}

func aligned(buckets []Bucket, edges []float64) []float64 {
	out := make([]float64, max(len(edges)-1, 0))
	for _, b := range buckets {
		for i := range out {
			low, high := math.Max(b.Low, edges[i]), math.Min(b.High, edges[i+1])
			if high > low {
				out[i] += b.Count * (high - low) / (b.High - b.Low)
			}
		}
	}
	return out
}

func shares(counts []float64) []float64 {
	total := 0.0
	for _, c := range counts {
		total += c
	}
	out := make([]float64, len(counts))
	for i, c := range counts {
		out[i] = c / total
	}
	return out
}

func js2(p, q []float64) float64 {
	total := 0.0
	for i := range p {
		m := (p[i] + q[i]) / 2
		if p[i] > 0 {
			total += p[i] * math.Log2(p[i]/m) / 2
		}
		if q[i] > 0 {
			total += q[i] * math.Log2(q[i]/m) / 2
		}
	}
	return total
}

// tfdvNumeric takes ten buckets of equal width on each side, as the tool's standard histograms have.
func tfdvNumeric(x, y []float64, refNaN, curNaN int) []Result {
	buckets := func(v []float64) []Bucket {
		edges := even(v, 10)
		var out []Bucket
		for i, n := range histogram(v, edges) {
			out = append(out, Bucket{edges[i], edges[i+1], float64(n)})
		}
		return out
	}
	return []Result{{Measure: "js_log2", Value: TFDVJS(buckets(x), buckets(y), float64(refNaN), float64(curNaN)), Default: true}}
}
