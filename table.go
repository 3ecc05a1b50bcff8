package fairlead

import (
	"math"
	"time"
)

// Table is a columnar frame in memory: a reference data set, a query's answer.
type Table struct {
	Rows    int
	Columns []TableColumn
}

// TableColumn holds its values in exactly one of Floats, Strings and Times; each has Table.Rows elements. A null is
// NaN in Floats with Null set; Null is nil when there are no nulls.
type TableColumn struct {
	Name    string
	Floats  []float64
	Strings []string
	Times   []time.Time
	Null    []bool
}

// Column is the column of that name, or nil.
func (t *Table) Column(name string) *TableColumn {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// Names lists the columns in order.
func (t *Table) Names() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// IsNull says whether row i has no value.
func (c *TableColumn) IsNull(i int) bool { return c.Null != nil && c.Null[i] }

// Float is row i as a number; NaN for a null and for a column of strings.
func (c *TableColumn) Float(i int) float64 {
	if c.Floats == nil || c.IsNull(i) {
		return math.NaN()
	}
	return c.Floats[i]
}
