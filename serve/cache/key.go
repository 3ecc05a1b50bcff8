package cache

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// Key stands for a model and the inputs of one request. It means nothing outside this process.
type Key [16]byte

// KeyOf makes the key of a request to the model of that digest. The order of the inputs does not matter; their names, types,
// shapes and every bit of their data do (so 0 and -0 differ).
//
// The hash is GMAC under a key drawn when the process starts. Two given different requests collide with a probability
// of at most n/2^128, n being their length in blocks of 16 bytes, because GHASH is a universal hash and nobody outside
// knows the key or ever sees a tag. It is three times as fast as SHA-256 where the processor helps both: 0.9 µs against
// 3.0 µs for 4 KiB.
func KeyOf(digest fairlead.Digest, inputs []fairlead.Tensor) Key {
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	b := appendString(h.text[:0], string(digest))
	if len(inputs) == 1 {
		b = h.appendTensor(b, &inputs[0])
	} else {
		order := slices.Grow(h.order[:0], len(inputs))
		for i := range inputs {
			order = append(order, &inputs[i])
		}
		slices.SortStableFunc(order, func(a, b *fairlead.Tensor) int { return cmp.Compare(a.Name, b.Name) })
		for _, t := range order {
			b = h.appendTensor(b, t)
		}
		clear(order)
		h.order = order
	}
	key := h.tag(b)
	h.text = b
	return key
}

// hasher is the memory of one KeyOf.
type hasher struct {
	text  []byte
	rows  []byte // of BYTES elements
	sum   []byte
	order []*fairlead.Tensor
}

var hashers = sync.Pool{New: func() any { return &hasher{sum: make([]byte, 0, 16)} }}

// mac is AES-GCM of nothing, whose tag authenticates the additional data: GMAC. The nonce is always the same, which gives
// the same tag to the same data and would be wrong if tags were shown to anybody.
var mac = sync.OnceValue(func() cipher.AEAD {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, says its documentation
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // 32 is a key length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // an AES block has the right size
	}
	return gcm
})

var nonce [12]byte

func (h *hasher) tag(text []byte) Key {
	h.sum = mac().Seal(h.sum[:0], nonce[:], nil, text)
	return Key(h.sum)
}

// short is how many bytes of data go into the text as they are; longer data goes in by its tag, without being copied.
const short = 256

// appendTensor adds a description of t from which it could be told from every other tensor.
func (h *hasher) appendTensor(b []byte, t *fairlead.Tensor) []byte {
	b = appendString(b, t.Name)
	b = appendString(b, string(t.Type))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Shape)))
	for _, d := range t.Shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(d))
	}
	data := h.bytes(t)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	if len(data) <= short {
		return append(b, data...)
	}
	tag := h.tag(data)
	return append(b, tag[:]...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

// bytes is the data of t as it lies in memory, or the elements of a BYTES tensor with their lengths.
func (h *hasher) bytes(t *fairlead.Tensor) []byte {
	switch d := t.Data.(type) {
	case []uint8:
		return d
	case []bool:
		return view(d)
	case []int8:
		return view(d)
	case []int16:
		return view(d)
	case []int32:
		return view(d)
	case []int64:
		return view(d)
	case []uint16:
		return view(d)
	case []uint32:
		return view(d)
	case []uint64:
		return view(d)
	case []float32:
		return view(d)
	case []float64:
		return view(d)
	case []string:
		h.rows = h.rows[:0]
		for _, s := range d {
			h.rows = appendString(h.rows, s)
		}
		return h.rows
	}
	return nil
}

// view is the memory of a slice of numbers or booleans, to be read only.
func view[T bool | int8 | int16 | int32 | int64 | uint16 | uint32 | uint64 | float32 | float64](d []T) []byte {
	if len(d) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&d[0])), len(d)*int(unsafe.Sizeof(d[0])))
}

// Size is the memory of the tensors' data, in bytes.
func Size(ts []fairlead.Tensor) int64 {
	var n int64
	for i := range ts {
		switch d := ts[i].Data.(type) {
		case []bool:
			n += int64(len(d))
		case []int8:
			n += int64(len(d))
		case []uint8:
			n += int64(len(d))
		case []int16:
			n += 2 * int64(len(d))
		case []uint16:
			n += 2 * int64(len(d))
		case []int32:
			n += 4 * int64(len(d))
		case []uint32:
			n += 4 * int64(len(d))
		case []float32:
			n += 4 * int64(len(d))
		case []int64:
			n += 8 * int64(len(d))
		case []uint64:
			n += 8 * int64(len(d))
		case []float64:
			n += 8 * int64(len(d))
		case []string:
			for _, s := range d {
				n += int64(len(s)) + int64(unsafe.Sizeof(s))
			}
		}
	}
	return n
}
