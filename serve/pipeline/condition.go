package pipeline

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	celref "cel.dev/cel-go/common/types/ref"

	"github.com/fairlead-ml/fairlead"
)

// maxCost bounds one evaluation of a condition, in CEL's units: about one an operation or ten characters of text.
const maxCost = 100_000

// maxCondition bounds a condition's text.
const maxCondition = 4096

// condition is a compiled CEL expression of type bool.
type condition struct {
	text    string
	program cel.Program
	vars    []variable // those that it refers to
}

// variable is a value that conditions can name.
type variable struct {
	name  string
	from  Ref
	index int  // the column of a row that it stands for; -1: the whole row, as a list where it has several values
	all   bool // it is a list of the rows
}

// metadata are the variables that are no tensors.
var metadata = []cel.EnvOption{
	cel.Variable("meta.id", cel.StringType), cel.Variable("meta.key", cel.StringType), cel.Variable("meta.time", cel.TimestampType),
	cel.Variable("meta.tags", cel.MapType(cel.StringType, cel.StringType)), cel.Variable("rows", cel.IntType),
}

// mentions lists the steps whose names stand in a condition. The error is CodeInvalid: it is no CEL.
func mentions(text string, steps map[string]bool) ([]string, error) {
	if len(text) > maxCondition {
		return nil, fairlead.Invalid("the condition has more than %d characters", maxCondition)
	}
	env, err := cel.NewEnv()
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, notCEL(text, issues)
	}
	var found []string
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && steps[e.AsIdent()] && !slices.Contains(found, e.AsIdent()) {
			found = append(found, e.AsIdent())
		}
	}))
	return found, nil
}

func notCEL(text string, issues *cel.Issues) error {
	problem := issues.Errors()[0]
	e := fairlead.Invalid("the condition %q: %s", text, problem.Message).Cause(issues.Err())
	if strings.Contains(problem.Message, "undeclared reference") {
		return e.Hintf("a condition can name %s.tensor, step.output, meta.id, meta.key, meta.time, meta.tags and rows", requestName)
	}
	if strings.Contains(problem.Message, "double") && strings.Contains(problem.Message, "int") {
		return e.Hintf("a value with a fraction is compared with one: 3.0, not 3; int(x) and double(x) convert")
	}
	return e.Hintf(`it is CEL that gives true or false, for example size(%s.text) > 200 or meta.tags["country"] == "DE"`, requestName)
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// named is a tensor as conditions know it.
type named struct {
	from Ref
	spec fairlead.TensorSpec
}

// variablesOf declares what conditions can say of a tensor: its name stands for the value of a row, or for the list of
// them where a row has several; the name and a feature's for that feature. perRequest: lists of all rows in place of a
// row's values.
func variablesOf(n named, perRequest bool) (vars []variable, options []cel.EnvOption) {
	typ := celType(n.spec.Type)
	name := n.from.String()
	if typ == nil || !dotted(name) || n.spec.Shape == nil {
		return nil, nil
	}
	perRow := len(n.spec.Shape) > 0
	wrap := func(t *cel.Type) *cel.Type {
		if perRequest && perRow {
			return cel.ListType(t)
		}
		return t
	}
	whole := typ
	if n.spec.Width() != 1 {
		whole = cel.ListType(typ)
	}
	add := func(name string, index int, t *cel.Type) {
		vars = append(vars, variable{name: name, from: n.from, index: index, all: perRequest && perRow})
		options = append(options, cel.Variable(name, wrap(t)))
	}
	if len(n.spec.Features) == 0 {
		add(name, -1, whole)
		return vars, options
	}
	// A name that features are behind cannot stand for a list as well: CEL would look for the longest it knows.
	for i, f := range n.spec.Features {
		if identifier.MatchString(f) {
			add(name+"."+f, i, typ)
		}
	}
	return vars, options
}

func dotted(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if !identifier.MatchString(part) {
			return false
		}
	}
	return true
}

func celType(t fairlead.DataType) *cel.Type {
	switch t {
	case fairlead.Bool:
		return cel.BoolType
	case fairlead.Bytes:
		return cel.StringType
	case fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64:
		return cel.IntType
	case fairlead.Uint8, fairlead.Uint16, fairlead.Uint32, fairlead.Uint64:
		return cel.UintType
	case fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64:
		return cel.DoubleType
	}
	return nil
}

// compileCondition checks a condition against the tensors there are. The error is CodeInvalid.
func compileCondition(text string, tensors []named, perRequest bool) (*condition, error) {
	options := slices.Clone(metadata)
	var known []variable
	for _, n := range tensors {
		vars, declared := variablesOf(n, perRequest)
		known, options = append(known, vars...), append(options, declared...)
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fairlead.Invalid("the condition %q cannot be set up", text).Cause(err)
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, notCEL(text, issues)
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fairlead.Invalid("the condition %q gives %s", text, checked.OutputType()).Hintf("it has to give true or false")
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, fairlead.Invalid("the condition %q cannot be compiled: %v", text, err).Cause(err)
	}
	c := &condition{text: text, program: program}
	for _, reference := range checked.NativeRep().ReferenceMap() {
		for _, v := range known {
			if v.name == reference.Name && !slices.Contains(c.vars, v) {
				c.vars = append(c.vars, v)
			}
		}
	}
	return c, nil
}

// steps lists the tensors that the condition needs.
func (c *condition) refs() []Ref {
	var refs []Ref
	for _, v := range c.vars {
		refs = append(refs, v.from)
	}
	return refs
}

// facts are the values of one evaluation. It implements cel.Activation.
type facts struct {
	condition *condition
	tensors   []*fairlead.Tensor // of condition.vars
	rows      []fairlead.RowMeta
	row       int
}

// ResolveName implements cel.Activation.
func (f *facts) ResolveName(name string) (any, bool) {
	for i := range f.condition.vars {
		if v := &f.condition.vars[i]; v.name == name {
			return f.value(v, f.tensors[i]), true
		}
	}
	var meta fairlead.RowMeta
	if f.row < len(f.rows) {
		meta = f.rows[f.row]
	}
	switch name {
	case "meta.id":
		return meta.ID, true
	case "meta.key":
		return meta.Key, true
	case "meta.time":
		return meta.Time, true
	case "meta.tags":
		if meta.Tags == nil {
			return map[string]string{}, true
		}
		return meta.Tags, true
	case "rows":
		return int64(len(f.rows)), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (f *facts) Parent() cel.Activation { return nil }

func (f *facts) value(v *variable, t *fairlead.Tensor) any {
	if len(t.Shape) == 0 {
		return element(t, 0)
	}
	if v.all {
		all := make([]any, t.Rows())
		for row := range all {
			all[row] = rowValue(v, t, row)
		}
		return all
	}
	return rowValue(v, t, f.row)
}

func rowValue(v *variable, t *fairlead.Tensor, row int) any {
	width := t.Width()
	switch {
	case v.index >= 0:
		return element(t, row*width+v.index)
	case width == 1:
		return element(t, row)
	}
	values := make([]any, width)
	for i := range values {
		values[i] = element(t, row*width+i)
	}
	return values
}

// element is one value as CEL has it; an error value for one that is not there.
func element(t *fairlead.Tensor, i int) any {
	if i < 0 || i >= t.Len() {
		return types.NewErr("%s has no value %d", t.Name, i)
	}
	switch d := t.Data.(type) {
	case []string:
		return d[i]
	case []bool:
		return d[i]
	case []int64:
		return d[i]
	case []uint64:
		return d[i]
	}
	x, _ := t.Float(i)
	switch t.Type {
	case fairlead.Int8, fairlead.Int16, fairlead.Int32:
		return int64(x)
	case fairlead.Uint8, fairlead.Uint16, fairlead.Uint32:
		return uint64(x)
	}
	return x
}

// holds evaluates the condition. Errors are CodeInvalid where the values are to blame (an index out of range, a key that
// is not there) or it costs too much.
func (c *condition) holds(ctx context.Context, f *facts) (bool, error) {
	value, _, err := c.program.ContextEval(ctx, f)
	if err != nil {
		return false, c.failed(f, err)
	}
	yes, ok := value.(celref.Val).Value().(bool)
	if !ok {
		return false, c.failed(f, errors.New("it gives "+value.Type().TypeName()))
	}
	return yes, nil
}

func (c *condition) failed(f *facts, err error) error {
	e := fairlead.Invalid("the condition %q cannot be told for row %d: %v", c.text, f.row, err).Cause(err)
	if strings.Contains(err.Error(), "no such key") {
		return e.Hintf(`ask first whether it is there: "country" in meta.tags && meta.tags["country"] == "DE"`)
	}
	return e
}
