package profile

import "github.com/fairlead-ml/fairlead"

// Outside says which rows of a prediction have an input outside the reference, as Counts.Unseen counts them: a category it
// never had, a number under its minimum or over its maximum, an infinity. It is nil without any.
func (l *Layout) Outside(p *fairlead.Prediction) []bool {
	all := NewCounts(l)
	all.Add(l, p, nil)
	var suspects []int
	for i := range l.Columns {
		if !l.Columns[i].Output && all.Unseen(l, i) > 0 {
			suspects = append(suspects, i)
		}
	}
	if len(suspects) == 0 { // as for most
		return nil
	}
	out := make([]bool, len(p.Rows))
	for _, i := range suspects {
		col := &l.Columns[i]
		one := &Layout{Columns: []Column{*col}}
		for row := range p.Rows {
			if out[row] {
				continue
			}
			c := NewCounts(one)
			c.Add(one, p, []int{row})
			out[row] = c.Unseen(one, 0) > 0
		}
	}
	return out
}
