package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The Arrow reader allocates what the lengths in a stream ask for, and memory that is not there ends the process.
// verifyStream looks at every such length first. It knows the little of the FlatBuffers encoding and of Arrow's
// Message.fbs and Schema.fbs (format version 5) that this needs, and refuses what EncodePredictions never writes:
// dictionaries, compressed buffers, deeper nesting than a list.

// Places of fields in the tables of Arrow's schema files, and values of Message.header_type.
const (
	messageHeaderType, messageHeader, messageBodyLength = 1, 2, 3
	schemaFields, schemaMetadata                        = 1, 2
	fieldDictionary, fieldChildren, fieldMetadata       = 4, 5, 6
	batchNodes, batchBuffers, batchCompression          = 1, 2, 3
	batchVariadic                                       = 4
	headerSchema, headerRecordBatch                     = 1, 3
)

var errStream = errors.New("not an Arrow stream as this program writes it")

// verifyStream panics on an offset that points out of the stream; DecodePredictions recovers.
func verifyStream(b []byte) error {
	for len(b) > 0 {
		if len(b) < 8 || binary.LittleEndian.Uint32(b) != 0xffffffff {
			return errStream
		}
		n := int(int32(binary.LittleEndian.Uint32(b[4:])))
		if b = b[8:]; n == 0 {
			return nil
		}
		if n < 8 || n > len(b) {
			return fmt.Errorf("a header of %d bytes does not fit: %w", n, errStream)
		}
		body, err := verifyMessage(fbTable{b[:n:n], int(binary.LittleEndian.Uint32(b))})
		if err != nil {
			return err
		}
		if b = b[n:]; body < 0 || body > int64(len(b)) {
			return fmt.Errorf("a body of %d bytes does not fit: %w", body, errStream)
		}
		b = b[body:]
	}
	return nil
}

func verifyMessage(m fbTable) (body int64, err error) {
	if p := m.field(messageBodyLength); p > 0 {
		body = int64(binary.LittleEndian.Uint64(m.b[p:]))
	}
	kind := 0
	if p := m.field(messageHeaderType); p > 0 {
		kind = int(m.b[p])
	}
	header, ok := m.table(messageHeader)
	if !ok {
		return 0, errStream
	}
	switch kind {
	case headerSchema:
		return body, errors.Join(header.vectorFits(schemaMetadata, 4), verifyFields(header, schemaFields, 2))
	case headerRecordBatch:
		if header.field(batchCompression) > 0 || header.field(batchVariadic) > 0 {
			return 0, errStream
		}
		return body, errors.Join(header.vectorFits(batchNodes, 16), header.vectorFits(batchBuffers, 16))
	}
	return 0, errStream
}

func verifyFields(t fbTable, slot, depth int) error {
	if err := t.vectorFits(slot, 4); err != nil {
		return err
	}
	start, n := t.vector(slot)
	if n > 0 && depth == 0 {
		return errStream
	}
	for i := range n {
		p := start + 4*i
		f := fbTable{t.b, p + int(binary.LittleEndian.Uint32(t.b[p:]))}
		if f.field(fieldDictionary) > 0 {
			return errStream
		}
		if err := errors.Join(f.vectorFits(fieldMetadata, 4), verifyFields(f, fieldChildren, depth-1)); err != nil {
			return err
		}
	}
	return nil
}

// fbTable is a FlatBuffers table: pos is where it starts in b.
type fbTable struct {
	b   []byte
	pos int
}

// field is where the field in a slot lies, 0 if it is absent.
func (t fbTable) field(slot int) int {
	vtable := t.pos - int(int32(binary.LittleEndian.Uint32(t.b[t.pos:])))
	at := 4 + 2*slot
	if at+2 > int(binary.LittleEndian.Uint16(t.b[vtable:])) {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(t.b[vtable+at:]))
	if offset == 0 {
		return 0
	}
	return t.pos + offset
}

func (t fbTable) table(slot int) (fbTable, bool) {
	p := t.field(slot)
	if p == 0 {
		return fbTable{}, false
	}
	return fbTable{t.b, p + int(binary.LittleEndian.Uint32(t.b[p:]))}, true
}

// vector gives the start and the number of the elements of a vector.
func (t fbTable) vector(slot int) (start, n int) {
	p := t.field(slot)
	if p == 0 {
		return 0, 0
	}
	p += int(binary.LittleEndian.Uint32(t.b[p:]))
	return p + 4, int(binary.LittleEndian.Uint32(t.b[p:]))
}

func (t fbTable) vectorFits(slot, size int) error {
	if start, n := t.vector(slot); n > (len(t.b)-start)/size {
		return fmt.Errorf("a list of %d does not fit: %w", n, errStream)
	}
	return nil
}
