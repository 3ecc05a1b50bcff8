package httpd

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// plain is a body being decompressed. Its reader is used again after release.
type plain struct {
	io.Reader
	pool *sync.Pool
}

func (p *plain) release() { p.pool.Put(p.Reader) }

// Readers that were used before: of gzip, of deflate as HTTP means it (zlib), and of deflate as some clients send it.
var gzipReaders, zlibReaders, flateReaders sync.Pool

// decompressor reads what body is compressed with, one of gzip and deflate.
func decompressor(encoding string, body io.Reader) (*plain, error) {
	if encoding != "deflate" {
		if z, ok := gzipReaders.Get().(*gzip.Reader); ok {
			return &plain{z, &gzipReaders}, z.Reset(body)
		}
		z, err := gzip.NewReader(body)
		return &plain{z, &gzipReaders}, err
	}
	buffered := bufio.NewReader(body)
	// A zlib header's method is 8 and its two bytes are a multiple of 31.
	if head, _ := buffered.Peek(2); len(head) == 2 && head[0]&15 == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		if z, ok := zlibReaders.Get().(io.Reader); ok {
			return &plain{z, &zlibReaders}, z.(zlib.Resetter).Reset(buffered, nil)
		}
		z, err := zlib.NewReader(buffered)
		return &plain{z, &zlibReaders}, err
	}
	if z, ok := flateReaders.Get().(io.Reader); ok {
		return &plain{z, &flateReaders}, z.(flate.Resetter).Reset(buffered, nil)
	}
	return &plain{flate.NewReader(buffered), &flateReaders}, nil
}

// compressor is a gzip.Writer or a zlib.Writer, and the buffer it writes to.
type compressor struct {
	z interface {
		io.WriteCloser
		Reset(io.Writer)
	}
	b bytes.Buffer
}

func newCompressor(encoding string) *compressor {
	c := &compressor{}
	if encoding == "gzip" {
		c.z, _ = gzip.NewWriterLevel(&c.b, gzip.BestSpeed)
	} else {
		c.z, _ = zlib.NewWriterLevel(&c.b, zlib.BestSpeed)
	}
	return c
}

var (
	gzipWriters = sync.Pool{New: func() any { return newCompressor("gzip") }}
	zlibWriters = sync.Pool{New: func() any { return newCompressor("deflate") }}
)

// compress gives b compressed, and what to do when the bytes are not needed any more.
func compress(encoding string, b []byte) (z []byte, release func()) {
	pool := &gzipWriters
	if encoding != "gzip" {
		pool = &zlibWriters
	}
	c := pool.Get().(*compressor)
	c.b.Reset()
	c.z.Reset(&c.b)
	_, _ = c.z.Write(b) // a buffer takes everything
	_ = c.z.Close()
	return c.b.Bytes(), func() {
		if c.b.Cap() <= keepBuffer {
			pool.Put(c)
		}
	}
}

// sample is the part of a binary answer that is compressed to see whether that pays; floats rarely do.
const sample = 8 << 10

// compressed gives the answer as the client wants it: compressed, if that makes it smaller by a quarter, and says so in
// header.
func (x *exchange) compressed(header http.Header) []byte {
	out := x.out
	encoding := accepted(strings.Join(x.r.Header["Accept-Encoding"], ","))
	if encoding == "" {
		return out
	}
	if x.jsonLen >= 0 && len(out) > 2*sample {
		middle := (x.jsonLen + len(out) - sample) / 2
		z, release := compress(encoding, out[middle:middle+sample])
		pays := len(z) < sample*3/4
		release()
		if !pays {
			return out
		}
	}
	z, release := compress(encoding, out)
	defer release()
	if len(z) >= len(out)*3/4 {
		return out
	}
	header["Content-Encoding"] = []string{encoding}
	header["Vary"] = []string{"Accept-Encoding"}
	x.out = append(out[:0], z...)
	return x.out
}

// accepted is the encoding that an Accept-Encoding header likes best of gzip, deflate and none; gzip before deflate
// where it likes them alike, and none only where it says so.
func accepted(header string) string {
	quality := map[string]float64{}
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				q = 0
			}
		}
		if name == "x-gzip" {
			name = "gzip"
		}
		quality[name] = q
	}
	of := func(name string) float64 {
		if q, ok := quality[name]; ok {
			return q
		}
		return quality["*"]
	}
	best := ""
	most := quality["identity"]
	for _, name := range []string{"gzip", "deflate"} {
		if q := of(name); q > 0 && (q > most || best == "" && q == most) {
			best, most = name, q
		}
	}
	return best
}
