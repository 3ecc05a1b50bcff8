package quality

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2024, 3, 9, 12, 0, 0, 0, time.UTC)

// flights is a window with something wrong in every column.
func flights() *fairlead.Table {
	at := make([]time.Time, 8)
	for i := range at {
		at[i] = now.Add(-time.Duration(8-i) * time.Hour)
	}
	return &fairlead.Table{Rows: 8, Columns: []fairlead.TableColumn{
		{Name: "id", Strings: []string{"a", "b", "c", "d", "e", "f", "g", "a"}},
		{Name: "distance", Floats: []float64{100, 250, -1, 733, math.NaN(), 2500, math.Inf(1), 90}, Null: []bool{false, false, false, false, true, false, false, false}},
		{Name: "origin", Strings: []string{"ATL", "ORD", "ATL", "atl", "", "JFK", "ATL", "ORD"}, Null: []bool{false, false, false, false, true, false, false, false}},
		{Name: "seats", Floats: []float64{1, 2, 3, 4, 5, 6, 7.5, 8}},
		{Name: "sold", Floats: []float64{0, 2, 3, 5, 5, 6, 7, 9}},
		{Name: "time", Times: at},
	}}
}

func at(v float64) *float64 { return &v }

// TestEveryKind: each kind kept and broken, as a person would read it.
func TestEveryKind(t *testing.T) {
	rules := []Rule{
		{Kind: NotNull, Column: "distance"}, {Kind: NotNull, Column: "distance", Mostly: 0.8}, {Kind: Null, Column: "origin", Mostly: 0.1}, {Kind: Null, Column: "origin"},
		{Kind: Unique, Column: "id"}, {Kind: Unique, Column: "seats"}, {Kind: UniqueTogether, Columns: []string{"id", "seats"}}, {Kind: UniqueTogether, Columns: []string{"origin", "sold"}},
		{Kind: InSet, Column: "origin", Set: []string{"ATL", "ORD", "JFK"}}, {Kind: InSet, Column: "sold", Set: []string{"0", "2.0", "3", "5", "6", "7", "9e0"}},
		{Kind: NotInSet, Column: "origin", Set: []string{"atl"}}, {Kind: NotInSet, Column: "origin", Set: []string{"LAX"}},
		{Kind: Between, Column: "distance", Min: at(0), Max: at(3000)}, {Kind: Between, Column: "distance", Min: at(0), Max: at(3000), Mostly: 0.7}, {Kind: Between, Column: "seats", Min: at(1), StrictMin: true},
		{Kind: Finite, Column: "distance"}, {Kind: Finite, Column: "seats"},
		{Kind: Type, Column: "seats", Type: "integer"}, {Kind: Type, Column: "seats", Type: "number"}, {Kind: Type, Column: "origin", Type: "time"},
		{Kind: Matches, Column: "origin", Pattern: "^[A-Z]{3}$"}, {Kind: NotMatches, Column: "origin", Pattern: "^X"}, {Kind: LengthBetween, Column: "origin", Min: at(3), Max: at(3)},
		{Kind: Increasing, Column: "time"}, {Kind: Increasing, Column: "distance"},
		{Kind: Greater, Columns: []string{"seats", "sold"}}, {Kind: Greater, Columns: []string{"seats", "sold"}, StrictMin: true}, {Kind: Greater, Columns: []string{"seats", "origin"}},
		{Kind: SumBetween, Columns: []string{"seats", "sold"}, Max: at(20)}, {Kind: SumBetween, Columns: []string{"seats", "sold"}, Max: at(15)},
		{Kind: Exists, Column: "gate"}, {Kind: Exists, Column: "id"}, {Kind: ColumnsAre, Columns: []string{"id", "distance", "gate"}, Exact: true}, {Kind: ColumnsAre, Columns: []string{"distance", "id"}, Ordered: true},
		{Kind: MinBetween, Column: "distance", Min: at(0)}, {Kind: MaxBetween, Column: "seats", Max: at(8)}, {Kind: MeanBetween, Column: "seats", Min: at(4), Max: at(5)}, {Kind: MedianBetween, Column: "seats", Min: at(4.5), Max: at(4.5)},
		{Kind: DeviationBetween, Column: "seats", Max: at(1)}, {Kind: TotalBetween, Column: "sold", Min: at(37), Max: at(37)}, {Kind: QuantileBetween, Column: "seats", Quantile: 0.25, Min: at(2.75), Max: at(2.75)},
		{Kind: DistinctBetween, Column: "origin", Max: at(3)}, {Kind: DistinctShareBetween, Column: "id", Min: at(0.9)}, {Kind: MostCommonInSet, Column: "origin", Set: []string{"ATL"}}, {Kind: MostCommonInSet, Column: "origin", Set: []string{"ORD"}},
		{Kind: DistinctInSet, Column: "origin", Set: []string{"ATL", "ORD", "JFK", "atl"}}, {Kind: DistinctContain, Column: "origin", Set: []string{"ATL", "LAX"}}, {Kind: DistinctEqual, Column: "origin", Set: []string{"ATL", "ORD", "LAX"}},
		{Kind: RowsBetween, Min: at(10)}, {Kind: Volume, Min: at(0.5), Max: at(2)}, {Kind: Fresh, Column: "time", Max: at(7200)}, {Kind: Fresh, Column: "time", Max: at(600)}, {Kind: Fresh, Column: "id", Max: at(600)},
		{Kind: KLBelow, Column: "origin", Set: []string{"ATL", "ORD", "JFK", "atl"}, Weights: []float64{3, 2, 1, 1}, Max: at(0.1)}, {Kind: KLBelow, Column: "origin", Set: []string{"ATL"}, Weights: []float64{1}, Max: at(0.1)},
		{Kind: Between, Column: "origin", Min: at(0)}, {Kind: Matches, Column: "distance", Pattern: "x"}, {Kind: "betwen", Column: "distance"}, {Kind: Between, Column: "gate", Min: at(0)},
	}
	var b strings.Builder
	results := Check(rules, flights(), Context{Now: now, Past: []float64{7, 9, 50}})
	if _, err := json.Marshal(results); err != nil {
		t.Errorf("results cannot be written as JSON: %v", err)
	}
	for _, r := range results {
		mark := "✗"
		if r.OK {
			mark = "✓"
		}
		fmt.Fprintf(&b, "%s %s\n", mark, r.Text)
		for _, e := range r.Examples {
			fmt.Fprintf(&b, "    row %d: %s\n", e.Row, e.Value)
		}
	}
	golden(t, "testdata/kinds.txt", b.String())
	seen := map[Kind]bool{}
	for _, r := range rules {
		seen[r.Kind] = true
	}
	for k := range kinds {
		if !seen[k] {
			t.Errorf("%s is not in this test", k)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update writes it):\n%s", name, got)
	}
}

// TestOneBrokenColumn: what cannot be judged is said, and everything else is judged all the same.
func TestOneBrokenColumn(t *testing.T) {
	table := flights()
	table.Columns[1] = fairlead.TableColumn{Name: "distance", Strings: make([]string, 8), Null: slices.Repeat([]bool{true}, 8)}
	rules := []Rule{{Kind: Between, Column: "distance", Min: at(0)}, {Kind: NotNull, Column: "distance"}, {Kind: Between, Column: "seats", Min: at(0)}}
	results := Check(rules, table, Context{})
	if results[0].OK || results[0].Skipped == "" || results[1].OK || results[1].Unexpected != 8 || !results[2].OK {
		t.Errorf("%+v", results)
	}
	for _, r := range Check(rules[1:], &fairlead.Table{Columns: []fairlead.TableColumn{{Name: "distance", Floats: []float64{}}, {Name: "seats", Floats: []float64{}}}}, Context{}) {
		if !r.OK {
			t.Errorf("no rows break no rule: %+v", r)
		}
	}
}

// TestRefusals are read aloud.
func TestRefusals(t *testing.T) {
	var b strings.Builder
	for _, r := range []Rule{
		{}, {Kind: Between}, {Kind: Between, Column: "x"}, {Kind: Between, Column: "x", Min: at(2), Max: at(1)}, {Kind: InSet, Column: "x"}, {Kind: Matches, Column: "x", Pattern: "("},
		{Kind: Matches, Column: "x"}, {Kind: Type, Column: "x", Type: "float"}, {Kind: QuantileBetween, Column: "x", Quantile: 2, Min: at(0)}, {Kind: Greater, Columns: []string{"x"}},
		{Kind: NotNull, Column: "x", Mostly: 1.5}, {Kind: MeanBetween, Column: "x", Min: at(0), Mostly: 0.9}, {Kind: NotNull, Column: "x", Severity: "fatal"}, {Kind: KLBelow, Column: "x", Set: []string{"a"}, Max: at(1)},
	} {
		err := r.Check()
		if fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%+v: %v", r, err)
		}
		fmt.Fprintln(&b, err)
	}
	golden(t, "testdata/refusals.txt", b.String())
}

// TestSuggest: the rules of a reference hold on it, are few enough to read, and break where later rows differ.
func TestSuggest(t *testing.T) {
	n := 400
	table := &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{{Name: "distance"}, {Name: "origin"}, {Name: "id"}, {Name: "note", Null: make([]bool, n)}}}
	for i := range n {
		table.Columns[0].Floats = append(table.Columns[0].Floats, 90.5+float64(i*37%2000))
		table.Columns[1].Strings = append(table.Columns[1].Strings, []string{"ATL", "ORD", "JFK"}[i%3])
		table.Columns[2].Strings = append(table.Columns[2].Strings, fmt.Sprint("f", i))
		table.Columns[3].Strings = append(table.Columns[3].Strings, fmt.Sprint("note ", i%250))
		table.Columns[3].Null[i] = i%4 == 0
	}
	rules := Suggest(table)
	b, err := json.MarshalIndent(rules, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/suggested.json", string(b)+"\n")
	for _, r := range Check(rules, table, Context{}) {
		if !r.OK {
			t.Errorf("the reference breaks its own rule: %s", r.Text)
		}
	}
	later := *table
	later.Columns = slices.Clone(table.Columns)
	later.Columns[0].Floats = slices.Clone(table.Columns[0].Floats)
	later.Columns[1].Strings = slices.Clone(table.Columns[1].Strings)
	later.Columns[0].Floats[7], later.Columns[1].Strings[9] = -5, "LAX"
	later.Columns[2].Strings = slices.Repeat([]string{"same"}, n)
	var broken []string
	for _, r := range Check(rules, &later, Context{}) {
		if !r.OK {
			broken = append(broken, string(r.Rule.Kind)+" "+r.Rule.Column)
		}
	}
	if want := []string{"between distance", "in_set origin", "unique id"}; !reflect.DeepEqual(broken, want) {
		t.Errorf("broken %v, want %v", broken, want)
	}
	if got := Suggest(&fairlead.Table{}); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

// TestGreatExpectations: a suite of each version, with the verdicts its own tool gives, and reasons for what has no rule.
func TestGreatExpectations(t *testing.T) {
	suite := `{"expectations": [
		{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "distance", "mostly": 0.8}, "severity": "warning"},
		{"expectation_type": "expect_column_values_to_be_between", "kwargs": {"column": "distance", "min_value": 0, "max_value": 3000, "strict_min": true, "batch_id": "x"}, "meta": {}},
		{"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "sold", "value_set": [0, 2, 3, 5, 6, 7, 9]}},
		{"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "origin", "value": 3}},
		{"type": "expect_column_values_to_be_in_type_list", "kwargs": {"column": "seats", "type_list": ["int64", "FLOAT"]}},
		{"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": {"column_A": "seats", "column_B": "sold", "or_equal": true, "mostly": 0.7}},
		{"type": "expect_table_columns_to_match_ordered_list", "kwargs": {"column_list": ["id", "distance"]}},
		{"type": "expect_table_row_count_to_equal", "kwargs": {"value": 8}},
		{"type": "expect_column_quantile_values_to_be_between", "kwargs": {"column": "seats", "quantile_ranges": {"quantiles": [0.25, 0.5], "value_ranges": [[2, 3], [null, 4]]}}},
		{"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "origin", "partition_object": {"values": ["ATL", "ORD", "JFK", "atl"], "weights": [0.4, 0.3, 0.2, 0.1]}, "threshold": 0.5}},
		{"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "seats", "partition_object": {"bins": [0, 4, 8], "weights": [0.5, 0.5]}, "threshold": 0.5}},
		{"type": "expect_column_values_to_match_strftime_format", "kwargs": {"column": "id", "strftime_format": "%Y"}},
		{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "distance", "row_condition": "col(\"origin\") == 1"}}
	]}`
	rules, left, err := FromGreatExpectations([]byte(suite))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range Check(rules, flights(), Context{}) {
		fmt.Fprintf(&b, "%v %s: %s\n", r.OK, r.Rule.Severity, r.Text)
	}
	for _, l := range left {
		fmt.Fprintln(&b, "left out", l)
	}
	golden(t, "testdata/suite.txt", b.String())
	for _, bad := range []string{"", "[]", "{}", `{"expectations": 3}`, "null"} {
		if _, _, err := FromGreatExpectations([]byte(bad)); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzFromGreatExpectations(f *testing.F) {
	f.Add([]byte(`{"expectations": [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "min_value": 0, "mostly": 0.9}}]}`))
	f.Add([]byte(`{"expectations": [{"type": "expect_column_quantile_values_to_be_between", "kwargs": {"column": "distance", "quantile_ranges": {"quantiles": [0, 1], "value_ranges": [[1], []]}}}]}`))
	f.Add([]byte(`{"expectations": [{"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "origin", "partition_object": {"values": ["a"], "weights": [1]}, "threshold": 1}}]}`))
	f.Fuzz(func(_ *testing.T, content []byte) {
		rules, _, err := FromGreatExpectations(content)
		if err == nil {
			Check(rules, flights(), Context{Now: now})
		}
	})
}
