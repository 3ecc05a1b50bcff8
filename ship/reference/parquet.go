package reference

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/fairlead-ml/fairlead"
)

// readParquet reads column chunks by themselves instead of through Arrow records. Arrow's record reader decodes on
// goroutines of its own, where a panic over corrupt bytes cannot be recovered and would end the server; here
// everything runs on the caller's goroutine. And a dictionary column is never expanded into bytes.
func readParquet(name string, b []byte, text []string) (t *fairlead.Table, err error) {
	err = withParquet(name, b, func(f *file.Reader, pages *budget) error {
		rows, err := rowCount(name, f)
		if err != nil {
			return err
		}
		t = &fairlead.Table{Rows: int(rows)}
		for i := range f.MetaData().Schema.NumColumns() {
			c, err := readColumn(name, b, f, i, text, pages)
			if err != nil {
				return err
			}
			t.Columns = append(t.Columns, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// withParquet opens a file for do, and says what is wrong with it.
func withParquet(name string, b []byte, do func(f *file.Reader, pages *budget) error) (err error) {
	if err := checkFrame(name, b); err != nil {
		return err
	}
	pages := &budget{left: maxPages}
	// Arrow's reader panics on many kinds of damaged input (index out of range, decompression errors, a dictionary of
	// another type), and budget panics when a page claims more memory than is left.
	defer func() {
		switch p := recover().(type) {
		case nil:
		case overBudget:
			err = tooLarge("reference %s is too large when decompressed: %d MB a page, %d MB in all are the limits", name, maxPages>>20, maxTotal>>20)
		default:
			err = damaged(name, fmt.Errorf("panic: %v", p))
		}
	}()
	f, err := file.NewParquetReader(bytes.NewReader(b), file.WithReadProps(parquet.NewReaderProperties(pages)))
	if err != nil {
		return damaged(name, err)
	}
	if err := checkSchema(name, f.MetaData().Schema); err != nil {
		return err
	}
	return do(f, pages)
}

// readColumn reads column i of all row groups.
func readColumn(name string, b []byte, f *file.Reader, i int, text []string, pages *budget) (fairlead.TableColumn, error) {
	d := f.MetaData().Schema.Column(i)
	c, err := newColumn(name, d, slices.Contains(text, d.Name()))
	if err != nil {
		return fairlead.TableColumn{}, err
	}
	c.grow(int(min(f.NumRows(), 8*int64(len(b))))) // a small file may claim many rows
	for g := range f.NumRowGroups() {
		if err := c.readChunk(f, b, g, i, pages); err != nil {
			return fairlead.TableColumn{}, damaged(name, fmt.Errorf("column %s: %w", c.out.Name, err))
		}
	}
	return c.finish(), nil
}

func damaged(name string, err error) error {
	return fairlead.Invalid("reference %s is a damaged Parquet file: %v", name, err).
		Hintf("write it again, for example with pandas: df.to_parquet(%q)", name)
}

// checkFrame looks at both ends of the file before anything is parsed.
func checkFrame(name string, b []byte) error {
	if bytes.HasPrefix(b, encryptedMagic) || bytes.HasSuffix(b, encryptedMagic) {
		return fairlead.Invalid("reference %s is encrypted Parquet", name).Hintf("write it without encryption")
	}
	if len(b) < 12 || !bytes.HasPrefix(b, parquetMagic) || !bytes.HasSuffix(b, parquetMagic) {
		return damaged(name, fmt.Errorf("it does not start and end with PAR1; it may be truncated"))
	}
	if n := binary.LittleEndian.Uint32(b[len(b)-8:]); n > maxFooter {
		return damaged(name, fmt.Errorf("its metadata claims %d bytes, the limit is %d", n, maxFooter))
	}
	return nil
}

func checkSchema(name string, s *schema.Schema) error {
	root := s.Root()
	var names []string
	for i := range root.NumFields() {
		field := root.Field(i)
		names = append(names, field.Name())
		if field.Type() != schema.Primitive || field.RepetitionType() == parquet.Repetitions.Repeated {
			return unfit(name, field.Name(), "a list, map or structure", "give each value a column of its own, or drop the column")
		}
	}
	return checkNames(name, names)
}

func unfit(name, column, is, fix string) error {
	return fairlead.Invalid("reference %s: column %q is %s; expected numbers, booleans, text, timestamps or dates", name, column, is).Hintf("%s", fix)
}

// rowCount is what the metadata claims, checked for being possible; readChunk compares it with what comes.
func rowCount(name string, f *file.Reader) (int64, error) {
	var rows int64
	for g := range f.NumRowGroups() {
		n := f.MetaData().RowGroups[g].NumRows
		if n < 0 || n > MaxCells {
			return 0, tooLarge("reference %s: row group %d claims %d rows", name, g, n)
		}
		if rows += n; rows > MaxCells {
			break
		}
	}
	if err := checkCells(name, rows, f.MetaData().Schema.NumColumns()); err != nil {
		return 0, err
	}
	if rows != f.NumRows() {
		return 0, damaged(name, fmt.Errorf("its metadata claims %d rows, its row groups %d", f.NumRows(), rows))
	}
	return rows, nil
}

// column collects one column over the row groups.
type column struct {
	desc   *schema.Column
	asText bool
	out    fairlead.TableColumn
	time   func(int64) time.Time // set for timestamps and dates
	signed bool
	words  intern
	bits   int // of an integer
}

// newColumn decides what the column becomes; the error names a type that has no place in a table.
func newColumn(name string, d *schema.Column, asText bool) (*column, error) {
	c := &column{desc: d, asText: asText, signed: true, out: fairlead.TableColumn{Name: d.Name()}}
	drop := "drop the column"
	switch l := d.LogicalType().(type) {
	case *schema.DecimalLogicalType, schema.DecimalLogicalType:
		return nil, unfit(name, d.Name(), "a decimal", fmt.Sprintf("cast it to a double: df[%q] = df[%q].astype(float)", d.Name(), d.Name()))
	case schema.TimeLogicalType, *schema.TimeLogicalType:
		return nil, unfit(name, d.Name(), "a time of day", "turn it into minutes, or drop the column")
	case schema.BSONLogicalType, schema.UUIDLogicalType, schema.IntervalLogicalType, schema.VariantLogicalType:
		return nil, unfit(name, d.Name(), "of type "+l.String(), drop)
	case schema.DateLogicalType:
		c.time = func(v int64) time.Time { return time.Unix(v*86400, 0).UTC() }
	case schema.TimestampLogicalType:
		c.time = timestamp(l.TimeUnit())
	case *schema.TimestampLogicalType:
		c.time = timestamp(l.TimeUnit())
	case schema.IntLogicalType:
		c.signed, c.bits = l.IsSigned(), int(l.BitWidth())
	case *schema.IntLogicalType:
		c.signed, c.bits = l.IsSigned(), int(l.BitWidth())
	}
	switch d.PhysicalType() {
	case parquet.Types.FixedLenByteArray:
		if _, half := d.LogicalType().(schema.Float16LogicalType); !half {
			return nil, unfit(name, d.Name(), "raw bytes of fixed length", drop)
		}
	case parquet.Types.Int96:
		c.time = func(int64) time.Time { return time.Time{} } // marks times; the values bring their own conversion
	}
	return c, nil
}

func timestamp(u schema.TimeUnitType) func(int64) time.Time {
	switch u {
	case schema.TimeUnitMillis:
		return func(v int64) time.Time { return time.UnixMilli(v).UTC() }
	case schema.TimeUnitMicros:
		return func(v int64) time.Time { return time.UnixMicro(v).UTC() }
	}
	return func(v int64) time.Time { return time.Unix(0, v).UTC() }
}

// finish gives the column; one that was null throughout becomes numbers.
func (c *column) finish() fairlead.TableColumn {
	if c.out.Null != nil && !slices.Contains(c.out.Null, true) {
		c.out.Null = nil
	}
	return c.out
}

// grow makes room for so many values.
func (c *column) grow(rows int) {
	switch {
	case c.isText():
		c.out.Strings = make([]string, 0, rows)
	case c.time != nil:
		c.out.Times = make([]time.Time, 0, rows)
	default:
		c.out.Floats = make([]float64, 0, rows)
	}
}

func (c *column) null() {
	switch {
	case c.isText():
		c.out.Strings = append(c.out.Strings, "")
	case c.time != nil:
		c.out.Times = append(c.out.Times, time.Time{})
	default:
		c.out.Floats = append(c.out.Floats, math.NaN())
	}
}

func (c *column) isText() bool {
	return c.asText || c.desc.PhysicalType() == parquet.Types.ByteArray
}

func (c *column) bytes(b []byte) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("it holds bytes that are not UTF-8 text; expected numbers, booleans, text, timestamps or dates")
	}
	c.out.Strings = append(c.out.Strings, c.words.of(b))
	return nil
}

func (c *column) integer(v int64) {
	switch {
	case c.time != nil:
		c.timeValue(c.time(v))
	case c.asText && c.signed:
		c.out.Strings = append(c.out.Strings, c.words.of(fmt.Append(nil, v)))
	case c.asText:
		c.out.Strings = append(c.out.Strings, c.words.of(fmt.Append(nil, c.unsigned(v))))
	case c.signed:
		c.out.Floats = append(c.out.Floats, float64(v))
	default:
		c.out.Floats = append(c.out.Floats, float64(c.unsigned(v)))
	}
}

// unsigned undoes the sign extension of an unsigned integer that Parquet stores in 32 or 64 signed bits.
func (c *column) unsigned(v int64) uint64 {
	if c.bits > 0 && c.bits < 64 {
		return uint64(v) & (1<<c.bits - 1)
	}
	return uint64(v)
}

func (c *column) timeValue(t time.Time) {
	if c.asText {
		c.out.Strings = append(c.out.Strings, c.words.of([]byte(t.UTC().Format(time.RFC3339Nano))))
		return
	}
	c.out.Times = append(c.out.Times, t.UTC())
}

func (c *column) float(v float64, bits int) {
	if c.asText {
		c.out.Strings = append(c.out.Strings, c.words.of(fmt.Appendf(nil, "%v", shortest(v, bits))))
		return
	}
	c.out.Floats = append(c.out.Floats, v)
}

func (c *column) boolean(v bool) {
	switch {
	case c.asText:
		c.out.Strings = append(c.out.Strings, c.words.of(fmt.Append(nil, v)))
	case v:
		c.out.Floats = append(c.out.Floats, 1)
	default:
		c.out.Floats = append(c.out.Floats, 0)
	}
}

// shortest makes 0.1 of a float32 print as 0.1.
func shortest(v float64, bits int) any {
	if bits == 32 {
		return float32(v)
	}
	return v
}
