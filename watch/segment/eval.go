package segment

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

type constant bool

func (c constant) sql(b *strings.Builder, _ func(Column) string) { fmt.Fprintf(b, "%t", bool(c)) }
func (c constant) match(func(Column) any) bool                   { return bool(c) }

type logical struct {
	a, b node
	and  bool
}

func (l logical) sql(b *strings.Builder, column func(Column) string) {
	b.WriteString("(")
	l.a.sql(b, column)
	b.WriteString(map[bool]string{true: " AND ", false: " OR "}[l.and])
	l.b.sql(b, column)
	b.WriteString(")")
}

func (l logical) match(value func(Column) any) bool {
	if l.and {
		return l.a.match(value) && l.b.match(value)
	}
	return l.a.match(value) || l.b.match(value)
}

type negation struct{ a node }

func (n negation) sql(b *strings.Builder, column func(Column) string) {
	b.WriteString("NOT ")
	n.a.sql(b, column)
}

func (n negation) match(value func(Column) any) bool { return !n.a.match(value) }

// sql writes the term's value.
func (t term) sql(column func(Column) string) string {
	c := t.column
	switch {
	case t.unit != "":
		c.Kind = Time
		return t.unit + "(" + column(c) + ")::DOUBLE"
	case c.Kind == Number:
		return "(" + column(c) + ")::DOUBLE"
	}
	return column(c)
}

// value is the term's value in a row; nil: missing, or NaN.
func (t term) value(value func(Column) any) any {
	c := t.column
	if t.unit != "" {
		c.Kind = Time
	}
	v := value(c)
	switch c.Kind {
	case Number:
		if x, ok := float(v); ok && !math.IsNaN(x) {
			return x
		}
	case Text:
		if x, ok := v.(string); ok {
			return x
		}
	case Truth:
		if x, ok := v.(bool); ok {
			return x
		}
	case Time:
		x, ok := v.(time.Time)
		switch {
		case ok && t.unit == "":
			return x.UTC().Truncate(time.Microsecond)
		case ok:
			return unitOf(x.UTC(), t.unit)
		}
	}
	return nil
}

func unitOf(at time.Time, unit string) float64 {
	switch unit {
	case "hour":
		return float64(at.Hour())
	case "dayofweek":
		return float64(at.Weekday())
	case "year":
		return float64(at.Year())
	}
	return float64(at.Day())
}

func float(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	case int32:
		return float64(x), true
	case int16:
		return float64(x), true
	case int8:
		return float64(x), true
	case uint64:
		return float64(x), true
	case uint32:
		return float64(x), true
	case uint16:
		return float64(x), true
	case uint8:
		return float64(x), true
	}
	return 0, false
}

// comparison compares a column with a constant.
type comparison struct {
	term    term
	op      string
	literal any
}

func (c comparison) sql(b *strings.Builder, column func(Column) string) {
	left := c.term.sql(column)
	if c.term.column.Kind == Number && c.term.unit == "" {
		fmt.Fprintf(b, "coalesce(NOT isnan(%s) AND %s %s %s, false)", left, left, c.op, sqlLiteral(c.literal))
		return
	}
	fmt.Fprintf(b, "coalesce(%s %s %s, false)", left, c.op, sqlLiteral(c.literal))
}

func sqlLiteral(v any) string {
	switch x := v.(type) {
	case float64:
		return "'" + strconv.FormatFloat(x, 'g', -1, 64) + "'::DOUBLE"
	case bool:
		return strconv.FormatBool(x)
	case time.Time:
		return "TIMESTAMP '" + x.Format("2006-01-02 15:04:05.000000") + "'"
	}
	return "'" + strings.ReplaceAll(fmt.Sprint(v), "'", "''") + "'"
}

func (c comparison) match(value func(Column) any) bool {
	v := c.term.value(value)
	if v == nil {
		return false
	}
	var order int
	switch x := v.(type) {
	case float64:
		order = cmp.Compare(x, c.literal.(float64)) //nolint:forcetypeassert // Compile has seen to it, here and below
	case string:
		order = strings.Compare(x, c.literal.(string)) //nolint:forcetypeassert // as above
	case time.Time:
		order = x.Compare(c.literal.(time.Time)) //nolint:forcetypeassert // as above
	case bool:
		if x != c.literal.(bool) { //nolint:forcetypeassert // as above
			order = 1
		}
	}
	switch c.op {
	case "=":
		return order == 0
	case "<>":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// presence says whether there is a value that is not NaN.
type presence struct{ term term }

func (p presence) sql(b *strings.Builder, column func(Column) string) {
	v := p.term.sql(column)
	if p.term.column.Kind == Number && p.term.unit == "" {
		fmt.Fprintf(b, "coalesce(NOT isnan(%s), false)", v)
		return
	}
	fmt.Fprintf(b, "(%s IS NOT NULL)", v)
}

func (p presence) match(value func(Column) any) bool { return p.term.value(value) != nil }

// part looks into a text, byte by byte.
type part struct {
	term term
	how  string
	text string
}

func (p part) sql(b *strings.Builder, column func(Column) string) {
	name := map[string]string{"startsWith": "starts_with", "endsWith": "ends_with", "contains": "contains"}[p.how]
	fmt.Fprintf(b, "coalesce(%s(%s, %s), false)", name, p.term.sql(column), sqlLiteral(p.text))
}

func (p part) match(value func(Column) any) bool {
	v, ok := p.term.value(value).(string)
	if !ok {
		return false
	}
	switch p.how {
	case "startsWith":
		return strings.HasPrefix(v, p.text)
	case "endsWith":
		return strings.HasSuffix(v, p.text)
	}
	return strings.Contains(v, p.text)
}
