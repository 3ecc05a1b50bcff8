package eventlog

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The small codecs share one form: two bytes (kind, version), then fields in a fixed order: varints, strings with
// their length in front, times as microseconds since 1970 UTC, and names by their number in a list that grows as they
// first appear.

type writer struct {
	buf   []byte
	names map[string]uint64
}

func newWriter(kind byte) *writer {
	return &writer{buf: []byte{kind, 1}, names: make(map[string]uint64)}
}

func (w *writer) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }

func (w *writer) int(v int64) { w.buf = binary.AppendVarint(w.buf, v) }

func (w *writer) time(t time.Time) { w.int(t.UnixMicro()) }

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) bytes(b []byte) {
	w.uint(uint64(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *writer) name(s string) {
	i, ok := w.names[s]
	if !ok {
		i = uint64(len(w.names))
		w.names[s] = i
	}
	w.uint(i)
	if !ok {
		w.string(s)
	}
}

// reader is the counterpart. After the first error it gives zero values; err says what was wrong.
type reader struct {
	buf   []byte
	size  int
	names []string
	err   error
}

func newReader(b []byte, kind byte) *reader { return newReaderUpTo(b, kind, 1) }

// newReaderUpTo takes the versions from 1 to newest.
func newReaderUpTo(b []byte, kind, newest byte) *reader {
	r := &reader{buf: b, size: len(b)}
	switch {
	case len(b) < 2 || b[0] != kind:
		r.fail("it does not start with %q", kind)
	case b[1] == 0 || b[1] > newest && newest == 1:
		r.fail("it has version %d, this program reads version 1", b[1])
	case b[1] > newest:
		r.fail("it has version %d, this program reads versions 1 to %d", b[1], newest)
	default:
		r.buf = b[2:]
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d of %d: %s", r.size-len(r.buf), r.size, fmt.Sprintf(format, args...))
	}
	r.buf = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail("expected a number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail("expected a number")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) time() time.Time { return time.UnixMicro(r.int()).UTC() }

// slice is a view into the message.
func (r *reader) slice() []byte {
	n := r.uint()
	if n > uint64(len(r.buf)) {
		r.fail("a string of %d bytes does not fit", n)
		return nil
	}
	s := r.buf[:n]
	r.buf = r.buf[n:]
	return s
}

func (r *reader) string() string { return string(r.slice()) }

func (r *reader) name() string {
	i := r.uint()
	switch {
	case r.err != nil:
		return ""
	case i < uint64(len(r.names)):
		return r.names[i]
	case i > uint64(len(r.names)):
		r.fail("name %d was not given", i)
		return ""
	}
	s := r.string()
	r.names = append(r.names, s)
	return s
}

// count reads a number of entries of at least least bytes each, so that a wrong number cannot allocate much.
func (r *reader) count(least int) int {
	n := r.uint()
	if n > uint64(len(r.buf)/least) || n > math.MaxInt32 {
		r.fail("%d entries do not fit", n)
		return 0
	}
	return int(n)
}

func (r *reader) end() error {
	if r.err == nil && len(r.buf) > 0 {
		r.fail("%d bytes too many", len(r.buf))
	}
	return r.err
}
