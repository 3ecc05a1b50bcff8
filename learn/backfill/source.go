// Package backfill reads past predictions and labels from Parquet and CSV files, row after row in bounded memory, and makes
// messages of the event log of them. What a message holds depends on the file and the mapping of its columns only, so that
// reading the same file again gives the same messages.
package backfill

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Source gives the rows of a file, some at a time.
type Source interface {
	// Columns names the columns in order.
	Columns() []string
	// Next gives the next rows, io.EOF after the last. What it returns is valid until Next is called again. A *Fault
	// beside rows that are nil is a row that cannot be read; Next goes on behind it.
	Next() (*Batch, error)
	// Progress is how much was read, and of how much, in rows or bytes.
	Progress() (done, total int64)
}

// Fault is a row that cannot be taken, and why.
type Fault struct {
	Line   int64  // of a CSV file, from 1; the row of a Parquet file, from 1
	Column string // "" where it is not about one
	Text   string
}

// Error says where and what.
func (f *Fault) Error() string {
	if f.Column == "" {
		return fmt.Sprintf("line %d: %s", f.Line, f.Text)
	}
	return fmt.Sprintf("line %d, column %s: %s", f.Line, f.Column, f.Text)
}

// BatchRows is how many rows a Source gives at a time at most.
const BatchRows = 61_440

// Batch is some rows of a file, column by column in the order of Source.Columns.
type Batch struct {
	N       int
	Columns []Column
	Lines   []int64 // of each row; nil: First, First+1, …
	First   int64
}

// Line is where row i stands in its file, from 1.
func (b *Batch) Line(i int) int64 {
	if b.Lines != nil {
		return b.Lines[i]
	}
	return b.First + int64(i)
}

// Column holds values in one of its slices, N of them. A column of a CSV file has Texts, whatever they mean.
type Column struct {
	Texts  []string
	Floats []float64
	Ints   []int64
	Bools  []bool
	Times  []int64 // microseconds since 1970
	Null   []bool  // nil when every row has a value
}

// isNull says whether row i has no value; an empty cell of a CSV file has none.
func (c *Column) isNull(i int) bool {
	return c.Null != nil && c.Null[i] || c.Texts != nil && c.Texts[i] == ""
}

// float is row i as a number; NaN is spelled nan or NaN in texts.
func (c *Column) float(i int) (float64, error) {
	switch {
	case c.Floats != nil:
		return c.Floats[i], nil
	case c.Ints != nil:
		return float64(c.Ints[i]), nil
	case c.Bools != nil:
		if c.Bools[i] {
			return 1, nil
		}
		return 0, nil
	case c.Texts != nil:
		s := strings.TrimSpace(c.Texts[i])
		f, err := strconv.ParseFloat(s, 64)
		if err == nil {
			return f, nil
		}
		if b, err := strconv.ParseBool(strings.ToLower(s)); err == nil {
			if b {
				return 1, nil
			}
			return 0, nil
		}
		return 0, fmt.Errorf("%.40q is not a number", c.Texts[i])
	}
	return 0, fmt.Errorf("a time is not a number")
}

// text is row i as a class name or an id is written: whole numbers without a point, true and false as 1 and 0.
func (c *Column) text(i int) string {
	switch {
	case c.Texts != nil:
		return c.Texts[i]
	case c.Ints != nil:
		return strconv.FormatInt(c.Ints[i], 10)
	case c.Floats != nil:
		return strconv.FormatFloat(c.Floats[i], 'f', -1, 64)
	case c.Bools != nil:
		if c.Bools[i] {
			return "1"
		}
		return "0"
	case c.Times != nil:
		return time.UnixMicro(c.Times[i]).UTC().Format(time.RFC3339Nano)
	}
	return ""
}

// layouts of times in texts, the most frequent first. A time without a zone is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02",
}

// time is row i as a time. A number is seconds since 1970, or milli-, micro- or nanoseconds where it is so large.
func (c *Column) time(i int) (time.Time, error) {
	switch {
	case c.Times != nil:
		return time.UnixMicro(c.Times[i]).UTC(), nil
	case c.Texts != nil:
		for _, layout := range layouts {
			if t, err := time.Parse(layout, c.Texts[i]); err == nil {
				return t.UTC(), nil
			}
		}
		if n, err := strconv.ParseInt(c.Texts[i], 10, 64); err == nil {
			return since1970(n), nil
		}
		return time.Time{}, fmt.Errorf("%.40q is not a time such as 2001-03-08T14:05:00Z", c.Texts[i])
	case c.Ints != nil:
		return since1970(c.Ints[i]), nil
	case c.Floats != nil:
		if f := c.Floats[i]; f > -1e11 && f < 1e11 {
			return time.UnixMicro(int64(f * 1e6)).UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a time", c.text(i))
}

// since1970 tells the unit by the size: seconds reach to the year 5138, and so on.
func since1970(n int64) time.Time {
	const year5138 = 100_000_000_000
	switch size := max(n, -n); {
	case size < year5138:
		return time.Unix(n, 0).UTC()
	case size < year5138*1_000:
		return time.UnixMilli(n).UTC()
	case size < year5138*1_000_000:
		return time.UnixMicro(n).UTC()
	}
	return time.Unix(0, n).UTC()
}

// Open finds the format of a file from its bytes.
func Open(name string, f File, size int64) (Source, error) {
	var head [8]byte
	n, err := f.ReadAt(head[:], 0)
	if n == 0 {
		if err == nil || err == io.EOF {
			return nil, fairlead.Invalid("%s is empty", name)
		}
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	switch b := string(head[:n]); {
	case strings.HasPrefix(b, "PAR1"):
		return openParquet(name, f, size)
	case strings.HasPrefix(b, "\x1f\x8b"), strings.HasPrefix(b, "PK\x03\x04"), strings.HasPrefix(b, "\x28\xb5\x2f\xfd"):
		return nil, fairlead.Invalid("%s is compressed", name).Hintf("unpack it first, or write Parquet")
	case strings.HasPrefix(b, "{"), strings.HasPrefix(b, "["), strings.HasPrefix(b, "ARROW1"):
		return nil, fairlead.Invalid("%s is neither Parquet nor CSV", name).Hintf("write it as Parquet, for example with to_parquet of pandas")
	}
	return openCSV(name, io.NewSectionReader(f, 0, size), size)
}

// File is what is read: an *os.File, or a bytes.Reader.
type File interface {
	io.ReaderAt
	io.ReadSeeker
}
