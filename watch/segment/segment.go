// Package segment compiles predicates on recorded rows, written in CEL's syntax, into SQL and into a function of a row. Both
// have the same meaning: a comparison with a value that is missing or NaN is false, whatever the comparison, and its negation
// is true.
package segment

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types/ref"

	"github.com/fairlead-ml/fairlead"
)

// Kind is what a column holds.
type Kind int

// The kinds of columns.
const (
	Number Kind = iota + 1 // of any width; compared as doubles
	Text
	Truth
	Time
)

func (k Kind) String() string {
	return [...]string{"nothing", "a number", "a text", "a truth", "a time"}[k]
}

// Column is a column of a row, or with Key the value of a key in the map of texts tags.
type Column struct {
	Name, Key string
	Kind      Kind
}

// MaxLength is the longest predicate in bytes.
const MaxLength = 4 << 10

// Predicate is a compiled predicate. Many may use it at once.
type Predicate struct {
	text string
	root node
}

// String is the predicate as it was written.
func (p *Predicate) String() string { return p.text }

// node is a truth: a logical operation or a comparison.
type node interface {
	sql(b *strings.Builder, column func(Column) string)
	match(value func(Column) any) bool
}

// Compile reads a predicate over columns, by name; tags are always there. Errors are CodeInvalid.
func Compile(text string, columns map[string]Kind) (*Predicate, error) {
	if len(text) > MaxLength {
		return nil, fairlead.Invalid("a predicate of %d bytes is too long", len(text)).Hintf("at most %d", MaxLength)
	}
	env, err := cel.NewEnv(cel.ClearMacros())
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		line, _, _ := strings.Cut(strings.TrimPrefix(issues.Err().Error(), "ERROR: <input>:"), "\n")
		return nil, fairlead.Invalid("the predicate cannot be read: %s", line).Hintf(`it looks like: distance > 1000 && origin in ["ATL", "ORD"]`)
	}
	c := compiler{columns: columns}
	root, err := c.truth(parsed.NativeRep().Expr(), 0)
	if err != nil {
		return nil, err
	}
	return &Predicate{text, root}, nil
}

// SQL is the predicate as a condition that is never NULL. column writes a column as SQL.
func (p *Predicate) SQL(column func(Column) string) string {
	var b strings.Builder
	p.root.sql(&b, column)
	return b.String()
}

// Match says whether a row fits. value gives a column's value: nil where there is none, any number type, a string, a bool or
// a time.Time. A value of another kind than the column's counts as missing.
func (p *Predicate) Match(value func(Column) any) bool { return p.root.match(value) }

type compiler struct{ columns map[string]Kind }

const maxDepth = 50

var comparisons = map[string]string{
	operators.Equals: "=", operators.NotEquals: "<>", operators.Less: "<", operators.LessEquals: "<=", operators.Greater: ">",
	operators.GreaterEquals: ">=",
}

var flipped = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

// truth compiles what is true or false.
func (c *compiler) truth(e ast.Expr, depth int) (node, error) {
	if depth > maxDepth {
		return nil, fairlead.Invalid("the predicate is nested too deeply").Hintf("at most %d levels", maxDepth)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().Value().(bool); ok {
			return constant(b), nil
		}
	case ast.CallKind:
		return c.call(e.AsCall(), depth)
	}
	t, err := c.term(e)
	if err != nil {
		return nil, err
	}
	if !t.isColumn || t.column.Kind != Truth {
		return nil, fairlead.Invalid("%s is %s, and a predicate needs a truth", t.says, t.column.Kind).Hintf("compare it: %s > 0", t.says)
	}
	return comparison{term: t, op: "=", literal: true}, nil
}

func (c *compiler) call(call ast.CallExpr, depth int) (node, error) {
	args, name := call.Args(), call.FunctionName()
	switch name {
	case operators.LogicalAnd, operators.LogicalOr:
		a, err := c.truth(args[0], depth+1)
		if err != nil {
			return nil, err
		}
		b, err := c.truth(args[1], depth+1)
		return logical{a, b, name == operators.LogicalAnd}, err
	case operators.LogicalNot:
		a, err := c.truth(args[0], depth+1)
		return negation{a}, err
	case operators.In:
		return c.in(args)
	case "has":
		if len(args) == 1 && !call.IsMemberFunction() {
			t, err := c.term(args[0])
			if err == nil && !t.isColumn {
				err = fairlead.Invalid("has needs a column, not %s", t.says)
			}
			return presence{t}, err
		}
	case "startsWith", "endsWith", "contains":
		if len(args) == 1 && call.IsMemberFunction() {
			return c.part(name, call.Target(), args[0])
		}
	}
	if op := comparisons[name]; op != "" {
		return c.compare(op, args[0], args[1])
	}
	return nil, fairlead.Invalid("%s cannot be used in a predicate", strings.Trim(name, "_@")).
		Hintf("there are && || ! == != < <= > >= in has(x) x.startsWith(…) x.endsWith(…) x.contains(…)")
}

func (c *compiler) compare(op string, left, right ast.Expr) (node, error) {
	a, err := c.term(left)
	if err != nil {
		return nil, err
	}
	b, err := c.term(right)
	if err != nil {
		return nil, err
	}
	switch {
	case !a.isColumn && b.isColumn:
		a, b, op = b, a, flipped[op]
	case !a.isColumn:
		return nil, fairlead.Invalid("%s and %s are both constants", a.says, b.says).Hintf("compare a column")
	case b.isColumn:
		return nil, fairlead.Invalid("%s and %s are both columns", a.says, b.says).Hintf("compare a column with a constant; a segment in SQL can do more")
	}
	if a.column.Kind != b.column.Kind {
		return nil, fairlead.Invalid("%s is %s, and %s is %s", a.says, a.column.Kind, b.says, b.column.Kind)
	}
	if a.column.Kind == Truth && op != "=" && op != "<>" {
		return nil, fairlead.Invalid("%s is a truth, which is neither less nor more", a.says).Hintf("use == or !=")
	}
	return comparison{a, op, b.literal}, nil
}

func (c *compiler) in(args []ast.Expr) (node, error) {
	if args[1].Kind() != ast.ListKind || len(args[1].AsList().Elements()) == 0 {
		return nil, fairlead.Invalid("in needs a list of constants").Hintf(`origin in ["ATL", "ORD"]`)
	}
	var any node
	for _, e := range args[1].AsList().Elements() {
		one, err := c.compare("=", args[0], e)
		if err != nil {
			return nil, err
		}
		if any == nil {
			any = one
			continue
		}
		any = logical{any, one, false}
	}
	return any, nil
}

func (c *compiler) part(name string, target, arg ast.Expr) (node, error) {
	t, err := c.term(target)
	if err != nil {
		return nil, err
	}
	of, err := c.term(arg)
	if err != nil {
		return nil, err
	}
	text, ok := of.literal.(string)
	if !t.isColumn || t.column.Kind != Text || of.isColumn || !ok {
		return nil, fairlead.Invalid("%s needs a column of texts and a text", name).Hintf(`origin.%s("A")`, name)
	}
	return part{t, name, text}, nil
}

// term is a column, perhaps a part of its time, or a constant.
type term struct {
	column   Column // Kind is that of a constant too
	unit     string // of a time: "hour", …
	isColumn bool
	literal  any // float64, string, bool, time.Time
	says     string
}

func (c *compiler) term(e ast.Expr) (term, error) {
	switch e.Kind() {
	case ast.LiteralKind:
		return literalTerm(e.AsLiteral())
	case ast.IdentKind:
		return c.column(e.AsIdent())
	case ast.SelectKind:
		s := e.AsSelect()
		if s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent() == "tags" {
			return tag(s.FieldName()), nil
		}
	case ast.CallKind:
		return c.callTerm(e.AsCall())
	}
	return term{}, fairlead.Invalid("a predicate compares columns with constants").Hintf(`distance > 1000 && tags["region"] == "north"`)
}

func tag(key string) term {
	return term{column: Column{"tags", key, Text}, isColumn: true, says: `tags["` + key + `"]`}
}

func (c *compiler) column(name string) (term, error) {
	kind, ok := c.columns[name]
	if !ok {
		if near := c.near(name); near != "" {
			return term{}, fairlead.Invalid("there is no column %q", name).Hintf("is it %s?", near)
		}
		return term{}, fairlead.Invalid("there is no column %q", name).Hintf(`the inputs and outputs of the model are columns, and role, version, score, predicted, key, event_time, tags["…"]; row["…"] takes any name`)
	}
	return term{column: Column{Name: name, Kind: kind}, isColumn: true, says: name}, nil
}

// near lists the columns whose names are a slip of the pen away, the nearest first; "": none.
func (c *compiler) near(name string) string {
	type candidate struct {
		name  string
		edits int
	}
	limit := min(4, len(name)/2+1)
	var found []candidate
	for of := range c.columns {
		if n := fairlead.Edits(strings.ToLower(name), strings.ToLower(of), limit); n < limit {
			found = append(found, candidate{of, n})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, f := range found[:min(3, len(found))] {
		names = append(names, written(f.name))
	}
	return strings.Join(names, " or ")
}

// written is a column's name as a predicate has it.
func written(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return "row[" + strconv.Quote(name) + "]"
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// units are the parts of a time that a method gives, as CEL has them, with DuckDB's names.
var units = map[string]string{"getHours": "hour", "getDayOfWeek": "dayofweek", "getFullYear": "year", "getDate": "day"}

func (c *compiler) callTerm(call ast.CallExpr) (term, error) {
	args := call.Args()
	switch name := call.FunctionName(); {
	case name == operators.Index && args[0].Kind() == ast.IdentKind && args[1].Kind() == ast.LiteralKind:
		key, ok := args[1].AsLiteral().Value().(string)
		switch owner := args[0].AsIdent(); {
		case ok && owner == "tags":
			return tag(key), nil
		case ok && owner == "row":
			return c.column(key)
		}
	case name == operators.Negate && args[0].Kind() == ast.LiteralKind:
		t, err := literalTerm(args[0].AsLiteral())
		if x, ok := t.literal.(float64); ok && err == nil {
			t.literal, t.says = -x, "-"+t.says
			return t, nil
		}
	case name == "timestamp" && len(args) == 1 && args[0].Kind() == ast.LiteralKind:
		text, _ := args[0].AsLiteral().Value().(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return term{}, fairlead.Invalid("%q is no time", text).Hintf(`timestamp("2001-03-01T00:00:00Z")`)
		}
		if year := at.UTC().Year(); year < 1 || year > 9999 { // others have no form that SQL and Go write alike
			return term{}, fairlead.Invalid("%q is outside the years 1 to 9999", text)
		}
		return term{column: Column{Kind: Time}, literal: at.UTC().Truncate(time.Microsecond), says: text}, nil
	case units[name] != "" && call.IsMemberFunction() && len(args) == 0:
		t, err := c.term(call.Target())
		if err != nil {
			return term{}, err
		}
		if !t.isColumn || t.unit != "" || t.column.Kind != Time {
			return term{}, fairlead.Invalid("%s needs a column of times", name).Hintf("event_time.%s()", name)
		}
		t.unit, t.says = units[name], t.says+"."+name+"()"
		t.column.Kind = Number
		return t, nil
	}
	return term{}, fairlead.Invalid("%s cannot be used as a value in a predicate", strings.Trim(call.FunctionName(), "_@")).
		Hintf("compare a column with a constant; a segment in SQL can do more")
}

func literalTerm(v ref.Val) (term, error) {
	switch x := v.Value().(type) {
	case int64:
		return term{column: Column{Kind: Number}, literal: float64(x), says: "a constant"}, nil
	case uint64:
		return term{column: Column{Kind: Number}, literal: float64(x), says: "a constant"}, nil
	case float64:
		return term{column: Column{Kind: Number}, literal: x, says: "a constant"}, nil
	case bool:
		return term{column: Column{Kind: Truth}, literal: x, says: "a constant"}, nil
	case string:
		if strings.ContainsRune(x, 0) {
			return term{}, fairlead.Invalid("a text in a predicate has a zero byte")
		}
		return term{column: Column{Kind: Text}, literal: x, says: "a constant"}, nil
	}
	return term{}, fairlead.Invalid("a constant of this type cannot be used in a predicate").Hintf("use a number, a text, true, false or timestamp(…)")
}
