package watch

import (
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

var (
	march8  = time.Date(2001, 3, 8, 0, 0, 0, 0, time.UTC)
	flight1 = versionKey{"flights", 1}
)

func hourWindow(d fairlead.Name, v fairlead.Version, hour int) Window {
	return Window{d, v, fairlead.RoleLive, Hour, march8.Add(time.Duration(hour) * time.Hour)}
}

func verdicts(s *store, w Window) string {
	var out []string
	for _, f := range s.findings[w] {
		out = append(out, f.Column+" "+string(f.Verdict))
	}
	return strings.Join(out, ", ")
}

// The same rows in another order, with other steps in between and a restart, give the same findings, metrics and alerts.
func TestReplayGivesTheSame(t *testing.T) {
	ref := reference(t, true)
	r := rand.New(rand.NewPCG(3, 3))
	var stream []flight
	for hour := range 40 {
		rows := flights(r, march8.Add(time.Duration(hour)*time.Hour), time.Hour, 250)
		if hour >= 10 && hour < 15 || hour == 30 {
			rows = inKilometres(rows)
		}
		stream = append(stream, rows...)
	}
	labels := map[float64]string{} // the score tells the rows apart
	for _, f := range stream {
		labels[f.score] = f.label
	}
	run := func(shuffle bool, opt Options) *store {
		s := newStore()
		s.refs[flight1] = ref
		w := s.watcher(opt)
		rows := slices.Clone(stream)
		if shuffle { // rows are up to 20 hours late
			r.Shuffle(5000, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			r.Shuffle(5000, func(i, j int) { rows[5000+i], rows[5000+j] = rows[5000+j], rows[5000+i] })
			for i := 0; i < len(rows); i += 1700 {
				s.predict(t, "flights", 1, rows[i:min(i+1700, len(rows))])
				drain(t, w)
				if i == 3400 {
					w = s.watcher(opt)
				}
			}
		} else {
			s.predict(t, "flights", 1, rows)
		}
		for win, outcomes := range s.outcomes {
			for i := range outcomes {
				outcomes[i].Label = labels[outcomes[i].Score]
			}
			s.seqs[win]++
		}
		drain(t, w)
		return s
	}
	once := run(false, Options{})
	again := run(true, Options{MaxWindows: 7})
	if len(once.findings) != 42 || len(once.metrics) != 42 {
		t.Fatalf("%d windows with findings, %d with metrics; want 40 hours and 2 days", len(once.findings), len(once.metrics))
	}
	if d := cmp.Diff(once.findings, again.findings, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("findings -once +again:\n%s", d)
	}
	if d := cmp.Diff(once.metrics, again.metrics); d != "" {
		t.Errorf("metrics -once +again:\n%s", d)
	}
	if d := cmp.Diff(once.alerts(t, "flights"), again.alerts(t, "flights")); d != "" {
		t.Errorf("alerts -once +again:\n%s", d)
	}
	var got []string
	for _, a := range once.alerts(t, "flights") {
		got = append(got, string(a.State)+" "+a.ID)
	}
	want := []string{"resolved flights/distance/2001-03-09T06:00:00Z", "resolved flights/distance/2001-03-08T10:00:00Z"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("alerts -want +got:\n%s", d)
	}
	if got := once.findings[hourWindow("flights", 1, 14)][0].Reference; got != "same phase: Thu 14h" {
		t.Errorf("the hour was compared with %q", got)
	}
}

// Defects stay where they are: in a column, a window, a deployment.
func TestDefectsAreConfined(t *testing.T) {
	s := newStore()
	good, cut := reference(t, false), reference(t, false)
	total := *cut.Total
	total.Columns = slices.Clone(total.Columns)
	total.Columns[2] = profile.ColumnCounts{} // the reference lacks the counters of the score
	cut.Total = &total
	names := []fairlead.Name{"bad-column", "bad-profile", "bare", "good", "no-metrics", "no-model", "no-profiles"}
	for _, name := range names {
		if name != "bare" {
			s.refs[versionKey{name, 1}] = good
		}
		if name == "bad-column" {
			s.refs[versionKey{name, 1}] = cut
		}
		rows := flights(rand.New(rand.NewPCG(4, 4)), march8, 3*time.Hour, 900)
		s.predict(t, name, 1, rows)
		s.label(name, 1, rows)
	}
	s.damaged[hourWindow("bad-profile", 1, 1)] = true
	broken := map[string]fairlead.Name{"outcomes": "no-metrics", "reference": "no-model", "profiles": "no-profiles"}
	s.fail = func(call string, d fairlead.Name) error {
		if broken[call] == d && d != "" {
			return errors.New("disk on fire")
		}
		return nil
	}
	w := s.watcher(Options{})
	drain(t, w)

	for hour, want := range map[Window]string{
		hourWindow("good", 1, 1):        "distance ok, origin ok, late ok",
		hourWindow("bad-column", 1, 1):  "distance ok, origin ok",
		hourWindow("bad-profile", 1, 0): "distance ok, origin ok, late ok",
		hourWindow("bad-profile", 1, 1): "",
		hourWindow("no-metrics", 1, 1):  "distance ok, origin ok, late ok",
		hourWindow("no-profiles", 1, 1): "",
		hourWindow("bare", 1, 1):        "",
	} {
		if got := verdicts(s, hour); got != want {
			t.Errorf("%s: %q, want %q", hour, got, want)
		}
	}
	for _, name := range names {
		m, ok := s.metrics[hourWindow(name, 1, 1)]
		if readable := name != "no-metrics" && name != "no-model"; ok != readable || ok && m.Values["accuracy"] == 0 {
			t.Errorf("%s: metrics %v %v", name, ok, m.Values)
		}
	}
	st := w.Stats()
	if st.BadProfiles != 2 || st.BrokenColumns == 0 || st.Failed == 0 {
		t.Errorf("stats %+v", st)
	}

	broken = nil
	for range maxBackoff + 1 {
		if _, err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []fairlead.Name{"no-metrics", "no-model", "no-profiles"} {
		_, ok := s.metrics[hourWindow(name, 1, 1)]
		if got := verdicts(s, hourWindow(name, 1, 1)); got != "distance ok, origin ok, late ok" || !ok {
			t.Errorf("%s did not recover: %q, metrics %v", name, got, ok)
		}
	}
}

// What fails is tried again ever more rarely, and does not take the place of windows that work.
func TestFailingWindowsBackOff(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	s.predict(t, "flights", 1, flights(rand.New(rand.NewPCG(5, 5)), march8, time.Hour, 100))
	calls := 0
	s.fail = func(call string, _ fairlead.Name) error {
		if call == "reference" {
			calls++
			return errors.New("gone")
		}
		return nil
	}
	w := s.watcher(Options{})
	for range 200 {
		if n, err := w.Step(t.Context()); n != 0 || err != nil {
			t.Fatalf("%d windows, %v", n, err)
		}
	}
	if calls != 2*9 { // hour and day, at steps 1, 2, 4, 8 … 64, 128, 192
		t.Errorf("%d attempts in 200 steps", calls)
	}
}

func TestStepIsBounded(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	s.refs[versionKey{"other", 1}] = s.refs[flight1]
	s.predict(t, "flights", 1, flights(rand.New(rand.NewPCG(6, 6)), march8, 72*time.Hour, 7200))
	s.predict(t, "other", 1, flights(rand.New(rand.NewPCG(6, 6)), march8.AddDate(1, 0, 0), time.Hour, 100))
	w := s.watcher(Options{MaxWindows: 10})
	var order []Window
	for range 100 {
		n, err := w.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n > 10 {
			t.Fatalf("%d windows in one step", n)
		}
		if n == 0 {
			break
		}
		order = order[:0]
		for _, res := range s.saved {
			order = append(order, res.Windows...)
		}
	}
	first := slices.IndexFunc(order, func(w Window) bool { return w.Deployment == "other" })
	if first < 0 || first >= 10 {
		t.Errorf("the other deployment waited for %d windows", first)
	}
	order = slices.DeleteFunc(order, func(w Window) bool { return w.Deployment == "other" })
	if len(order) != 75 || !slices.IsSortedFunc(order, func(a, b Window) int { return a.End().Compare(b.End()) }) {
		t.Errorf("%d windows, in order of end: %v", len(order), order)
	}
	if got := s.pending(); len(got) != 25 { // the last day is open: 24 hours, and the other's one
		t.Errorf("%d hours are not done: %v", len(got), got)
	}
}

// A window closes when rows of later windows have come, whichever version they went to.
func TestWatermarkCloses(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	s.refs[versionKey{"flights", 2}] = s.refs[flight1]
	r := rand.New(rand.NewPCG(7, 7))
	s.predict(t, "flights", 1, flights(r, march8.Add(23*time.Hour), time.Hour, 300))
	w := s.watcher(Options{})
	provisional := func(want bool) {
		t.Helper()
		drain(t, w)
		for _, win := range []Window{hourWindow("flights", 1, 23), {"flights", 1, fairlead.RoleLive, Day, march8}} {
			if f := s.findings[win]; len(f) != 3 || f[0].Provisional != want {
				t.Errorf("%s: %+v, want provisional %v", win, f, want)
			}
		}
	}
	provisional(true)
	s.predict(t, "flights", 2, flights(r, march8.Add(24*time.Hour+5*time.Minute), time.Minute, 1))
	provisional(true) // within the allowed lateness
	s.predict(t, "flights", 2, flights(r, march8.Add(24*time.Hour+10*time.Minute), time.Minute, 1))
	provisional(false)
	if d := cmp.Diff([]string{"flights@2 09 00:00"}, s.pending()); d != "" {
		t.Errorf("not done -want +got:\n%s", d)
	}
	if n := drain(t, w); n != 0 {
		t.Errorf("%d windows evaluated without a change", n)
	}
}

// A row from the future does not close the windows of the present.
func TestClockAheadIsCapped(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	now := march8.Add(30 * time.Minute)
	w := s.watcher(Options{Now: func() time.Time { return now }})
	r := rand.New(rand.NewPCG(8, 8))
	s.predict(t, "flights", 1, flights(r, march8, 30*time.Minute, 100))
	s.predict(t, "flights", 1, flights(r, march8.AddDate(10, 0, 0), time.Minute, 1))
	drain(t, w)
	if f := s.findings[hourWindow("flights", 1, 0)]; len(f) == 0 || !f[0].Provisional {
		t.Errorf("the present hour is closed: %+v", f)
	}
	now = march8.Add(70 * time.Minute)
	drain(t, w)
	if f := s.findings[hourWindow("flights", 1, 0)]; len(f) == 0 || f[0].Provisional {
		t.Errorf("the hour is still open: %+v", f)
	}
}

// An open window that changes all the time takes a tenth of the time at most.
func TestPace(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	const tick = 50 * time.Millisecond // an evaluation takes one
	begin := march8.AddDate(20, 0, 0)
	now := begin
	w := s.watcher(Options{Now: func() time.Time { now = now.Add(tick); return now }})
	r := rand.New(rand.NewPCG(9, 9))
	const steps = 200
	for range steps {
		s.predict(t, "flights", 1, flights(r, march8, time.Minute, 1))
		if _, err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	most := 2 + 2*uint64(now.Sub(begin)/(pace*tick)) // the hour and the day
	if n := w.Stats().Windows; n < most/2 || n > most {
		t.Errorf("%d evaluations in %d steps, at most %d expected", n, steps, most)
	}
	if n := len(s.findings[hourWindow("flights", 1, 0)]); n != 3 {
		t.Errorf("%d findings", n)
	}
}

func TestSaveFailuresLoseNothing(t *testing.T) {
	ref := reference(t, false)
	r := rand.New(rand.NewPCG(10, 10))
	var stream [][]flight
	for hour := range 12 {
		rows := flights(r, march8.Add(time.Duration(hour)*time.Hour), time.Hour, 250)
		if hour >= 4 && hour < 7 {
			rows = inKilometres(rows)
		}
		stream = append(stream, rows)
	}
	run := func(fail func(call string, _ fairlead.Name) error) (*store, int) {
		s := newStore()
		s.refs[flight1] = ref
		s.fail = fail
		w := s.watcher(Options{})
		failures := 0
		for _, rows := range stream {
			s.predict(t, "flights", 1, rows)
			for range 50 {
				n, err := w.Step(t.Context())
				if err != nil {
					failures++
				} else if n == 0 {
					break
				}
			}
		}
		s.fail = func(string, fairlead.Name) error { return nil }
		return s, failures
	}
	calm, failures := run(func(string, fairlead.Name) error { return nil })
	if failures != 0 {
		t.Fatalf("%d failures", failures)
	}
	shaken, failures := run(func(call string, _ fairlead.Name) error {
		if r.IntN(3) == 0 && slices.Contains([]string{"save", "changes", "load alerts", "save alerts"}, call) {
			return errors.New("disk full")
		}
		return nil
	})
	if failures == 0 {
		t.Error("nothing failed")
	}
	if d := cmp.Diff(calm.findings, shaken.findings, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("findings -calm +shaken:\n%s", d)
	}
	if d := cmp.Diff(calm.alerts(t, "flights"), shaken.alerts(t, "flights")); d != "" {
		t.Errorf("alerts -calm +shaken:\n%s", d)
	}
	if len(calm.alerts(t, "flights")) != 1 {
		t.Errorf("alerts %+v", calm.alerts(t, "flights"))
	}
}

func TestLabelsMakeMetricsFinal(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	r := rand.New(rand.NewPCG(11, 11))
	rows := flights(r, march8, time.Hour, 100)
	s.predict(t, "flights", 1, rows)
	s.predict(t, "flights", 1, flights(r, march8.Add(2*time.Hour), time.Hour, 100))
	w := s.watcher(Options{})
	win := hourWindow("flights", 1, 0)
	for _, c := range []struct {
		labelled    int
		provisional bool
	}{{0, true}, {50, true}, {94, true}, {95, false}, {100, false}} {
		s.label("flights", 1, rows[:c.labelled])
		drain(t, w)
		m := s.metrics[win]
		_, measured := m.Values["accuracy"]
		if m.N != 100 || m.Labelled != uint64(c.labelled) || m.Provisional != c.provisional || measured != (c.labelled > 0) {
			t.Errorf("%d labels: %+v", c.labelled, m)
		}
		for name, v := range m.Values {
			if math.IsNaN(v) {
				t.Errorf("%s is NaN", name)
			}
		}
	}
	s.outcomes[win][0].Label = "perhaps"
	s.seqs[win]++
	drain(t, w)
	if n := w.Stats().UnknownLabels; n != 2 { // in the hour and in its day
		t.Errorf("%d unknown labels", n)
	}
}

func TestOnlyLiveVersionsAlert(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	rows := inKilometres(flights(rand.New(rand.NewPCG(12, 12)), march8, 3*time.Hour, 900))
	s.predict(t, "flights", 1, rows)
	for w, seq := range maps.Clone(s.seqs) { // the same rows went to a shadow
		shadow := w
		shadow.Role = fairlead.RoleShadow
		s.seqs[shadow], s.profiles[shadow], s.outcomes[shadow] = seq, s.profiles[w], s.outcomes[w]
		delete(s.seqs, w)
	}
	drain(t, s.watcher(Options{}))
	shadow := hourWindow("flights", 1, 1)
	shadow.Role = fairlead.RoleShadow
	if got := verdicts(s, shadow); got != "distance drifted, origin ok, late ok" {
		t.Errorf("shadow: %q", got)
	}
	if a := s.alerts(t, "flights"); len(a) != 0 {
		t.Errorf("a shadow alerts: %+v", a)
	}
}

func TestInvalidRuleFallsBack(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	s.predict(t, "flights", 1, inKilometres(flights(rand.New(rand.NewPCG(13, 13)), march8, 3*time.Hour, 900)))
	drain(t, s.watcher(Options{Rule: func(fairlead.Name) alert.Rule { return alert.Rule{} }}))
	if a := s.alerts(t, "flights"); len(a) != 1 || a[0].State != alert.Firing || a[0].Threshold != alert.DefaultRule().Threshold {
		t.Errorf("alerts %+v", a)
	}
}

func TestCanceledStep(t *testing.T) {
	s := newStore()
	s.refs[flight1] = reference(t, false)
	s.predict(t, "flights", 1, flights(rand.New(rand.NewPCG(14, 14)), march8, 3*time.Hour, 300))
	ctx, cancel := context.WithCancel(t.Context())
	s.fail = func(call string, _ fairlead.Name) error {
		if call == "outcomes" {
			cancel()
		}
		return ctx.Err()
	}
	w := s.watcher(Options{})
	if n, err := w.Step(ctx); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	if st := w.Stats(); st.Failed != 0 || len(s.findings) != 0 {
		t.Errorf("a canceled step left something: %+v", st)
	}
	s.fail = func(string, fairlead.Name) error { return nil }
	if n, err := w.Step(t.Context()); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestGrain(t *testing.T) {
	at := time.Date(2001, 3, 8, 23, 59, 59, 0, time.FixedZone("", -5*3600))
	for _, c := range []struct{ grain, start, end string }{
		{"hour", "2001-03-09T04:00:00Z", "2001-03-09T05:00:00Z"},
		{"day", "2001-03-09T00:00:00Z", "2001-03-10T00:00:00Z"},
	} {
		g, err := ParseGrain(c.grain)
		if err != nil {
			t.Fatal(err)
		}
		if start, end := g.Start(at).Format(time.RFC3339), g.End(at).Format(time.RFC3339); start != c.start || end != c.end {
			t.Errorf("%s of %s: %s to %s", g, at, start, end)
		}
	}
	if _, err := ParseGrain("week"); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("week: %v", err)
	}
}

// A day of flights, one profile a minute, evaluated as an hour changes: what a Step costs while rows trickle in.
func BenchmarkStep(b *testing.B) {
	s := newStore()
	ref, err := profile.Learn(signature.Fields(), table(flights(rand.New(rand.NewPCG(1, 1)), march8, time.Hour, 50_000)), profile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s.refs[flight1] = ref
	rows := flights(rand.New(rand.NewPCG(15, 15)), march8, 24*time.Hour, 16_000)
	s.predict(b, "flights", 1, rows)
	s.label("flights", 1, rows)
	w := s.watcher(Options{})
	for b.Loop() {
		s.seqs[hourWindow("flights", 1, 23)]++
		if n, err := w.Step(b.Context()); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
}
