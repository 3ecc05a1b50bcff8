package evalstore

import (
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// query bounds a SELECT, a set operation or a recursive one: what it gives is the longest of its columns, and its nodes.
func (b *bounder) query(node any) (value, error) {
	n, _ := node.(map[string]any)
	if err := b.ctes(n); err != nil {
		return value{}, err
	}
	var v value
	var err error
	switch kind := str(n["type"]); kind {
	case "SELECT_NODE":
		v, err = b.selects(n)
	case "SET_OPERATION_NODE":
		v, err = b.sides(n)
	case "RECURSIVE_CTE_NODE":
		v, err = b.recursive(n)
	default:
		err = fairlead.Invalid("statements of the kind %s cannot be used here", strings.ToLower(strings.TrimSuffix(kind, "_NODE")))
	}
	if err != nil {
		return v, err
	}
	modifiers, _ := n["modifiers"].([]any)
	for _, m := range modifiers {
		inner, _ := m.(map[string]any)
		w, err := b.rest(inner)
		if err != nil {
			return w, err
		}
		v.nodes += w.nodes
	}
	return v, b.count(v.nodes)
}

// ctes bounds the named subqueries; wherever a name is used, all of it is planned again.
func (b *bounder) ctes(n map[string]any) error {
	named, _ := n["cte_map"].(map[string]any)
	list, _ := named["map"].([]any)
	for _, e := range list {
		entry, _ := e.(map[string]any)
		info, _ := entry["value"].(map[string]any)
		inner, _ := info["query"].(map[string]any)
		before := b.columns
		v, err := b.query(inner["node"])
		if err != nil {
			return err
		}
		name := strings.ToLower(str(entry["key"]))
		b.nodes[name] = max(b.nodes[name], v.nodes)
		b.widths[name] = max(b.widths[name], b.columns-before)
		aliases, _ := info["aliases"].([]any)
		b.renamed(aliases, v)
	}
	return nil
}

func (b *bounder) renamed(aliases []any, v value) {
	for _, a := range aliases {
		b.name(str(a), value{bytes: v.bytes, nodes: 1})
	}
}

func (b *bounder) sides(n map[string]any) (value, error) {
	var all value
	parts := []any{n["left"], n["right"]}
	if children, ok := n["children"].([]any); ok {
		parts = append(parts, children...)
	}
	for _, side := range parts {
		if side == nil {
			continue
		}
		v, err := b.query(side)
		if err != nil {
			return v, err
		}
		all = value{bytes: max(all.bytes, v.bytes), nodes: all.nodes + v.nodes}
	}
	return all, nil
}

// recursive bounds a recursive subquery. Each round may lengthen a value by something, but not by a share of itself: the
// right side is bounded twice, from values of one length and of double that length.
func (b *bounder) recursive(n map[string]any) (value, error) {
	left, err := b.query(n["left"])
	if err != nil {
		return left, err
	}
	const step = 1 << 12
	round := func(self float64) (value, error) {
		inner := *b
		inner.sizes, inner.nodes = cloneMap(b.sizes), cloneMap(b.nodes)
		var names []string
		outputs(n["left"], &names)
		for _, name := range append(names, str(n["cte_name"])) {
			inner.sizes[strings.ToLower(name)] = self
		}
		inner.anonymous = max(b.anonymous, self)
		v, err := inner.query(n["right"])
		b.made, b.total, b.columns = max(b.made, inner.made), inner.total, max(b.columns, inner.columns)
		return v, err
	}
	once, err := round(max(left.bytes, step))
	if err != nil {
		return once, err
	}
	twice, err := round(2 * max(left.bytes, step))
	if err != nil {
		return twice, err
	}
	if twice.bytes-once.bytes > max(left.bytes, step) {
		return once, fairlead.Invalid("the recursive query could double a value in every round").
			Hintf("let a round add a number to it (path || '>' || id::BIGINT), or cut it: left(path, 1000)")
	}
	out := value{bytes: max(left.bytes, once.bytes), nodes: left.nodes + once.nodes}
	if once.bytes > max(left.bytes, step) { // as long as memory lasts
		out.bytes = looseBytes
		var names []string
		outputs(n["left"], &names)
		for _, name := range names {
			b.name(name, out)
		}
	}
	return out, nil
}

// outputs collects the names that a query gives its columns.
func outputs(node any, names *[]string) {
	n, _ := node.(map[string]any)
	if n == nil {
		return
	}
	list, _ := n["select_list"].([]any)
	for _, e := range list {
		c, _ := e.(map[string]any)
		if alias := str(c["alias"]); alias != "" {
			*names = append(*names, alias)
			continue
		}
		if parts, _ := c["column_names"].([]any); len(parts) > 0 {
			*names = append(*names, str(parts[len(parts)-1]))
		}
	}
	outputs(n["left"], names)
}

func (b *bounder) selects(n map[string]any) (value, error) {
	if sets, _ := n["group_sets"].([]any); len(sets) > maxSets {
		return value{}, fairlead.Invalid("%d grouping sets are too many", len(sets)).Hintf("at most %d", maxSets)
	}
	from, width, err := b.from(n["from_table"])
	if err != nil {
		return from, err
	}
	out := value{nodes: from.nodes}
	list, _ := n["select_list"].([]any)
	var columns, unnamed float64
	for _, e := range list {
		v, err := b.expression(e)
		if err != nil {
			return v, err
		}
		columns += math.Max(1, width*float64(stars(e)))
		out = value{bytes: max(out.bytes, v.bytes), nodes: out.nodes + v.nodes}
		unnamed = max(unnamed, namelessBytes(e, v))
	}
	// A value that goes on as it is keeps its name; what * brings is no longer than what there is.
	if b.columns += columns; b.columns > maxWidth {
		return out, fairlead.Invalid("the query has too many columns, all its parts together").Hintf("name the columns instead of *")
	}
	around := map[string]any{}
	for key, e := range n {
		if !slices.Contains([]string{"select_list", "from_table", "cte_map", "modifiers"}, key) {
			around[key] = e
		}
	}
	v, err := b.rest(around)
	out.nodes += v.nodes
	b.anonymous = max(b.anonymous, unnamed) // for what is around this SELECT
	return out, err
}

// namelessBytes is the size of a column that has no name of its own: what is around may name it by its place or by its text.
func namelessBytes(e any, v value) float64 {
	n, _ := e.(map[string]any)
	if class := str(n["class"]); class == "COLUMN_REF" || class == "STAR" || str(n["alias"]) != "" {
		return 0
	}
	return v.bytes
}

func stars(node any) int {
	count := 0
	switch n := node.(type) {
	case []any:
		for _, e := range n {
			count += stars(e)
		}
	case map[string]any:
		if str(n["class"]) == "STAR" {
			count++
		}
		for _, e := range n {
			count += stars(e)
		}
	}
	return count
}

// from bounds what a SELECT reads, and how many columns that has.
func (b *bounder) from(node any) (value, float64, error) {
	n, _ := node.(map[string]any)
	var v value
	width := 1.0
	var err error
	switch kind := str(n["type"]); kind {
	case "", "EMPTY":
	case "BASE_TABLE":
		v, width = b.table(n)
	case "SUBQUERY":
		before := b.columns
		inner, _ := n["subquery"].(map[string]any)
		v, err = b.query(inner["node"])
		width = b.columns - before
	case "JOIN":
		var l, r value
		var wl, wr float64
		if l, wl, err = b.from(n["left"]); err == nil {
			r, wr, err = b.from(n["right"])
		}
		if err == nil {
			var c value
			c, err = b.expression(n["condition"])
			v, width = value{bytes: max(l.bytes, r.bytes), nodes: l.nodes + r.nodes + c.nodes}, wl+wr
		}
	case "TABLE_FUNCTION":
		v, err = b.tableFunction(n)
		width = 16
	case "EXPRESSION_LIST":
		values, _ := n["values"].([]any)
		for _, row := range values {
			list, _ := row.([]any)
			width = math.Max(width, float64(len(list)))
			var w value
			if w, err = b.list(list); err != nil {
				break
			}
			v = value{bytes: max(v.bytes, w.bytes), nodes: v.nodes + w.nodes}
		}
		b.anonymous = max(b.anonymous, v.bytes)
	case "SHOW_REF":
		if n["query"] != nil {
			v, err = b.query(n["query"])
		}
		width = 16
	case "COLUMN_DATA", "DELIM_GET", "CTE":
	default:
		err = fairlead.Invalid("%s cannot be used here", strings.ToLower(kind)).Hintf("write it as SELECT with FILTER, GROUP BY or CASE")
	}
	if err != nil {
		return v, width, err
	}
	if alias := str(n["alias"]); alias != "" {
		b.row(alias, v.bytes+width*baseBytes)
	}
	aliases, _ := n["column_name_alias"].([]any)
	b.renamed(aliases, v)
	v.nodes++
	return v, width, b.count(1)
}

// row notes the size of a table's row, which its name alone stands for.
func (b *bounder) row(table string, bytes float64) {
	table = strings.ToLower(table)
	b.rows[table] = max(b.rows[table], bytes)
}

// table is a table of the store or a named subquery.
func (b *bounder) table(n map[string]any) (value, float64) {
	name := strings.ToLower(str(n["table_name"]))
	if nodes, ok := b.nodes[name]; ok && b.widths[name] > 0 {
		b.row(name, b.longest()+b.widths[name]*baseBytes)
		return value{bytes: b.longest(), nodes: nodes}, b.widths[name]
	}
	b.row(name, b.width*baseBytes)
	return value{bytes: baseBytes, nodes: 1}, b.width
}

// tableFunctions are those that people may use.
var tableFunctions = words(`range generate_series unnest json_each json_tree summary duckdb_tables duckdb_columns duckdb_types
	duckdb_functions duckdb_keywords duckdb_schemas pragma_table_info histogram histogram_values`)

func (b *bounder) tableFunction(n map[string]any) (value, error) {
	function, _ := n["function"].(map[string]any)
	name := strings.ToLower(str(function["function_name"]))
	if !tableFunctions[name] {
		return value{}, fairlead.Invalid("the table function %s cannot be used here", name).
			Hintf("queries read the tables of the evaluation store only, no files and nothing of the network")
	}
	args, _ := function["children"].([]any)
	v, err := b.list(args)
	v.bytes = max(v.bytes, baseBytes)
	return v, err
}
