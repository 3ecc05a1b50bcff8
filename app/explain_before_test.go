package app

import (
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
)

// Rows of before come from the same hours of the weeks before the onset, of the days before it, or from any, but not from windows
// that had drifted.
func TestWindowsOfBefore(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	onset := at(27, 14)
	drifted := []time.Time{onset, at(27, 15), at(28, 14)} // a day and more
	options := beforeOptions(drifted, onset, time.Hour, func(w time.Time) bool { return w.Equal(at(20, 15)) })
	if len(options) != 3 {
		t.Fatalf("%+v", options)
	}
	starts := func(o spansOption) (out []string) {
		for _, s := range evalstore.Spans(o.spans) {
			for h := s.From; h.Before(s.To); h = h.Add(time.Hour) {
				out = append(out, h.Format("2 15"))
			}
			if s.To.After(onset) {
				t.Errorf("%s: %v is not before", o.name, s)
			}
		}
		return out
	}
	weeks := starts(options[0])
	if !slices.Contains(weeks, "20 14") || slices.Contains(weeks, "20 15") || !slices.Contains(weeks, "13 15") || !slices.Contains(weeks, "21 14") {
		t.Errorf("weeks: %q", weeks)
	}
	if days := starts(options[1]); !slices.Contains(days, "26 14") || !slices.Contains(days, "26 15") || slices.Contains(days, "26 13") {
		t.Errorf("days: %q", days)
	}
	if all := starts(options[2]); len(all) != 14*24-1 {
		t.Errorf("%d windows of two weeks, less one that had drifted", len(all))
	}
	if of := beforeOptions([]time.Time{at(27, 0)}, at(27, 0), 24*time.Hour, func(time.Time) bool { return false }); len(of) != 2 || len(of[0].spans) != 4 || len(of[1].spans) != 14 {
		t.Errorf("by day: %+v", of)
	}
}

func TestTagsAreFacets(t *testing.T) {
	s := &evalstore.Sample{}
	for i := range 300 {
		tags := map[string]string{"desk": string(rune('a' + i%2)), "request": time.Duration(i).String()}
		if i == 7 {
			tags["rare"] = "x"
		}
		s.Tags = append(s.Tags, tags)
	}
	all := tagFacets(s, &evalstore.Sample{Tags: []map[string]string{nil}})
	if len(all) != 1 || all[0].facet.Name != `tags["desk"]` || len(all[0].facet.Parts) != 2 {
		t.Fatalf("%+v", all)
	}
	if parts := all[0].parts(&evalstore.Sample{Tags: []map[string]string{{"desk": "b"}, nil, {"desk": "new"}}}); !slices.Equal(parts, []int{1, -1, -1}) {
		t.Errorf("%v", parts)
	}
}

func TestSchemaChange(t *testing.T) {
	sig := func(typ fairlead.DataType, features ...string) *fairlead.Signature {
		return &fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "x", Type: typ, Shape: []int64{-1, int64(len(features))}, Features: features}}}
	}
	for _, c := range []struct {
		old, now *fairlead.Signature
		want     string
	}{
		{sig(fairlead.FP32, "a", "b"), sig(fairlead.FP32, "b", "a"), ""},
		{sig(fairlead.FP32, "a", "b"), sig(fairlead.FP32, "a", "c"), ", with c, without b"},
		{sig(fairlead.FP32, "a"), sig(fairlead.Int64, "a"), ", with a as INT64, not FP32"},
		{sig(fairlead.FP32, "a"), sig(fairlead.FP32, "b", "c", "d", "e"), ", with b, with c, with d, 2 more differences"},
	} {
		if got := schemaChange(c.old, c.now); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
