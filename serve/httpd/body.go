package httpd

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/fairlead-ml/fairlead"
)

// Buffers of bodies and answers. Those that have grown large are left to the garbage collector.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keepBuffer = 1 << 20

func getBuffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= keepBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// read reads the body into b: up to the limit, which holds after decompression too, and no further.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, b *bytes.Buffer) error {
	if r.Header.Get("Inference-Header-Content-Length") != "" {
		return fairlead.Errorf(fairlead.CodeUnsupported, "binary tensors are not supported").
			Hintf("send JSON: with tritonclient, binary_data=False for inputs and outputs")
	}
	if r.ContentLength > h.o.MaxBody {
		w.Header().Set("Connection", "close") // rather than read it all
		return h.tooLarge(bytesOf(r.ContentLength) + " came")
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	var err error
	switch encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	default:
		return fairlead.Errorf(fairlead.CodeUnsupported, "the body has Content-Encoding %.40q, which is not supported", encoding).
			Hintf("use gzip or deflate, or send it plain")
	}
	if err != nil {
		return h.broken(encoding, err)
	}
	if r.ContentLength > 0 && encoding == "" {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(body, h.o.MaxBody+1))
	if err != nil {
		return h.broken(encoding, err)
	}
	if n > h.o.MaxBody {
		w.Header().Set("Connection", "close")
		return h.tooLarge("it grew beyond that when decompressed")
	}
	return nil
}

// broken is the error of a body that cannot be read to its end.
func (h *Handler) broken(encoding string, err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return h.tooLarge("more came")
	}
	if encoding == "" || encoding == "identity" {
		return fairlead.Invalid("the body ended too early").Cause(err)
	}
	return fairlead.Invalid("the body is said to be %s, but cannot be decompressed", encoding).
		Hintf("send it plain, or compress it whole").Cause(err)
}

func (h *Handler) tooLarge(came string) error {
	return fairlead.Errorf(fairlead.CodeTooLarge, "the body is larger than this server takes: at most %s bytes, but %s",
		bytesOf(h.o.MaxBody), came).
		Hintf("send fewer rows per request, or raise the server's body limit")
}

// bytesOf writes 67108864 as "67,108,864".
func bytesOf(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
