package codec

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// column gathers the values of one tensor while they are read.
type column interface {
	grow(n int)                                // appends n zero values
	set(p *parser, at int) error               // reads one value into place
	append(p *parser, limit int) (dims, error) // reads an array, nested or flat; keeps at most limit values in all
	one(p *parser) error                       // reads one value and appends it
	reserve(n int)
	len() int
	slice() any
}

// values is a column of element type T.
type values[T any] struct {
	data  []T
	parse func(*parser) (T, error)
	quick func(b []byte, i int) (T, int)                           // reads a usual value and gives the index behind it, 0 for others; may be nil
	many  func(b []byte, i int, out []T) (n, end int, closed bool) // reads many usual ones, see decimals; may be nil
	null  func() (T, bool)                                         // what null stands for; nil: it is refused
}

// newColumn makes a column for tensors of type t, nil for an unknown one. Rows of named features are read with more
// patience than tensors: null is a missing value, true is 1 for a number, and 733.0 is an integer.
func newColumn(t fairlead.DataType, rows bool) column {
	switch t {
	case fairlead.Bool:
		return &values[bool]{parse: parseBool}
	case fairlead.Int8:
		return &values[int8]{parse: whole(parseSigned[int8], rows), quick: quickSigned[int8]}
	case fairlead.Int16:
		return &values[int16]{parse: whole(parseSigned[int16], rows), quick: quickSigned[int16]}
	case fairlead.Int32:
		return &values[int32]{parse: whole(parseSigned[int32], rows), quick: quickSigned[int32]}
	case fairlead.Int64:
		return &values[int64]{parse: whole(parseSigned[int64], rows), quick: quickSigned[int64]}
	case fairlead.Uint8:
		return &values[uint8]{parse: whole(parseUnsigned[uint8], rows), quick: quickUnsigned[uint8]}
	case fairlead.Uint16:
		return &values[uint16]{parse: whole(parseUnsigned[uint16], rows), quick: quickUnsigned[uint16]}
	case fairlead.Uint32:
		return &values[uint32]{parse: whole(parseUnsigned[uint32], rows), quick: quickUnsigned[uint32]}
	case fairlead.Uint64:
		return &values[uint64]{parse: whole(parseUnsigned[uint64], rows), quick: quickUnsigned[uint64]}
	case fairlead.FP16, fairlead.BF16:
		nan, _ := toHalf(math.NaN(), t)
		one, _ := toHalf(1, t)
		return &values[uint16]{parse: truth(parseHalf(t), one, rows), null: missing(nan, rows)}
	case fairlead.FP32:
		return &values[float32]{parse: truth((*parser).float32, 1, rows), quick: quick32, many: decimals[float32],
			null: missing(float32(math.NaN()), rows)}
	case fairlead.FP64:
		return &values[float64]{parse: truth((*parser).float64, 1, rows), quick: quick64, many: decimals[float64],
			null: missing(math.NaN(), rows)}
	case fairlead.Bytes:
		return &values[string]{parse: parseBytes, null: missing("", rows)}
	}
	return nil
}

func missing[T any](v T, rows bool) func() (T, bool) {
	if !rows {
		return nil
	}
	return func() (T, bool) { return v, true }
}

// truth makes a number of true and false.
func truth[T any](parse func(*parser) (T, error), one T, rows bool) func(*parser) (T, error) {
	if !rows {
		return parse
	}
	return func(p *parser) (T, error) {
		v, err := parse(p)
		if err != errNumber {
			return v, err
		}
		var zero T
		switch {
		case p.word("true"):
			return one, nil
		case p.word("false"):
			return zero, nil
		}
		return v, err
	}
}

// whole also takes true, false, and a float without a fraction, which is how data frames write integers.
func whole[T signed | unsigned](parse func(*parser) (T, error), rows bool) func(*parser) (T, error) {
	if !rows {
		return parse
	}
	return func(p *parser) (T, error) {
		v, err := parse(p)
		if err != errInteger {
			return v, err
		}
		start := p.i
		if b, err := parseBool(p); err == nil {
			if b {
				return 1, nil
			}
			return 0, nil
		}
		f, ferr := p.float64()
		if ferr == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
			if float64(T(f)) == f {
				return T(f), nil
			}
			err = errRange
		}
		p.i = start
		return v, err
	}
}

// parseBytes reads a string, or {"b64": "…"} for bytes that are not text.
func parseBytes(p *parser) (string, error) {
	if p.i < len(p.b) && p.b[p.i] == '{' {
		start := p.i
		var text string
		ok := false
		err := p.object(func(key string) error {
			s, err := p.string()
			if err != nil || key != "b64" {
				return errString
			}
			raw, err := base64.StdEncoding.DecodeString(s)
			text, ok = string(raw), err == nil
			return err
		})
		if err != nil || !ok {
			p.i = start
			return "", errString
		}
		return text, nil
	}
	if p.i >= len(p.b) || p.b[p.i] != '"' {
		return "", errString
	}
	return p.string()
}

func (v *values[T]) grow(n int)    { v.data = append(v.data, make([]T, n)...) }
func (v *values[T]) reserve(n int) { v.data = make([]T, 0, n) }
func (v *values[T]) len() int      { return len(v.data) }
func (v *values[T]) slice() any    { return v.data }

func (v *values[T]) read(p *parser) (T, error) {
	if v.quick != nil {
		if x, end := v.quick(p.b, p.i); end > 0 {
			p.i = end
			return x, nil
		}
	}
	if p.i < len(p.b) && p.b[p.i] == 'n' && p.word("null") {
		if v.null != nil {
			x, _ := v.null()
			return x, nil
		}
		p.i -= len("null")
		var zero T
		return zero, errNull
	}
	return v.parse(p)
}

func (v *values[T]) set(p *parser, at int) (err error) {
	v.data[at], err = v.read(p)
	return err
}

func (v *values[T]) one(p *parser) error {
	x, err := v.read(p)
	if err == nil {
		v.data = append(v.data, x)
	}
	return err
}

// dims is the shape of a nested array, outermost first, and the number of its leaves.
type dims struct {
	shape  []int // until the parser reads another array
	leaves int
}

// place is an error at one leaf or level of an array.
type place struct {
	path []int // indices, outermost first
	err  error // what was expected, or
	text string
}

func (e *place) Error() string { return e.text }

// where writes data[3][0].
func (e *place) where(name string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, i := range e.path {
		fmt.Fprintf(&b, "[%d]", i)
	}
	return b.String()
}

// append reads an array. All arrays of one level must be of one length. A *place is what is wrong with a value.
func (v *values[T]) append(p *parser, limit int) (dims, error) {
	a := arrays[T]{v: v, p: p, limit: limit, lengths: p.lengths[:0], path: p.path[:0]}
	err := a.level(0)
	p.lengths, p.path = a.lengths, a.path
	if err != nil {
		if place, ok := err.(*place); ok {
			place.path = a.path[:a.depth:a.depth]
		}
		return dims{}, err
	}
	return dims{shape: a.lengths, leaves: a.leaves}, nil
}

type arrays[T any] struct {
	v       *values[T]
	p       *parser
	limit   int
	leaves  int
	lengths []int // of each level, -1 while unknown
	deepest int   // the level of the leaves, once known, plus 1
	path    []int
	depth   int
}

// level reads the array at p.i, whose elements are at that depth.
func (a *arrays[T]) level(depth int) error {
	if depth >= maxDepth {
		return tooDeep()
	}
	p := a.p
	p.i++ // '['
	if len(a.lengths) == depth {
		a.lengths = append(a.lengths, -1)
		a.path = append(a.path, 0)
	}
	a.depth = depth + 1
	n, closed := 0, p.space() == ']'
	if !closed && a.v.quick != nil && (a.deepest == 0 || a.deepest == depth+1) {
		n, closed = a.plain(depth)
	}
	for ; !closed; n++ {
		a.path[depth] = n
		if err := a.element(p.space(), depth); err != nil {
			return err
		}
		a.depth = depth + 1
		switch p.space() {
		case ',':
			p.i++
		case ']':
			closed = true
		default:
			return p.syntax("',' or ']'")
		}
	}
	p.i++ // ']'
	if a.lengths[depth] < 0 {
		a.lengths[depth] = n
	}
	if a.lengths[depth] != n {
		a.depth = depth
		return &place{text: fmt.Sprintf("has %d elements where those before it have %d", n, a.lengths[depth])}
	}
	return nil
}

// plain is the fast way through an array of usual values. It stops at the end of the array, which closed says, or where
// the general way must go on, and gives the number of elements that it has read.
func (a *arrays[T]) plain(depth int) (n int, closed bool) {
	b, i := a.p.b, a.p.i
	data, quick := a.v.data, a.v.quick
	room := a.limit - len(data)
	for !closed {
		if a.v.many != nil && n < room {
			var k int
			k, i, closed = a.v.many(b, i, data[len(data):min(cap(data), len(data)+room-n)])
			if data, n = data[:len(data)+k], n+k; closed {
				break
			}
		}
		x, end := quick(b, i)
		if end == 0 {
			// Exponents and long numbers are the parser's, which then gives the turn back.
			a.p.i = i
			var err error
			if x, err = a.v.parse(a.p); err != nil {
				a.p.i = i
				break
			}
			end = a.p.i
		}
		if end < len(b) && b[end] <= ' ' {
			end = skipSpace(b, end)
		}
		if end >= len(b) || b[end] != ',' && b[end] != ']' {
			break // the general way reads the value again, and says what is wrong behind it
		}
		if n < room {
			data = append(data, x)
		}
		n++
		if closed = b[end] == ']'; !closed {
			if end++; end < len(b) && b[end] <= ' ' {
				end = skipSpace(b, end)
			}
		}
		i = end
	}
	a.p.i, a.v.data = i, data
	a.leaves += n
	if n > 0 {
		a.deepest = depth + 1
	}
	return n, closed
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func (a *arrays[T]) element(c byte, depth int) error {
	if c == '[' {
		if a.deepest == depth+1 {
			return &place{text: "is an array where those before it are values"}
		}
		return a.level(depth + 1)
	}
	if a.deepest == 0 {
		a.deepest = depth + 1
	}
	if a.deepest != depth+1 {
		return &place{text: "is a value where those before it are arrays"}
	}
	if c == 0 || c == ']' || c == '}' || c == ',' || c == ':' {
		return a.p.syntax("a value")
	}
	x, err := a.v.read(a.p)
	if err != nil {
		if _, syntax := err.(*fairlead.Error); syntax {
			return err
		}
		return &place{err: err, text: "is " + a.p.found()}
	}
	a.leaves++
	if len(a.v.data) < a.limit {
		a.v.data = append(a.v.data, x)
	}
	return nil
}
