package app

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/examples/flights"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/reference"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Four months of real flights, with three planted faults in March, under the default policy: an alert for each fault and one
// more, for the evening of 14 June on which Dallas-Fort Worth stood still (one departure from 20:00 to 21:00, where that hour of
// the week has 56). The scores are not part of it: they would need every flight to be predicted.
func TestDefaultPolicyOnFlights(t *testing.T) {
	source, err := bundle.Read(flights.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	var fields []fairlead.Field
	for _, name := range []string{"hour", "weekday", "distance", "departures", "origin", "destination"} {
		f := fairlead.Field{Name: name, Type: fairlead.FP32}
		if name == "origin" || name == "destination" {
			f.Type = fairlead.Bytes
		}
		fields = append(fields, f)
	}
	table, err := reference.Read(source.ReferenceName, source.Reference, "origin", "destination")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := profile.Learn(fields, table, profile.Options{TimeColumn: "time"})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := flights.OpenReader(t.Context(), "../bin/flights-3m.parquet", flights.Start, flights.End)
	if err != nil {
		t.Fatalf("%v: `make runtime` fetches it", err)
	}
	defer reader.Close()
	rule, book, faults := ruleOf(bundle.MonitorFile{}), alert.Book{Deployment: flights.Name}, flights.IncidentAll.Faults()
	hour := newHour(fields)
	var start time.Time
	for {
		f, err := reader.Next()
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			t.Fatal(err)
		}
		at := time.Unix(f.Minute*60, 0).UTC().Truncate(time.Hour)
		if hour.Rows > 0 && (last || !at.Equal(start)) {
			book.Apply(rule, windowOf(ref, hour, start))
			hour = newHour(fields)
		}
		if last {
			break
		}
		start = at
		if slices.ContainsFunc(faults, func(p flights.Fault) bool { return !p.Apply(&f) }) {
			continue
		}
		for i, x := range []int{f.Hour, f.Weekday, f.Distance, f.Departures} {
			hour.Columns[i].Floats = append(hour.Columns[i].Floats, float64(x))
		}
		hour.Columns[4].Strings = append(hour.Columns[4].Strings, f.Origin)
		hour.Columns[5].Strings = append(hour.Columns[5].Strings, f.Destination)
		hour.Rows++
	}
	var story strings.Builder
	fmt.Fprintf(&story, "%s %v in %s, fdr %v, over after %d clean ones\n", rule.Measure, rule.Threshold, rule.Windows(), rule.FDR, rule.Clear)
	for _, a := range slices.Backward(book.Alerts()) {
		if a.State != alert.Pending {
			fmt.Fprintf(&story, "%-11s %s to %s, fired %s, at worst %.2f\n", a.Column, clock(a.Onset), clock(a.Last), clock(a.Fired), a.Worst)
		}
	}
	golden(t, "testdata/policy.txt", story.String())
}

func clock(t time.Time) string { return t.Format("02 Jan 15:04") }

func newHour(fields []fairlead.Field) *fairlead.Table {
	t := &fairlead.Table{}
	for _, f := range fields {
		t.Columns = append(t.Columns, fairlead.TableColumn{Name: f.Name})
	}
	return t
}

// windowOf measures an hour as the monitor does.
func windowOf(ref *profile.Reference, hour *fairlead.Table, start time.Time) alert.Window {
	l := ref.Layout
	cur := profile.NewCounts(l)
	cur.AddTable(l, hour, 0, hour.Rows)
	same, _ := ref.For(start, start.Add(time.Hour))
	w := alert.Window{Version: 1, Start: start}
	var p []float64
	for i := range l.Columns {
		m := drift.Measure(same.AlertBins(l, i), cur.AlertBins(l, i), same.FineBins(l, i), cur.FineBins(l, i), cur.N, same.N)
		p = append(p, m.P)
		w.Observations = append(w.Observations, alert.Observation{
			Column: l.Columns[i].Name, Measured: alert.Measured{Value: m.PSI, Effect: m.PSIDebiased, Floor: m.PSIFloor}, N: cur.N,
		})
	}
	for i, q := range drift.Adjusted(p) {
		w.Observations[i].Q = q
	}
	return w
}
