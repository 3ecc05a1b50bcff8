package evalstore

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Format is how an answer is written.
type Format string

// The formats that WriteQuery knows.
const (
	CSV     Format = "csv"     // RFC 4180 with a header; a null is empty, an empty text is ""
	Arrow   Format = "arrow"   // an IPC stream
	Parquet Format = "parquet" // zstd
)

// Limits bound an answer.
type Limits struct {
	Rows  int
	Bytes int64 // of what is written, up to a batch more; 0: none
}

// Written is what WriteQuery wrote.
type Written struct {
	Rows      int
	Truncated bool // a limit ended it
}

// batchRows are written together.
const batchRows = 4096

// tableWriter writes an answer in batches.
type tableWriter interface {
	row(values []any) error
	flush() error // ends a batch
	close() error
}

// WriteQuery is Query with the answer written to w, a batch of rows at a time: what is in memory does not grow with the
// answer, except for what DuckDB keeps of it. Nothing is written before the query has succeeded.
func (s *Store) WriteQuery(ctx context.Context, w io.Writer, query string, f Format, l Limits) (Written, error) {
	var out Written
	err := s.ask(ctx, query, l.Rows, func(c *cursor) error {
		counted := &countingWriter{w: w}
		t, err := newTableWriter(counted, f, c)
		if err != nil {
			return err
		}
		for c.next() {
			if err := t.row(c.values); err != nil {
				return err
			}
			if c.count%batchRows != 0 {
				continue
			}
			if err := t.flush(); err != nil {
				return err
			}
			if l.Bytes > 0 && counted.n >= l.Bytes {
				out.Truncated = c.rows.Next()
				break
			}
		}
		if c.err != nil {
			return c.err
		}
		out.Rows, out.Truncated = c.count, out.Truncated || c.truncated
		return t.close()
	})
	return out, err
}

func newTableWriter(w io.Writer, f Format, c *cursor) (tableWriter, error) {
	switch f {
	case CSV:
		return newCSVWriter(w, c)
	case Arrow, Parquet:
		return newColumnWriter(w, f, c)
	}
	return nil, fairlead.Invalid("there is no format %q", f).Hintf("csv, arrow or parquet")
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

type csvWriter struct {
	buffer *bufio.Writer
	csv    *csv.Writer
	cells  []string
}

func newCSVWriter(w io.Writer, c *cursor) (*csvWriter, error) {
	b := bufio.NewWriterSize(w, 64<<10)
	t := &csvWriter{buffer: b, csv: csv.NewWriter(b), cells: make([]string, len(c.columns))}
	return t, t.csv.Write(c.columns)
}

func (t *csvWriter) row(values []any) error {
	for i, v := range values {
		t.cells[i] = textCell(v)
	}
	return t.csv.Write(t.cells)
}

func (t *csvWriter) flush() error {
	t.csv.Flush()
	if err := t.csv.Error(); err != nil {
		return err
	}
	return t.buffer.Flush()
}

func (t *csvWriter) close() error { return t.flush() }

// textCell writes a value as text: times in RFC 3339, lists and maps in JSON, bytes in base64; NaN and infinities as they are
// called.
func textCell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	}
	switch p := plain(v).(type) {
	case string:
		return p
	case []any, map[string]any:
		b, err := json.Marshal(p)
		if err != nil { // plain gives only what has a JSON form
			return fmt.Sprint(p)
		}
		return string(b)
	default:
		return fmt.Sprint(p)
	}
}
