package reference

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// Kinds of pages.
const (
	dataPage   = 0
	dictPage   = 2
	dataPageV2 = 3
)

// pageHeader is what matters of the header of a page.
type pageHeader struct {
	kind, uncompressed, compressed int32
	values, rows, encoding         int32
	levels                         int32 // bytes of levels before the compressed part; version 2 only
	plain                          bool  // not compressed although the chunk is; version 2 only
	body                           int32 // which of the page's own headers is there, as a kind; -1: none
}

// checkPages walks over the pages of a column chunk before Arrow does. Arrow's decoders believe what pages say of
// themselves: eleven bytes of Snappy can ask for four gigabytes at once, Zstandard for more, the delta encodings
// bring counts of their own. What passes here needs no more memory than its headers say, and these are bounded.
// It returns the decompressed size.
func checkPages(chunk []byte, codec compress.Compression, values int64) (total int64, err error) {
	at := 0
	for seen := int64(0); seen < values; {
		if at >= len(chunk) {
			return 0, fmt.Errorf("its pages hold %d values of %d", seen, values)
		}
		h, n, err := readPageHeader(chunk[at:])
		if err != nil {
			return 0, err
		}
		at += n
		if h.compressed < 0 || h.uncompressed < 0 || int(h.compressed) > len(chunk)-at {
			return 0, errors.New("a page reaches beyond its chunk")
		}
		if err := h.check(values - seen); err != nil {
			return 0, err
		}
		if err := checkSize(h, chunk[at:at+int(h.compressed)], codec); err != nil {
			return 0, err
		}
		at += int(h.compressed)
		total += int64(h.uncompressed)
		if h.kind != dictPage {
			seen += int64(h.values)
		}
	}
	return total, nil
}

func readPageHeader(b []byte) (h pageHeader, n int, err error) {
	c := &compact{b: b}
	h.body = -1
	c.fields(0, func(id int, kind byte) bool {
		switch {
		case id <= 3 && kind != thriftI32:
			c.fail()
		case id == 1:
			h.kind = c.i32()
		case id == 2:
			h.uncompressed = c.i32()
		case id == 3:
			h.compressed = c.i32()
		case id == 5 && kind == thriftStruct:
			h.body = dataPage
			c.numbers(map[int]*int32{1: &h.values, 2: &h.encoding})
		case id == 7 && kind == thriftStruct:
			h.body = dictPage
			c.numbers(map[int]*int32{1: &h.values, 2: &h.encoding})
		case id == 8 && kind == thriftStruct:
			h.body = dataPageV2
			var def, rep int32
			h.plain = c.numbers(map[int]*int32{1: &h.values, 3: &h.rows, 4: &h.encoding, 5: &def, 6: &rep})
			if def < 0 || rep < 0 || def > maxPages || rep > maxPages {
				c.fail()
			}
			h.levels = def + rep
		default:
			return false
		}
		return true
	})
	return h, c.at, c.err
}

// numbers reads a struct's 32-bit fields into their places and skips the rest; it says whether field 7 is false.
func (c *compact) numbers(places map[int]*int32) (no7 bool) {
	c.fields(1, func(id int, kind byte) bool {
		if id == 7 {
			no7 = kind == thriftFalse
		}
		place := places[id]
		if place == nil {
			return false
		}
		if kind != thriftI32 {
			c.fail()
			return true
		}
		*place = c.i32()
		return true
	})
	return no7
}

// check holds a page's counts against the values that are still to come.
func (h pageHeader) check(left int64) error {
	if h.body != h.kind {
		return fmt.Errorf("a page of kind %d, which is not read here", h.kind)
	}
	limit := left
	if h.kind == dictPage {
		limit = int64(h.uncompressed) // a value takes at least a byte
	}
	if h.values < 0 || int64(h.values) > limit {
		return fmt.Errorf("a page claims %d values, %d are possible", h.values, limit)
	}
	if h.values == 0 && h.kind != dictPage {
		return errors.New("a page without values")
	}
	if h.kind == dataPageV2 && h.rows != h.values {
		return fmt.Errorf("a page of %d rows has %d values", h.rows, h.values)
	}
	if h.levels > h.uncompressed || h.levels > h.compressed {
		return errors.New("a page has more bytes of levels than bytes")
	}
	if h.uncompressed > maxPages {
		panic(overBudget{})
	}
	switch e := parquet.Encoding(h.encoding); e {
	case parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, parquet.Encodings.RLE, parquet.Encodings.ByteStreamSplit:
		return nil
	default:
		return fmt.Errorf("encoding %s is not read here; write the file with plain or dictionary encoding, the default of pandas and Polars", e)
	}
}

// checkSize makes sure that the page decompresses to what its header says. Codecs that fill a buffer of that size,
// and no more, need no check.
func checkSize(h pageHeader, page []byte, codec compress.Compression) error {
	page, want := page[h.levels:], int64(h.uncompressed-h.levels)
	if h.kind == dataPageV2 && h.plain {
		return nil
	}
	switch codec {
	case compress.Codecs.Snappy:
		got, n := binary.Uvarint(page)
		if n <= 0 || got != uint64(want) {
			return fmt.Errorf("a Snappy page of %d bytes says it has %d", want, got)
		}
	case compress.Codecs.Zstd:
		// A frame need not say how long it is, so it is decompressed once to see; Zstandard is fast.
		r, err := zstd.NewReader(bytes.NewReader(page), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return fmt.Errorf("a Zstandard page: %w", err)
		}
		defer r.Close()
		got, err := io.Copy(io.Discard, io.LimitReader(r, want+1))
		if err != nil {
			return fmt.Errorf("a Zstandard page: %w", err)
		}
		if got != want {
			return fmt.Errorf("a Zstandard page of %d bytes has %d or more", want, got)
		}
	case compress.Codecs.Uncompressed, compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Lz4Raw:
	default:
		return fmt.Errorf("compression %s is not read here", codec)
	}
	return nil
}
