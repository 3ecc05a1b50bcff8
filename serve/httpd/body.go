package httpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// receive reads the body of an inference.
func (x *exchange) receive() (err error) {
	free := 0
	if v, there := x.r.Header[headerLength]; there {
		if !x.d.oip {
			return fairlead.Errorf(fairlead.CodeUnsupported, "%s takes no binary tensors, but the header %s came", x.r.URL.Path, headerLength).
				Hintf("send JSON, or binary tensors to POST /v2/models/NAME/infer")
		}
		if x.header, err = strconv.Atoi(v[0]); err != nil || x.header < 0 {
			return fairlead.Invalid("header %s is %.40q; expected the number of bytes of JSON that the body starts with", headerLength, v[0]).
				Hintf("0 says that the body is the values of the only input, and no header that it is JSON alone")
		}
		// Inputs may then be taken over in place of being copied, if they lie well in memory.
		if free = codec.BodyOffset(x.header); x.r.ContentLength-int64(x.header) >= keepBuffer/16 && x.r.ContentLength <= x.h.o.MaxBody {
			x.body = make([]byte, free, free+int(min(x.r.ContentLength, believed)))[free:]
		}
	}
	if x.body, err = x.h.readBody(x.w, x.r, x.body, free, x.h.o.MaxBody); err == nil {
		_ = x.r.Body.Close() // all of it has come: net/http need not look for more
	}
	return err
}

// readBody appends the body to b: up to a limit, which holds after decompression too, and no further. free is that of
// readExactly.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, b []byte, free int, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // rather than read it all
		return b, tooLarge(limit, bytesOf(r.ContentLength)+" came")
	}
	encoding := ""
	if v := r.Header["Content-Encoding"]; len(v) > 0 {
		encoding = strings.ToLower(strings.TrimSpace(strings.Join(v, ",")))
	}
	switch encoding {
	case "", "identity":
		if r.ContentLength >= 0 {
			return readExactly(r.Body, b, int(r.ContentLength), free)
		}
		b, err := readAll(http.MaxBytesReader(w, r.Body, limit), b)
		return b, broken(encoding, limit, err)
	case "gzip", "x-gzip", "deflate":
	default:
		return b, fairlead.Errorf(fairlead.CodeUnsupported, "the body has Content-Encoding %.40q, which is not supported", encoding).
			Hintf("use gzip or deflate, or send it plain")
	}
	plain, err := decompressor(encoding, http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return b, broken(encoding, limit, err)
	}
	b, err = readAll(io.LimitReader(plain, limit+1), b)
	plain.release()
	if err != nil {
		return b, broken(encoding, limit, err)
	}
	if int64(len(b)) > limit {
		w.Header().Set("Connection", "close")
		return b, tooLarge(limit, "it grew beyond that when decompressed")
	}
	return b, nil
}

// believed is how many bytes memory is reserved for because a header says that they will come: a few hundred bytes of
// headers must not cost 64 MiB. For more, a quarter of them must have come.
const believed = 1 << 20

// readExactly appends the n bytes that a body is said to have. A buffer that must grow has free bytes before it.
func readExactly(r io.Reader, b []byte, n, free int) ([]byte, error) {
	all := len(b) + n
	if cap(b) < min(all, believed) {
		b = slices.Grow(b, min(n, believed))
	}
	for len(b) < all {
		if len(b) == cap(b) {
			b = append(make([]byte, free, free+min(all, 4*len(b)))[free:], b...)
		}
		k, err := io.ReadFull(r, b[len(b):min(all, cap(b))])
		if b = b[:len(b)+k]; err != nil {
			return b, broken("", 0, err)
		}
	}
	return b, nil
}

// readAll appends to b what r has.
func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if cap(b)-len(b) < bytes.MinRead {
			b = slices.Grow(b, max(bytes.MinRead, cap(b)))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// broken is the error of a body that cannot be read to its end; nil for nil.
func broken(encoding string, limit int64, err error) error {
	if err == nil {
		return nil
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge(limit, "more came")
	}
	if encoding == "" || encoding == "identity" {
		return fairlead.Invalid("the body ended too early").
			Hintf("send as many bytes as Content-Length says, and an end to a chunked body").Cause(err)
	}
	return fairlead.Invalid("the body is said to be %s, but cannot be decompressed", encoding).
		Hintf("send it plain, or compress it whole").Cause(err)
}

func tooLarge(limit int64, came string) error {
	return fairlead.Errorf(fairlead.CodeTooLarge, "the body is larger than this server takes: at most %s bytes, but %s",
		bytesOf(limit), came).
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
