package flights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/fairlead-ml/fairlead"
)

// columns of the flights file that are read, in this order.
var columns = []string{"date", "delay", "distance", "origin", "destination"}

// Reader gives the flights of a span of time in the order of the file, computing the features on the way. It holds one
// batch of rows in memory. It is for one goroutine.
type Reader struct {
	file    *file.Reader
	records pqarrow.RecordReader
	batch   columnBatch
	at      int // next row of batch

	row      int64 // number in the file of the next row
	from, to int64 // minutes
	last     int64 // minute of the row before
	windows  map[string]*window
	codes    map[string]string // airports, each once, so that no flight holds on to a batch
}

// OpenReader opens a parquet file of flights sorted by departure and positions it at the first flight that leaves at or
// after from; Next ends before to. The error is CodeInvalid where the file is not such a file.
func OpenReader(ctx context.Context, path string, from, to time.Time) (*Reader, error) {
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return nil, fairlead.Invalid("%s cannot be read as the flights' parquet file", path).
			Hintf("it is data/flights-3m.parquet of the npm package vega-datasets 3.2.1").Cause(err)
	}
	r := &Reader{file: f, from: minuteOf(from), to: minuteOf(to), windows: map[string]*window{}, codes: map[string]string{}}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *Reader) open(ctx context.Context) error {
	schema := r.file.MetaData().Schema
	index := make([]int, len(columns))
	for i, name := range columns {
		if index[i] = schema.ColumnIndexByName(name); index[i] < 0 {
			return fairlead.Invalid("the flights file has no column %q", name).Hintf("it needs %v", columns)
		}
	}
	groups, skipped := r.groups(index[0])
	r.row = skipped
	arrows, err := pqarrow.NewFileReader(r.file, pqarrow.ArrowReadProperties{BatchSize: 8192}, memory.DefaultAllocator)
	if err != nil {
		return fmt.Errorf("open flights: %w", err)
	}
	if len(groups) == 0 {
		return nil
	}
	if r.records, err = arrows.GetRecordReader(ctx, index, groups); err != nil {
		return fmt.Errorf("open flights: %w", err)
	}
	return nil
}

// groups picks the row groups that may hold a flight of the span or of the hour before it, whose departures are counted.
// A group without statistics is read. The picked groups are contiguous, so that row numbers can be counted.
func (r *Reader) groups(date int) (picked []int, skipped int64) {
	meta := r.file.MetaData()
	for i := range r.file.NumRowGroups() {
		group := meta.RowGroup(i)
		low, high, ok := dateRange(group, date)
		if len(picked) == 0 && ok && high < r.from-windowMinutes {
			skipped += group.NumRows()
			continue
		}
		if ok && low >= r.to {
			break
		}
		picked = append(picked, i)
	}
	return picked, skipped
}

// dateRange is the first and last minute of a row group by its statistics.
func dateRange(group *metadata.RowGroupMetaData, column int) (low, high int64, ok bool) {
	chunk, err := group.ColumnChunk(column)
	if err != nil {
		return 0, 0, false
	}
	stats, err := chunk.Statistics()
	if err != nil || stats == nil || !stats.HasMinMax() {
		return 0, 0, false
	}
	s, ok := stats.(*metadata.Int64Statistics)
	if !ok {
		return 0, 0, false
	}
	const perMinute = int64(time.Minute / time.Microsecond)
	return s.Min() / perMinute, s.Max() / perMinute, true
}

// Next is the next flight, io.EOF after the last one of the span.
func (r *Reader) Next() (Flight, error) {
	for {
		if r.at == r.batch.rows {
			if err := r.load(); err != nil {
				return Flight{}, err
			}
		}
		f := r.batch.flight(r.at)
		f.Row, f.Origin, f.Destination = r.row, r.code(f.Origin), r.code(f.Destination)
		r.at++
		r.row++
		if f.Minute < r.last {
			return Flight{}, fairlead.Invalid("row %d of the flights file leaves at %s, before the row ahead of it", f.Row, at(f.Minute)).
				Hintf("the file must be sorted by date")
		}
		r.last = f.Minute
		if f.Minute >= r.to {
			return Flight{}, io.EOF
		}
		w := r.windows[f.Origin]
		if w == nil {
			w = new(window)
			r.windows[f.Origin] = w
		}
		f.Departures = w.add(f.Minute)
		if f.Minute >= r.from {
			return f, nil
		}
	}
}

func (r *Reader) code(airport string) string {
	c, ok := r.codes[airport]
	if !ok {
		c = strings.Clone(airport)
		r.codes[c] = c
	}
	return c
}

func (r *Reader) load() error {
	if r.records == nil {
		return io.EOF
	}
	rec, err := r.records.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("read flights: %w", err)
	}
	r.at = 0
	r.batch, err = batchOf(rec)
	return err
}

// Close releases the file.
func (r *Reader) Close() error {
	if r.records != nil {
		r.records.Release()
	}
	return r.file.Close()
}

// columnBatch is one record's columns; it is valid until the next record is read.
type columnBatch struct {
	rows                int
	date                []arrow.Timestamp
	perMinute           int64
	delay, distance     []int64
	origin, destination interface{ Value(int) string }
}

func batchOf(rec arrow.RecordBatch) (columnBatch, error) {
	b := columnBatch{rows: int(rec.NumRows())}
	bad := func(i int) error {
		return fairlead.Invalid("column %q of the flights file is of type %s, or has nulls", columns[i], rec.Column(i).DataType()).
			Hintf("expected a timestamp, two 64-bit integers and two strings without nulls")
	}
	for i := range columns {
		if rec.Column(i).NullN() > 0 {
			return b, bad(i)
		}
	}
	date, ok := rec.Column(0).(*array.Timestamp)
	if !ok {
		return b, bad(0)
	}
	b.date = date.TimestampValues()
	b.perMinute = int64(time.Minute / date.DataType().(*arrow.TimestampType).Unit.Multiplier())
	for i, into := range map[int]*[]int64{1: &b.delay, 2: &b.distance} {
		c, ok := rec.Column(i).(*array.Int64)
		if !ok {
			return b, bad(i)
		}
		*into = c.Int64Values()
	}
	if b.origin, ok = rec.Column(3).(interface{ Value(int) string }); !ok {
		return b, bad(3)
	}
	if b.destination, ok = rec.Column(4).(interface{ Value(int) string }); !ok {
		return b, bad(4)
	}
	return b, nil
}

// flight is row i without what depends on other rows. Its strings live as long as the batch.
func (b *columnBatch) flight(i int) Flight {
	minute := int64(b.date[i]) / b.perMinute
	miles := int(b.distance[i])
	return Flight{
		Minute:      minute,
		Hour:        int(minute / 60 % 24),
		Weekday:     int((minute/1440 + 3) % 7), // 1970-01-01 was a Thursday
		Distance:    miles,
		Origin:      b.origin.Value(i),
		Destination: b.destination.Value(i),
		Delay:       int(b.delay[i]),
		Landed:      landing(minute, miles),
	}
}

const windowMinutes = 60

// window counts one airport's departures by minute over the last hour.
type window struct {
	counts [windowMinutes + 1]uint16 // by minute modulo their number: the current minute and the 60 before it
	sum    int
	last   int64
}

// add counts a departure and gives the number of departures in the 60 minutes before its own. Minutes never go back.
func (w *window) add(minute int64) int {
	const n = int64(len(w.counts))
	for m := max(w.last+1, minute-n+1); m <= minute; m++ {
		w.sum -= int(w.counts[m%n])
		w.counts[m%n] = 0
	}
	w.last = minute
	before := w.sum - int(w.counts[minute%n])
	w.counts[minute%n]++
	w.sum++
	return before
}
