package pressure

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func TestContended(t *testing.T) {
	at := func(r Reading, s float64) Reading {
		r.At = start.Add(time.Duration(s * float64(time.Second)))
		return r
	}
	waiting := func(ms int) Reading {
		return Reading{WaitingRead: true, Waiting: time.Duration(ms) * time.Millisecond}
	}
	for name, c := range map[string]struct {
		from, to Reading
		want     bool
	}{
		"a saturated machine":            {at(waiting(500), 0), at(waiting(1450), 1), true},
		"a busy one with room":           {at(waiting(500), 0), at(waiting(800), 1), false},
		"the same over ten seconds":      {at(waiting(500), 0), at(waiting(1450), 10), false},
		"no time between":                {at(waiting(0), 1), at(waiting(900), 1), false},
		"a system that says nothing":     {at(Reading{}, 0), at(Reading{}, 1), false},
		"no idle time":                   {at(Reading{Idle: 100, Total: 1000}, 0), at(Reading{Idle: 105, Total: 1200}, 1), true},
		"idle time":                      {at(Reading{Idle: 100, Total: 1000}, 0), at(Reading{Idle: 180, Total: 1200}, 1), false},
		"a count that was set back":      {at(Reading{Idle: 100, Total: 1000}, 0), at(Reading{Idle: 5, Total: 10}, 1), false},
		"a quota used up, an idle host":  {at(Reading{Idle: 100, Total: 1000}, 0), at(Reading{Idle: 290, Total: 1200, Throttled: 200 * time.Millisecond}, 1), true},
		"a quota used up, few who wait":  {at(waiting(0), 0), at(Reading{WaitingRead: true, Throttled: time.Second}, 1), true},
		"waiting goes before idle time":  {at(Reading{WaitingRead: true, Idle: 1, Total: 1}, 0), at(Reading{WaitingRead: true, Idle: 1, Total: 100}, 1), false},
		"a file that is there only once": {at(waiting(0), 0), at(Reading{}, 1), false},
	} {
		if got := Contended(c.from, c.to); got != c.want {
			t.Errorf("%s: contended is %t", name, got)
		}
	}
}

func TestRest(t *testing.T) {
	const minute = time.Minute
	for name, c := range map[string]struct {
		worked, lag, maxLag time.Duration
		contended           bool
		want                time.Duration
	}{
		"room":                         {time.Second, 0, minute, false, 0},
		"contended":                    {time.Second, time.Second, minute, true, 20 * time.Second},
		"up to the bound, not over it": {time.Second, 50 * time.Second, minute, true, 10 * time.Second},
		"beyond the bound":             {time.Second, 70 * time.Second, minute, true, 0},
		"no lag wanted":                {time.Second, 0, 0, true, 0},
	} {
		if got := Rest(c.worked, c.lag, c.maxLag, c.contended); got != c.want {
			t.Errorf("%s: rests for %s, want %s", name, got, c.want)
		}
	}
}

func TestReadLinux(t *testing.T) {
	files := fstest.MapFS{}
	put := func(name, text string) { files[name] = &fstest.MapFile{Data: []byte(text)} }
	expect := func(what string, want Reading) {
		t.Helper()
		want.At = start
		if got := Read(files, start); got != want {
			t.Errorf("%s: read %+v, want %+v", what, got, want)
		}
	}
	expect("another system", Reading{})
	put("proc/stat", "cpu  1345430 372349 348164 1376632 9244 0 11926 48979 7 7\ncpu0 1 2 3\n")
	want := Reading{Idle: 1376632 + 9244, Total: 1345430 + 372349 + 348164 + 1376632 + 9244 + 11926 + 48979}
	expect("an old Linux", want)
	put("sys/fs/cgroup/cpu/cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 1500\n")
	want.Throttled = 1500
	expect("control groups of version 1", want)
	put("proc/pressure/cpu", "some avg10=66.34 avg60=58.88 avg300=45.23 total=7436246419\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
	want.Waiting, want.WaitingRead = 7436246419*time.Microsecond, true
	expect("the machine's pressure", want)
	put("proc/self/cgroup", "0::/system.slice/fairlead.service\n")
	put("sys/fs/cgroup/system.slice/fairlead.service/cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n")
	put("sys/fs/cgroup/system.slice/fairlead.service/cpu.stat", "usage_usec 5\nthrottled_usec 7\n")
	want.Waiting, want.Throttled = 12*time.Microsecond, 7*time.Microsecond
	expect("the control group's own pressure", want)
	put("sys/fs/cgroup/system.slice/fairlead.service/cpu.pressure", "some total=many\n")
	want.Waiting = 7436246419 * time.Microsecond
	expect("a file that says nonsense", want)
}

// machine is a fake whose processors are contended or not.
type machine struct {
	contended atomic.Bool
	waiting   time.Duration
	last      time.Time
	reads     int
}

func (m *machine) read() Reading {
	now := time.Now()
	if m.contended.Load() && !m.last.IsZero() {
		m.waiting += now.Sub(m.last)
	}
	m.last = now
	m.reads++
	return Reading{At: now, Waiting: m.waiting, WaitingRead: true}
}

func TestPacer(t *testing.T) {
	rest := func(p *Pacer, ctx context.Context, worked, lag time.Duration) time.Duration {
		began := time.Now()
		p.Rest(ctx, worked, lag)
		return time.Since(began)
	}
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		busy := true
		p := NewPacer(NewGauge(m.read), time.Minute, func(time.Time) bool { return busy })
		ctx, cancel := context.WithCancel(t.Context())
		time.Sleep(time.Second)
		if got := rest(p, ctx, time.Second, 0); got != 0 {
			t.Errorf("rested for %s on a free machine", got)
		}
		m.contended.Store(true)
		time.Sleep(time.Second)
		if got := rest(p, ctx, time.Second, time.Second); got != 20*time.Second {
			t.Errorf("rested for %s after a second of work", got)
		}
		if got := rest(p, ctx, time.Second, 57*time.Second); got != 3*time.Second {
			t.Errorf("rested for %s with three seconds to the bound", got)
		}
		busy = false
		if got := rest(p, ctx, time.Second, time.Second); got != 0 {
			t.Errorf("rested for %s with nothing to give way to", got)
		}
		busy = true
		if got := rest(p, ctx, time.Second, 2*time.Minute); got != 0 {
			t.Errorf("rested for %s beyond the bound", got)
		}
		time.AfterFunc(3*time.Second, func() { m.contended.Store(false) })
		if got := rest(p, ctx, time.Second, 0); got < 3*time.Second || got > 4*time.Second {
			t.Errorf("rested for %s though processors were free after 3 s", got)
		}
		m.contended.Store(true)
		time.Sleep(time.Second)
		time.AfterFunc(1200*time.Millisecond, cancel)
		if got := rest(p, ctx, time.Second, 0); got != 1200*time.Millisecond {
			t.Errorf("rested for %s though its context ended", got)
		}
		time.AfterFunc(1200*time.Millisecond, p.Hurry)
		if got := rest(p, t.Context(), time.Second, 0); got != 1200*time.Millisecond {
			t.Errorf("rested for %s in a hurry", got)
		}
		p.Hurry()
		if got := rest(p, t.Context(), time.Second, 0); got > 0 {
			t.Errorf("a second rest of %s in a hurry", got)
		}
	})
}

// However many loops ask, the system is read twice a second.
func TestGaugeReadsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{}
		m.contended.Store(true)
		g := NewGauge(m.read)
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			g.Contended(time.Now())
		}
		if m.reads != 21 {
			t.Errorf("%d readings in ten seconds", m.reads)
		}
	})
}
