package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
)

// A message of rows is the two bytes (kind, version) and a zstd frame around an Arrow IPC stream with one record
// batch. The frame, not the single buffers, is compressed: small columns share one dictionary, and the decoder can
// bound what it unpacks.
const kindRows = 'R'

var encoder = sync.OnceValue(func() *zstd.Encoder {
	// The options are constants that the library accepts; EncodeAll may be called by many goroutines.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	if err != nil {
		panic(err)
	}
	return e
})

// EncodePredictions makes one message of the PREDICTIONS stream from requests of one version of one deployment with
// the signature sig; role and variant may differ. A tensor that a prediction lacks, or whose shape or type is not
// the signature's, is stored as null. The error is CodeInvalid for a mix of versions, for no rows, and for more than
// MaxRows. Everything is stored as it came: EncodeKept redacts.
func EncodePredictions(preds []*fairlead.Prediction, sig *fairlead.Signature) ([]byte, error) {
	return EncodeKept(preds, sig, everything)
}

var everything = &keep.Policy{Sample: 1}

// EncodeKept is EncodePredictions under a policy for values: what it redacts is not in the message, and what is longer than
// it allows is there as a summary, in columns behind that of the tensor (image.count, image.mean, image.std, image.min,
// image.max). Rows are chosen before, by Policy.Rows; a message with a Prediction.Probability has version 2, others 1.
func EncodeKept(preds []*fairlead.Prediction, sig *fairlead.Signature, policy *keep.Policy) ([]byte, error) {
	n, err := checkBatch(preds)
	if err != nil {
		return nil, err
	}
	first := preds[0]
	columns := columnsOf(sig)
	fields, arrays := encodeMeta(preds, n, policy)
	format := byte(1)
	if slices.ContainsFunc(preds, func(p *fairlead.Prediction) bool { return p.Probability != nil }) {
		format = formatSampled
		fields, arrays = append(fields, probabilityField), append(arrays, encodeProbability(preds, n))
	}
	src := &source{preds: preds, rows: n, values: policy.Values}
	add := func(c *Column, arr arrow.Array) {
		fields = append(fields, arrow.Field{Name: c.Field.Name, Type: arr.DataType(), Nullable: true, Metadata: columnMetadata(c)})
		arrays = append(arrays, arr)
	}
	for i := range columns {
		c := &columns[i]
		rule := policy.Rule(c.Field.Name)
		if c.Field.Output {
			rule = nil
		}
		if rule != nil && rule.Action == keep.Hash {
			src.values = 0 // all of it is hashed, and nothing else of it stored
		}
		arr, err := encodeColumn(c, src)
		src.values = policy.Values
		if err != nil {
			return nil, fmt.Errorf("encode predictions of %s: column %s: %w", first.Deployment, c.Field.Name, err)
		}
		if rule != nil {
			arr = redact(c, arr, rule, policy)
			add(c, arr)
			continue
		}
		add(c, arr)
		if c.Shape != nil {
			summarise(c, src, add)
		}
	}
	meta := arrow.NewMetadata(
		[]string{"deployment", "model", "version", "digest"},
		[]string{string(first.Deployment), string(first.Model), first.Version.String(), string(first.Digest)})
	schema := arrow.NewSchema(fields, &meta)
	rec := array.NewRecordBatch(schema, arrays, int64(n))
	defer rec.Release()

	var buf bytes.Buffer
	buf.Grow(4096 + n*(120+8*len(columns)))
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
	if err := w.Write(rec); err != nil {
		return nil, fmt.Errorf("encode predictions of %s: %w", first.Deployment, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode predictions of %s: %w", first.Deployment, err)
	}
	return encoder().EncodeAll(buf.Bytes(), append(make([]byte, 0, buf.Len()), kindRows, format)), nil
}

func checkBatch(preds []*fairlead.Prediction) (rows int, err error) {
	for _, p := range preds {
		rows += len(p.Rows)
		if f := preds[0]; p.Deployment != f.Deployment || p.Version != f.Version || p.Digest != f.Digest {
			return 0, fairlead.Invalid("a batch holds one version of one deployment, not %s@%s and %s@%s",
				f.Deployment, f.Version, p.Deployment, p.Version)
		}
	}
	if rows == 0 || rows > MaxRows {
		return 0, fairlead.Invalid("a batch has 1 to %d rows, this one has %d", MaxRows, rows)
	}
	return rows, nil
}

// metaFields are the leading columns of every message, in this order.
var metaFields = []arrow.Field{
	{Name: "prediction_id", Type: arrow.BinaryTypes.Binary},
	{Name: "request_id", Type: arrow.BinaryTypes.Binary},
	{Name: "event_time", Type: arrow.PrimitiveTypes.Int64}, // microseconds since 1970
	{Name: "received", Type: arrow.PrimitiveTypes.Int64},
	{Name: "role", Type: arrow.BinaryTypes.Binary},
	{Name: "variant", Type: arrow.BinaryTypes.Binary},
	{Name: "key", Type: arrow.BinaryTypes.Binary},
	{Name: "tags", Type: arrow.BinaryTypes.Binary}, // a JSON object, or empty
	{Name: "latency_us", Type: arrow.PrimitiveTypes.Int64},
	{Name: "cached", Type: arrow.FixedWidthTypes.Boolean},
}

func encodeMeta(preds []*fairlead.Prediction, n int, policy *keep.Policy) ([]arrow.Field, []arrow.Array) {
	text := func(get func(p *fairlead.Prediction, i int) string) arrow.Array {
		// A builder takes several times as long.
		offsets, values := make([]int32, 1, n+1), []byte{}
		for _, p := range preds {
			for i := range p.Rows {
				values = append(values, get(p, i)...)
				offsets = append(offsets, int32(len(values))) // #nosec G115 -- MaxRows texts of some kilobytes
			}
		}
		buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(values)}
		return array.NewBinaryData(array.NewData(arrow.BinaryTypes.Binary, n, buffers, nil, 0, 0))
	}
	number := func(get func(p *fairlead.Prediction, i int) int64) arrow.Array {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.Reserve(n)
		for _, p := range preds {
			for i := range p.Rows {
				b.UnsafeAppend(get(p, i))
			}
		}
		return b.NewArray()
	}
	cached := array.NewBooleanBuilder(memory.DefaultAllocator)
	for _, p := range preds {
		for range p.Rows {
			cached.Append(p.Cached)
		}
	}
	return append([]arrow.Field(nil), metaFields...), []arrow.Array{
		text(func(p *fairlead.Prediction, i int) string { return p.Rows[i].ID }),
		text(func(p *fairlead.Prediction, _ int) string { return p.ID }),
		number(func(p *fairlead.Prediction, i int) int64 { return p.Rows[i].Time.UnixMicro() }),
		number(func(p *fairlead.Prediction, _ int) int64 { return p.Received.UnixMicro() }),
		text(func(p *fairlead.Prediction, _ int) string { return string(p.Role) }),
		text(func(p *fairlead.Prediction, _ int) string { return p.Variant }),
		text(func(p *fairlead.Prediction, i int) string { return p.Rows[i].Key }),
		text(func(p *fairlead.Prediction, i int) string { return tagsText(policy.Tags(p.Rows[i].Tags)) }),
		number(func(p *fairlead.Prediction, _ int) int64 { return int64(p.Latency.Total() / time.Microsecond) }),
		cached.NewArray(),
	}
}

func tagsText(tags map[string]string) string {
	if len(tags) == 0 {
		return ""
	}
	b, err := json.Marshal(tags)
	if err != nil { // a map of strings always has a text
		return ""
	}
	return string(b)
}

func columnMetadata(c *Column) arrow.Metadata {
	m := map[string]string{
		"tensor": c.Field.Tensor,
		"index":  strconv.Itoa(c.Field.Index),
		"output": strconv.FormatBool(c.Field.Output),
		"type":   string(c.Field.Type),
		"role":   string(c.Field.Role),
	}
	if c.Shape != nil {
		m["shape"] = shapeText(c.Shape)
	}
	return arrow.MetadataFrom(m)
}
