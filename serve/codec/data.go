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
	null  func() (T, bool) // what null stands for; nil: it is refused
}

// newColumn makes a column for tensors of type t, nil for an unknown one. Rows of named features are read with more
// patience than tensors: null is a missing value, true is 1 for a number, and 733.0 is an integer.
func newColumn(t fairlead.DataType, rows bool) column {
	switch t {
	case fairlead.Bool:
		return &values[bool]{parse: parseBool}
	case fairlead.Int8:
		return &values[int8]{parse: whole(parseSigned[int8], rows)}
	case fairlead.Int16:
		return &values[int16]{parse: whole(parseSigned[int16], rows)}
	case fairlead.Int32:
		return &values[int32]{parse: whole(parseSigned[int32], rows)}
	case fairlead.Int64:
		return &values[int64]{parse: whole(parseSigned[int64], rows)}
	case fairlead.Uint8:
		return &values[uint8]{parse: whole(parseUnsigned[uint8], rows)}
	case fairlead.Uint16:
		return &values[uint16]{parse: whole(parseUnsigned[uint16], rows)}
	case fairlead.Uint32:
		return &values[uint32]{parse: whole(parseUnsigned[uint32], rows)}
	case fairlead.Uint64:
		return &values[uint64]{parse: whole(parseUnsigned[uint64], rows)}
	case fairlead.FP16, fairlead.BF16:
		nan, _ := toHalf(math.NaN(), t)
		one, _ := toHalf(1, t)
		return &values[uint16]{parse: truth(parseHalf(t), one, rows), null: missing(nan, rows)}
	case fairlead.FP32:
		return &values[float32]{parse: truth((*parser).float32, 1, rows), null: missing(float32(math.NaN()), rows)}
	case fairlead.FP64:
		return &values[float64]{parse: truth((*parser).float64, 1, rows), null: missing(math.NaN(), rows)}
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
	shape  []int
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
	a := arrays[T]{v: v, p: p, limit: limit}
	if err := a.level(0); err != nil {
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
	n := 0
	if p.space() != ']' {
		if fast, ok := any(a.v).(*values[float32]); ok && fast.null == nil {
			n = a.floats(fast, depth)
		}
		for ; ; n++ {
			a.path[depth] = n
			if err := a.element(p.space(), depth); err != nil {
				return err
			}
			a.depth = depth + 1
			if c := p.space(); c == ',' {
				p.i++
				continue
			} else if c != ']' {
				return p.syntax("',' or ']'")
			}
			n++
			break
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

// floats is the fast way through an array of plain numbers. It stops before the last element and before anything else
// than a number, which the general way then reads, and gives the number of elements it has read.
func (a *arrays[T]) floats(v *values[float32], depth int) int {
	if a.deepest != 0 && a.deepest != depth+1 {
		return 0
	}
	p, n := a.p, 0
	for {
		start := p.i
		f, err := p.float32()
		if err != nil {
			p.i = start
			break
		}
		if p.i >= len(p.b) || p.b[p.i] != ',' && p.space() != ',' {
			p.i = start
			break
		}
		p.i++
		p.space()
		a.deepest = depth + 1
		a.leaves++
		if len(v.data) < a.limit {
			v.data = append(v.data, f)
		}
		n++
	}
	return n
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
