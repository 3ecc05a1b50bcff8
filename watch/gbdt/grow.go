package gbdt

import "math"

// fitter holds what a fit works on.
type fitter struct {
	loss           Loss
	o              Options
	columns        []binned
	target, weight []float64
	score          []float64 // of each row, so far
	gradient, curv []float64
	rows           []int32 // partitioned by leaf while a tree grows
	scratch        []int32
	width          int      // bins of a column in a histogram, the missing ones included
	spare          [][]sums // histograms of trees that are done
}

// sums are what a split is judged by.
type sums struct {
	gradient, curv float64
	rows           int
}

func (s *sums) add(o sums) {
	s.gradient, s.curv, s.rows = s.gradient+o.gradient, s.curv+o.curv, s.rows+o.rows
}

func (s *sums) without(o sums) sums {
	return sums{s.gradient - o.gradient, s.curv - o.curv, s.rows - o.rows}
}

// leaf is a run of rows that may be split.
type leaf struct {
	from, to  int // in fitter.rows
	node      int
	total     sums
	histogram []sums // column × fitter.width bins
	best      split
}

type split struct {
	gain        float64
	column, bin int
	missingLeft bool
	left        sums
}

func newFitter(columns [][]float64, target, weight []float64, loss Loss, o Options) *fitter {
	n := len(target)
	f := &fitter{
		loss: loss, o: o, target: target, weight: weight, score: make([]float64, n), gradient: make([]float64, n), curv: make([]float64, n),
		rows: make([]int32, n), scratch: make([]int32, n),
	}
	for _, c := range columns {
		b := bin(c, o.Bins)
		f.columns, f.width = append(f.columns, b), max(f.width, len(b.upper)+2)
	}
	return f
}

func (f *fitter) weightOf(i int) float64 {
	if f.weight == nil {
		return 1
	}
	return f.weight[i]
}

// start is the best constant.
func (f *fitter) start() float64 {
	sum, total := 0.0, 0.0
	for i, y := range f.target {
		sum, total = sum+f.weightOf(i)*y, total+f.weightOf(i)
	}
	m := sum / total
	if f.loss == Squared {
		return m
	}
	m = math.Min(1-1e-12, math.Max(1e-12, m))
	return math.Log(m / (1 - m))
}

// derive computes gradients and curvatures of the loss at the present scores.
func (f *fitter) derive() {
	for i, y := range f.target {
		w := f.weightOf(i)
		if f.loss == Squared {
			f.gradient[i], f.curv[i] = w*(f.score[i]-y), w
			continue
		}
		p := logistic(f.score[i])
		f.gradient[i], f.curv[i] = w*(p-y), w*p*(1-p)
	}
}

// grow makes the next tree, the leaf with the largest gain first, and moves the scores. It reports false where no split gains.
func (f *fitter) grow() (Tree, bool) {
	f.derive()
	for i := range f.rows {
		f.rows[i] = int32(i) // #nosec G115 -- rows of a sample
	}
	root := &leaf{to: len(f.rows)}
	f.count(root)
	f.seek(root)
	tree := Tree{Nodes: []Node{{Column: -1}}}
	leaves := []*leaf{root}
	for len(leaves) < f.o.Leaves {
		at := 0
		for i, l := range leaves {
			if l.best.gain > leaves[at].best.gain {
				at = i
			}
		}
		if !(leaves[at].best.gain > 1e-12) {
			break
		}
		left, right := f.part(leaves[at], &tree)
		leaves[at] = left
		leaves = append(leaves, right)
	}
	for _, l := range leaves {
		f.spare = append(f.spare, l.histogram)
	}
	if len(leaves) == 1 {
		return Tree{}, false
	}
	for _, l := range leaves {
		value := -f.o.Rate * l.total.gradient / (l.total.curv + f.o.Lambda + 1e-12)
		tree.Nodes[l.node].Value = value
		for _, i := range f.rows[l.from:l.to] {
			f.score[i] += value
		}
	}
	return tree, true
}

// histogram is an empty one.
func (f *fitter) histogram() []sums {
	n := len(f.spare)
	if n == 0 {
		return make([]sums, len(f.columns)*f.width)
	}
	h := f.spare[n-1]
	f.spare = f.spare[:n-1]
	clear(h)
	return h
}

// count fills a leaf's histogram from its rows.
func (f *fitter) count(l *leaf) {
	l.histogram = f.histogram()
	for c := range f.columns {
		bins, h := f.columns[c].bin, l.histogram[c*f.width:(c+1)*f.width]
		for _, i := range f.rows[l.from:l.to] {
			s := &h[bins[i]]
			s.gradient += f.gradient[i]
			s.curv += f.curv[i]
			s.rows++
		}
	}
	for b := range f.width {
		l.total.add(l.histogram[b])
	}
}

// seek finds a leaf's best split.
func (f *fitter) seek(l *leaf) {
	l.best = split{}
	for c := range f.columns {
		h := l.histogram[c*f.width : (c+1)*f.width]
		absent := h[missing]
		for _, missingLeft := range [...]bool{true, false} {
			var left sums
			if missingLeft {
				left = absent
			} else if absent.rows == 0 {
				continue // the same splits again
			}
			for b := 1; b <= len(f.columns[c].upper); b++ {
				left.add(h[b])
				f.consider(l, split{column: c, bin: b, missingLeft: missingLeft, left: left})
			}
			if absent.rows > 0 && !missingLeft { // values against missing ones
				left.add(h[len(f.columns[c].upper)+1])
				f.consider(l, split{column: c, bin: len(f.columns[c].upper) + 1, left: left})
			}
		}
	}
}

func (f *fitter) consider(l *leaf, s split) {
	right := l.total.without(s.left)
	if s.left.rows < f.o.LeafRows || right.rows < f.o.LeafRows {
		return
	}
	value := func(t sums) float64 { return t.gradient * t.gradient / (t.curv + f.o.Lambda + 1e-12) }
	if s.gain = value(s.left) + value(right) - value(l.total); s.gain > l.best.gain {
		l.best = s
	}
}

// part splits a leaf's rows, keeping their order, and adds its two children to the tree. The smaller child is counted, the other is what is
// left of the parent's histogram.
func (f *fitter) part(l *leaf, tree *Tree) (left, right *leaf) {
	s := l.best
	bins := f.columns[s.column].bin
	to, rest := l.from, 0
	for _, i := range f.rows[l.from:l.to] {
		b := int(bins[i])
		if b == missing && s.missingLeft || b != missing && b <= s.bin {
			f.rows[to] = i
			to++
		} else {
			f.scratch[rest] = i
			rest++
		}
	}
	copy(f.rows[to:l.to], f.scratch[:rest])

	n := len(tree.Nodes)
	threshold := math.MaxFloat64 // all values, against missing ones
	if s.bin <= len(f.columns[s.column].upper) {
		threshold = f.columns[s.column].upper[s.bin-1]
	}
	tree.Nodes[l.node] = Node{Column: s.column, Threshold: threshold, MissingLeft: s.missingLeft, Left: n, Right: n + 1}
	tree.Nodes = append(tree.Nodes, Node{Column: -1}, Node{Column: -1})
	left, right = &leaf{from: l.from, to: to, node: n}, &leaf{from: to, to: l.to, node: n + 1}
	small, large := left, right
	if small.to-small.from > large.to-large.from {
		small, large = large, small
	}
	f.count(small)
	large.histogram = l.histogram
	for i := range large.histogram {
		large.histogram[i] = large.histogram[i].without(small.histogram[i])
	}
	large.total = l.total.without(small.total)
	f.seek(small)
	f.seek(large)
	return left, right
}
