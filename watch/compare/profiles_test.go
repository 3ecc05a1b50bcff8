package compare_test

import (
	"math"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

// live counts rows by day, as the monitor does, against a reference of other rows.
func live(t *testing.T, ref, cur compare.Side, timeColumn string) compare.Live {
	t.Helper()
	fields := []fairlead.Field{{Name: "price", Type: fairlead.FP64}, {Name: "region", Type: fairlead.Bytes}, {Name: "score", Type: fairlead.FP64, Output: true}}
	reference, err := profile.Learn(fields, ref.Source.(compare.Table).Table, profile.Options{TimeColumn: timeColumn})
	if err != nil {
		t.Fatal(err)
	}
	out := compare.Live{Name: "shop version 1", Baseline: "its reference", Reference: reference, Length: 24 * time.Hour}
	rows := cur.Source.(compare.Table).Table
	times := rows.Column("time").Times
	for from := 0; from < rows.Rows; {
		day, to := times[from].Truncate(24*time.Hour), from
		for to < rows.Rows && times[to].Truncate(24*time.Hour).Equal(day) {
			to++
		}
		counts := profile.NewCounts(reference.Layout)
		counts.AddTable(reference.Layout, rows, from, to)
		out.Windows = append(out.Windows, compare.LiveWindow{Start: day, Until: day.Add(24 * time.Hour), Counts: counts})
		from = to
	}
	return out
}

// The counts of the windows say of a column what its rows would.
func TestProfilesSayWhatRowsDo(t *testing.T) {
	ref := shop(20_000, 1, nil)
	cur := shop(20_000, 2, func(i int, r *row) {
		if i >= 10_000 {
			r.price *= 1.6
		}
	})
	offline := run(t, ref, cur, compare.Options{Sample: -1, Columns: []string{"price", "region", "score", "time"}}, 1)
	online, err := compare.Profiles(live(t, ref, cur, ""))
	if err != nil {
		t.Fatal(err)
	}
	if online.Reference.Rows != 20_000 || online.Current.Rows != 20_000 || len(online.Windows.Starts) != 40 || online.Drifted != offline.Drifted {
		t.Errorf("%+v", online)
	}
	for _, name := range []string{"price", "region", "score"} {
		a, b := column(t, offline, name), column(t, online, name)
		near := func(what string, x, y compare.Number) {
			if math.Abs(float64(x-y)) > 1e-12 && !(math.IsNaN(float64(x)) && math.IsNaN(float64(y))) {
				t.Errorf("%s: %s is %v by rows, %v by counts", name, what, x, y)
			}
		}
		near("PSI", a.PSI, b.PSI)
		near("its floor", a.PSIFloor, b.PSIFloor)
		near("KS", a.KS, b.KS)
		near("D1", a.D1, b.D1)
		near("mean", a.Current.Mean, b.Current.Mean)
		near("missing", a.Current.Missing, b.Current.Missing)
		if a.Drifted != b.Drifted || len(a.Bins) != len(b.Bins) || len(b.Series) != 40 {
			t.Errorf("%s: %v %d bins by rows, %v %d bins %d windows by counts", name, a.Drifted, len(a.Bins), b.Drifted, len(b.Bins), len(b.Series))
		}
	}
	price := column(t, online, "price")
	if !price.Drifted || price.Shape == nil || price.Shape.Kind != shape.Instantaneous || price.Since != "2026-03-22T00:00:00Z" {
		t.Errorf("price: drifted %v %+v since %q", price.Drifted, price.Shape, price.Since)
	}
	if score := column(t, online, "score"); score.Role != "output" {
		t.Errorf("score is %q", score.Role)
	}
}

// A part of a week is held against the same part of the reference: what follows the clock has not drifted.
func TestProfilesOfAPartOfAWeek(t *testing.T) {
	daily := func(_ int, r *row) { r.price *= 1 + float64(r.time.Weekday()) }
	l := live(t, shop(40_000, 3, daily), shop(40_000, 4, daily), "time")
	l.Windows = l.Windows[1:3]
	r, err := compare.Profiles(l)
	if err != nil {
		t.Fatal(err)
	}
	if r.Drifted != 0 || len(r.Notes) != 1 {
		t.Errorf("%d columns drifted, notes %q", r.Drifted, r.Notes)
	}
	l.Reference.Phases = nil
	if r, err = compare.Profiles(l); err != nil || !column(t, r, "price").Drifted {
		t.Errorf("against the whole reference price did not drift: %v", err)
	}
	l.Windows[0].Counts, l.Windows[1].Counts = profile.NewCounts(l.Reference.Layout), profile.NewCounts(l.Reference.Layout)
	if _, err := compare.Profiles(l); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("no rows: %v", err)
	}
}

// Two days in forty are not lost among them: the column is measured where it drifted.
func TestProfilesOfAColumnThatDriftedForAWhile(t *testing.T) {
	l := live(t, shop(20_000, 5, nil), shop(20_000, 6, func(i int, r *row) {
		if day := i / 500; day == 10 || day == 11 {
			r.price *= 1.6
		}
	}), "time")
	diluted, err := compare.Profiles(l)
	if err != nil {
		t.Fatal(err)
	}
	l.Windows[10].Drifted, l.Windows[11].Drifted = []string{"price"}, []string{"price", "score"}
	r, err := compare.Profiles(l)
	if err != nil {
		t.Fatal(err)
	}
	before, price, region := column(t, diluted, "price"), column(t, r, "price"), column(t, r, "region")
	if before.Drifted || before.PSI > 0.02 {
		t.Errorf("without what the monitor found: drifted %v, PSI %v", before.Drifted, before.PSI)
	}
	if !price.Drifted || price.DriftedWindows != 2 || price.PSI < 0.2 || float64(price.Current.Mean) < 1.4*float64(price.Reference.Mean) {
		t.Errorf("drifted %v in %d windows, PSI %v, mean %v → %v", price.Drifted, price.DriftedWindows, price.PSI, price.Reference.Mean, price.Current.Mean)
	}
	if r.Drifted != 2 || r.Columns[0].Name != "price" || region.DriftedWindows != 0 {
		t.Errorf("%d columns drifted, first %s", r.Drifted, r.Columns[0].Name)
	}
}
