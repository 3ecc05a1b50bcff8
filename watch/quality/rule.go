package quality

import (
	"regexp"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Kind names what a rule expects.
type Kind string

// The kinds that judge rows. Nulls are left out by all but the first two.
const (
	NotNull        Kind = "not_null"
	Null           Kind = "null"
	Unique         Kind = "unique"          // every value occurs once in the window
	UniqueTogether Kind = "unique_together" // the values of columns together
	InSet          Kind = "in_set"
	NotInSet       Kind = "not_in_set"
	Between        Kind = "between"
	Type           Kind = "type" // number, integer, text or time
	Matches        Kind = "matches"
	NotMatches     Kind = "not_matches"
	LengthBetween  Kind = "length_between" // characters of a text
	Increasing     Kind = "increasing"     // from one row to the next
	Greater        Kind = "greater"        // the first of columns above the second; equal too unless strict_min
	SumBetween     Kind = "row_sum_between"
	Finite         Kind = "finite" // neither NaN nor infinite
)

// The kinds that judge a window.
const (
	Exists               Kind = "exists"
	MinBetween           Kind = "min_between"
	MaxBetween           Kind = "max_between"
	MeanBetween          Kind = "mean_between"
	MedianBetween        Kind = "median_between"
	DeviationBetween     Kind = "stdev_between"
	TotalBetween         Kind = "sum_between"
	QuantileBetween      Kind = "quantile_between"
	DistinctBetween      Kind = "distinct_between"
	DistinctShareBetween Kind = "distinct_share_between"
	MostCommonInSet      Kind = "most_common_in_set"
	DistinctInSet        Kind = "distinct_in_set"
	DistinctContain      Kind = "distinct_contain_set"
	DistinctEqual        Kind = "distinct_equal_set"
	RowsBetween          Kind = "rows_between"
	Volume               Kind = "volume" // rows ÷ median of the windows before
	Fresh                Kind = "fresh"  // age in seconds of the newest value of a time column
	ColumnsAre           Kind = "columns"
	KLBelow              Kind = "kl_below" // divergence from the declared weights of set, in nats
)

// Severity says what a broken rule means.
type Severity string

// The severities. The zero value of a rule's is Error.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Rule is one expectation. Which fields it needs depends on its kind.
type Rule struct {
	Kind      Kind      `json:"rule" yaml:"rule"`
	Column    string    `json:"column,omitempty" yaml:"column,omitempty"`
	Columns   []string  `json:"columns,omitempty" yaml:"columns,omitempty"`
	Min       *float64  `json:"min,omitempty" yaml:"min,omitempty"`
	Max       *float64  `json:"max,omitempty" yaml:"max,omitempty"`
	StrictMin bool      `json:"strict_min,omitempty" yaml:"strict_min,omitempty"`
	StrictMax bool      `json:"strict_max,omitempty" yaml:"strict_max,omitempty"`
	Set       []string  `json:"set,omitempty" yaml:"set,omitempty"`         // numbers are written as numbers
	Weights   []float64 `json:"weights,omitempty" yaml:"weights,omitempty"` // of the set's values, for kl_below
	Pattern   string    `json:"pattern,omitempty" yaml:"pattern,omitempty"` // RE2
	Type      string    `json:"type,omitempty" yaml:"type,omitempty"`
	Quantile  float64   `json:"quantile,omitempty" yaml:"quantile,omitempty"`
	Ordered   bool      `json:"ordered,omitempty" yaml:"ordered,omitempty"` // columns: in this order
	Exact     bool      `json:"exact,omitempty" yaml:"exact,omitempty"`     // columns: and no others
	// Mostly is the share of rows that must comply, in (0,1]; 0 is all.
	Mostly   float64  `json:"mostly,omitempty" yaml:"mostly,omitempty"`
	Severity Severity `json:"severity,omitempty" yaml:"severity,omitempty"`
}

// needs says which fields a kind reads.
type needs struct {
	row, column, columns, bounds, set, numeric, text bool
}

var kinds = map[Kind]needs{
	NotNull: {row: true, column: true}, Null: {row: true, column: true}, Unique: {row: true, column: true},
	UniqueTogether: {row: true, columns: true}, InSet: {row: true, column: true, set: true}, NotInSet: {row: true, column: true, set: true},
	Between: {row: true, column: true, bounds: true, numeric: true}, Type: {row: true, column: true}, Matches: {row: true, column: true, text: true},
	NotMatches: {row: true, column: true, text: true}, LengthBetween: {row: true, column: true, bounds: true, text: true},
	Increasing: {row: true, column: true}, Greater: {row: true, columns: true}, SumBetween: {row: true, columns: true, bounds: true},
	Finite: {row: true, column: true, numeric: true},
	Exists: {column: true}, MinBetween: {column: true, bounds: true, numeric: true}, MaxBetween: {column: true, bounds: true, numeric: true},
	MeanBetween: {column: true, bounds: true, numeric: true}, MedianBetween: {column: true, bounds: true, numeric: true},
	DeviationBetween: {column: true, bounds: true, numeric: true}, TotalBetween: {column: true, bounds: true, numeric: true},
	QuantileBetween: {column: true, bounds: true, numeric: true}, DistinctBetween: {column: true, bounds: true},
	DistinctShareBetween: {column: true, bounds: true}, MostCommonInSet: {column: true, set: true}, DistinctInSet: {column: true, set: true},
	DistinctContain: {column: true, set: true}, DistinctEqual: {column: true, set: true}, RowsBetween: {bounds: true}, Volume: {bounds: true},
	Fresh: {column: true, bounds: true}, ColumnsAre: {columns: true}, KLBelow: {column: true, set: true, bounds: true},
}

// PerRow says whether a rule judges single rows, so that it can be asked about one request.
func (r *Rule) PerRow() bool {
	n := kinds[r.Kind]
	return n.row && r.Kind != Unique && r.Kind != UniqueTogether && r.Kind != Increasing
}

// Check says what is wrong with a rule, before any data is seen. The error is CodeInvalid.
func (r *Rule) Check() error {
	n, ok := kinds[r.Kind]
	switch {
	case !ok:
		return fairlead.Invalid("there is no rule %q", r.Kind).Hintf("rules: %s", names())
	case n.column && r.Column == "":
		return fairlead.Invalid("%s needs a column", r.Kind).Hintf("column: distance")
	case n.columns && (len(r.Columns) == 0 || r.Kind == Greater && len(r.Columns) != 2):
		return fairlead.Invalid("%s needs columns", r.Kind).Hintf("columns: [arrival, departure]")
	case n.bounds && r.Min == nil && r.Max == nil:
		return fairlead.Invalid("%s of %s needs min, max or both", r.Kind, r.subject()).Hintf("min: 0")
	case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
		return fairlead.Invalid("%s of %s: min %v is above max %v", r.Kind, r.subject(), *r.Min, *r.Max)
	case n.set && len(r.Set) == 0:
		return fairlead.Invalid("%s of %s needs a set", r.Kind, r.subject()).Hintf("set: [ATL, ORD]")
	case r.Mostly < 0 || r.Mostly > 1:
		return fairlead.Invalid("mostly of %s is %v; it is the share of rows that must comply, from 0 to 1", r.subject(), r.Mostly)
	case r.Mostly != 0 && !n.row:
		return fairlead.Invalid("%s judges the window, not rows: it takes no mostly", r.Kind)
	case r.Severity != "" && r.Severity != Error && r.Severity != Warning:
		return fairlead.Invalid("the severity %q is neither error nor warning", r.Severity)
	}
	return r.checkKind()
}

func (r *Rule) checkKind() error {
	switch r.Kind {
	case Matches, NotMatches:
		if _, err := regexp.Compile(r.Pattern); err != nil || r.Pattern == "" {
			return fairlead.Invalid("the pattern %q of %s is no regular expression", r.Pattern, r.subject()).Hintf("write it in RE2, for example ^[A-Z]{3}$").Cause(err)
		}
	case Type:
		if !slices.Contains([]string{"number", "integer", "text", "time"}, r.Type) {
			return fairlead.Invalid("the type %q of %s is none of number, integer, text, time", r.Type, r.subject())
		}
	case QuantileBetween:
		if !(r.Quantile >= 0 && r.Quantile <= 1) {
			return fairlead.Invalid("the quantile %v of %s lies outside 0 to 1", r.Quantile, r.subject())
		}
	case KLBelow:
		sum := 0.0
		for _, w := range r.Weights {
			sum += w
			if !(w >= 0) {
				return fairlead.Invalid("a weight of %s is %v; at least 0 is wanted", r.subject(), w)
			}
		}
		if len(r.Weights) != len(r.Set) || !(sum > 0) || r.Max == nil {
			return fairlead.Invalid("%s of %s needs one weight for each value of the set, and max", r.Kind, r.subject())
		}
	}
	return nil
}

func (r *Rule) subject() string {
	switch {
	case r.Column != "":
		return r.Column
	case len(r.Columns) > 0:
		return strings.Join(r.Columns, ", ")
	}
	return "the window"
}

func names() string {
	all := make([]string, 0, len(kinds))
	for k := range kinds {
		all = append(all, string(k))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// within says whether a number keeps a rule's bounds; NaN does not.
func (r *Rule) within(v float64) bool {
	if v != v {
		return false
	}
	if r.Min != nil && (v < *r.Min || r.StrictMin && v == *r.Min) {
		return false
	}
	return r.Max == nil || v < *r.Max || !r.StrictMax && v == *r.Max
}
