package app

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/reference"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/explain"
)

// flight is a row of the flights' reference as a client sends it.
type flight struct {
	Hour        int    `json:"hour"`
	Weekday     int    `json:"weekday"`
	Distance    int    `json:"distance"`
	Departures  int    `json:"departures"`
	Origin      string `json:"origin"`
	Destination string `json:"destination"`
}

// phasedFlights gives the reference's flights by hour of the week.
func phasedFlights(t *testing.T) map[[2]int][]flight {
	t.Helper()
	raw, err := os.ReadFile("../examples/flights/bundle/reference.parquet")
	if err != nil {
		t.Fatal(err)
	}
	table, err := reference.Read("reference.parquet", raw)
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string, i int) int { return int(table.Column(name).Float(i)) }
	out := map[[2]int][]flight{}
	for i := range table.Rows {
		at := table.Column("time").Times[i].UTC()
		phase := [2]int{int(at.Weekday()), at.Hour()}
		out[phase] = append(out[phase], flight{
			number("hour", i), number("weekday", i), number("distance", i), number("departures", i),
			table.Column("origin").Strings[i], table.Column("destination").Strings[i],
		})
	}
	return out
}

var hubs = []string{"ATL", "DFW", "LAX", "ORD", "PHX", "STL"}

// sendFlights sends so many flights of each of four hours of a day; change edits some.
func sendFlights(t *testing.T, base string, known map[[2]int][]flight, day time.Time, each int, r *rand.Rand, change func(*flight)) {
	t.Helper()
	for hour := range 4 {
		at := day.Add(time.Duration(14+hour) * time.Hour)
		pool := known[[2]int{int(at.Weekday()), at.Hour()}]
		body := struct {
			Instances []flight         `json:"instances"`
			Rows      []map[string]any `json:"rows"`
		}{}
		for i := range each {
			f := pool[r.IntN(len(pool))]
			change(&f)
			body.Instances = append(body.Instances, f)
			body.Rows = append(body.Rows, map[string]any{
				"id": fmt.Sprintf("%s-%d", at.Format("0102-15"), i), "time": at.Add(time.Duration(i) * time.Second),
				"tags": map[string]string{"desk": fmt.Sprint(i % 3)},
			})
		}
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		call(t, base+"/v2/models/flights/infer", "application/json", raw, &map[string]any{})
	}
}

// Flights of six airports say that it is 22 o'clock, and count one departure. The explanation names the airports, says that scores rose
// with the hour and that the departures turn decisions both ways, and shows flights; on another day the hour is wrong everywhere at random, and no
// segment is named; of a column that has not changed nothing is said.
func TestExplainWithRows(t *testing.T) {
	a := open(t, t.TempDir())
	base := "http://" + a.Address()
	call(t, base+"/api/v1/models/flights/versions?force=true", "application/x-tar", flightsBundle(t, func(s string) string { return s }), &map[string]any{})
	const seed = 20
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	known := phasedFlights(t)
	march := func(day int) time.Time { return time.Date(2001, 3, day, 0, 0, 0, 0, time.UTC) }
	calm := func(*flight) {}
	sendFlights(t, base, known, march(1), 700, r, calm)
	stuck := func(f *flight) {
		if slices.Contains(hubs, f.Origin) {
			f.Departures, f.Hour = 1, 22
		}
	}
	sendFlights(t, base, known, march(8), 700, r, stuck)
	sendFlights(t, base, known, march(9), 700, r, calm)
	sendFlights(t, base, known, march(15), 700, r, func(f *flight) {
		if r.IntN(3) == 0 {
			f.Hour = 22
		}
	})
	sendFlights(t, base, known, march(16), 400, r, calm)
	alerts := map[string]string{} // by column and day
	wait(t, "three alerts", func() bool {
		var all []api.Alert
		get(t, base+"/api/v1/alerts?deployment=flights", &all)
		for _, x := range all {
			if x.Last.Hour() == 17 && x.Last.Day() == x.Onset.Day() {
				alerts[fmt.Sprint(x.Column, x.Onset.Day())] = x.ID
			}
		}
		return alerts["hour8"] != "" && alerts["departures8"] != "" && alerts["hour15"] != ""
	})
	for _, which := range []string{"hour8", "departures8", "hour15"} {
		id := alerts[which]
		wait(t, "the findings", func() bool { // the book of alerts is written first
			var e api.AlertExplanation
			get(t, base+"/api/v1/alerts/explain?brief=true&id="+url.QueryEscape(id), &e)
			return e.Sure.Drifted == 4 && len(e.Shares) > 0
		})
	}
	explained := func(id string) (e api.AlertExplanation) {
		get(t, base+"/api/v1/alerts/explain?id="+url.QueryEscape(id), &e)
		return e
	}

	e := explained(alerts["hour8"])
	t.Logf("%s\n%s", e.Text, indent(t, e.Carried))
	if len(e.Carried.Segments) != 1 || e.Carried.Compared != "the same hours of the weeks before" {
		t.Fatalf("carried %+v", e.Carried)
	}
	s := e.Carried.Segments[0]
	found := 0
	for _, hub := range hubs {
		if strings.Contains(s.Where, hub) {
			found++
		}
	}
	if found < 5 || strings.Count(s.Where, ",")+1 > 7 || s.Kind != "values" || s.Part.Value < 0.7 || *s.Part.Low < 0.6 || *s.Inside < 10**s.Outside {
		t.Errorf("the segment: %+v", s)
	}
	m := e.Impact
	if m.Reason != "" || !m.Clear || m.Rows != 2000 || *m.Score.Change.Low <= 0.01 || m.Method != "quantiles" || m.Replaced < 0.2 ||
		*m.Flips.Low <= *m.Chance || m.Version != 1 {
		t.Errorf("impact: %s", indent(t, m))
	}
	if e.Harm != string(explain.Moves) && e.Harm != string(explain.Hurts) {
		t.Errorf("harm %s", e.Harm)
	}
	if len(e.Examples) != 5 {
		t.Fatalf("examples %+v", e.Examples)
	}
	for _, x := range e.Examples {
		if fmt.Sprint(x.Value) != "22" || x.Back == nil || x.Scored == nil || !slices.Contains(hubs, fmt.Sprint(x.Inputs[4].Value)) {
			t.Errorf("example %s", indent(t, x))
		}
	}
	if again := explained(alerts["hour8"]); indent(t, again.Impact) != indent(t, m) {
		t.Errorf("asked twice, two answers:\n%s\n%s", indent(t, m), indent(t, again.Impact))
	}

	e = explained(alerts["departures8"])
	if len(e.Carried.Segments) != 1 || e.Impact.Method != "quantiles" || e.Impact.Rows != 2000 || math.Abs(e.Impact.Score.Change.Value) > 0.01 || *e.Impact.Flips.Low < 2**e.Impact.Chance || e.Impact.Replaced < 0.2 {
		t.Errorf("departures: %s %s", indent(t, e.Carried), indent(t, e.Impact))
	}
	if e = explained(alerts["hour15"]); !e.Carried.Even || len(e.Carried.Segments) > 0 {
		t.Errorf("stuck at random: %s", indent(t, e.Carried))
	}
	var brief api.AlertExplanation
	get(t, base+"/api/v1/alerts/explain?brief=true&id="+url.QueryEscape(alerts["hour8"]), &brief)
	if brief.Carried != nil || brief.Impact != nil || brief.Examples != nil || brief.Text == "" {
		t.Errorf("a brief one: %+v", brief)
	}
	call(t, base+"/api/v1/models/flights/versions?force=true", "application/x-tar", flightsBundle(t, func(s string) string {
		return s + "\nlog: {redact: [destination]}\n"
	}), &map[string]any{})
	sendFlights(t, base, known, march(22), 300, r, stuck)
	wait(t, "the rows", func() bool {
		return fmt.Sprint(query(t, base, "SELECT count(*)::INT FROM predictions WHERE version = 2")[0][0]) == "1200"
	})
	book, err := a.books.Load(t.Context(), "flights")
	if err != nil {
		t.Fatal(err)
	}
	seen := func(column string, v fairlead.Version, day int) rowsSeen {
		t.Helper()
		x := alert.Alert{Deployment: "flights", Column: column, Onset: march(day).Add(14 * time.Hour), Last: march(day).Add(17 * time.Hour), Grain: "hour"}
		in := explain.Input{Column: column, Grain: time.Hour, Onset: x.Onset, Last: x.Last}
		seen, err := a.seeRows(t.Context(), x, &in, v, &book)
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	if x := seen("distance", 1, 8); x.carried.Reason == "" || len(x.carried.Segments) > 0 || x.impact.Clear || x.impact.Reason != "" {
		t.Errorf("of what has not changed: %s %s", indent(t, x.carried), indent(t, x.impact))
	}
	for _, column := range []string{"distance", "departures", "origin"} { // the first day has none before it
		x := seen(column, 1, 1)
		if !strings.Contains(x.carried.Reason, "fewer than 300 rows of before") || x.impact.Compared != "the reference" || x.impact.Clear || x.impact.Reason != "" || x.impact.Replaced == 0 {
			t.Errorf("%s, without rows of before: %s %s", column, indent(t, x.carried), indent(t, x.impact))
		}
	}
	x := seen("departures", 2, 22)
	if len(x.carried.Segments) != 1 || x.impact.Reason != "destination is redacted, which the model needs" || len(x.examples) == 0 {
		t.Fatalf("with a redacted input: %+v", x)
	}
	if d := x.examples[0].Inputs[5]; d.Name != "destination" || d.Value != nil || !d.Redacted {
		t.Errorf("a redacted input: %+v", d)
	}
	for _, c := range []struct {
		column  string
		version fairlead.Version
		says    string
	}{
		{"destination", 2, "destination is redacted: its values"},
		{"probability", 2, "probability is what the model says"},
		{"departures", 9, "version 9 cannot be opened"},
		{"departures", 1, "no rows of its windows are recorded"},
		{"delay", 1, "delay is no column of version 1"},
		{"departures", 0, "no version has measured windows"},
	} {
		if x := seen(c.column, c.version, 22); !strings.Contains(x.impact.Reason, c.says) || len(x.impact.Classes) > 0 {
			t.Errorf("%s of version %d: %+v, want %q", c.column, c.version, x.impact, c.says)
		}
	}
}
