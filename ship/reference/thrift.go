package reference

import (
	"encoding/binary"
	"errors"
	"math"
)

// compact reads Thrift's compact protocol, as far as the header of a Parquet page needs it. It is stricter than a
// Thrift library has to be: what it accepts, Arrow reads in the same way.
type compact struct {
	b   []byte
	at  int
	err error
}

// Type codes of fields.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftStruct = 12
)

var errThrift = errors.New("a page header is not readable")

func (c *compact) fail() { c.err, c.at = errThrift, len(c.b) }

func (c *compact) byte() byte {
	if c.at >= len(c.b) {
		c.fail()
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *compact) uvarint() uint64 {
	v, n := binary.Uvarint(c.b[c.at:])
	if n <= 0 {
		c.fail()
		return 0
	}
	c.at += n
	return v
}

func (c *compact) i32() int32 {
	u := c.uvarint()
	v := int64(u>>1) ^ -int64(u&1)
	if v < math.MinInt32 || v > math.MaxInt32 {
		c.fail()
	}
	return int32(v)
}

// fields calls read for each field of a struct, in order. read consumes the value, or says false to have it skipped.
// Fields that go back or repeat are refused.
func (c *compact) fields(depth int, read func(id int, kind byte) bool) {
	id := 0
	for c.err == nil {
		h := c.byte()
		kind := h & 15
		if kind == thriftStop {
			return
		}
		next := id + int(h>>4)
		if h>>4 == 0 {
			next = int(c.i32())
		}
		if next <= id || next > math.MaxInt16 {
			c.fail()
			return
		}
		if id = next; !read(id, kind) {
			c.skip(kind, depth)
		}
	}
}

func (c *compact) skip(kind byte, depth int) {
	if depth > 16 {
		c.fail()
		return
	}
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		c.byte()
	case thriftI16, thriftI32, thriftI64:
		c.uvarint()
	case thriftDouble:
		c.advance(8)
	case thriftBinary:
		c.advance(c.uvarint())
	case thriftStruct:
		c.fields(depth+1, func(int, byte) bool { return false })
	default:
		// Page headers have no lists, sets or maps.
		c.fail()
	}
}

func (c *compact) advance(n uint64) {
	if n > uint64(len(c.b)-c.at) {
		c.fail()
		return
	}
	c.at += int(n)
}
