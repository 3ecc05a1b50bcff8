package flights

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fairlead-ml/fairlead"
)

// Options of a replay. Server and Flights are needed, everything else has a default.
type Options struct {
	Server   string        // address, for example http://127.0.0.1:8080
	Flights  string        // path of flights-3m.parquet
	Incident Incident      // faults to plant; none
	PerDay   time.Duration // wall time of one day of flights; 0: as fast as the server takes them
	Step     time.Duration // event time of one request, whole minutes; 5 minutes
	From, To time.Time     // span of event time; Start and End
	MaxLag   time.Duration // the replay waits while the server stores what it recorded later than this; 5 seconds; negative: never

	Client   *http.Client   // one of its own
	Clock    Clock          // the computer's
	Progress func(Progress) // called about once a second and once a day of event time, from one goroutine
	Log      *slog.Logger   // silent
}

// Progress is how far a replay has come.
type Progress struct {
	Event         time.Time     // reached
	Rows          int64         // predictions answered in this run
	RowsPerSecond float64       // over the last second or so
	Labels        int64         // labels acknowledged in this run
	Pending       int           // labels of flights that have not landed, or not acknowledged yet
	Errors        int64         // requests that failed and were, or will be, made good
	PerDay        time.Duration // wall time that a day of flights takes at this rate
	Behind        bool          // the server cannot keep up with the pace asked for: the replay has slowed down
	Done          bool          // the last report
}

// Replay sends flights to a server: one request after the other in order of event time, at most one in flight, and
// labels beside them when the flights land.
//
// # Restarts
//
// A prediction's id is "f" and the flight's row number in the file. The replay starts where the server is: it waits
// until everything the server has recorded is in its evaluation store, asks for the latest event time there and goes
// on with the minute after it. It does the same when a request fails without a clear answer (the server was killed, the
// connection broke): what was recorded is not sent again, what was not is. Because requests follow each other in order
// of event time, no row is counted twice and only rows of a minute that was recorded in part can be lost. A request that
// was refused for overload (429) was not recorded and is sent again as it is.
//
// Labels are repeated until they are acknowledged. After a start in the middle those of all flights of the 48 hours
// before are sent again: they say the same, and the server keeps the latest.
type Replay struct {
	opt    Options
	client *client
	own    bool // the HTTP client is ours to close
	outbox *outbox
	meter  meter
}

// New checks the options. The replay does nothing until Run.
func New(opt Options) (*Replay, error) {
	if opt.Step == 0 {
		opt.Step = 5 * time.Minute
	}
	if opt.MaxLag == 0 {
		opt.MaxLag = 5 * time.Second
	}
	if opt.From.IsZero() {
		opt.From = Start
	}
	if opt.To.IsZero() {
		opt.To = End
	}
	incident, err := ParseIncident(string(opt.Incident))
	switch {
	case err != nil:
		return nil, err
	case opt.Flights == "":
		return nil, fairlead.Invalid("no flights file is given").Hintf("make runtime leaves it at bin/flights-3m.parquet")
	case opt.PerDay < 0:
		return nil, fairlead.Invalid("%s for a day of flights is less than no time", opt.PerDay)
	case opt.Step < time.Minute || opt.Step%time.Minute != 0:
		return nil, fairlead.Invalid("a step of %s is not a number of whole minutes", opt.Step)
	case !opt.From.Before(opt.To):
		return nil, fairlead.Invalid("a replay from %s to %s is empty", opt.From.Format(time.RFC3339), opt.To.Format(time.RFC3339))
	}
	opt.Incident = incident
	if opt.Clock == nil {
		opt.Clock = WallClock{}
	}
	if opt.Progress == nil {
		opt.Progress = func(Progress) {}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	r := &Replay{opt: opt, own: opt.Client == nil}
	if r.own {
		r.opt.Client = newHTTP()
	}
	if r.client, err = newClient(opt.Server, r.opt.Client); err != nil {
		return nil, err
	}
	return r, nil
}

// Run replays until the last flight has landed and the last label is acknowledged, or ctx ends, or the server refuses
// for good. It is called once.
func (r *Replay) Run(ctx context.Context) error {
	if r.own {
		defer r.opt.Client.CloseIdleConnections()
	}
	r.outbox = newOutbox(r.client, r.opt.Clock, r.opt.Log)
	r.meter = meter{opt: &r.opt, outbox: r.outbox}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.outbox.run(ctx) })
	g.Go(func() error {
		defer r.outbox.close()
		return r.replay(ctx)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	p := r.meter.last()
	r.opt.Progress(p)
	r.opt.Log.Info("replay finished: the last flight has landed", "event", p.Event, "rows", p.Rows, "labels", p.Labels, "errors", p.Errors)
	return nil
}

// replay streams from where the server is, and again from there after each failure that may pass.
func (r *Replay) replay(ctx context.Context) error {
	var wait backoff
	for again := false; ; again = true {
		from, err := r.resume(ctx, again)
		if err != nil {
			return err
		}
		sent := r.meter.rows
		if err = r.stream(ctx, from); err == nil || !passing(err) {
			return err
		}
		if r.meter.rows > sent {
			wait = backoff{}
		}
		r.meter.errors++
		r.opt.Log.Warn("a request failed; asking the server where to go on", "err", err)
		if err := r.opt.Clock.Sleep(ctx, wait.next(err)); err != nil {
			return err
		}
	}
}

// stream sends everything from the given minute on.
func (r *Replay) stream(ctx context.Context, from int64) error {
	faults := r.opt.Incident.Faults()
	batches := make(chan batch, 2)
	p := producer{
		path: r.opt.Flights, start: minuteOf(r.opt.From), from: from, to: minuteOf(r.opt.To),
		step: int64(r.opt.Step / time.Minute), faults: faults, out: batches,
	}
	s := sender{Replay: r, faults: faults, pace: pace{perDay: r.opt.PerDay}}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.run(ctx) })
	g.Go(func() error { return s.run(ctx, from, batches) })
	return g.Wait()
}

// sender is one pass over the stream.
type sender struct {
	*Replay
	faults  []Fault // not announced yet
	pace    pace
	air     landings
	checked bool      // the server takes our ids
	asked   time.Time // how far the server lags
}

func (s *sender) run(ctx context.Context, from int64, batches <-chan batch) error {
	s.asked = s.opt.Clock.Now()
	s.pace.start(s.asked, from)
	s.meter.begin(s.opt.Clock.Now(), from)
	end := from
	for b := range batches {
		end = b.end
		if err := s.step(ctx, b); err != nil {
			return err
		}
	}
	// The last flights are still in the air.
	for len(s.air) > 0 && ctx.Err() == nil {
		end += int64(s.opt.Step / time.Minute)
		if err := s.step(ctx, batch{end: end}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// step waits for the end of a batch's event time, sends it and hands over the labels that are due by then.
func (s *sender) step(ctx context.Context, b batch) error {
	if err := s.keepUp(ctx); err != nil {
		return err
	}
	if err := s.opt.Clock.Sleep(ctx, s.pace.wait(s.opt.Clock.Now(), b.end)); err != nil {
		return err
	}
	for len(s.faults) > 0 && minuteOf(s.faults[0].Start) < b.end {
		if err := s.client.annotate(ctx, s.faults[0].Annotation()); err != nil {
			return fmt.Errorf("announce the planted incident %q: %w", s.faults[0].Title, err)
		}
		s.faults = s.faults[1:]
	}
	if b.n > 0 {
		if err := s.infer(ctx, b); err != nil {
			return err
		}
		s.meter.rows += int64(b.n)
	}
	s.air.add(b.labels)
	if err := s.outbox.add(ctx, s.air.landed(b.end)); err != nil {
		return err
	}
	s.meter.tick(s.opt.Clock.Now(), b.end, len(s.air))
	return nil
}

// keepUp asks once a second how far the server's store lags behind what it has recorded, and waits while that is too far:
// predictions are answered faster than they are stored, and the difference would grow without bound.
func (s *sender) keepUp(ctx context.Context) error {
	if s.opt.MaxLag < 0 || s.opt.Clock.Now().Sub(s.asked) < time.Second {
		return nil
	}
	for {
		status, err := s.client.status(ctx)
		s.asked = s.opt.Clock.Now()
		if err != nil || seconds(status.Lag) <= s.opt.MaxLag {
			return ctx.Err() // a server that is gone shows in the next request
		}
		if err := s.opt.Clock.Sleep(ctx, settlePoll); err != nil {
			return err
		}
		s.meter.tick(s.opt.Clock.Now(), s.meter.event, len(s.air))
	}
}

// infer sends one request, again as long as the server is only overloaded.
func (s *sender) infer(ctx context.Context, b batch) error {
	var wait backoff
	for {
		ids, err := s.client.infer(ctx, b.body, !s.checked)
		if err == nil {
			return s.check(b, ids)
		}
		if fairlead.CodeOf(err) != fairlead.CodeExhausted {
			return err
		}
		s.meter.errors++
		if err := s.opt.Clock.Sleep(ctx, wait.next(err)); err != nil {
			return err
		}
	}
}

// check makes sure, once a pass, that the server recorded the flights under the ids that their labels will name.
func (s *sender) check(b batch, ids []string) error {
	if s.checked {
		return nil
	}
	want := string(predictionID(nil, b.first))
	if len(ids) != b.n || ids[0] != want {
		return fairlead.Invalid("the server answered a request of %d flights with %d ids, the first %q, not %q", b.n, len(ids), first(ids), want).
			Hintf("ids given in rows must be used as they are, or no label finds its prediction")
	}
	s.checked = true
	return nil
}

func first(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}
