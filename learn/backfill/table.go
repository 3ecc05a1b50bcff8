package backfill

import (
	"io"
	"math"

	"github.com/fairlead-ml/fairlead"
)

type tableSource struct {
	table *fairlead.Table
	at    int
}

// FromTable gives the rows of a table in memory.
func FromTable(t *fairlead.Table) Source { return &tableSource{table: t} }

func (s *tableSource) Columns() []string { return s.table.Names() }

func (s *tableSource) Progress() (done, total int64) { return int64(s.at), int64(s.table.Rows) }

func (s *tableSource) Next() (*Batch, error) {
	if s.at >= s.table.Rows {
		return nil, io.EOF
	}
	from, to := s.at, min(s.at+BatchRows, s.table.Rows)
	s.at = to
	b := &Batch{N: to - from, First: int64(from) + 1, Columns: make([]Column, len(s.table.Columns))}
	for i := range s.table.Columns {
		c, out := &s.table.Columns[i], &b.Columns[i]
		if c.Null != nil {
			out.Null = c.Null[from:to]
		}
		switch {
		case c.Strings != nil:
			out.Texts = c.Strings[from:to]
		case c.Times != nil:
			out.Times = make([]int64, to-from)
			for k, t := range c.Times[from:to] {
				out.Times[k] = t.UnixMicro()
			}
		default:
			out.Floats = c.Floats[from:to]
			if out.Null == nil { // a missing number of a table is NaN
				out.Null = make([]bool, to-from)
				for k, f := range out.Floats {
					out.Null[k] = math.IsNaN(f)
				}
			}
		}
	}
	return b, nil
}
