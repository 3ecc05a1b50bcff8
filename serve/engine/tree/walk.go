package tree

import (
	"math"

	"github.com/fairlead-ml/fairlead"
)

// lanes is how many walks go on at once. Each step of a walk waits for the one before it: the cell, then the feature that
// it names, then the comparison. Eight that do not wait for each other fill that time.
const lanes = 8

// steps are taken between two looks whether all have come to a leaf: few paths are as long as the tree is deep. A walk that
// has ended stays where it is.
const steps = 3

// scratch is the memory of one run.
type scratch struct {
	rows   []float32 // rows as the trees read them, where the input does not have them so
	leaves []int32   // of one row: where it ends in each tree
	scores []float32 // sums of rowsAtOnce rows
	voted  []bool    // of each sum: a leaf has added to it
}

func (f *forest) newScratch() *scratch {
	n := rowsAtOnce * f.targets
	return &scratch{
		leaves: make([]int32, len(f.roots)), scores: make([]float32, n), voted: make([]bool, n),
	}
}

// compute fills r for the rows [from, to) of x, at most rowsAtOnce.
func (f *forest) compute(s *scratch, in feed, x *fairlead.Tensor, from, to int, r *result) {
	rows, width := f.rows(s, x, from, to)
	n := to - from
	clear(s.scores)
	clear(s.voted)
	if f.narrow != nil {
		evaluate(f, f.narrow, s, rows, width, n)
	} else {
		evaluate(f, f.wide, s, rows, width, n)
	}
	for i := range n {
		at := i * f.targets
		f.finish(s.scores[at:at+f.targets], s.voted[at:at+f.targets], &r.labels[from+i], r.scores[(from+i)*f.targets:(from+i+1)*f.targets])
	}
}

// rows gives the rows [from, to) in float32, each followed by its copy where the forest needs one, and their width.
func (f *forest) rows(s *scratch, x *fairlead.Tensor, from, to int) ([]float32, int) {
	width := x.Width()
	if d, ok := x.Data.([]float32); ok && !f.paired {
		return d[from*width : to*width], width
	}
	stride, n := width, to-from
	if f.paired {
		stride = 2 * f.features
	}
	if cap(s.rows) < n*stride {
		s.rows = make([]float32, n*stride)
	}
	rows := s.rows[:n*stride]
	for i := range n {
		first, row := (from+i)*width, rows[i*stride:(i+1)*stride]
		used := row
		if f.paired {
			used = row[:f.features]
		}
		switch d := x.Data.(type) {
		case []float32:
			copy(used, d[first:])
		case []float64:
			convert(used, d[first:])
		case []int64:
			convert(used, d[first:])
		case []int32:
			convert(used, d[first:])
		}
		if f.paired {
			pair(used, row[f.features:])
		}
	}
	return rows, stride
}

func convert[T int32 | int64 | float64](to []float32, from []T) {
	for i := range to {
		to[i] = float32(from[i])
	}
}

// pair copies a row with -Inf for NaN: what is asked of the copy is answered with yes when the value is missing.
func pair(row, to []float32) {
	for i, v := range row {
		if v != v {
			v = float32(math.Inf(-1))
		}
		to[i] = v
	}
}

// evaluate adds the leaves of n rows up in s. The trees come in the file's order for each row, whatever the order in which
// they were walked: a sum of floats depends on it.
func evaluate[F uint16 | uint32, K int16 | int32](f *forest, cells []cell[F, K], s *scratch, rows []float32, width, n int) {
	i := 0
	if n >= lanes {
		for ; i+lanes <= n; i += lanes {
			row := func(k int) []float32 { return rows[(i+k)*width : (i+k+1)*width] }
			x := [lanes][]float32{row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)}
			for t, root := range f.roots {
				at := walkRows(cells, &x, int(root), int(f.depths[t]))
				for k := range at {
					f.add(s, i+k, at[k])
				}
			}
		}
	}
	for ; i < n; i++ {
		x := rows[i*width : (i+1)*width]
		for g := range f.groups {
			walkTrees(cells, x, &f.groups[g], s.leaves)
		}
		f.addAll(s, i)
	}
}

// group is lanes trees of nearly one depth.
type group struct {
	roots [lanes]int32
	trees [lanes]int32 // their places in the file's order
	depth int
}

// groupTrees puts the trees together by depth. What is left over is filled up with the last tree, walked twice.
func (f *forest) groupTrees(order []uint32) {
	for i := 0; i < len(order); i += lanes {
		var g group
		for k := range lanes {
			t := order[min(i+k, len(order)-1)]
			g.roots[k], g.trees[k] = f.roots[t], int32(t)
			g.depth = max(g.depth, int(f.depths[t]))
		}
		f.groups = append(f.groups, g)
	}
}

// step goes from a cell to the next; from a leaf to itself.
func step[F uint16 | uint32, K int16 | int32](cells []cell[F, K], x []float32, at int) int {
	c := &cells[at]
	yes := 0
	if x[c.feature] <= c.threshold {
		yes = 1
	}
	return at + int(c.kid) + yes
}

// walkTrees takes one row through a group of trees.
func walkTrees[F uint16 | uint32, K int16 | int32](cells []cell[F, K], x []float32, g *group, leaves []int32) {
	r := &g.roots
	a, b, c, d := int(r[0]), int(r[1]), int(r[2]), int(r[3])
	e, h, i, j := int(r[4]), int(r[5]), int(r[6]), int(r[7])
	for depth := g.depth; depth > 0; depth -= steps {
		for range steps {
			a, b, c, d = step(cells, x, a), step(cells, x, b), step(cells, x, c), step(cells, x, d)
			e, h, i, j = step(cells, x, e), step(cells, x, h), step(cells, x, i), step(cells, x, j)
		}
		if cells[a].kid|cells[b].kid|cells[c].kid|cells[d].kid|cells[e].kid|cells[h].kid|cells[i].kid|cells[j].kid == 0 {
			break
		}
	}
	t := &g.trees
	leaves[t[0]], leaves[t[1]], leaves[t[2]], leaves[t[3]] = int32(a), int32(b), int32(c), int32(d)
	leaves[t[4]], leaves[t[5]], leaves[t[6]], leaves[t[7]] = int32(e), int32(h), int32(i), int32(j)
}

// walkRows takes lanes rows through one tree.
func walkRows[F uint16 | uint32, K int16 | int32](cells []cell[F, K], x *[lanes][]float32, root, depth int) [lanes]int32 {
	a, b, c, d, e, f, g, h := root, root, root, root, root, root, root, root
	for ; depth > 0; depth -= steps {
		for range steps {
			a, b, c, d = step(cells, x[0], a), step(cells, x[1], b), step(cells, x[2], c), step(cells, x[3], d)
			e, f, g, h = step(cells, x[4], e), step(cells, x[5], f), step(cells, x[6], g), step(cells, x[7], h)
		}
		if cells[a].kid|cells[b].kid|cells[c].kid|cells[d].kid|cells[e].kid|cells[f].kid|cells[g].kid|cells[h].kid == 0 {
			break
		}
	}
	return [lanes]int32{int32(a), int32(b), int32(c), int32(d), int32(e), int32(f), int32(g), int32(h)}
}
