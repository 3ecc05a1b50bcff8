package reference

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/fairlead-ml/fairlead"
)

// File is reference data that is read one column at a time, so that only one has to fit into memory decoded. A CSV file is
// read at once: its columns lie in one another.
type File struct {
	Rows  int
	names []string
	times []bool // by column

	name  string
	bytes []byte
	text  []string
	table *fairlead.Table // CSV
}

// Open takes what Read takes, and fails as it does for all that can be seen without decoding a column.
func Open(name string, b []byte, text ...string) (*File, error) {
	f := &File{name: name, bytes: b, text: text}
	if len(b) == 0 || len(b) > MaxBytes || !isParquet(b) {
		t, err := Read(name, b, text...)
		if err != nil {
			return nil, err
		}
		f.table, f.Rows, f.names, f.bytes = t, t.Rows, t.Names(), nil
		return f, nil
	}
	err := withParquet(name, b, func(r *file.Reader, _ *budget) error {
		rows, err := rowCount(name, r)
		f.Rows = int(rows)
		s := r.MetaData().Schema
		for i := range s.NumColumns() {
			f.names = append(f.names, s.Column(i).Name())
			c, wrong := newColumn(name, s.Column(i), slices.Contains(text, s.Column(i).Name()))
			if wrong != nil {
				return wrong
			}
			f.times = append(f.times, c.time != nil && !c.asText)
		}
		return err
	})
	if err == nil && f.Rows == 0 {
		err = fairlead.Invalid("reference %s has no rows", name).Hintf("it has columns %s but not one row of data", strings.Join(f.names, ", "))
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Names lists the columns in the file's order.
func (f *File) Names() []string { return f.names }

// HoldsTimes says whether a column holds times, without decoding it.
func (f *File) HoldsTimes(name string) bool {
	if f.table != nil {
		c := f.table.Column(name)
		return c != nil && c.Times != nil
	}
	i := slices.Index(f.names, name)
	return i >= 0 && f.times[i]
}

// Column decodes a column, nil if there is none of the name. The error is of the kinds of Read's.
func (f *File) Column(name string) (*fairlead.TableColumn, error) {
	if f.table != nil {
		return f.table.Column(name), nil
	}
	i := slices.Index(f.names, name)
	if i < 0 {
		return nil, nil
	}
	var c fairlead.TableColumn
	err := withParquet(f.name, f.bytes, func(r *file.Reader, pages *budget) (err error) {
		c, err = readColumn(f.name, f.bytes, r, i, f.text, pages)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &c, nil
}
