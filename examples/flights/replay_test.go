package flights

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var sliceEnd = time.Date(2001, 3, 8, 6, 0, 0, 0, time.UTC)

func options(s *river) Options {
	return Options{Server: s.URL, Flights: slice, To: sliceEnd, PerDay: 2 * time.Second, Clock: newLeap()}
}

func run(t *testing.T, opt Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(ctx)
}

// complete checks that the server got every flight of the slice once, in order, with its features, and its label.
func complete(t *testing.T, s *river) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var want []Flight
	labels := map[string]received{}
	for _, f := range golden(t) {
		if m := f.Minute; m >= minuteOf(Start) && m < minuteOf(sliceEnd) {
			want = append(want, f)
			if o := f.Outcome(); o != "" {
				id := string(predictionID(nil, f.Row))
				labels[id] = received{ID: id, Value: o, Time: at(f.Landed)}
			}
		}
	}
	if len(s.rows) != len(want) {
		t.Fatalf("the server has %d rows, want %d", len(s.rows), len(want))
	}
	for i, f := range want {
		r := s.rows[i]
		if r.ID != string(predictionID(nil, f.Row)) || !r.Time.Equal(at(f.Minute)) || r.Key != f.Origin+"-"+f.Destination {
			t.Fatalf("row %d is %+v, want %+v", i, r, f)
		}
		for name, v := range map[string]any{
			"hour": float64(f.Hour), "weekday": float64(f.Weekday), "distance": float64(f.Distance),
			"departures": float64(f.Departures), "origin": f.Origin, "destination": f.Destination,
		} {
			if r.Features[name] != v {
				t.Errorf("%s has %s %v, want %v", r.ID, name, r.Features[name], v)
			}
		}
		if len(r.Features) != 6 {
			t.Errorf("%s has features %v", r.ID, r.Features)
		}
	}
	for _, l := range s.labels {
		w, ok := labels[l.ID]
		if ok && (l.Value != w.Value || !l.Time.Equal(w.Time)) {
			t.Errorf("label %+v, want %+v", l, w)
		}
		if !ok && l.Time.Before(at(minuteOf(sliceEnd))) {
			t.Errorf("a label for %s, which was not asked for or has none", l.ID)
		}
		w.ID = ""
		labels[l.ID] = w
	}
	for id, w := range labels {
		if w.ID != "" {
			t.Errorf("no label for %s", id)
		}
	}
}

func TestReplay(t *testing.T) {
	s := newRiver(t)
	opt := options(s)
	var reports []Progress
	opt.Progress = func(p Progress) { reports = append(reports, p) }
	if err := run(t, opt); err != nil {
		t.Fatal(err)
	}
	complete(t, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.annotations) != 0 {
		t.Errorf("annotations without an incident: %v", s.annotations)
	}
	days := map[string]bool{}
	for _, p := range reports {
		days[p.Event.Format(time.DateOnly)] = true
		if p.Errors != 0 {
			t.Errorf("%+v", p)
		}
	}
	last := reports[len(reports)-1]
	if !last.Done || int(last.Rows) != len(s.rows) || int(last.Labels) != len(s.labels) || last.Pending != 0 || len(days) < 8 {
		t.Errorf("the last of %d reports over %d days: %+v", len(reports), len(days), last)
	}
}

func TestLandings(t *testing.T) {
	var air landings
	air.add([]label{{1, 30, late}, {2, 10, onTime}, {3, 20, onTime}, {4, 20, late}})
	for _, step := range []struct {
		minute int64
		want   []int64
	}{{10, nil}, {11, []int64{2}}, {20, nil}, {25, []int64{3, 4}}, {100, []int64{1}}, {200, nil}} {
		var rows []int64
		for _, l := range air.landed(step.minute) {
			rows = append(rows, l.row)
		}
		if len(rows) != len(step.want) {
			t.Errorf("before minute %d land %v, want %v", step.minute, rows, step.want)
			continue
		}
		for i := range rows {
			if rows[i] != step.want[i] {
				t.Errorf("before minute %d land %v, want %v", step.minute, rows, step.want)
			}
		}
	}
}

func TestReplayGoesOnAfterFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		fail   func(kind string, n int) (status int, record, failed bool)
		errors int64
	}{
		{"killed after recording", func(k string, n int) (int, bool, bool) { return 0, true, k == "infer" && n%7 == 3 }, 5},
		{"killed before recording", func(k string, n int) (int, bool, bool) { return 0, false, k == "infer" && n%7 == 3 }, 5},
		{"503 after recording", func(k string, n int) (int, bool, bool) { return 503, true, k == "infer" && n == 1 }, 1},
		{"500 before recording", func(k string, n int) (int, bool, bool) { return 500, false, k == "infer" && n == 2 }, 1},
		{"overloaded", func(k string, n int) (int, bool, bool) { return 429, false, k == "infer" && n%3 == 1 }, 5},
		{"labels not acknowledged", func(k string, n int) (int, bool, bool) { return 503, n%2 == 0, k == "labels" && n%3 != 0 }, 2},
		{"not there yet", func(k string, n int) (int, bool, bool) { return 404, false, k == "deployment" && n < 4 }, 0},
		{"status unavailable", func(k string, n int) (int, bool, bool) {
			return 503, false, k == "status" && n == 1 || k == "infer" && n == 2
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newRiver(t)
			s.fail = c.fail
			opt := options(s)
			var last Progress
			opt.Progress = func(p Progress) { last = p }
			if err := run(t, opt); err != nil {
				t.Fatal(err)
			}
			complete(t, s)
			if last.Errors < c.errors {
				t.Errorf("%d errors reported, want at least %d", last.Errors, c.errors)
			}
		})
	}
}

// TestReplayResumes stops a replay at several places and starts a new one; the server keeps what it has.
func TestReplayResumes(t *testing.T) {
	s := newRiver(t)
	stopAt := []int{2, 9, 30}
	for i := 0; ; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		if i < len(stopAt) {
			s.mu.Lock()
			s.fail = func(kind string, n int) (int, bool, bool) {
				if kind == "infer" && n == stopAt[i] {
					cancel()
				}
				return 0, false, false
			}
			s.mu.Unlock()
		}
		r, err := New(options(s))
		if err != nil {
			t.Fatal(err)
		}
		err = r.Run(ctx)
		cancel()
		if err == nil {
			if i < len(stopAt) {
				t.Fatalf("run %d was not interrupted", i)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	complete(t, s)

	// Once more, with everything there and a prediction made by hand today: only labels are sent.
	s.mu.Lock()
	s.fail, s.foreign = nil, time.Now()
	s.mu.Unlock()
	if err := run(t, options(s)); err != nil {
		t.Fatal(err)
	}
	complete(t, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests["sql"] != 1 {
		t.Errorf("the latest flight was asked for %d times", s.requests["sql"])
	}
}

func TestReplayWaitsForTheStore(t *testing.T) {
	s := newRiver(t)
	lags := map[int]int{} // question → predictions asked for by then
	s.lag = func(n int) float64 {
		if n < 3 || n > 20 {
			return 4
		}
		lags[n] = s.requests["infer"]
		return 60
	}
	opt := options(s)
	behind := 0
	opt.Progress = func(p Progress) {
		if p.Behind {
			behind++
		}
	}
	if err := run(t, opt); err != nil {
		t.Fatal(err)
	}
	complete(t, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 3; n <= 20; n++ {
		if lags[n] != lags[3] {
			t.Fatalf("at question %d about the lag %d requests were made, at the first that lagged %d", n, lags[n], lags[3])
		}
	}
	if lags[3] == 0 || behind == 0 {
		t.Errorf("%d requests before the lag, %d reports say that the replay is behind", lags[3], behind)
	}
}

func TestReplayPlantsIncidents(t *testing.T) {
	s := newRiver(t)
	opt := options(s)
	opt.Incident = IncidentAll
	if err := run(t, opt); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.annotations) != 1 || s.annotations[0].ID != "planted-unit" {
		t.Fatalf("announced up to 8 March: %+v", s.annotations)
	}
	changed := 0
	byID := map[string]Flight{}
	for _, f := range golden(t) {
		byID[string(predictionID(nil, f.Row))] = f
	}
	start := s.annotations[0].Start
	for _, r := range s.rows {
		want := byID[r.ID].Distance
		if !r.Time.Before(start) {
			f := Flight{Distance: want}
			faults[0].apply(&f)
			want = f.Distance
			changed++
		}
		if r.Features["distance"] != float64(want) {
			t.Errorf("%s at %s has distance %v, want %d", r.ID, r.Time, r.Features["distance"], want)
		}
	}
	if changed == 0 {
		t.Error("no flight leaves while distance is in kilometres")
	}
}

func TestReplayGivesUp(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(kind string, n int) (int, bool, bool)
		want string
	}{
		{"bad request", func(k string, _ int) (int, bool, bool) { return 400, false, k == "infer" }, "infer failed on purpose"},
		{"bad labels", func(k string, _ int) (int, bool, bool) { return 422, false, k == "labels" }, "labels failed on purpose"},
		{"no deployment", func(k string, _ int) (int, bool, bool) { return 404, false, k == "deployment" }, "push the bundle first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newRiver(t)
			s.fail = c.fail
			if err := run(t, options(s)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{Server: "127.0.0.1:8080", Flights: slice}
	for name, change := range map[string]func(*Options){
		"server": func(o *Options) { o.Server = "http://" }, "flights": func(o *Options) { o.Flights = "" },
		"incident": func(o *Options) { o.Incident = "fire" }, "pace": func(o *Options) { o.PerDay = -1 },
		"step": func(o *Options) { o.Step = time.Second }, "span": func(o *Options) { o.From = End },
	} {
		opt := good
		change(&opt)
		if _, err := New(opt); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestPace(t *testing.T) {
	p := pace{perDay: 2 * time.Second}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p.start(now, 0)
	if w := p.wait(now, 720); w != time.Second {
		t.Errorf("half a day is due in %s", w)
	}
	// Late by less than the slack: catch up. By more: go on from here.
	if w := p.wait(now.Add(1500*time.Millisecond), 720); w != 0 {
		t.Errorf("late, and still waiting %s", w)
	}
	if w := p.wait(now.Add(1500*time.Millisecond), 1440); w != 500*time.Millisecond {
		t.Errorf("the next half day is due in %s", w)
	}
	if w := p.wait(now.Add(10*time.Second), 2160); w != 0 {
		t.Errorf("very late, and still waiting %s", w)
	}
	if w := p.wait(now.Add(10*time.Second), 2880); w != time.Second {
		t.Errorf("after falling behind half a day is due in %s", w)
	}
	fast := pace{}
	if w := fast.wait(now, 1<<40); w != 0 {
		t.Errorf("without a pace: %s", w)
	}
}
