package profile

import (
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

const (
	maxColumns   = 100_000
	maxName      = 4096
	maxUnitPower = 1000
)

func (l *Layout) encode(w *writer) {
	w.uvarint(uint64(len(l.Columns)))
	for i := range l.Columns {
		l.Columns[i].encode(w)
	}
}

func decodeLayout(r *reader) *Layout {
	l := &Layout{}
	for range r.count(8, maxColumns) {
		c := decodeColumn(r)
		if r.err != nil {
			return l
		}
		l.Columns = append(l.Columns, c)
	}
	return l
}

func (c *Column) encode(w *writer) {
	w.string(c.Name)
	w.string(c.Field.Tensor)
	w.uvarint(uint64(c.Field.Index))
	w.string(c.typeName())
	w.string(string(c.Field.Role))
	w.bool(c.Output)
	w.bool(c.Kind == Numeric)
	switch {
	case c.Kind == Numeric:
		c.encodeUnit(w)
		w.uvarint(uint64(len(c.edges)))
		for i, e := range c.edges {
			w.float(e)
			if i < len(c.atoms) {
				w.bool(c.atoms[i])
			}
		}
		w.uvarint(uint64(len(c.alert)))
		for _, a := range c.alert {
			w.uvarint(uint64(a))
		}
	case c.byValue():
		c.encodeUnit(w)
		w.uvarint(uint64(len(c.values)))
		for _, v := range c.values {
			w.float(v)
		}
	default:
		w.uvarint(uint64(len(c.keys)))
		for _, k := range c.keys {
			w.string(k)
		}
		c.vocab.encode(w)
	}
}

// projectionMark stands between the type and the projection of a column that has one; those without are as they always were.
const projectionMark = "|"

func (c *Column) typeName() string {
	if c.Projection == "" {
		return string(c.Field.Type)
	}
	return string(c.Field.Type) + projectionMark + string(c.Projection)
}

func (c *Column) decodeProjection(r *reader, p Projection) {
	name, named := strings.CutSuffix(c.Name, "."+string(p))
	known := slices.Contains(textProjections, p) || slices.Contains(tensorProjections, p)
	if !known || !named || c.Field.Type != projectedType {
		r.fail("column %q of type %q is no projection that is known: %q", c.Name, c.Field.Type, p)
		return
	}
	c.Projection, c.Field.Name = p, name
}

func (c *Column) encodeUnit(w *writer) {
	_, exp := math.Frexp(c.unit)
	w.varint(int64(exp - 1))
}

func (c *Column) decodeUnit(r *reader) {
	exp := r.varint()
	if exp < -maxUnitPower || exp > maxUnitPower {
		r.fail("a resolution of 2^%d is out of range", exp)
		return
	}
	c.unit = math.Ldexp(1, int(exp))
}

func decodeColumn(r *reader) Column {
	c := Column{Name: r.string(maxName), Kind: Categorical}
	c.Field = fairlead.Field{Name: c.Name, Tensor: r.string(maxName)}
	index := r.uvarint()
	typeName, projection, made := strings.Cut(r.string(maxName), projectionMark)
	c.Field.Type = fairlead.DataType(typeName)
	c.Field.Role = fairlead.OutputRole(r.string(maxName))
	c.Output = r.bool()
	c.Field.Output = c.Output
	if index > math.MaxInt32 || fairlead.MakeData(c.Field.Type, 0) == nil {
		r.fail("column %q is number %d of a tensor of type %q", c.Name, index, c.Field.Type)
		return c
	}
	c.Field.Index = int(index)
	if made {
		c.decodeProjection(r, Projection(projection))
	}
	if r.bool() {
		c.Kind = Numeric
	}
	switch {
	case c.Kind == Numeric && c.Field.Type == fairlead.Bytes:
		r.fail("column %q is text with numeric bins", c.Name)
	case c.Kind == Numeric:
		c.decodeNumeric(r)
	case c.byValue():
		c.decodeUnit(r)
		c.values = decodeAscending(r, c.Field.Type, fewValues, nil)
	default:
		c.decodeKeys(r)
	}
	return c
}

// decodeAscending reads strictly ascending numbers of a type; after each but the last it calls between.
func decodeAscending(r *reader, t fairlead.DataType, limit int, between func()) []float64 {
	n := r.count(1, limit)
	values := make([]float64, 0, n)
	for i := range n {
		v := r.finite()
		if i > 0 && v <= values[i-1] || isFloat32(t) && float64(float32(v)) != v {
			r.fail("bounds are not in ascending order, or finer than the column's type")
			return values
		}
		values = append(values, v)
		if i < n-1 && between != nil {
			between()
		}
	}
	return values
}

func (c *Column) decodeNumeric(r *reader) {
	c.decodeUnit(r)
	c.edges = decodeAscending(r, c.Field.Type, maxRank, func() { c.atoms = append(c.atoms, r.bool()) })
	if len(c.edges) < 2 {
		r.fail("column %q has %d edges", c.Name, len(c.edges))
		return
	}
	for range r.count(1, alertBins+1) {
		a := r.uvarint()
		if n := len(c.alert); n == 0 && a != 0 || n > 0 && a <= uint64(c.alert[n-1]) || a >= uint64(len(c.edges)) {
			r.fail("the alert bins of column %q are out of order", c.Name)
			return
		}
		c.alert = append(c.alert, int(a))
	}
	if n := len(c.alert); n < 2 || c.alert[n-1] != len(c.edges)-1 {
		r.fail("the alert bins of column %q do not cover its edges", c.Name)
	}
}

func (c *Column) decodeKeys(r *reader) {
	n := r.count(1, ownCategories)
	seen := make(map[string]bool, n)
	for range n {
		k := r.string(keyBytes + 17)
		if seen[k] {
			r.fail("category %q of column %q comes twice", k, c.Name)
			return
		}
		seen[k] = true
		c.keys = append(c.keys, k)
	}
	c.vocab = decodeVocabulary(r)
}
