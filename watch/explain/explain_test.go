package explain

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/watch/shape"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// week makes 168 hours of a column: its PSI where calm, and in the hours of drift.
func week(name string, seed uint64, from, to int, psi float64) Column {
	r := rand.New(rand.NewPCG(seed, 1))
	c := Column{Name: name}
	for hour := range 168 {
		p := Point{Start: start.Add(time.Duration(hour) * time.Hour), PSI: 0.02 + 0.01*math.Abs(r.NormFloat64()), Floor: 0.06, N: 500}
		if hour >= from && hour < to {
			p.PSI, p.Drifted = psi*(1+0.1*r.NormFloat64()), true
		}
		c.Points = append(c.Points, p)
	}
	return c
}

func model(seed uint64, from, to int, lose, rate float64) []Performance {
	r := rand.New(rand.NewPCG(seed, 2))
	var out []Performance
	for hour := range 168 {
		p := Performance{Start: start.Add(time.Duration(hour) * time.Hour), N: 500, Accuracy: math.NaN(), Estimated: 0.82 + 0.01*r.NormFloat64(), PredictedRate: 0.2 + 0.01*r.NormFloat64()}
		if hour >= from && hour < to {
			p.Estimated -= lose
			p.PredictedRate += rate
		}
		out = append(out, p)
	}
	return out
}

func hour(h int) time.Time { return start.Add(time.Duration(h) * time.Hour) }

// What a person reads, for four kinds of trouble.
func TestTexts(t *testing.T) {
	score := week("probability", 9, 100, 168, 0.3)
	score.Output = true
	cases := []struct {
		name string
		in   Input
		harm Harm
	}{
		{"kilometres instead of miles, and it hurts", Input{
			Column: "distance", Grain: time.Hour, Onset: hour(100), Last: hour(167), Rule: "PSI 0.2, two hours in a row",
			Columns: []Column{week("distance", 1, 100, 168, 0.5), score, week("origin", 2, 0, 0, 0)}, Performance: model(3, 100, 168, 0.05, 0.08),
			Shares:  []Share{{Label: "733 to 1,024", Before: 0.1, Now: 0.12}, {Label: "over 2,475", Before: 0.001, Now: 0.2}, {Label: "21 to 236", Before: 0.1, Now: 0.03}},
			Changes: []Change{{hour(99), "version 4 went live in place of 3"}, {hour(20), "annotation: holiday"}},
		}, Hurts},
		{"a column is frozen for a night, nobody notices", Input{
			Column: "departures", Grain: time.Hour, Onset: hour(80), Last: hour(91), Over: true, Rule: "PSI 0.2, two hours in a row",
			Columns: []Column{week("departures", 4, 80, 92, 3)}, Performance: model(5, 0, 0, 0, 0),
			Shares: []Share{{Label: "0 to 5", Before: 0.1, Now: 0}, {Label: "40 to 47", Before: 0.1, Now: 1}},
		}, Quiet},
		{"a source is down", Input{
			Column: "city", Grain: time.Hour, Onset: hour(150), Last: hour(167), Rule: "PSI 0.2, two hours in a row",
			Columns: []Column{week("city", 6, 150, 168, 2), week("zip", 7, 151, 168, 2), week("income", 8, 150, 168, 1), week("age", 10, 149, 168, 0.8), week("old", 11, 30, 168, 1)},
			Shares:  []Share{{Label: "null", Before: 0.01, Now: 0.6}, {Label: "Paris", Before: 0.3, Now: 0.1}},
		}, Unknown},
		{"decisions move", Input{
			Column: "price", Grain: time.Hour, Onset: hour(60), Last: hour(167), Rule: "PSI 0.2, two hours in a row",
			Columns: []Column{week("price", 12, 60, 168, 0.4)}, Performance: model(13, 60, 168, 0, 0.1),
		}, Moves},
	}
	var out strings.Builder
	for _, c := range cases {
		e := Explain(c.in)
		if e.Harm != c.harm {
			t.Errorf("%s: %s, want %s; %+v", c.name, e.Harm, c.harm, e.Effects)
		}
		fmt.Fprintf(&out, "# %s\n%s\nrests on %d rows in %d of %d windows, PSI %.2f where chance gives %.2f; %s\n", c.name, e.Text, e.Sure.Rows, e.Sure.Drifted, e.Sure.Windows, e.Sure.PSI, e.Sure.Floor, e.Sure.Rule)
		for _, a := range e.Advice {
			fmt.Fprintf(&out, "- %s\n", a)
		}
		out.WriteByte('\n')
	}
	if *update {
		if err := os.WriteFile("testdata/texts.txt", []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/texts.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the texts differ (-update rewrites them):\n%s", &out)
	}
}

// Calm weeks with an alert that rests on nothing hurt nobody.
func TestNoHarmByChance(t *testing.T) {
	harmed := 0
	const n = 500
	for seed := range uint64(n) {
		e := Explain(Input{Column: "x", Grain: time.Hour, Onset: hour(140), Last: hour(160), Columns: []Column{week("x", seed, 140, 160, 0.3)}, Performance: model(seed, 0, 0, 0, 0)})
		if e.Harm != Quiet {
			harmed++
		}
	}
	if harmed > 3 { // 4 deviations, two numbers
		t.Errorf("%d of %d calm weeks were said to hurt (seeds 0 to %d)", harmed, n, n-1)
	}
}

func TestShapes(t *testing.T) {
	e := Explain(Input{Column: "x", Grain: time.Hour, Onset: hour(40), Last: hour(60), Over: true, Columns: []Column{week("x", 1, 40, 61, 0.5)}})
	if e.Shape.Kind != shape.Temporary || !e.Until.Equal(hour(61)) {
		t.Errorf("%+v until %s", e.Shape, e.Until)
	}
}

func TestIncident(t *testing.T) {
	got := Incident([]time.Time{hour(50), hour(10), hour(12), hour(15), hour(90)}, time.Hour)
	if !slices.Equal(got, []int{0, 1, 1, 1, 4}) {
		t.Errorf("%v", got)
	}
	if len(Incident(nil, time.Hour)) != 0 {
		t.Error("incidents of nothing")
	}
}

func TestRank(t *testing.T) {
	all := []Explanation{{Harm: Quiet, Sure: Sureness{PSI: 9}}, {Harm: Moves, Sure: Sureness{PSI: 1}}, {Harm: Hurts, Sure: Sureness{PSI: 0.1}}, {Harm: Moves, Sure: Sureness{PSI: 2}}}
	slices.SortFunc(all, Rank)
	if all[0].Harm != Hurts || all[1].Sure.PSI != 2 || all[3].Harm != Quiet {
		t.Errorf("%+v", all)
	}
}
