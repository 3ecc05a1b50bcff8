package pipeline

import (
	"context"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// ensemble makes one answer of its members, which are there.
func (f *flight) ensemble(ctx context.Context, n *node) ([]fairlead.Tensor, error) {
	members := make([]*fairlead.Tensor, len(n.members))
	for i, s := range n.members {
		t, err := f.tensor(s)
		if err != nil {
			return nil, err
		}
		members[i] = t
	}
	e := n.Ensemble
	if e.By == ByStacked {
		stack, err := beside(members)
		if err != nil {
			return nil, err
		}
		in := seen(&stack, n.sig.Inputs[0].Name, n.sig.Inputs[0].Shape)
		return n.run.run(ctx, f, n, []fairlead.Tensor{in}, nil)
	}
	for i, m := range members[1:] {
		if !slices.Equal(m.Shape, members[0].Shape) {
			return nil, fairlead.Errorf(fairlead.CodeInternal, "%s has shape %s and %s has %s", e.Of[0], fairlead.ShapeString(members[0].Shape),
				e.Of[i+1], fairlead.ShapeString(m.Shape))
		}
	}
	var out fairlead.Tensor
	var err error
	if e.By == ByVote {
		out, err = vote(members, e.Weights)
	} else {
		out, err = mean(members, e.Weights)
	}
	out.Name = n.sig.Outputs[0].Name
	return []fairlead.Tensor{out}, err
}

// mean is Σ wᵢxᵢ / Σ wᵢ of each element, summed as float64 in the order of the members; nil weights are all 1.
func mean(members []*fairlead.Tensor, weights []float64) (fairlead.Tensor, error) {
	out := fairlead.Tensor{Type: members[0].Type, Shape: members[0].Shape}
	sum, total := make([]float64, members[0].Len()), 0.0
	for i, m := range members {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		total += w
		switch d := m.Data.(type) {
		case []float32:
			for k, x := range d {
				sum[k] += w * float64(x)
			}
		case []float64:
			for k, x := range d {
				sum[k] += w * x
			}
		default:
			return out, fairlead.Errorf(fairlead.CodeInternal, "%q is %s, which has no mean", m.Name, m.Type)
		}
	}
	for k := range sum {
		sum[k] /= total
	}
	if out.Type == fairlead.FP64 {
		out.Data = sum
		return out, nil
	}
	single := make([]float32, len(sum))
	for k, x := range sum {
		single[k] = float32(x)
	}
	out.Data = single
	return out, nil
}

// vote is the value of each element that most members have, or that has the most weight.
func vote(members []*fairlead.Tensor, weights []float64) (fairlead.Tensor, error) {
	out := fairlead.Tensor{Type: members[0].Type, Shape: members[0].Shape}
	switch members[0].Data.(type) {
	case []string:
		out.Data = elect[string](members, weights)
	case []bool:
		out.Data = elect[bool](members, weights)
	case []int8:
		out.Data = elect[int8](members, weights)
	case []int16:
		out.Data = elect[int16](members, weights)
	case []int32:
		out.Data = elect[int32](members, weights)
	case []int64:
		out.Data = elect[int64](members, weights)
	case []uint8:
		out.Data = elect[uint8](members, weights)
	case []uint16:
		out.Data = elect[uint16](members, weights)
	case []uint32:
		out.Data = elect[uint32](members, weights)
	case []uint64:
		out.Data = elect[uint64](members, weights)
	default:
		return out, fairlead.Errorf(fairlead.CodeInternal, "%q is %s, which cannot be voted on", members[0].Name, members[0].Type)
	}
	return out, nil
}

func elect[T comparable](members []*fairlead.Tensor, weights []float64) []T {
	out := make([]T, members[0].Len())
	votes := make([]float64, len(members))
	for k := range out {
		best := 0
		for i, m := range members {
			value, first := m.Data.([]T)[k], i
			for j := range i { // the first member of the same opinion gets the vote
				if members[j].Data.([]T)[k] == value {
					first = j
					break
				}
			}
			votes[i] = 0
			w := 1.0
			if weights != nil {
				w = weights[i]
			}
			votes[first] += w
		}
		for i := range votes {
			if votes[i] > votes[best] {
				best = i
			}
		}
		out[k] = members[best].Data.([]T)[k]
	}
	return out
}

// beside puts the columns of tensors with the same rows next to each other.
func beside(members []*fairlead.Tensor) (fairlead.Tensor, error) {
	rows, width := members[0].Rows(), 0
	for _, m := range members {
		if m.Rows() != rows || len(m.Shape) == 0 {
			return fairlead.Tensor{}, fairlead.Errorf(fairlead.CodeInternal, "%q has shape %s and %q has %s: they cannot be stacked", members[0].Name,
				fairlead.ShapeString(members[0].Shape), m.Name, fairlead.ShapeString(m.Shape))
		}
		width += m.Width()
	}
	out := fairlead.Tensor{Type: members[0].Type, Shape: []int64{int64(rows), int64(width)}}
	out.Data = fairlead.MakeData(out.Type, rows*width)
	// Each member's row is a row of a tensor of its own width: that is what copyRow copies, from an offset.
	at := 0
	for _, m := range members {
		for row := range rows {
			if err := copyPart(&out, row*width+at, m, row); err != nil {
				return out, err
			}
		}
		at += m.Width()
	}
	return out, nil
}
