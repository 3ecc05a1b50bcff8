package evalstore

import (
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
)

// columnWriter writes record batches.
type columnWriter struct {
	record  *array.RecordBuilder
	write   func(arrow.RecordBatch) error
	finish  func() error
	pending int
}

func newColumnWriter(w io.Writer, f Format, c *cursor) (*columnWriter, error) {
	fields := make([]arrow.Field, len(c.columns))
	for i, name := range c.columns {
		fields[i] = arrow.Field{Name: name, Type: arrowType(c.types[i]), Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	t := &columnWriter{record: array.NewRecordBuilder(memory.DefaultAllocator, schema)}
	if f == Arrow {
		stream := ipc.NewWriter(w, ipc.WithSchema(schema))
		t.write, t.finish = stream.Write, stream.Close
		return t, nil
	}
	props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCreatedBy("fairlead"), parquet.WithMaxRowGroupLength(128<<10))
	file, err := pqarrow.NewFileWriter(schema, w, props, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, err
	}
	t.write, t.finish = file.WriteBuffered, file.Close
	return t, nil
}

// arrowType is the type of a DuckDB type. Decimals and 128-bit integers become doubles, as everywhere in the API; structs,
// maps, and lists of anything but plain values become JSON text.
func arrowType(name string) arrow.DataType {
	if inner, ok := strings.CutSuffix(name, "[]"); ok {
		if t := arrowType(inner); !strings.HasSuffix(inner, "]") && !isNested(inner) {
			return arrow.ListOf(t)
		}
		return arrow.BinaryTypes.String
	}
	switch base, _, _ := strings.Cut(name, "("); base {
	case "BOOLEAN":
		return arrow.FixedWidthTypes.Boolean
	case "TINYINT":
		return arrow.PrimitiveTypes.Int8
	case "SMALLINT":
		return arrow.PrimitiveTypes.Int16
	case "INTEGER":
		return arrow.PrimitiveTypes.Int32
	case "BIGINT":
		return arrow.PrimitiveTypes.Int64
	case "UTINYINT":
		return arrow.PrimitiveTypes.Uint8
	case "USMALLINT":
		return arrow.PrimitiveTypes.Uint16
	case "UINTEGER":
		return arrow.PrimitiveTypes.Uint32
	case "UBIGINT":
		return arrow.PrimitiveTypes.Uint64
	case "FLOAT":
		return arrow.PrimitiveTypes.Float32
	case "DOUBLE", "DECIMAL", "HUGEINT", "UHUGEINT":
		return arrow.PrimitiveTypes.Float64
	case "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ":
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case "DATE":
		return arrow.FixedWidthTypes.Date32
	case "BLOB":
		return arrow.BinaryTypes.Binary
	}
	return arrow.BinaryTypes.String
}

func isNested(name string) bool {
	return strings.HasPrefix(name, "STRUCT") || strings.HasPrefix(name, "MAP") || strings.HasPrefix(name, "UNION")
}

func (t *columnWriter) row(values []any) error {
	t.pending++
	for i, v := range values {
		if err := appendValue(t.record.Field(i), v); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

func (t *columnWriter) flush() error {
	if t.pending == 0 {
		return nil
	}
	t.pending = 0
	batch := t.record.NewRecordBatch()
	defer batch.Release()
	return t.write(batch)
}

func (t *columnWriter) close() error {
	defer t.record.Release()
	if err := t.flush(); err != nil {
		return err
	}
	return t.finish()
}

// appendValue appends what the driver gives for the type that arrowType made of it.
func appendValue(b array.Builder, v any) error {
	if v == nil {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(textCell(v))
		return nil
	case *array.Float64Builder:
		return appendDouble(b, v)
	case *array.TimestampBuilder:
		if x, ok := v.(time.Time); ok {
			b.Append(arrow.Timestamp(x.UnixMicro()))
			return nil
		}
	case *array.Date32Builder:
		if x, ok := v.(time.Time); ok {
			b.Append(arrow.Date32FromTime(x))
			return nil
		}
	case *array.ListBuilder:
		if list, ok := v.([]any); ok {
			b.Append(true)
			for _, e := range list {
				if err := appendValue(b.ValueBuilder(), e); err != nil {
					return err
				}
			}
			return nil
		}
	default:
		if appendPlain(b, v) {
			return nil
		}
	}
	return fairlead.Invalid("a value of type %T cannot be written as %s", v, b.Type()).Hintf("cast the column to VARCHAR")
}

func appendDouble(b *array.Float64Builder, v any) error {
	switch v := v.(type) {
	case float64:
		b.Append(v)
	case duckdb.Decimal:
		b.Append(v.Float64())
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		b.Append(f)
	default:
		return fairlead.Invalid("a value of type %T cannot be written as a double", v).Hintf("cast the column to VARCHAR")
	}
	return nil
}

// appendPlain appends a value whose Go type is that of the builder.
func appendPlain(b array.Builder, v any) bool {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return appended(b, v)
	case *array.Int8Builder:
		return appended(b, v)
	case *array.Int16Builder:
		return appended(b, v)
	case *array.Int32Builder:
		return appended(b, v)
	case *array.Int64Builder:
		return appended(b, v)
	case *array.Uint8Builder:
		return appended(b, v)
	case *array.Uint16Builder:
		return appended(b, v)
	case *array.Uint32Builder:
		return appended(b, v)
	case *array.Uint64Builder:
		return appended(b, v)
	case *array.Float32Builder:
		return appended(b, v)
	case *array.BinaryBuilder:
		return appended(b, v)
	}
	return false
}

func appended[T any](b interface{ Append(T) }, v any) bool {
	x, ok := v.(T)
	if ok {
		b.Append(x)
	}
	return ok
}
