package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/fairlead-ml/fairlead"
)

type parquetSource struct {
	name    string
	file    *file.Reader
	records pqarrow.RecordReader
	columns []string
	batch   Batch
	done    int64
	total   int64
	rest    arrow.RecordBatch // what of the last record was not given yet
	current arrow.RecordBatch // what batch points into
}

func openParquet(name string, f File, _ int64) (s Source, err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on some damaged files
			s, err = nil, damaged(name, fmt.Errorf("%v", p))
		}
	}()
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	r, err := file.NewParquetReader(f, file.WithReadProps(props))
	if err != nil {
		return nil, damaged(name, err)
	}
	arrows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: BatchRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, damaged(name, err)
	}
	p := &parquetSource{name: name, file: r, total: r.NumRows()}
	schema, err := arrows.Schema()
	if err != nil {
		return nil, damaged(name, err)
	}
	for _, f := range schema.Fields() {
		p.columns = append(p.columns, f.Name)
	}
	if p.records, err = arrows.GetRecordReader(context.Background(), nil, nil); err != nil {
		return nil, damaged(name, err)
	}
	p.batch.Columns = make([]Column, len(p.columns))
	return p, nil
}

func damaged(name string, err error) error {
	return fairlead.Invalid("%s cannot be read as Parquet", name).Hintf("is the file complete? it says: %v", err).Cause(err)
}

func (s *parquetSource) Columns() []string { return s.columns }

func (s *parquetSource) Progress() (done, total int64) { return s.done, s.total }

func (s *parquetSource) Next() (b *Batch, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, damaged(s.name, fmt.Errorf("row %d: %v", s.done+1, p))
		}
	}()
	if s.current != nil {
		s.current.Release()
		s.current = nil
	}
	if s.rest == nil {
		rec, err := s.records.Read()
		if errors.Is(err, io.EOF) || err == nil && rec == nil {
			return nil, io.EOF
		}
		if err != nil {
			return nil, damaged(s.name, err)
		}
		rec.Retain()
		s.rest = rec
	}
	n := min(s.rest.NumRows(), BatchRows)
	s.current = s.rest.NewSlice(0, n)
	rest := s.rest
	if s.rest = nil; rest.NumRows() > n {
		s.rest = rest.NewSlice(n, rest.NumRows())
	}
	rest.Release()
	s.batch.N, s.batch.First = int(n), s.done+1
	for i := range s.columns {
		if err := s.batch.Columns[i].fill(s.current.Column(i)); err != nil {
			return nil, fairlead.Invalid("column %q of %s is of type %s", s.columns[i], s.name, s.current.Column(i).DataType()).
				Hintf("expected numbers, texts, booleans, times or decimals; leave it out where it is not needed")
		}
	}
	s.done += n
	return &s.batch, nil
}

var errType = errors.New("a type that has no place here")

// fill takes the values of an array. Texts point into it.
func (c *Column) fill(a arrow.Array) error {
	n := a.Len()
	*c = Column{}
	if a.NullN() > 0 {
		c.Null = make([]bool, n)
		for i := range c.Null {
			c.Null[i] = a.IsNull(i)
		}
	}
	switch a := a.(type) {
	case *array.Float64:
		c.Floats = a.Float64Values()
	case *array.Float32:
		c.Floats = floats(a.Float32Values())
	case *array.Int64:
		c.Ints = a.Int64Values()
	case *array.Int32:
		c.Ints = ints(a.Int32Values())
	case *array.Int16:
		c.Ints = ints(a.Int16Values())
	case *array.Int8:
		c.Ints = ints(a.Int8Values())
	case *array.Uint32:
		c.Ints = ints(a.Uint32Values())
	case *array.Uint16:
		c.Ints = ints(a.Uint16Values())
	case *array.Uint8:
		c.Ints = ints(a.Uint8Values())
	case *array.Timestamp:
		c.Times = times(a)
	case *array.Boolean:
		c.Bools = make([]bool, n)
		for i := range c.Bools {
			c.Bools[i] = a.Value(i)
		}
	case *array.String:
		c.Texts = texts(n, a.Value)
	case *array.LargeString:
		c.Texts = texts(n, a.Value)
	case *array.Dictionary:
		return c.dictionary(a)
	case *array.Null:
		c.Floats = make([]float64, n)
	default:
		return c.other(a)
	}
	return nil
}

// other reads the rarer types by their text.
func (c *Column) other(a arrow.Array) error {
	switch a.DataType().ID() {
	case arrow.DATE32:
		d := a.(*array.Date32)
		c.Times = make([]int64, a.Len())
		for i := range c.Times {
			c.Times[i] = d.Value(i).ToTime().UnixMicro()
		}
	case arrow.UINT64, arrow.DECIMAL128, arrow.FLOAT16:
		c.Floats = make([]float64, a.Len())
		for i := range c.Floats {
			if a.IsValid(i) {
				f, err := strconv.ParseFloat(a.ValueStr(i), 64)
				if err != nil {
					return err
				}
				c.Floats[i] = f
			}
		}
	default:
		return errType
	}
	return nil
}

func (c *Column) dictionary(a *array.Dictionary) error {
	var words Column
	if err := words.fill(a.Dictionary()); err != nil || words.Texts == nil {
		return errType
	}
	c.Texts = make([]string, a.Len())
	for i := range c.Texts {
		if a.IsValid(i) {
			c.Texts[i] = words.Texts[a.GetValueIndex(i)]
		}
	}
	return nil
}

func texts(n int, at func(int) string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = at(i)
	}
	return out
}

func ints[T int32 | int16 | int8 | uint32 | uint16 | uint8](d []T) []int64 {
	out := make([]int64, len(d))
	for i, x := range d {
		out[i] = int64(x)
	}
	return out
}

func floats(d []float32) []float64 {
	out := make([]float64, len(d))
	for i, x := range d {
		out[i] = float64(x)
	}
	return out
}

// times gives microseconds.
func times(a *array.Timestamp) []int64 {
	unit := a.DataType().(*arrow.TimestampType).Unit
	values := a.TimestampValues()
	out := make([]int64, len(values))
	for i, v := range values {
		switch unit {
		case arrow.Second:
			out[i] = int64(v) * 1_000_000
		case arrow.Millisecond:
			out[i] = int64(v) * 1_000
		case arrow.Nanosecond:
			out[i] = int64(v) / 1_000
		default:
			out[i] = int64(v)
		}
	}
	return out
}
