package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"

	"github.com/fairlead-ml/fairlead"
)

// maxUnpacked bounds what one message may unpack to.
const maxUnpacked = 512 << 20

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		panic(err) // the options are constants that the library accepts
	}
	return d
})

// DecodePredictions reads what EncodePredictions, EncodeKept and WithCounts made. Nothing in the result points into b.
func DecodePredictions(b []byte) (rows *Rows, err error) {
	defer func() {
		// The Arrow library panics on some malformed arrays.
		if p := recover(); p != nil {
			rows, err = nil, fmt.Errorf("decode predictions: malformed record: %v", p)
		}
	}()
	counts, b, err := takeCounts(b)
	if err != nil {
		return nil, fmt.Errorf("decode predictions: %w", err)
	}
	r := newReaderUpTo(b, kindRows, formatSampled)
	if r.err != nil {
		return nil, fmt.Errorf("decode predictions: %w", r.err)
	}
	raw, err := decoder().DecodeAll(r.buf, nil)
	if err != nil {
		return nil, fmt.Errorf("decode predictions: %w", err)
	}
	if err := verifyStream(raw); err != nil {
		return nil, fmt.Errorf("decode predictions: %w", err)
	}
	rd, err := ipc.NewReader(bytes.NewReader(raw), ipc.WithAllocator(boundedAllocator{limit: len(raw)}))
	if err != nil {
		return nil, fmt.Errorf("decode predictions: %w", err)
	}
	defer rd.Release()
	if !rd.Next() {
		return nil, fmt.Errorf("decode predictions: no record: %w", errors.Join(rd.Err()))
	}
	rows, err = decodeRecord(rd.RecordBatch(), b[1] == formatSampled)
	if err == nil {
		rows.Counts = counts
		err = rows.checkCounts()
	}
	if err != nil {
		return nil, fmt.Errorf("decode predictions: %w", err)
	}
	return rows, nil
}

// boundedAllocator refuses a single buffer that is larger than the whole message, which only a malformed length asks
// for. The panic ends in DecodePredictions.
type boundedAllocator struct{ limit int }

func (a boundedAllocator) Allocate(n int) []byte {
	if n > a.limit+64 {
		panic(fmt.Sprintf("a buffer of %d bytes in a message of %d", n, a.limit))
	}
	return memory.DefaultAllocator.Allocate(n)
}

func (a boundedAllocator) Reallocate(n int, b []byte) []byte {
	if n > a.limit+64 {
		panic(fmt.Sprintf("a buffer of %d bytes in a message of %d", n, a.limit))
	}
	return memory.DefaultAllocator.Reallocate(n, b)
}

func (a boundedAllocator) Free(b []byte) { memory.DefaultAllocator.Free(b) }

func decodeRecord(rec arrow.RecordBatch, sampled bool) (*Rows, error) {
	schema := rec.Schema()
	if rec.NumRows() < 1 || rec.NumRows() > MaxRows {
		return nil, fmt.Errorf("a batch has 1 to %d rows, this one has %d", MaxRows, rec.NumRows())
	}
	rows := &Rows{N: int(rec.NumRows())}
	for i, col := range rec.Columns() {
		if col.Len() != rows.N {
			return nil, fmt.Errorf("column %d has %d values for %d rows", i, col.Len(), rows.N)
		}
	}
	if err := rows.decodeHead(schema.Metadata()); err != nil {
		return nil, err
	}
	if err := rows.decodeMeta(rec); err != nil {
		return nil, err
	}
	first := len(metaFields)
	if sampled {
		if err := rows.decodeProbability(rec, first); err != nil {
			return nil, err
		}
		first++
	}
	for i := first; i < int(rec.NumCols()); i++ {
		f := schema.Field(i)
		c, err := decodeColumn(f, rec.Column(i))
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		rows.Columns = append(rows.Columns, c)
	}
	rows.Score, rows.Predicted = findScore(rows.Columns), findPredicted(rows.Columns)
	return rows, nil
}

func (r *Rows) decodeHead(meta arrow.Metadata) error {
	get := func(key string) string {
		v, _ := meta.GetValue(key)
		return v
	}
	name, err := fairlead.ParseName(get("deployment"))
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	version, err := strconv.Atoi(get("version"))
	if err != nil {
		return fmt.Errorf("version %q: %w", get("version"), err)
	}
	r.Deployment, r.Model = name, fairlead.Name(get("model"))
	r.Version, r.Digest = fairlead.Version(version), fairlead.Digest(get("digest"))
	return nil
}

// noTags are those of rows without any. Nobody writes to them.
var noTags [MaxRows]map[string]string

func (r *Rows) decodeMeta(rec arrow.RecordBatch) error {
	if int(rec.NumCols()) < len(metaFields) {
		return fmt.Errorf("%d columns, expected at least %d", rec.NumCols(), len(metaFields))
	}
	for i, want := range metaFields {
		if got := rec.Schema().Field(i); got.Name != want.Name || !arrow.TypeEqual(got.Type, want.Type) {
			return fmt.Errorf("column %d is %s %s, expected %s %s", i, got.Name, got.Type, want.Name, want.Type)
		}
	}
	text := func(i int) []string { return texts(rec.Column(i).(*array.Binary)) }
	number := func(i int) []int64 { return rec.Column(i).(*array.Int64).Int64Values() }
	r.ID, r.Request, r.Variant, r.Key = text(0), text(1), text(5), text(6)
	r.EventTime, r.Received = decodeTimes(number(2)), decodeTimes(number(3))
	r.Role = make([]fairlead.Role, r.N)
	for i, s := range text(4) {
		if s == string(fairlead.RoleLive) {
			r.Role[i] = fairlead.RoleLive // does not hold on to the message
		} else {
			r.Role[i] = fairlead.Role(s)
		}
	}
	r.Tags = noTags[:r.N:r.N]
	for i, s := range text(7) {
		if s == "" {
			continue
		}
		if &r.Tags[0] == &noTags[0] {
			r.Tags = make([]map[string]string, r.N)
		}
		if err := json.Unmarshal([]byte(s), &r.Tags[i]); err != nil {
			return fmt.Errorf("tags of row %d: %w", i, err)
		}
	}
	r.Latency = make([]time.Duration, r.N)
	for i, us := range number(8) {
		r.Latency[i] = time.Duration(us) * time.Microsecond
	}
	cached := rec.Column(9).(*array.Boolean)
	r.Cached = collect(cached, true, cached.Value)
	return nil
}

func decodeTimes(us []int64) []time.Time {
	out := make([]time.Time, len(us))
	for i, v := range us {
		out[i] = time.UnixMicro(v).UTC()
	}
	return out
}

func decodeColumn(f arrow.Field, arr arrow.Array) (Column, error) {
	get := func(key string) string {
		v, _ := f.Metadata.GetValue(key)
		return v
	}
	c := Column{Field: fairlead.Field{
		Name: f.Name, Tensor: get("tensor"), Output: get("output") == "true",
		Type: fairlead.DataType(get("type")), Role: fairlead.OutputRole(get("role")),
	}}
	var err error
	if c.Field.Index, err = strconv.Atoi(get("index")); err != nil || c.Field.Index < 0 {
		return c, fmt.Errorf("index %q is not a number", get("index"))
	}
	if shape, ok := f.Metadata.GetValue("shape"); ok {
		if c.Shape, err = parseShape(shape); err != nil {
			return c, err
		}
	}
	codec := codecs[c.Field.Type]
	if codec == nil {
		return c, fmt.Errorf("data type %q is not known", c.Field.Type)
	}
	return c, codec.decode(&c, arr)
}
