package reference

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/fairlead-ml/fairlead"
)

// batchRows is how many values are decoded at a time.
const batchRows = 8192

// readChunk appends column i of row group g.
func (c *column) readChunk(f *file.Reader, b []byte, g, i int, mem *budget) error {
	group := f.RowGroup(g)
	rows := group.NumRows()
	meta, err := group.MetaData().ColumnChunk(i)
	if err != nil {
		return err
	}
	// Arrow allocates what the metadata claims; the file itself is the bound.
	size := int64(len(b))
	start, n := meta.DataPageOffset(), meta.TotalCompressedSize()
	if meta.HasDictionaryPage() && meta.DictionaryPageOffset() > 0 {
		start = min(start, meta.DictionaryPageOffset())
	}
	if start < 0 || n < 0 || start > size || n > size-start {
		return fmt.Errorf("row group %d lies outside the file (offset %d, %d bytes)", g, start, n)
	}
	if meta.NumValues() != rows {
		return fmt.Errorf("row group %d has %d values for %d rows", g, meta.NumValues(), rows)
	}
	bytes, err := checkPages(b[start:start+n], meta.Compression(), rows)
	if err != nil {
		return err
	}
	mem.spend(bytes)
	r, err := group.Column(i)
	if err != nil {
		return err
	}
	got, err := c.readValues(r, rows)
	if err != nil {
		return err
	}
	if got != rows {
		return fmt.Errorf("row group %d gave %d values for %d rows", g, got, rows)
	}
	// Not deferred: after a panic inside the reader, closing it panics as well.
	return r.Close()
}

func (c *column) readValues(r file.ColumnChunkReader, rows int64) (int64, error) {
	switch r := r.(type) {
	case *file.BooleanColumnChunkReader:
		return drain(c, r, rows, func(v bool) error { c.boolean(v); return nil })
	case *file.Int32ColumnChunkReader:
		return drain(c, r, rows, func(v int32) error { c.integer(int64(v)); return nil })
	case *file.Int64ColumnChunkReader:
		return drain(c, r, rows, func(v int64) error { c.integer(v); return nil })
	case *file.Int96ColumnChunkReader:
		return drain(c, r, rows, func(v parquet.Int96) error { c.timeValue(v.ToTime()); return nil })
	case *file.Float32ColumnChunkReader:
		return drain(c, r, rows, func(v float32) error { c.float(float64(v), 32); return nil })
	case *file.Float64ColumnChunkReader:
		return drain(c, r, rows, func(v float64) error { c.float(v, 64); return nil })
	case *file.ByteArrayColumnChunkReader:
		return drain(c, r, rows, func(v parquet.ByteArray) error { return c.bytes(v) })
	case *file.FixedLenByteArrayColumnChunkReader:
		return drain(c, r, rows, func(v parquet.FixedLenByteArray) error {
			if len(v) != 2 {
				return fmt.Errorf("a half-precision number of %d bytes", len(v))
			}
			c.float(float64(fairlead.HalfToFloat(binary.LittleEndian.Uint16(v), fairlead.FP16)), 32)
			return nil
		})
	}
	return 0, fmt.Errorf("physical type %s is not read", r.Type())
}

// batches is Arrow's reader of one column chunk.
type batches[T any] interface {
	HasNext() bool
	Err() error
	ReadBatchInPage(n int64, values []T, defs, reps []int16) (total int64, read int, err error)
}

// drain hands every value of the chunk to put, in order, and nulls to c. It reads page by page: values of a page lie
// in a buffer that the next page overwrites.
func drain[T any](c *column, r batches[T], rows int64, put func(T) error) (int64, error) {
	values := make([]T, min(batchRows, max(rows, 1)))
	defs := make([]int16, len(values))
	optional := c.desc.MaxDefinitionLevel() > 0
	var done int64
	for r.HasNext() {
		total, read, err := r.ReadBatchInPage(int64(len(values)), values, defs, nil)
		if err != nil {
			return done, err
		}
		if total <= 0 || total > int64(len(values)) || read > int(total) {
			return done, errors.New("a page holds other values than it says")
		}
		if done += total; done > rows {
			return done, fmt.Errorf("more values than the %d rows", rows)
		}
		next := 0
		for i := range int(total) {
			null := optional && defs[i] < c.desc.MaxDefinitionLevel()
			if optional {
				c.out.Null = append(c.out.Null, null)
			}
			if null {
				c.null()
				continue
			}
			if next >= read {
				return done, errors.New("a page holds fewer values than it says")
			}
			if err := put(values[next]); err != nil {
				return done, err
			}
			next++
		}
	}
	return done, r.Err()
}

// budget is an allocator that panics with overBudget when more than its bytes are in use. Arrow frees buffers in
// finalizers too, so the count is atomic.
type budget struct {
	memory.GoAllocator
	left  int64
	used  atomic.Int64
	total int64 // bytes decompressed since the start
}

type overBudget struct{}

// spend panics with overBudget when the whole file decompresses to more than maxTotal bytes.
func (b *budget) spend(n int64) {
	if b.total += n; b.total > maxTotal {
		panic(overBudget{})
	}
}

// Allocate panics with overBudget when size is beyond what is left.
func (b *budget) Allocate(size int) []byte {
	if b.used.Add(int64(size)) > b.left {
		panic(overBudget{})
	}
	return b.GoAllocator.Allocate(size)
}

// Reallocate panics with overBudget when the growth is beyond what is left.
func (b *budget) Reallocate(size int, old []byte) []byte {
	if b.used.Add(int64(size-len(old))) > b.left {
		panic(overBudget{})
	}
	return b.GoAllocator.Reallocate(size, old)
}

// Free returns the bytes to the budget.
func (b *budget) Free(old []byte) {
	b.used.Add(-int64(len(old)))
	b.GoAllocator.Free(old)
}
