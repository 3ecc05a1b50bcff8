package app

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/explain"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Bounds of what tags are looked at by.
const (
	mostTags     = 10
	mostTagValue = 20
)

// driftedWindows are the latest windows of an alert in which its column had drifted.
func driftedWindows(in *explain.Input) []time.Time {
	var out []time.Time
	for _, c := range in.Columns {
		if c.Name != in.Column {
			continue
		}
		for _, p := range c.Points {
			if p.Drifted && !p.Start.Before(in.Onset) && !p.Start.After(in.Last) {
				out = append(out, p.Start.UTC())
			}
		}
	}
	if len(out) == 0 {
		for at := in.Onset.UTC(); !at.After(in.Last); at = at.Add(in.Grain) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	out = slices.CompactFunc(out, time.Time.Equal)
	return out[max(0, len(out)-lookWindows):]
}

// driftedBefore says of a window whether the column had drifted in it, as far as that is known.
func driftedBefore(in *explain.Input, book *alert.Book) func(time.Time) bool {
	drifted := map[int64]bool{}
	for _, c := range in.Columns {
		if c.Name == in.Column {
			for _, p := range c.Points {
				if p.Drifted {
					drifted[p.Start.Unix()] = true
				}
			}
		}
	}
	var stretches []evalstore.Span
	for _, x := range book.Alerts() {
		if x.Column == in.Column {
			stretches = append(stretches, evalstore.Span{From: x.Onset, To: x.Last.Add(in.Grain)})
		}
	}
	return func(at time.Time) bool {
		return drifted[at.Unix()] || slices.ContainsFunc(stretches, func(s evalstore.Span) bool { return !at.Before(s.From) && at.Before(s.To) })
	}
}

type spansOption struct {
	name  string
	spans []evalstore.Span
}

// beforeOptions are windows of before the onset that had not drifted, the most alike first: those of the same hours of the week, of
// the same hours of the day, any.
func beforeOptions(drifted []time.Time, onset time.Time, grain time.Duration, past func(time.Time) bool) []spansOption {
	const day = 24 * time.Hour
	span := func(at time.Time, into map[int64]evalstore.Span) {
		if at.Before(onset) && !past(at) {
			into[at.Unix()] = evalstore.Span{From: at, To: at.Add(grain)}
		}
	}
	weeks, days, all := map[int64]evalstore.Span{}, map[int64]evalstore.Span{}, map[int64]evalstore.Span{}
	for _, at := range drifted {
		back := max(0, at.Sub(onset))
		for week := range 4 { // an alert of weeks compares with the weeks before its onset
			span(at.Add(-back/(7*day)*7*day-time.Duration(week+1)*7*day), weeks)
		}
		for d := range 14 {
			span(at.Add(-back/day*day-time.Duration(d+1)*day), days)
		}
	}
	for at := onset.Add(-14 * day); at.Before(onset); at = at.Add(grain) {
		span(at, all)
	}
	options := []spansOption{{"the same hours of the weeks before", slices.Collect(maps.Values(weeks))}}
	if grain < day {
		options = append(options, spansOption{"the same hours of the days before", slices.Collect(maps.Values(days))})
	}
	return append(options, spansOption{"the two weeks before", slices.Collect(maps.Values(all))})
}

type tagFacet struct {
	facet explain.Facet
	key   string
	place map[string]int
}

// tagFacets are the tags that rows have, by their most frequent values.
func tagFacets(samples ...*evalstore.Sample) []tagFacet {
	count, rows := map[string]map[string]int{}, 0
	for _, s := range samples {
		for _, tags := range s.Tags {
			rows++
			for k, v := range tags {
				if count[k] == nil {
					count[k] = map[string]int{}
				}
				if len(count[k]) < 10_000 || count[k][v] > 0 {
					count[k][v]++
				}
			}
		}
	}
	var out []tagFacet
	for _, k := range slices.Sorted(maps.Keys(count)) {
		values := slices.SortedFunc(maps.Keys(count[k]), func(a, b string) int {
			return cmp.Or(cmp.Compare(count[k][b], count[k][a]), cmp.Compare(a, b))
		})
		values = values[:min(len(values), mostTagValue)]
		if len(out) == mostTags || count[k][values[0]] < rows/100 {
			continue
		}
		t := tagFacet{explain.Facet{Name: `tags[` + strconv.QuoteToASCII(k) + `]`, Label: "tag " + k}, k, map[string]int{}}
		for i, v := range values {
			t.place[v] = i
			t.facet.Parts = append(t.facet.Parts, profile.Bin{Label: v, Kind: "category"})
		}
		out = append(out, t)
	}
	return out
}

func (t *tagFacet) parts(s *evalstore.Sample) []int {
	out := make([]int, len(s.Tags))
	for i, tags := range s.Tags {
		out[i] = -1
		if v, ok := tags[t.key]; ok {
			if p, ok := t.place[v]; ok {
				out[i] = p
			}
		}
	}
	return out
}
