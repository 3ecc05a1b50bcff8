package tree

import (
	"cmp"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// cell is a node of a tree as it is walked. The next one is kid cells further, and one more if x[feature] <= threshold:
// the children lie beside each other, the one for "no" first. A leaf has kid 0 and the threshold NaN, which nothing is less
// than, and so leads to itself.
type cell[F uint16 | uint32, K int16 | int32] struct {
	threshold float32
	feature   F
	kid       K
}

type (
	narrow = cell[uint16, int16] // 8 bytes
	wide   = cell[uint32, int32] // 12 bytes, where trees have more than 2^15 nodes or rows more than 2^16 columns
)

// votes are the weights of one leaf: entries [first, first+n).
type votes struct{ first, n uint32 }

// forest is a tree ensemble laid out to be walked.
type forest struct {
	narrow []narrow // one of both
	wide   []wide
	roots  []int32 // in the file's order
	depths []int32 // of those trees
	groups []group // the trees by depth
	paired bool    // a row is followed by a copy of itself whose NaN are -Inf

	value   []float32 // by cell: a leaf's weight, where each has one
	column  []uint32  // by cell: the target of that weight; nil where all are for the first
	votes   []votes   // by cell, where leaves have several weights
	weights []float32 // of the votes
	target  []uint32  // of each weight; nil where each leaf votes for all in order

	ensembleFacts
}

// ensembleFacts are what is computed once the leaves are known.
type ensembleFacts struct {
	targets, features int
	base              []float32
	transform         transform
	aggregate         aggregate
	classifier        bool
	oneColumn         bool // two classes, one column of weights
	positive          bool // its weights are
	words             []string
	numbers           []int64
}

// mostDepth is beyond what anybody trains; a deeper tree is ONNX Runtime's.
const mostDepth = 4096

// build lays the trees out. why is what this package does not do, the error what nothing could compute.
func build(e *ensemble) (f *forest, why string, err error) {
	f = &forest{ensembleFacts: ensembleFacts{
		targets: e.targets, features: e.features, base: e.base, transform: e.transform, aggregate: e.aggregate,
		classifier: e.classifier, words: e.words, numbers: e.numbers,
	}}
	f.oneColumn, f.positive = e.oneColumn()
	b := &builder{ensemble: e, forest: f, columns: uint32(e.features), missing: slices.Contains(e.missingTrue, 1)}
	b.sortWeights()
	n := len(e.modes)
	for from := 0; from < n; {
		to := from + 1
		for to < n && e.treeIDs[to] == e.treeIDs[from] {
			to++
		}
		if why, err := b.tree(from, to); why != "" || err != nil {
			return nil, why, err
		}
		from = to
	}
	ids := map[int64]bool{}
	for i, id := range e.treeIDs {
		if i > 0 && id == e.treeIDs[i-1] {
			continue
		}
		if ids[id] {
			return nil, "the nodes of a tree are not together", nil
		}
		ids[id] = true
	}
	if b.used != len(b.byLeaf) {
		return nil, "a weight belongs to no leaf", nil
	}
	return f, b.finish(), nil
}

type builder struct {
	*ensemble
	forest  *forest
	columns uint32 // of a row
	missing bool   // there are nodes where NaN goes to the true child
	cells   []wide
	byLeaf  []int // indices of weights, by tree, node, and place in the file
	used    int   // of byLeaf

	// Of the tree that is being laid out.
	from   int   // its first node
	at     []int // the node of each id
	height []int // of each node, steps to the farthest leaf; -1: not known
	laid   []int // the cell of each node; -1: none yet
}

func (b *builder) sortWeights() {
	b.byLeaf = make([]int, len(b.weights))
	for i := range b.byLeaf {
		b.byLeaf[i] = i
	}
	slices.SortStableFunc(b.byLeaf, func(x, y int) int {
		return cmp.Or(cmp.Compare(b.weightTrees[x], b.weightTrees[y]), cmp.Compare(b.weightNodes[x], b.weightNodes[y]))
	})
}

// place is a node of the file that goes to a cell.
type place struct{ node, cell int }

// tree lays out the nodes [from, to) of the file, which are one tree; the first is the root.
func (b *builder) tree(from, to int) (why string, err error) {
	b.at, b.height, b.laid = refill(b.at, to-from), refill(b.height, to-from), refill(b.laid, to-from)
	b.from = from
	for i := from; i < to; i++ {
		id := b.nodeIDs[i]
		if id < 0 || id >= int64(len(b.at)) || b.at[id] >= 0 {
			return "the nodes of a tree are not numbered one by one", nil
		}
		b.at[id] = i
	}
	if err := b.measure(from); err != nil {
		return "", err
	}
	if slices.Contains(b.height, -1) {
		return "a tree has nodes that nothing leads to", nil
	}
	if b.height[0] > mostDepth || len(b.cells) > math.MaxInt32/8 {
		return "its trees are too large", nil
	}
	root := len(b.cells)
	b.cells = append(b.cells, wide{})
	b.forest.roots, b.forest.depths = append(b.forest.roots, int32(root)), append(b.forest.depths, int32(b.height[0]))
	for queue := []place{{from, root}}; len(queue) > 0; queue = queue[1:] {
		p := queue[0]
		if first := b.laid[p.node-from]; first >= 0 { // it has two parents: its children are there already
			b.cells[p.cell] = b.cells[first]
			if b.modes[p.node] == leaf {
				b.vote(p.cell, b.forest.votes[first])
			} else {
				b.cells[p.cell].kid += int32(first - p.cell)
			}
			continue
		}
		b.laid[p.node-from] = p.cell
		if b.modes[p.node] == leaf {
			if !b.leaf(p.node, p.cell) {
				return "a leaf has no weight", nil
			}
			continue
		}
		children, why := b.branch(p, b.child(b.trueIDs[p.node]), b.child(b.falseIDs[p.node]))
		if why != "" {
			return why, nil
		}
		queue = append(queue, children[:]...)
	}
	return "", nil
}

// refill gives n times -1.
func refill(s []int, n int) []int {
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = -1
	}
	return s
}

// measure finds the height of each node under the root: how many steps there are to its farthest leaf. LightGBM's export
// lets several equalities have one child, so that a tree may be none; a cycle is an error.
func (b *builder) measure(root int) error {
	const open = -2
	for stack := []int{root}; len(stack) > 0; {
		node := stack[len(stack)-1]
		height := &b.height[node-b.from]
		if *height >= 0 || b.modes[node] == leaf {
			*height, stack = max(0, *height), stack[:len(stack)-1]
			continue
		}
		most, waits := 0, false
		for _, id := range []int64{b.trueIDs[node], b.falseIDs[node]} {
			child := b.child(id)
			if child < 0 {
				return fairlead.Invalid("node %d of tree %d has the child %d, which is not there", b.nodeIDs[node], b.treeIDs[node], id)
			}
			switch h := b.height[child-b.from]; {
			case h == open:
				return fairlead.Invalid("node %d of tree %d leads back to itself", b.nodeIDs[child], b.treeIDs[node]).
					Hintf("a tree has no cycles")
			case h < 0:
				stack, waits = append(stack, child), true
			default:
				most = max(most, h)
			}
		}
		if *height = open; waits {
			continue
		}
		*height = most + 1
		if m := b.modes[node]; m == equal || m == notEqual { // two questions
			*height++
		}
		stack = stack[:len(stack)-1]
	}
	return nil
}

// child is the place in the file of the node of that id, -1 if there is none.
func (b *builder) child(id int64) int {
	if id < 0 || id >= int64(len(b.at)) {
		return -1
	}
	return b.at[id]
}

// branch writes an inner node's cell, or the two of an equality, and says where its children go. Each mode becomes a
// question x <= t; NaN answers it with no, and with yes where the cell reads the copy of the row in which NaN is -Inf.
func (b *builder) branch(p place, yes, no int) (children [2]place, why string) {
	t := b.thresholds[p.node]
	missing := p.node < len(b.missingTrue) && b.missingTrue[p.node] == 1
	below := math.Nextafter32(t, float32(math.Inf(-1))) // x < t is x <= below; below -Inf nothing is
	if math.IsInf(float64(t), -1) {
		below = float32(math.NaN())
	}
	kids := len(b.cells)
	ask := func(cell int, t float32, missing bool, kid int) {
		c := wide{threshold: t, feature: uint32(b.featureIDs[p.node]), kid: int32(kid - cell)}
		if missing {
			b.forest.paired = true
			c.feature += b.columns
			if t != t {
				why = "a threshold is -Inf"
			}
		}
		b.cells[cell] = c
	}
	switch m := b.modes[p.node]; m {
	case lessOrEqual, less:
		if m == less {
			t = below
		}
		b.cells = append(b.cells, wide{}, wide{})
		ask(p.cell, t, missing, kids)
		return [2]place{{no, kids}, {yes, kids + 1}}, why
	case greater, greaterOrEqual: // x > t is not x <= t, and NaN must take the other child
		if m == greaterOrEqual {
			t = below
		}
		b.cells = append(b.cells, wide{}, wide{})
		ask(p.cell, t, !missing, kids)
		return [2]place{{yes, kids}, {no, kids + 1}}, why
	case notEqual: // NaN is not equal, whatever is said of missing values
		yes, no, missing = no, yes, false
	}
	// x == t is x <= t and not x <= below. "No" is between its two parents: [equal, not equal, second question].
	b.cells = append(b.cells, wide{}, wide{}, wide{})
	ask(p.cell, t, missing, kids+1)
	ask(kids+2, below, false, kids)
	return [2]place{{yes, kids}, {no, kids + 1}}, why
}

// leaf writes a leaf's cell and weights; false: it has none.
func (b *builder) leaf(node, cell int) bool {
	b.cells[cell] = wide{threshold: float32(math.NaN())}
	tree, id := b.treeIDs[node], b.nodeIDs[node]
	first, _ := slices.BinarySearchFunc(b.byLeaf, 0, func(w, _ int) int {
		return cmp.Or(cmp.Compare(b.weightTrees[w], tree), cmp.Compare(b.weightNodes[w], id), 1)
	})
	v := votes{first: uint32(len(b.forest.weights))}
	for _, w := range b.byLeaf[first:] {
		if b.weightTrees[w] != tree || b.weightNodes[w] != id {
			break
		}
		b.forest.weights = append(b.forest.weights, b.weights[w])
		b.forest.target = append(b.forest.target, uint32(b.weightTargets[w]))
		v.n++
	}
	b.used += int(v.n)
	b.vote(cell, v)
	return v.n > 0
}

func (b *builder) vote(cell int, v votes) {
	for len(b.forest.votes) <= cell {
		b.forest.votes = append(b.forest.votes, votes{})
	}
	b.forest.votes[cell] = v
}

// finish brings the forest into its last form and says why it cannot be computed here.
func (b *builder) finish() string {
	f := b.forest
	for len(f.votes) < len(b.cells) {
		f.votes = append(f.votes, votes{})
	}
	dense := len(f.target)%f.targets == 0
	for _, v := range f.votes {
		dense = dense && (v.n == 0 || int(v.n) == f.targets)
	}
	for i, t := range f.target {
		dense = dense && int(t) == i%f.targets
	}
	if f.classifier && f.targets == 2 && !f.oneColumn && !dense {
		return "its leaves vote for one of two classes each" // what ONNX Runtime writes then depends on the row
	}
	if f.targets == 1 || !slices.ContainsFunc(f.votes, func(v votes) bool { return v.n > 1 }) {
		f.flatten()
	} else if dense {
		f.target = nil
	}
	order := make([]uint32, len(f.roots))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(x, y uint32) int { return cmp.Compare(f.depths[x], f.depths[y]) })
	f.groupTrees(order)
	f.wide = b.cells
	b.shrink()
	return ""
}

// flatten keeps one weight for each leaf: the first is the one that counts where there is one target.
func (f *forest) flatten() {
	f.value = make([]float32, len(f.votes))
	column := make([]uint32, len(f.votes))
	for i, v := range f.votes {
		if v.n > 0 {
			f.value[i] = f.weights[v.first]
			column[i] = f.target[v.first]
		}
	}
	if slices.Max(f.target) > 0 {
		f.column = column
	}
	f.votes, f.weights, f.target = nil, nil, nil
}

// shrink uses the small cells where they will do.
func (b *builder) shrink() {
	small := make([]narrow, len(b.cells))
	for i, c := range b.cells {
		if c.feature > math.MaxUint16 || c.kid > math.MaxInt16 || c.kid < math.MinInt16 {
			return
		}
		small[i] = narrow{c.threshold, uint16(c.feature), int16(c.kid)}
	}
	b.forest.narrow, b.forest.wide = small, nil
}
