package evalstore

import (
	"math"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// function bounds a call, of a window's function too.
func (b *bounder) function(n map[string]any) (value, error) {
	name := strings.ToLower(str(n["function_name"]))
	if why := refused[name]; why != "" {
		return value{}, fairlead.Invalid("the function %s cannot be used here: %s", name, why)
	}
	args, _ := n["children"].([]any)
	if lambda := lambdaOf(args); lambda != nil {
		return b.lambda(name, args, lambda)
	}
	in, err := b.list(args)
	if err != nil {
		return in, err
	}
	around := map[string]any{}
	for key, e := range n {
		if key != "children" {
			around[key] = e
		}
	}
	rest, err := b.rest(around)
	if err != nil {
		return rest, err
	}
	in.nodes += rest.nodes
	if expanding[name] {
		in.nodes *= 3
	}
	if err := b.slow(name, args); err != nil {
		return in, err
	}
	return b.result(name, args, in)
}

// result is what a function makes of its arguments.
func (b *bounder) result(name string, args []any, in value) (value, error) {
	out := value{bytes: fixedBytes, nodes: in.nodes}
	g, grows := growths[name]
	switch {
	case collectors[name]:
		out.bytes, out.loose = looseBytes, true
		return out, nil
	case fixedFunctions[name]:
		return out, nil
	case g.count > 0:
		times, err := b.times(name, args, g.count-1)
		if err != nil {
			return out, err
		}
		out.bytes = sized(name, in.bytes, times)
	case grows:
		out.bytes, out.loose = g.factor*(in.bytes+fixedBytes*float64(1+len(args))), in.loose && g.factor <= 3
		if out.loose {
			out.bytes = in.bytes
		}
	case name == "replace" || name == "regexp_replace":
		by := in.bytes
		if len(args) > 2 {
			by = b.length(args[2])
		}
		if name == "regexp_replace" && len(args) > 2 { // \0 … \9 put in what was found
			s, _ := textOf(args[2])
			by += float64(strings.Count(s, `\`)) * in.bytes
		}
		subject := b.length(firstOf(args))
		out.bytes = subject + (subject+1)*by
	case name == "array_to_string" || name == "array_to_string_comma_default" || name == "list_string_agg":
		by := 1.0
		if len(args) > 1 {
			by = b.length(args[1])
		}
		out.bytes = 4 * b.length(firstOf(args)) * (1 + by/4)
		if out.loose = in.loose && by <= 4; out.loose {
			out.bytes = looseBytes
		}
	case name == "format" || name == "printf":
		widths, err := formatWidths(name, args)
		if err != nil {
			return out, err
		}
		out.bytes = 4*in.bytes + widths
	default:
		hint := "the functions for numbers, times, texts and lists can; DESCRIBE and docs/sql.md show what there is"
		if s := similar(name); s != "" {
			hint = "perhaps " + s
		}
		return out, fairlead.Invalid("the function %s cannot be used here", name).Hintf("%s", hint)
	}
	return b.grown(name, out)
}

func firstOf(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}

// length is the size of an argument that has been counted already.
func (b *bounder) length(node any) float64 {
	if s, ok := textOf(node); ok {
		return float64(len(s))
	}
	made, total := b.made, b.total
	v, err := b.expression(node)
	b.made, b.total = made, total
	if err != nil { // it was none the first time
		return math.Inf(1)
	}
	return v.bytes
}

// times is the argument that says how often or how long; it has to be a number in the text.
func (b *bounder) times(name string, args []any, at int) (float64, error) {
	if at >= len(args) {
		if strings.HasPrefix(name, "sub") || name == "bar" { // the rest of the text; eighty characters
			return 80, nil
		}
		return 0, nil // DuckDB says what is missing
	}
	n := args[at]
	if cast, ok := n.(map[string]any); ok && str(cast["class"]) == "CAST" {
		n = cast["child"]
	}
	if f, ok := n.(map[string]any); ok && str(f["class"]) == "FUNCTION" && str(f["function_name"]) == "-" {
		if inner, _ := f["children"].([]any); len(inner) == 1 { // from the other end
			n = inner[0]
		}
	}
	times, ok := number(n)
	switch {
	case ok:
		return times, nil
	case cuts[name]: // what is cut is not longer than it was
		return math.Inf(1), nil
	}
	return 0, fairlead.Invalid("%s needs a number in the text that says how long its value is", name).
		Hintf("%s(x, 10), not %s(x, y)", name, name)
}

// cuts are the functions with a length that give a part of their argument.
var cuts = words(`left right left_grapheme right_grapheme substr substring substring_grapheme`)

func sized(name string, in, times float64) float64 {
	switch {
	case cuts[name] && 4*times < chunkBytes/chunkRows:
		return 4 * times // of a character each
	case cuts[name]:
		return in
	case name == "repeat":
		return in * times
	}
	return in + times*fixedBytes
}

// formatWidths adds up the numbers in a format: they say how wide a value is.
func formatWidths(name string, args []any) (float64, error) {
	s, ok := textOf(firstOf(args))
	if !ok {
		return 0, fairlead.Invalid("%s needs its format as a text", name).Hintf("%s('…', x)", name)
	}
	if name == "printf" && strings.Contains(s, "*") || name == "format" && strings.Contains(strings.ReplaceAll(s, "{{", ""), ":{") ||
		name == "format" && strings.Contains(s, ".{") {
		return 0, fairlead.Invalid("the format of %s takes a width from a value", name).Hintf("write the width as a number")
	}
	var sum float64
	for _, digits := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			n = math.Inf(1)
		}
		sum += n
	}
	return sum + 40*float64(len(s)), nil
}

// slow refuses what takes a time that does not grow with its arguments' lengths alone: no interrupt ends a single call.
func (b *bounder) slow(name string, args []any) error {
	if distances[name] && len(args) > 1 {
		x, y := b.length(args[0]), b.length(args[1])
		if x*y > distance {
			return fairlead.Invalid("%s of long texts takes too long", name).Hintf("shorten them: %s(left(x, 100), left(y, 100))", name)
		}
	}
	var wild string
	at := 1
	switch name {
	case "~~", "~~*", "!~~", "!~~*", "like_escape", "ilike_escape", "not_like_escape", "not_ilike_escape":
		wild = "%"
	case "~~~":
		wild = "*"
	case "json_extract", "json_extract_string", "json_extract_path", "json_extract_path_text", "->", "->>", "json_value", "json_exists":
		wild = ".."
	default:
		return nil
	}
	if len(args) <= at {
		return nil
	}
	s, ok := textOf(args[at])
	switch {
	case wild == "..":
		if strings.Count(s, "..")+strings.Count(s, "**") > 1 {
			return fairlead.Invalid("a path of JSON with more than one .. or ** takes too long")
		}
	case !ok:
		return fairlead.Invalid("LIKE and GLOB need their pattern as a text").Hintf("contains(x, y), starts_with(x, y) and ends_with(x, y) take any")
	case wild == "%" && strings.Contains(s, "_") && strings.Count(s, "%") > 3 || wild == "*" && strings.Count(s, "*") > 3:
		return fairlead.Invalid("the pattern %.40q takes too long", s).Hintf("use at most three %s, or regexp_matches", wild)
	}
	return nil
}

func lambdaOf(args []any) map[string]any {
	for _, a := range args {
		if n, ok := a.(map[string]any); ok && (str(n["class"]) == "LAMBDA" || str(n["type"]) == "ARROW") {
			return n
		}
	}
	return nil
}

// lambda bounds a function that is called for each element of a list. With f(x) for what it makes of x bytes, a list of S
// bytes has at most S/4 elements; f is convex, so that all of them together are at most S/4·f(0) + f(S).
func (b *bounder) lambda(name string, args []any, lambda map[string]any) (value, error) {
	if !lambdaFunctions[name] && !reductions[name] && name != "->" {
		return value{}, fairlead.Invalid("the function %s cannot be used here", name)
	}
	list, err := b.expression(args[0])
	if err != nil {
		return list, err
	}
	var names []string
	collectNames(lambda["lhs"], &names)
	body := func(x float64) (value, error) {
		inner := *b
		inner.sizes, inner.nodes = cloneMap(b.sizes), cloneMap(b.nodes)
		for _, n := range names {
			inner.sizes[strings.ToLower(n)], inner.nodes[strings.ToLower(n)] = x, 1
		}
		return inner.expression(lambda["expr"])
	}
	low, err := body(fixedBytes)
	if err != nil {
		return low, err
	}
	high, err := body(list.bytes)
	if err != nil {
		return high, err
	}
	out := value{bytes: list.bytes/4*low.bytes + high.bytes, nodes: list.nodes + low.nodes + high.nodes}
	switch {
	case reductions[name]:
		if high.bytes > fixedBytes {
			return out, fairlead.Invalid("%s makes longer and longer values", name).Hintf("its function has to give a number: (a, x) -> a + x")
		}
		out.bytes = list.bytes
	case strings.HasSuffix(name, "filter"):
		out.bytes = list.bytes
	}
	return b.grown(name, out)
}

func collectNames(node any, names *[]string) {
	switch n := node.(type) {
	case []any:
		for _, e := range n {
			collectNames(e, names)
		}
	case map[string]any:
		if parts, ok := n["column_names"].([]any); ok {
			for _, p := range parts {
				*names = append(*names, str(p))
			}
		}
		for _, e := range n {
			collectNames(e, names)
		}
	}
}

func cloneMap(m map[string]float64) map[string]float64 {
	c := make(map[string]float64, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
