package profile

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
)

func TestLearnSkipsAndFails(t *testing.T) {
	table := flightTable(flights(rand.New(rand.NewPCG(1, 1)), monday, 1, 100))
	fields := append(flightFields(), fairlead.Field{Name: "delay", Tensor: "y", Type: fairlead.FP32})
	r, err := Learn(fields, table, Options{TimeColumn: "when"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Skipped, []string{"delay"}) || len(r.Layout.Columns) != 5 || r.Phases != nil || !r.From.IsZero() {
		t.Errorf("skipped %v, %d columns, from %v", r.Skipped, len(r.Layout.Columns), r.From)
	}
	text := []fairlead.Field{{Name: "origin", Tensor: "x", Type: fairlead.FP32}}
	for _, c := range []struct {
		fields []fairlead.Field
		table  *fairlead.Table
		opt    Options
		want   []string
	}{
		{fields, &fairlead.Table{}, Options{}, []string{"no rows"}},
		{fields[5:], table, Options{}, []string{"delay", "hour, weekday, distance, origin"}},
		{text, table, Options{}, []string{"origin", "text", "FP32"}},
		{fields, table, Options{TimeColumn: "distance"}, []string{"distance", "event time", "numbers"}},
		{[]fairlead.Field{{Name: "time", Tensor: "x", Type: fairlead.Int64}}, table, Options{}, []string{"times", "INT64"}},
	} {
		_, err := Learn(c.fields, c.table, c.opt)
		if fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("want %v, got %v", c.want, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
	}
}

func TestNulls(t *testing.T) {
	null := []bool{true, false, false, false}
	table := &fairlead.Table{Rows: 4, Columns: []fairlead.TableColumn{
		{Name: "f", Floats: []float64{0, 1, 2, 3}, Null: null},
		{Name: "i", Floats: []float64{0, 1, 2, 3}, Null: null},
		{Name: "s", Strings: []string{"", "a", "a", "b"}, Null: null},
	}}
	r, err := Learn([]fairlead.Field{
		{Name: "f", Tensor: "f", Type: fairlead.FP32},
		{Name: "i", Tensor: "i", Type: fairlead.Int64},
		{Name: "s", Tensor: "s", Type: fairlead.Bytes},
	}, table, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Total.Columns
	if c[0].NaN != 1 || c[0].Null != 0 || c[1].Null != 1 || c[2].Null != 1 {
		t.Errorf("NaN %d, null %d %d %d", c[0].NaN, c[0].Null, c[1].Null, c[2].Null)
	}
	for i := range c {
		if m := r.Total.Missing(r.Layout, i); m != .25 {
			t.Errorf("column %d: missing %g", i, m)
		}
	}
}

func TestPhases(t *testing.T) {
	short := learnFlights(t, 13, 3000)
	if short.Phases != nil {
		t.Error("13 days should have no phases")
	}
	r := learnFlights(t, 28, 168*4*40)
	if len(r.Phases) != 168 || !r.From.Equal(monday) || r.To.Sub(r.From) < 27*24*time.Hour {
		t.Fatalf("%d phases from %v to %v", len(r.Phases), r.From, r.To)
	}
	whole := NewCounts(r.Layout)
	for h, c := range r.Phases {
		if err := whole.Merge(c); err != nil {
			t.Fatal(err)
		}
		// The hour is one value in each phase.
		if rows := c.BinCounts(r.Layout, 1)[h/24]; rows != c.N {
			t.Errorf("phase %d: %d of %d rows have its weekday", h, rows, c.N)
		}
	}
	sameBytes(t, "all phases", whole, r.Total)

	next := monday.AddDate(0, 3, 0) // some Sunday in April
	hour := time.Hour
	for _, c := range []struct {
		start, end time.Time
		want       string
		n          uint64
	}{
		{monday.Add(14 * hour), monday.Add(15 * hour), "same phase: Mon 14h", 160},
		{next, next.Add(hour), "same phase: Sun 00h", 160},
		{next, next.Add(24 * hour), "same phase: Sun", 160 * 24},
		{next.Add(22 * hour), next.Add(26 * hour), "same phase: Sun 22h to Mon 02h", 160 * 4},
		{next.Add(hour / 2), next.Add(3 * hour / 2), "all", uint64(r.Rows)},
		{next, next.Add(7 * 24 * hour), "all", uint64(r.Rows)},
		{next, next, "all", uint64(r.Rows)},
	} {
		got, what := r.For(c.start, c.end)
		if what != c.want || got.N != c.n {
			t.Errorf("For(%v, %v): %d rows, %q, want %d, %q", c.start, c.end, got.N, what, c.n, c.want)
		}
	}
	// A local time is compared with its UTC phase.
	if _, what := r.For(next.In(time.FixedZone("", 7200)), next.Add(hour)); what != "same phase: Sun 00h" {
		t.Errorf("in another zone: %q", what)
	}
	// Few rows in a phase are enough, none are not.
	r.Phases[0], r.Phases[1] = NewCounts(r.Layout), nil
	r.Phases[0].AddTable(r.Layout, flightTable(flights(rand.New(rand.NewPCG(2, 2)), monday, 1, 3)), 0, 3)
	if c, what := r.For(monday, monday.Add(hour)); what != "same phase: Mon 00h" || c.N != 3 {
		t.Errorf("three rows: %q", what)
	}
	if c, what := r.For(monday.Add(hour), monday.Add(2*hour)); what != "all" || c != r.Total {
		t.Errorf("no rows: %q", what)
	}
	for h := range 24 {
		r.Phases[h] = nil
	}
	if c, what := r.For(monday, monday.Add(24*hour)); what != "all" || c != r.Total {
		t.Errorf("a day without rows: %q", what)
	}
}

// What the phases are for: in an hourly window the hour looks drifted against the whole reference and not against
// its own phase, while a distance in kilometres instead of miles is seen either way, and nothing else is.
func TestPhaseReferenceAgainstDrift(t *testing.T) {
	r := learnFlights(t, 56, 168*8*50)
	rng := rand.New(rand.NewPCG(41, 42))
	start := monday.AddDate(0, 3, 4).Add(14 * time.Hour)
	live := make([]flight, 300)
	for i := range live {
		live[i] = drawFlight(rng, start.Add(time.Duration(i)*time.Second))
		live[i].distance *= 1.609
	}
	c := NewCounts(r.Layout)
	c.Add(r.Layout, prediction(live), nil)
	phase, what := r.For(start, start.Add(time.Hour))
	if what != "same phase: Thu 14h" {
		t.Fatalf("compared with %q", what)
	}
	for i, col := range r.Layout.Columns {
		against := func(ref *Counts) drift.Measures {
			return drift.Measure(ref.AlertBins(r.Layout, i), c.AlertBins(r.Layout, i),
				ref.FineBins(r.Layout, i), c.FineBins(r.Layout, i), c.N, ref.N)
		}
		drifted := func(m drift.Measures) bool { return m.PSI > m.PSIFloor && m.PSIDebiased > .2 }
		all, same := against(r.Total), against(phase)
		if got, want := drifted(same), col.Name == "distance"; got != want {
			t.Errorf("%s against its phase: %+v", col.Name, same)
		}
		if clock := col.Name == "hour" || col.Name == "weekday"; clock && !drifted(all) {
			t.Errorf("%s against everything: %+v", col.Name, all)
		}
	}
}
