package alert

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
)

// single is the rule of a single window, as it was when books were first written.
func single() Rule {
	return Rule{Measure: MeasurePSI, Threshold: 0.25, Grain: "hour", For: 1, Clear: 2}
}

var day0 = time.Date(2001, 3, 8, 0, 0, 0, 0, time.UTC)

func randomWindows(r *rand.Rand, hours int) []Window {
	windows := make([]Window, hours)
	for i := range windows {
		windows[i] = Window{Version: 1, Start: day0.Add(time.Duration(i) * time.Hour)}
		for _, column := range []string{"a", "b"} {
			o := Observation{Column: column, Measured: Measured{Effect: r.Float64() * .5, Floor: .05, Q: r.Float64() * .02}, N: 100}
			switch r.IntN(6) {
			case 0:
				o.Floor = 2
			case 1:
				o.Effect = math.NaN()
			}
			o.Value = o.Effect + .01
			windows[i].Observations = append(windows[i].Observations, o)
		}
	}
	return windows
}

// What a book says depends on the windows, not on their order, on repetitions or on restarts.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		rule := single()
		rule.For, rule.Clear = 1+r.IntN(3), 1+r.IntN(3)
		rule.Of, rule.FDR = rule.For+r.IntN(3), float64(r.IntN(2))*.01
		windows := randomWindows(r, keep)
		ordered, shuffled := Book{Deployment: "d"}, Book{Deployment: "d"}
		for _, w := range windows {
			ordered.Apply(rule, w)
		}
		r.Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
		for i, w := range windows {
			stale := w // first with other numbers, as before the late rows
			stale.Observations = randomWindows(r, 1)[0].Observations
			shuffled.Apply(rule, stale)
			shuffled.Apply(rule, w)
			if i == keep/2 {
				shuffled = reread(t, shuffled)
			}
			if events := shuffled.Apply(rule, w); len(events) > 0 {
				t.Fatalf("the same window again: %v", events)
			}
		}
		if d := cmp.Diff(ordered.Alerts(), shuffled.Alerts()); d != "" {
			t.Fatalf("round %d (-ordered +shuffled):\n%s", round, d)
		}
	}
}

// Events are what changed: following them gives the book.
func TestEventsTellTheStory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	rule := single()
	rule.For, rule.Clear = 2, 1
	for range 50 {
		book, told := Book{Deployment: "d"}, map[string]State{}
		windows := append(randomWindows(r, 40), randomWindows(r, 40)...) // the second half revises the first
		for _, w := range windows {
			for _, e := range book.Apply(rule, w) {
				switch e.Kind {
				case Fired, Reopened, Ended, Revised:
					told[e.Alert.ID] = e.Alert.State
				case Withdrawn:
					delete(told, e.Alert.ID)
				}
				if e.Kind == Revised { // one earlier alert of the column became this one
					for id := range told {
						if !listed(&book, id) {
							delete(told, id)
						}
					}
				}
			}
		}
		want := map[string]State{}
		for _, a := range book.Alerts() {
			if a.State != Pending {
				want[a.ID] = a.State
			}
		}
		if d := cmp.Diff(want, told); d != "" {
			t.Fatalf("-book +events:\n%s", d)
		}
	}
}

func listed(b *Book, id string) bool {
	for _, a := range b.Alerts() {
		if a.ID == id {
			return true
		}
	}
	return false
}

func TestLongRunIsBounded(t *testing.T) {
	rule := single()
	rule.Clear = 1
	book := Book{Deployment: "d"}
	at := func(i int, drifted bool) Window {
		o := Observation{Column: "a", Measured: Measured{Floor: .01}, N: 100}
		if drifted {
			o.Value, o.Effect = 1, 1
		}
		return Window{Version: 1, Start: day0.Add(time.Duration(i) * time.Hour), Observations: []Observation{o}}
	}
	const hours = 2 * (maxArchive + keep)
	for i := range hours {
		book.Apply(rule, at(i, i%2 == 0))
	}
	alerts := book.Alerts()
	if len(alerts) != maxArchive+keep/2 || book.Dropped != hours/2-len(alerts) {
		t.Errorf("%d alerts, %d dropped", len(alerts), book.Dropped)
	}
	if got := alerts[0].Onset; !got.Equal(day0.Add((hours - 2) * time.Hour)) {
		t.Errorf("the latest alert began %s", got)
	}
	if events := book.Apply(rule, at(0, false)); len(events) > 0 || book.Late != 1 {
		t.Errorf("a window from long ago: %v, %d late", events, book.Late)
	}
	if d := cmp.Diff(alerts, reread(t, book).alerts()); d != "" {
		t.Errorf("-before +after reading:\n%s", d)
	}
}

func (b Book) alerts() []Alert { return b.Alerts() }

func reread(t *testing.T, b Book) Book {
	t.Helper()
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var again Book
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func TestAlertsAreCopies(t *testing.T) {
	book := Book{Deployment: "d"}
	for i := range 200 {
		book.Apply(single(), Window{Version: 1, Start: day0.Add(time.Duration(i) * time.Hour),
			Observations: []Observation{{Column: "a", Measured: Measured{Value: float64(i / 3 % 2), Effect: float64(i / 3 % 2)}}}})
	}
	before := reread(t, book)
	list := book.Alerts()
	for i := range list {
		list[i].State = "changed"
	}
	if d := cmp.Diff(before.Alerts(), book.Alerts()); d != "" {
		t.Error(d)
	}
}

func TestJudge(t *testing.T) {
	r := single()
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		value, effect, floor float64
		want                 Verdict
	}{
		{.3, .25, .1, Drifted},
		{.3, .2499, .1, OK},
		{.3, .26, .3, TooFew}, // not above the floor, and the floor above the threshold
		{.59, .5, .3, TooFew},
		{.61, .5, .3, Drifted},
		{.26, .25, .25, Drifted},
		{.2, .1, .2501, TooFew},
		{.2, .1, .25, OK},
		{nan, nan, nan, TooFew},
		{inf, inf, .1, TooFew},
		{0, -.01, .02, OK},
	} {
		if got := r.Judge(Measured{c.value, c.effect, c.floor, nan}); got != c.want {
			t.Errorf("Judge(%v, %v, %v) = %s, want %s", c.value, c.effect, c.floor, got, c.want)
		}
	}
}

func TestRuleErrorsSayWhatIsWrong(t *testing.T) {
	for _, change := range []func(*Rule){
		func(r *Rule) { r.Measure = "kl" },
		func(r *Rule) { r.Measure, r.Threshold = MeasureKS, 1 },
		func(r *Rule) { r.For, r.Of = 3, 2 },
		func(r *Rule) { r.Of = maxRun + 1 },
		func(r *Rule) { r.FDR = 0.5 },
		func(r *Rule) { r.FDR = math.NaN() },
		func(r *Rule) { r.Threshold = math.NaN() },
		func(r *Rule) { r.Threshold = math.Inf(1) },
		func(r *Rule) { r.Threshold = -1 },
		func(r *Rule) { r.Grain = "" },
		func(r *Rule) { r.For = 0 },
		func(r *Rule) { r.For = maxRun + 1 },
		func(r *Rule) { r.Clear = 0 },
	} {
		r := single()
		change(&r)
		if err := r.Validate(); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []Rule{single(), DefaultRule()} {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedBooks(t *testing.T) {
	rule := `"rule":{"measure":"psi","threshold":0.1,"grain":"hour","for":1,"clear":2}`
	for _, s := range []string{
		``, `null x`, `[]`, `{"columns":{"a":null}}`, `{"columns":{"a":{}}}`,
		`{` + rule + `,"columns":{"a":null}}`,
		`{` + rule + `,"columns":{"a":{"recent":[[1,1]]}}}`,
		`{` + rule + `,"columns":{"a":{"recent":[[1,1,0,0,0,"x"]]}}}`,
		`{` + rule + `,"columns":{"a":{"recent":[[7200,1,0,0,0,5],[3600,1,0,0,0,5]]}}}`,
		`{"rule":{"measure":"psi","threshold":-1,"grain":"hour","for":1,"clear":2}}`,
	} {
		var b Book
		if err := json.Unmarshal([]byte(s), &b); err == nil {
			t.Errorf("%s was read", s)
		}
	}
}

// A book that was written when rules counted windows in a row means the same today.
func TestOldBooksGoOn(t *testing.T) {
	const old = `{"deployment":"d","rule":{"measure":"psi","threshold":0.1,"grain":"hour","for":2,"clear":2},"columns":{"a":{` +
		`"base":{"open":{"id":"","deployment":"","column":"","state":"pending","measure":"psi","grain":"hour","value":0.3,"worst":0.3,` +
		`"threshold":0.1,"floor":0.05,"n":600,"onset":"2001-03-08T00:00:00Z","last":"2001-03-08T00:00:00Z"},"run":1,"folded":7},` +
		`"recent":[[984013200,1,null,null,null,5]]}}}` // 2001-03-08 01:00, nothing to measure
	var b Book
	if err := json.Unmarshal([]byte(old), &b); err != nil {
		t.Fatal(err)
	}
	if b.Rule.Windows() != "2 hours in a row" {
		t.Errorf("the rule wants %s", b.Rule.Windows())
	}
	w := Window{Version: 1, Start: day0.Add(2 * time.Hour), Observations: []Observation{{Column: "a", N: 600, Measured: Measured{Value: .3, Effect: .3, Floor: .05}}}}
	events := b.Apply(b.Rule, w)
	if len(events) != 1 || events[0].Kind != Fired || !events[0].Alert.Onset.Equal(day0) {
		t.Errorf("the second drifted window gives %+v", events)
	}
}

func FuzzBook(f *testing.F) {
	book := Book{Deployment: "d"}
	r := rand.New(rand.NewPCG(5, 6))
	for _, w := range randomWindows(r, keep+10) {
		book.Apply(single(), w)
	}
	seed, err := json.Marshal(book)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Book
		if json.Unmarshal(data, &b) != nil {
			return
		}
		for _, w := range randomWindows(rand.New(rand.NewPCG(7, 8)), 3) {
			b.Apply(single(), w)
		}
		b.Alerts()
	})
}
