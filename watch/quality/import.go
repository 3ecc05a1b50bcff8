package quality

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// suite is a suite of Great Expectations, 0.x ("expectation_type") or 1.x ("type").
type suite struct {
	Expectations []struct {
		Type    string         `json:"type"`
		OldType string         `json:"expectation_type"`
		Kwargs  map[string]any `json:"kwargs"`
		Level   string         `json:"severity"`
	} `json:"expectations"`
}

// FromGreatExpectations reads a suite (JSON). It gives the rules and, for each expectation that has no rule here, a sentence why; the
// error is that of a file that is no suite.
func FromGreatExpectations(content []byte) ([]Rule, []string, error) {
	var s suite
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, nil, fairlead.Invalid("this is no suite of Great Expectations").Hintf("a JSON object with the key expectations").Cause(err)
	}
	if s.Expectations == nil {
		return nil, nil, fairlead.Invalid("this JSON has no key expectations").Hintf("give the suite's own file, gx/expectations/NAME.json")
	}
	rules, left := []Rule{}, []string{}
	for i, e := range s.Expectations {
		name := e.Type
		if name == "" {
			name = e.OldType
		}
		for _, args := range each(name, e.Kwargs) {
			r, err := translate(name, args)
			if err == nil {
				if e.Level == "warning" || e.Level == "info" {
					r.Severity = Warning
				}
				err = r.Check()
			}
			if err != nil {
				left = append(left, fmt.Sprintf("%d: %s: %v", i+1, name, err))
				continue
			}
			rules = append(rules, r)
		}
	}
	return rules, left, nil
}

// each splits an expectation of several quantiles into one for each.
func each(name string, args map[string]any) []map[string]any {
	object, _ := args["quantile_ranges"].(map[string]any)
	quantiles, _ := object["quantiles"].([]any)
	ranges, _ := object["value_ranges"].([]any)
	if name != "expect_column_quantile_values_to_be_between" || len(quantiles) != len(ranges) || len(quantiles) < 2 {
		return []map[string]any{args}
	}
	out := make([]map[string]any, len(quantiles))
	for i := range quantiles {
		out[i] = maps.Clone(args)
		out[i]["quantile_ranges"] = map[string]any{"quantiles": quantiles[i : i+1], "value_ranges": ranges[i : i+1]}
	}
	return out
}

var greatExpectations = map[string]Kind{
	"expect_column_to_exist":                                  Exists,
	"expect_column_values_to_not_be_null":                     NotNull,
	"expect_column_values_to_be_null":                         Null,
	"expect_column_values_to_be_unique":                       Unique,
	"expect_compound_columns_to_be_unique":                    UniqueTogether,
	"expect_column_values_to_be_in_set":                       InSet,
	"expect_column_values_to_not_be_in_set":                   NotInSet,
	"expect_column_values_to_be_between":                      Between,
	"expect_column_values_to_be_of_type":                      Type,
	"expect_column_values_to_be_in_type_list":                 Type,
	"expect_column_values_to_match_regex":                     Matches,
	"expect_column_values_to_not_match_regex":                 NotMatches,
	"expect_column_value_lengths_to_be_between":               LengthBetween,
	"expect_column_value_lengths_to_equal":                    LengthBetween,
	"expect_column_values_to_be_increasing":                   Increasing,
	"expect_column_pair_values_a_to_be_greater_than_b":        Greater,
	"expect_column_pair_values_A_to_be_greater_than_B":        Greater,
	"expect_multicolumn_sum_to_equal":                         SumBetween,
	"expect_column_min_to_be_between":                         MinBetween,
	"expect_column_max_to_be_between":                         MaxBetween,
	"expect_column_mean_to_be_between":                        MeanBetween,
	"expect_column_median_to_be_between":                      MedianBetween,
	"expect_column_stdev_to_be_between":                       DeviationBetween,
	"expect_column_sum_to_be_between":                         TotalBetween,
	"expect_column_unique_value_count_to_be_between":          DistinctBetween,
	"expect_column_proportion_of_unique_values_to_be_between": DistinctShareBetween,
	"expect_column_most_common_value_to_be_in_set":            MostCommonInSet,
	"expect_column_distinct_values_to_be_in_set":              DistinctInSet,
	"expect_column_distinct_values_to_contain_set":            DistinctContain,
	"expect_column_distinct_values_to_equal_set":              DistinctEqual,
	"expect_table_row_count_to_be_between":                    RowsBetween,
	"expect_table_row_count_to_equal":                         RowsBetween,
	"expect_table_columns_to_match_set":                       ColumnsAre,
	"expect_table_columns_to_match_ordered_list":              ColumnsAre,
	"expect_column_kl_divergence_to_be_less_than":             KLBelow,
	"expect_column_quantile_values_to_be_between":             QuantileBetween,
}

// harmless are arguments that change nothing in a verdict.
var harmless = map[string]bool{"batch_id": true, "result_format": true, "meta": true, "catch_exceptions": true, "parse_strings_as_datetimes": false}

func translate(name string, args map[string]any) (Rule, error) {
	kind, ok := greatExpectations[name]
	if !ok {
		return Rule{}, fmt.Errorf("there is no such rule here")
	}
	r := Rule{Kind: kind}
	for key, v := range args {
		if v == nil || harmless[key] {
			continue
		}
		if err := r.take(key, v); err != nil {
			return r, err
		}
	}
	switch name {
	case "expect_table_columns_to_match_ordered_list":
		r.Ordered, r.Exact = true, true
	case "expect_table_columns_to_match_set":
		if exact, set := args["exact_match"].(bool); !set || exact {
			r.Exact = true
		}
	case "expect_column_pair_values_a_to_be_greater_than_b", "expect_column_pair_values_A_to_be_greater_than_B":
		a, _ := args["column_A"].(string)
		b, _ := args["column_B"].(string)
		equal, _ := args["or_equal"].(bool)
		r.Columns, r.StrictMin = []string{a, b}, !equal
	}
	return r, nil
}

// take reads one argument. Only what has a meaning here is taken; the rest is an error, because a rule without it would be another rule.
func (r *Rule) take(key string, v any) error {
	number := func(into ...**float64) error {
		f, ok := v.(float64)
		if !ok {
			return fmt.Errorf("%s is %v, a number is wanted", key, v)
		}
		for _, p := range into {
			*p = &f
		}
		return nil
	}
	switch key {
	case "column":
		r.Column, _ = v.(string)
	case "column_A", "column_B", "or_equal", "exact_match":
	case "column_list", "column_set":
		var err error
		r.Columns, err = texts(v)
		return err
	case "value_set":
		var err error
		r.Set, err = texts(v)
		return err
	case "min_value":
		return number(&r.Min)
	case "max_value", "threshold":
		return number(&r.Max)
	case "value", "sum_total":
		return number(&r.Min, &r.Max)
	case "strict_min", "strict_max":
		on, _ := v.(bool)
		if key == "strict_min" {
			r.StrictMin = on
		} else {
			r.StrictMax = on
		}
	case "mostly":
		f, ok := v.(float64)
		if !ok || f < 0 || f > 1 {
			return fmt.Errorf("mostly is %v", v)
		}
		if r.Mostly = f; f == 0 {
			r.Mostly = math.SmallestNonzeroFloat64 // 0 stands for all here
		}
	case "regex":
		r.Pattern, _ = v.(string)
	case "type_", "type_list":
		return r.takeType(v)
	case "partition_object":
		return r.takePartition(v)
	case "quantile_ranges":
		return r.takeQuantile(v)
	default:
		return fmt.Errorf("the argument %s is not known here", key)
	}
	return nil
}

func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%v is no list", v)
	}
	out := make([]string, len(list))
	for i, x := range list {
		switch x := x.(type) {
		case string:
			out[i] = x
		case float64:
			out[i] = strconv.FormatFloat(x, 'g', -1, 64)
		case bool:
			out[i] = strconv.FormatBool(x)
		default:
			return nil, fmt.Errorf("%v is neither text nor number", x)
		}
	}
	return out, nil
}

// takeType maps names of pandas, Spark and SQL types.
func (r *Rule) takeType(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, x := range list {
		name, _ := x.(string)
		kind := "text"
		switch n := strings.ToLower(name); {
		case strings.Contains(n, "int"), strings.HasPrefix(n, "long"):
			kind = "integer"
		case strings.Contains(n, "float"), strings.Contains(n, "double"), strings.Contains(n, "decimal"), strings.Contains(n, "numeric"), n == "real":
			kind = "number"
		case strings.Contains(n, "date"), strings.Contains(n, "time"):
			kind = "time"
		case n == "str", n == "object", strings.Contains(n, "char"), strings.Contains(n, "string"), n == "text":
		default:
			return fmt.Errorf("the type %s is not known here", name)
		}
		if r.Type != "" && r.Type != kind {
			if (r.Type == "integer" || r.Type == "number") && (kind == "integer" || kind == "number") {
				kind = "number"
			} else {
				return fmt.Errorf("a column of either %s or %s has no rule here", r.Type, kind)
			}
		}
		r.Type = kind
	}
	return nil
}

// takePartition reads declared weights of values; those of bins have no rule here.
func (r *Rule) takePartition(v any) error {
	object, _ := v.(map[string]any)
	if object["bins"] != nil {
		return fmt.Errorf("weights of bins have no rule here: a monitor of the column does it")
	}
	set, err := texts(object["values"])
	if err != nil {
		return err
	}
	weights, _ := object["weights"].([]any)
	for _, w := range weights {
		f, ok := w.(float64)
		if !ok {
			return fmt.Errorf("the weight %v is no number", w)
		}
		r.Weights = append(r.Weights, f)
	}
	r.Set = set
	return nil
}

// takeQuantile reads one quantile with its range.
func (r *Rule) takeQuantile(v any) error {
	object, _ := v.(map[string]any)
	quantiles, _ := object["quantiles"].([]any)
	ranges, _ := object["value_ranges"].([]any)
	if len(quantiles) != 1 || len(ranges) != 1 {
		return fmt.Errorf("%d quantiles for %d ranges", len(quantiles), len(ranges))
	}
	q, ok := quantiles[0].(float64)
	bounds, _ := ranges[0].([]any)
	if !ok || len(bounds) != 2 {
		return fmt.Errorf("a quantile with a range of two numbers is wanted")
	}
	r.Quantile = q
	for i, into := range []**float64{&r.Min, &r.Max} {
		if f, ok := bounds[i].(float64); ok {
			*into = &f
		}
	}
	return nil
}
