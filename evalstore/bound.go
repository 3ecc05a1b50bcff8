package evalstore

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// DuckDB works on chunks of 2,048 rows. What a scalar function makes of one chunk is neither counted by the memory limit nor
// ended by an interrupt, and every later step starts from it: 'x' || 'x' doubled in forty subqueries is a terabyte. So the
// longest value that an expression can have is computed from the text, like a type: columns of the store count as
// baseBytes, each function says what it does to a length, and names carry lengths from one SELECT to the next.
const (
	chunkRows  = 2048
	baseBytes  = 4 << 10   // of a value in the store
	fixedBytes = 16        // of a number
	looseBytes = 256 << 20 // of what an aggregate collected: the memory limit bounds it
	chunkBytes = 1 << 30   // all values that a query makes of one chunk
	maxNodes   = 100_000   // of the syntax tree, names of expressions and subqueries put in
	maxWidth   = 20_000    // columns that a query makes, of all its parts
	maxSets    = 64        // grouping sets: each has a hash table of its own
	distance   = 1 << 20   // steps of comparing two texts, for each row
)

// bounder walks one statement, what is inside first.
type bounder struct {
	sizes  map[string]float64 // bytes of a value by the name of its column; the largest where several have it
	nodes  map[string]float64 // of the expression or subquery behind a name
	widths map[string]float64 // columns of a subquery behind a name
	rows   map[string]float64 // bytes of a whole row, by the name of its table
	width  float64            // columns of the widest table
	// anonymous is the size of columns without a name of their own.
	anonymous float64
	made      float64 // bytes of a chunk, all expressions together
	columns   float64
	total     float64
}

func newBounder(width int) *bounder {
	return &bounder{
		sizes: map[string]float64{}, nodes: map[string]float64{}, widths: map[string]float64{}, rows: map[string]float64{},
		width: float64(max(width, 1)), anonymous: baseBytes,
	}
}

// value is what is known of an expression: the bytes of its longest value, and the nodes of its tree.
type value struct {
	bytes, nodes float64
	// loose: an aggregate collected it, in this SELECT. All groups of a chunk together are within the memory limit, so that a
	// function may copy it; what a later SELECT makes of it has one for each row.
	loose bool
}

func (v value) and(w value) value {
	return value{v.bytes + w.bytes, v.nodes + w.nodes, v.loose || w.loose}
}

// grown notes a value that the query makes.
func (b *bounder) grown(name string, v value) (value, error) {
	if v.loose && v.bytes <= 4*looseBytes {
		v.bytes = looseBytes
		b.made += chunkBytes / 3
	} else if math.IsNaN(v.bytes) || v.bytes > chunkBytes/chunkRows {
		return v, fairlead.Invalid("the function %s could make values of any size here", name).
			Hintf("shorten what it is given: left(x, 1000) says how long x is at most")
	}
	if !v.loose {
		b.made += v.bytes * chunkRows
	}
	if b.made > chunkBytes {
		return v, fairlead.Invalid("the query makes too many long values at once, the last one with %s", name).
			Hintf("shorten what functions are given: left(x, 1000) says how long x is at most")
	}
	return v, nil
}

// count adds nodes to the whole.
func (b *bounder) count(n float64) error {
	if b.total += n; b.total > maxNodes {
		return fairlead.Invalid("the query is too large once its names are put in").
			Hintf("do not use a name twice in what another name stands for, many times over")
	}
	return nil
}

// name notes what is known behind a name.
func (b *bounder) name(n string, v value) {
	n = strings.ToLower(n)
	b.sizes[n] = max(b.sizes[n], v.bytes)
	b.nodes[n] = max(b.nodes[n], v.nodes)
}

func (b *bounder) reference(names []any) value {
	v := value{bytes: 0, nodes: 1}
	known := false
	if len(names) == 1 { // a table's name alone is its row
		v.bytes, known = b.rows[strings.ToLower(str(names[0]))]
	}
	for _, n := range names {
		s := strings.ToLower(str(n))
		if size, ok := b.sizes[s]; ok {
			known = true
			v.bytes, v.nodes = max(v.bytes, size), max(v.nodes, b.nodes[s])
		}
	}
	if !known {
		v.bytes = b.anonymous
	}
	return v
}

// list is what several expressions make together.
func (b *bounder) list(es []any) (value, error) {
	var all value
	for _, e := range es {
		v, err := b.expression(e)
		if err != nil {
			return v, err
		}
		all = all.and(v)
	}
	return all, nil
}

// expression bounds one expression and everything in it.
func (b *bounder) expression(node any) (value, error) {
	n, _ := node.(map[string]any)
	if n == nil {
		if l, ok := node.([]any); ok {
			return b.list(l)
		}
		return value{}, nil
	}
	v, err := b.kind(n)
	if err != nil {
		return v, err
	}
	v.nodes++
	if v.nodes > maxNodes {
		return v, b.count(v.nodes)
	}
	if alias := str(n["alias"]); alias != "" {
		b.name(alias, v)
	}
	return v, nil
}

func (b *bounder) kind(n map[string]any) (value, error) {
	switch str(n["class"]) {
	case "CONSTANT":
		return constant(n), nil
	case "COLUMN_REF":
		names, _ := n["column_names"].([]any)
		return b.reference(names), nil
	case "STAR", "POSITIONAL_REFERENCE":
		return value{bytes: b.longest(), nodes: 1}, nil
	case "FUNCTION", "WINDOW":
		return b.function(n)
	case "CAST":
		return b.cast(n)
	case "COMPARISON", "CONJUNCTION", "BETWEEN":
		v, err := b.rest(n)
		v.bytes, v.loose = fixedBytes, false
		return v, err
	case "OPERATOR":
		v, err := b.rest(n)
		switch str(n["type"]) {
		case "OPERATOR_COALESCE", "ARRAY_EXTRACT", "ARRAY_SLICE", "STRUCT_EXTRACT", "OPERATOR_TRY", "ARROW", "OPERATOR_UNPACK":
			return v, err
		case "ARRAY_CONSTRUCTOR":
			v.bytes = 20*v.bytes + fixedBytes
			v, err2 := b.grown("[…]", v)
			return v, cmp.Or(err, err2)
		}
		v.bytes, v.loose = fixedBytes, false
		return v, err
	case "PARAMETER":
		return value{}, fairlead.Invalid("the query has a parameter").Hintf("write the value in its place")
	case "CASE", "COLLATE", "LAMBDA", "SUBQUERY", "DEFAULT", "TYPE", "LAMBDA_REF", "BOUND_REF", "":
		return b.rest(n)
	}
	return value{}, fairlead.Invalid("expressions of the kind %s cannot be used here", strings.ToLower(str(n["class"])))
}

// rest bounds whatever is in a node.
func (b *bounder) rest(n map[string]any) (value, error) {
	var all value
	for _, key := range sortedKeys(n) {
		var v value
		var err error
		switch e := n[key].(type) {
		case map[string]any:
			switch {
			case e["node"] != nil: // a subquery
				v, err = b.query(e["node"])
			case key == "value" || key == "cast_type":
			default:
				v, err = b.expression(e)
			}
		case []any:
			v, err = b.list(e)
		}
		if err != nil {
			return v, err
		}
		all = all.and(v)
	}
	return all, nil
}

func constant(n map[string]any) value {
	v, _ := n["value"].(map[string]any)
	if s, ok := v["value"].(string); ok {
		return value{bytes: float64(max(len(s), fixedBytes)), nodes: 1}
	}
	return value{bytes: fixedBytes, nodes: 1}
}

// number is a number in the text, false if the node is something else.
func number(node any) (float64, bool) {
	n, _ := node.(map[string]any)
	v, _ := n["value"].(map[string]any)
	f, ok := v["value"].(float64)
	return math.Abs(f), ok && str(n["class"]) == "CONSTANT"
}

// textOf is a string in the text, false if the node is something else.
func textOf(node any) (string, bool) {
	n, _ := node.(map[string]any)
	v, _ := n["value"].(map[string]any)
	s, ok := v["value"].(string)
	return s, ok && str(n["class"]) == "CONSTANT"
}

func (b *bounder) longest() float64 {
	longest := b.anonymous
	for _, size := range b.sizes {
		longest = max(longest, size)
	}
	return longest
}

// cast bounds a cast: a text of anything is some times as long, a list of a text too, a number is a number.
func (b *bounder) cast(n map[string]any) (value, error) {
	v, err := b.expression(n["child"])
	if err != nil {
		return v, err
	}
	array, fields, err := typeSize(n["cast_type"], 1, 0)
	if err != nil {
		return v, err
	}
	name := typeName(n["cast_type"])
	switch {
	case fixedTypes[name]:
		v.bytes, v.loose = fixedBytes, false
		return v, nil
	case v.bytes <= fixedBytes && array == 1 && fields == 0: // a number as text
		v.bytes = 4 * fixedBytes
		return v, nil
	}
	factor := 20.0
	if name == "VARCHAR" || name == "TEXT" {
		factor = 7 // of a list of truths: "false, "
	}
	v.bytes = max(factor*v.bytes, (array+fields)*fixedBytes)
	return b.grown("CAST", v)
}

// typeName is the name of a type, which the tree has as it was written or resolved.
func typeName(node any) string {
	n, _ := node.(map[string]any)
	if info, _ := n["type_info"].(map[string]any); info != nil && info["expr"] != nil {
		inner, _ := info["expr"].(map[string]any)
		return strings.ToUpper(str(inner["type_name"]))
	}
	return strings.ToUpper(str(n["id"]))
}

var fixedTypes = words(`BOOLEAN TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE DECIMAL
	DATE TIME TIMESTAMP INTERVAL UUID TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_TZ TIME_TZ ENUM`)

// maxArray bounds fixed-size array types, whose values take their full size for every row.
const maxArray = 4096

// typeSize is the number of elements that the array types in a type have together, and of its fields.
func typeSize(node any, array, fields float64) (float64, float64, error) {
	switch n := node.(type) {
	case []any:
		for _, e := range n {
			a, f, err := typeSize(e, array, fields)
			if err != nil {
				return a, f, err
			}
			array, fields = max(array, a), f+1
		}
	case map[string]any:
		if strings.EqualFold(str(n["type_name"]), "array") || strings.EqualFold(str(n["id"]), "array") {
			if array *= arraySize(n); array > maxArray {
				return array, fields, fairlead.Invalid("an array type of %.0f elements is too large", array).
					Hintf("at most %d; lists have no such limit", maxArray)
			}
		}
		for _, key := range sortedKeys(n) {
			a, f, err := typeSize(n[key], array, fields)
			if err != nil {
				return a, f, err
			}
			array, fields = max(array, a), f
		}
	}
	return array, fields, nil
}

// arraySize is the size of a fixed-size array type, which its tree has as a number or as its last parameter.
func arraySize(n map[string]any) float64 {
	if info, _ := n["type_info"].(map[string]any); info != nil {
		if size, ok := info["size"].(float64); ok {
			return size
		}
	}
	children, _ := n["children"].([]any)
	if len(children) > 0 {
		if size, ok := number(children[len(children)-1]); ok {
			return size
		}
	}
	if info, _ := n["type_info"].(map[string]any); info != nil && info["parameters"] == nil && info["children"] == nil && n["children"] == nil {
		return math.Inf(1)
	}
	return 1
}

func sortedKeys(m map[string]any) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, c string) int { return cmp.Compare(order(a), order(c)) })
}

// order puts what gives names before what uses them.
func order(key string) string {
	switch key {
	case "cte_map":
		return "\x00"
	case "from_table":
		return "\x01"
	case "left":
		return "\x02"
	case "select_list":
		return "\x03"
	}
	return key
}
