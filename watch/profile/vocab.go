package profile

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"
)

// keyBytes is how much of a long value is kept. Longer values are told apart by a hash of all of them.
const keyBytes = 128

// key is the name under which a text value is counted: the value itself up to 128 bytes, else its beginning, '#' and
// sixteen hex digits of a hash.
func key(s string) string {
	if len(s) <= keyBytes {
		return s
	}
	const digits = "0123456789abcdef"
	end := keyBytes
	for end > keyBytes-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	b := append(make([]byte, 0, end+17), s[:end]...)
	b = append(b, '#')
	for h, i := hash64(s), 0; i < 16; i++ {
		b = append(b, digits[h>>60])
		h <<= 4
	}
	return string(b)
}

// hash64 is FNV-1a with the finisher of MurmurHash3, part of the stored format.
func hash64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// vocabulary tells values of the reference that have no bin of their own (other) from values that it never had
// (unseen).
//
// Up to 10,000 it keeps the values: exact. Up to 200,000 it keeps 32-bit hashes: of the values never seen at most one
// in 20,000 is taken for a known one. Beyond that it keeps nothing (open) and calls every value other: a column of
// ever new values, such as an identifier, has no unseen ones worth an alarm.
type vocabulary struct {
	keys   map[string]struct{}
	hashes []uint32 // ascending, distinct
	open   bool
}

// newVocabulary takes the values without a bin of their own.
func newVocabulary(rest []string) *vocabulary {
	v := &vocabulary{}
	switch {
	case len(rest) > hashedKeys:
		v.open = true
	case len(rest) > exactKeys:
		v.hashes = make([]uint32, len(rest))
		for i, k := range rest {
			v.hashes[i] = uint32(hash64(k))
		}
		slices.Sort(v.hashes)
		v.hashes = slices.Compact(v.hashes)
	default:
		v.keys = make(map[string]struct{}, len(rest))
		for _, k := range rest {
			v.keys[k] = struct{}{}
		}
	}
	return v
}

func (v *vocabulary) has(k string) bool {
	if v.open {
		return true
	}
	if v.hashes != nil {
		_, ok := slices.BinarySearch(v.hashes, uint32(hash64(k)))
		return ok
	}
	_, ok := v.keys[k]
	return ok
}

// ranked orders the keys of a count by frequency, the more frequent first, ties by name.
func ranked(rows map[string]int) []string {
	keys := make([]string, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(rows[b], rows[a]), cmp.Compare(a, b))
	})
	return keys
}

const (
	vocabExact = iota
	vocabHashed
	vocabOpen
)

func (v *vocabulary) encode(w *writer) {
	switch {
	case v.open:
		w.byte(vocabOpen)
	case v.hashes != nil:
		w.byte(vocabHashed)
		w.uvarint(uint64(len(v.hashes)))
		last := uint32(0)
		for i, h := range v.hashes { // gaps, the first one from 0
			if i > 0 {
				h -= last + 1
			}
			w.uvarint(uint64(h))
			last = v.hashes[i]
		}
	default:
		keys := make([]string, 0, len(v.keys))
		for k := range v.keys {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		w.byte(vocabExact)
		w.uvarint(uint64(len(keys)))
		for _, k := range keys {
			w.string(k)
		}
	}
}

func decodeVocabulary(r *reader) *vocabulary {
	v := &vocabulary{}
	switch r.byte() {
	case vocabOpen:
		v.open = true
	case vocabHashed:
		n := r.count(1, hashedKeys)
		v.hashes = make([]uint32, 0, n)
		next := uint64(0)
		for range n {
			h := next + r.uvarint()
			if h > math.MaxUint32 {
				r.fail("a hash of the vocabulary is out of range")
				return v
			}
			v.hashes = append(v.hashes, uint32(h))
			next = h + 1
		}
	case vocabExact:
		n := r.count(1, exactKeys)
		v.keys = make(map[string]struct{}, n)
		last := ""
		for i := range n {
			k := r.string(keyBytes + 17)
			if i > 0 && k <= last {
				r.fail("the vocabulary is not in order")
				return v
			}
			v.keys[k], last = struct{}{}, k
		}
	default:
		r.fail("the vocabulary is of an unknown form")
	}
	return v
}
