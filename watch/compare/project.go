package compare

import (
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// projections measures what is made of a column of texts that hardly repeat: their values say nothing. A projection that a
// side has as a column of its own is left to that.
func (c *comparison) projections(ref, cur *fairlead.TableColumn) []Column {
	if cur.Strings == nil || ref.Name == c.o.Label || !profile.FreeText(ref, c.reference.Rows) {
		return nil
	}
	var columns []Column
	now := profile.ProjectTexts(cur, c.current.Rows)
	for i, past := range profile.ProjectTexts(ref, c.reference.Rows) {
		if slices.Contains(c.reference.Names(), past.Name) || slices.Contains(c.current.Names(), past.Name) {
			continue
		}
		var m measured
		c.draw(&m, &past, &now[i])
		col, err := c.measure(past.Name, &past, &now[i])
		if err != nil {
			col = unmeasured(past.Name, err)
		} else {
			col.w1(&m)
		}
		columns = append(columns, col)
	}
	return columns
}
