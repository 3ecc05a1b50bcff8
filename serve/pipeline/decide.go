package pipeline

import (
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// decide answers a switch: the rows go to the first case whose condition holds for them, and their answers come back in
// the order of the rows. A case that no row chose is not computed.
func (f *flight) decide(n *node) ([]fairlead.Tensor, error) {
	rows := f.rowsOf(nil)
	of := rows
	if n.Switch.PerRequest {
		of = 1
	}
	chosen, err := f.choose(n, of)
	if err != nil {
		return nil, inStep(n.Name, err)
	}
	var used []int // cases
	for i := range n.cases {
		if len(chosen[i]) > 0 {
			used = append(used, i)
		}
	}
	if len(used) == 0 { // a request without rows
		used = []int{len(n.cases) - 1}
	}
	n.counts.add(0, rows, nil)
	if len(used) == 1 { // as it is
		use := n.cases[used[0]].use
		if err := f.await(use); err != nil {
			return nil, err
		}
		return f.cells[use.index].out, nil
	}
	parts := make([][]fairlead.Tensor, len(used))
	if err := f.branches(n, used, chosen, parts); err != nil {
		return nil, err
	}
	out := make([]fairlead.Tensor, len(n.used))
	for i, name := range n.used {
		tensors, indices := make([]*fairlead.Tensor, len(used)), make([][]int, len(used))
		for k, c := range used {
			indices[k] = chosen[c]
			if tensors[k] = fairlead.Find(parts[k], name); tensors[k] == nil {
				return nil, inStep(n.Name, fairlead.Errorf(fairlead.CodeInternal, "step %s did not give %q", n.cases[c].use.Name, name))
			}
		}
		if out[i], err = merge(name, tensors, indices, rows); err != nil {
			return nil, inStep(n.Name, err)
		}
	}
	return out, nil
}

// choose gives each case the rows, 0 to of-1, that go to it.
func (f *flight) choose(n *node, of int) ([][]int, error) {
	chosen := make([][]int, len(n.cases))
	left := make([]int, of)
	for i := range left {
		left[i] = i
	}
	for i := range n.cases {
		b := &n.cases[i]
		if b.when == nil || len(left) == 0 {
			chosen[i], left = left, nil
			continue
		}
		if err := f.need(b.facts); err != nil { // only now: a condition that is not reached costs nothing
			return nil, err
		}
		facts := &facts{condition: b.when, rows: f.part.Rows}
		for _, s := range b.facts {
			t, err := f.tensor(s)
			if err != nil {
				return nil, err
			}
			facts.tensors = append(facts.tensors, t)
		}
		var rest []int
		for _, row := range left {
			facts.row = row
			yes, err := b.when.holds(f.ctx, facts)
			if err != nil {
				return nil, err
			}
			if yes {
				chosen[i] = append(chosen[i], row)
			} else {
				rest = append(rest, row)
			}
		}
		left = rest
	}
	return chosen, nil
}

// branches computes several cases at the same time, each for its rows.
func (f *flight) branches(n *node, used []int, chosen [][]int, parts [][]fairlead.Tensor) error {
	results := make(chan error, len(used))
	for k, c := range used {
		f.flights.Add(1)
		go func() {
			defer f.flights.Done()
			var err error
			parts[k], err = f.some(n.cases[c].use, n.used, chosen[c])
			results <- err
		}()
	}
	var first error
	for range used { // all of them: they write to parts
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// some computes a step for some rows: alone for them where only switches use it, else as those of all rows.
func (f *flight) some(n *node, names []string, rows []int) ([]fairlead.Tensor, error) {
	if n.alone {
		out, err := f.own(n, rows)
		if err == nil || n.fallback == nil || f.ctx.Err() != nil {
			return out, err
		}
		if _, err := f.fallBack(n, err); err != nil {
			return nil, err
		}
		n = n.fallback
	} else if err := f.await(n); err != nil {
		return nil, err
	}
	out := f.cells[n.index].out
	some := make([]fairlead.Tensor, 0, len(names))
	for i := range out {
		if !slices.Contains(names, out[i].Name) {
			continue
		}
		t, err := gather(&out[i], rows, f.rowsOf(nil))
		if err != nil {
			return nil, err
		}
		some = append(some, *t)
	}
	return some, nil
}
