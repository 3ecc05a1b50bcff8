package profile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/fairlead-ml/fairlead"
)

// Both encodings are a magic byte pair, a version byte, a body of varints and a CRC-32C of all before it. Equal
// values have equal encodings.
const (
	magicReference = "FR"
	magicCounts    = "FC"
	formatVersion  = 1
	frameBytes     = 3 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame puts a body between its magic bytes and its checksum.
func frame(magic string, body func(w *writer)) []byte {
	w := &writer{b: append([]byte(magic), formatVersion)}
	body(w)
	return binary.LittleEndian.AppendUint32(w.b, crc32.Checksum(w.b, castagnoli))
}

// unframe checks a frame and gives a reader of its body.
func unframe(what, magic string, b []byte) (*reader, error) {
	broken := func(why string, args ...any) error {
		return fairlead.Invalid("%s cannot be read: %s", what, fmt.Sprintf(why, args...))
	}
	switch {
	case len(b) < frameBytes:
		return nil, broken("%d bytes are too few", len(b))
	case string(b[:2]) != magic:
		return nil, broken("it begins with %q instead of %q", b[:2], magic)
	case b[2] != formatVersion:
		return nil, broken("it has format version %d, this server reads %d", b[2], formatVersion)
	}
	end := len(b) - 4
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, broken("the checksum is wrong, some bytes were changed or lost")
	}
	return &reader{b: b[3:end], what: what}, nil
}

// writer builds an encoding.
type writer struct{ b []byte }

func (w *writer) byte(v byte)      { w.b = append(w.b, v) }
func (w *writer) uvarint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) varint(v int64)   { w.b = binary.AppendVarint(w.b, v) }

// float writes small integers and short fractions in few bytes: their low bits are zero.
func (w *writer) float(v float64) { w.uvarint(bits.ReverseBytes64(math.Float64bits(v))) }

func (w *writer) string(s string) {
	w.uvarint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// wide writes sign and magnitude.
func (w *writer) wide(v wide) {
	w.bool(v.hi < 0)
	if v.hi < 0 {
		v = v.negated()
	}
	w.uvarint(uint64(v.hi))
	w.uvarint(v.lo)
}

func (w wide) negated() wide {
	lo, borrow := bits.Sub64(0, w.lo, 0)
	return wide{-w.hi - int64(borrow), lo}
}

// reader takes an encoding apart. The first failure sticks; from then on every read gives zero values.
type reader struct {
	b    []byte
	what string
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fairlead.Invalid("%s cannot be read: %s", r.what, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// left is the number of bytes that were not read.
func (r *reader) left() int { return len(r.b) }

// done reports the first failure, or bytes left over.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("it ends too early")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail("a flag is %d", v)
	}
	return v == 1
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	// The last byte of a varint of several bytes is not 0: one value, one encoding.
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("a number is cut off, too large or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) float() float64 { return math.Float64frombits(bits.ReverseBytes64(r.uvarint())) }

// finite is a float that is neither NaN nor infinite.
func (r *reader) finite() float64 {
	v := r.float()
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail("a bound is not finite")
		return 0
	}
	return v
}

// count reads how many items follow, at most limit and of at least size bytes each, so that a few bytes cannot ask
// for much memory.
func (r *reader) count(size, limit int) int {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.b)/size) {
		r.fail("%d items do not fit", n)
		return 0
	}
	return int(n)
}

func (r *reader) string(limit int) string {
	n := r.count(1, limit)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) wide() wide {
	negative := r.bool()
	hi, lo := r.uvarint(), r.uvarint()
	if hi > math.MaxInt64 || negative && hi == 0 && lo == 0 {
		r.fail("a sum is out of range")
		return wide{}
	}
	v := wide{int64(hi), lo}
	if negative {
		v = v.negated()
	}
	return v
}
