package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// inbox is a receiver's server.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request) // nil: 200
	got    []letter                                     // what was answered with 200 last
	tries  []letter
}

type letter struct {
	id, signature, path string
	body                []byte
	message             struct {
		Again, Test bool
		Incident    notify.Incident
	}
}

func (l letter) String() string {
	return fmt.Sprintf("%s %s again=%v", l.message.Incident.State, strings.Join(l.message.Incident.Columns, "+"), l.message.Again)
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	b := &inbox{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l := letter{id: r.Header.Get(deliveryID), signature: r.Header.Get(notify.Signature), path: r.URL.Path, body: body}
		_ = json.Unmarshal(body, &l.message) // not all forms are that of a webhook
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tries = append(b.tries, l)
		if b.answer != nil {
			b.answer(w, r)
			return
		}
		b.got = append(b.got, l)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) letters() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *inbox) answers(f func(http.ResponseWriter, *http.Request)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

// office is notifiers that share a bucket and a clock which the test moves.
type office struct {
	t      *testing.T
	kv     *seat
	now    time.Time
	alerts []alert.Alert
	log    bytes.Buffer
	sender *sender
}

func newOffice(t *testing.T) *office {
	o := &office{t: t, kv: &seat{leaseBucket: &leaseBucket{}}, now: noon}
	o.sender = newSender("test", nil, func() time.Time { return o.now })
	t.Cleanup(o.sender.close)
	return o
}

// server starts a notifier; leads may be nil.
func (o *office) server(leads func() bool, receivers ...notify.Receiver) *notifier {
	log := slog.New(slog.NewTextHandler(&o.log, nil))
	now := func() time.Time { return o.now }
	n := &notifier{
		receivers: receivers, wait: 15 * time.Second, kv: o.kv, leads: leads, names: func() []fairlead.Name { return []fairlead.Name{"flights"} },
		incidents: func(context.Context, fairlead.Name) ([]notify.Incident, map[string]string, error) {
			return incidentsOf(o.alerts, time.Hour), nil, nil
		},
		behind: func() bool { return false }, desk: &desk{kv: o.kv, now: now, log: log}, send: o.sender.send, now: now,
		chance: func() float64 { return 0.5 }, log: log,
		describer: describer{page: "https://fairlead.example.com", explain: func(_ context.Context, id string) (api.AlertExplanation, error) {
			return api.AlertExplanation{Text: "explained " + id, Harm: "moves"}, nil
		}},
	}
	if n.leads == nil {
		n.leads = func() bool { return true }
	}
	o.t.Cleanup(n.start(o.t.Context()))
	return n
}

// step lets time pass and the notifier do what is due.
func (o *office) step(n *notifier, after time.Duration) {
	o.t.Helper()
	o.now = o.now.Add(after)
	n.round(o.t.Context())
	for len(n.under) > 0 {
		select {
		case r := <-n.reports:
			n.take(o.t.Context(), r)
		case <-time.After(30 * time.Second):
			o.t.Fatal("a message is under way for 30 s")
		}
	}
}

func (o *office) expect(b *inbox, what string, want ...string) {
	o.t.Helper()
	var got []string
	for _, l := range b.letters() {
		got = append(got, l.String())
	}
	if !slices.Equal(got, want) {
		o.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// drifts makes an alert that fires.
func drifts(column string, onset time.Time) alert.Alert {
	return alert.Alert{
		ID: "flights/" + column + "/" + onset.Format(time.RFC3339), Deployment: "flights", Column: column, State: alert.Firing,
		Onset: onset, Last: onset.Add(2 * time.Hour), Fired: onset.Add(2 * time.Hour),
	}
}

func (o *office) over() {
	for i := range o.alerts {
		o.alerts[i].State, o.alerts[i].Resolved = alert.Resolved, o.alerts[i].Last.Add(4*time.Hour)
	}
}

// Fifty columns that drift together are one message, and one when they are over.
func TestStormIsOneMessage(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	n := o.server(nil, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL})
	for i := range 10 {
		o.alerts = append(o.alerts, drifts(fmt.Sprintf("c%02d", i), noon))
	}
	o.step(n, 0) // not yet: the others come while it gathers
	o.expect(b, "while it gathers")
	for i := 10; i < 50; i++ {
		o.alerts = append(o.alerts, drifts(fmt.Sprintf("c%02d", i), noon.Add(time.Duration(i%2)*time.Hour)))
	}
	for range 10 {
		o.step(n, 10*time.Second)
	}
	got := b.letters()
	if len(got) != 1 {
		t.Fatalf("%d messages about one incident", len(got))
	}
	in := got[0].message.Incident
	if len(in.Columns) != 50 || len(in.Alerts) != 50 || in.State != notify.Firing || in.Harm != "moves" || in.Title != "c00, c01, c02 and 47 more" ||
		in.Link != "https://fairlead.example.com/d/flights?alert=flights%2Fc00%2F"+strings.ReplaceAll(noon.Format(time.RFC3339), ":", "%3A") {
		t.Errorf("%+v", in)
	}
	o.over()
	for range 10 {
		o.step(n, 10*time.Second)
	}
	if got := b.letters(); len(got) != 2 || got[1].message.Incident.State != notify.Resolved || got[1].message.Incident.ID != in.ID {
		t.Errorf("at the end: %v", got)
	}
}

// A receiver that fails five times is tried ever more rarely under one delivery id, and told once.
func TestReceiverThatFails(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	const secret = "very-secret"
	n := o.server(nil, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL + "/hooks/" + secret, Secret: secret + "-key"})
	failures := 0
	b.answers(func(w http.ResponseWriter, _ *http.Request) {
		failures++
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "come back\nlater")
		if failures == 5 {
			b.answer = nil // mu is held
		}
	})
	o.alerts = []alert.Alert{drifts("distance", noon)}
	var waits []string
	last := time.Time{}
	for seconds := 0; seconds < 600; seconds += 5 {
		before := len(b.tries)
		o.step(n, 5*time.Second)
		if len(b.tries) > before {
			if !last.IsZero() {
				waits = append(waits, o.now.Sub(last).String())
			}
			last = o.now
		}
	}
	if got := strings.Join(waits, " "); got != "5s 10s 20s 40s 1m20s" {
		t.Errorf("tried again after %s", got)
	}
	o.expect(b, "in the end", "firing distance again=false")
	for _, try := range b.tries {
		if try.id == "" || try.id != b.tries[0].id {
			t.Errorf("delivery %q, then %q", b.tries[0].id, try.id)
		}
	}
	if l := b.letters()[0]; l.signature != notify.Sign(secret+"-key", l.body) || l.path != "/hooks/"+secret {
		t.Errorf("signed %s to %s", l.signature, l.path)
	}
	if text := o.log.String(); strings.Contains(text, secret) || !strings.Contains(text, "503 Service Unavailable: come back later") {
		t.Errorf("the log says\n%s", text)
	}
	if s := n.stats.get("team"); s.sent != 1 || s.failed != 5 || s.waiting != 0 {
		t.Errorf("counted %+v", s)
	}
	b.Close()
	o.over()
	o.step(n, time.Second)
	if s := n.stats.get("team"); s.failed != 6 || strings.Contains(s.lastError, secret) || s.lastError == "" {
		t.Errorf("nobody listens: %+v", s)
	}
	if text := o.log.String(); strings.Contains(text, secret) {
		t.Errorf("the log says\n%s", text)
	}
}

// One receiver that hangs keeps nobody else waiting, and is cut off when the server stops.
func TestReceiverThatHangs(t *testing.T) {
	o, b, slow := newOffice(t), newInbox(t), newInbox(t)
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	slow.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	})
	n := o.server(nil, notify.Receiver{Name: "slow", Type: "slack", URL: slow.URL}, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL})
	n.wait = 0
	o.alerts = []alert.Alert{drifts("distance", noon)}
	n.round(t.Context())
	r := <-n.reports // the slow one does not answer
	n.take(t.Context(), r)
	if r.delivery.Receiver != "team" || len(b.letters()) != 1 {
		t.Errorf("told %s", r.delivery.Receiver)
	}
	<-asked
	n.round(t.Context())
	if len(n.under) != 1 {
		t.Errorf("under way: %v", n.under)
	}
	close(release)
	n.take(t.Context(), <-n.reports)
}

// Who leads next knows what was told, and a message that nobody stored is told under the same id.
func TestLeaderChange(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	leads := "a"
	to := notify.Receiver{Name: "team", Type: "webhook", URL: b.URL, Repeat: 4 * time.Hour}
	server := func(id string) *notifier { return o.server(func() bool { return leads == id }, to) }
	first, second := server("a"), server("b")
	both := func(after time.Duration) {
		o.step(first, after)
		o.step(second, 0)
	}
	o.alerts = []alert.Alert{drifts("distance", noon)}
	both(0)
	both(15 * time.Second)
	o.expect(b, "a leads", "firing distance again=false")
	leads = "b"
	for range 20 {
		both(10 * time.Second)
	}
	o.expect(b, "b leads", "firing distance again=false")
	leads = "a"
	both(2 * time.Second)
	o.expect(b, "a leads again", "firing distance again=false")
	second = server("b") // a new process
	leads = "b"
	o.over()
	both(15 * time.Second)
	leads = "a"
	both(15 * time.Second)
	o.expect(b, "over", "firing distance again=false", "resolved distance again=false")

	// The state is out of reach: the message goes out, and is stored when the state is back.
	o.alerts = []alert.Alert{drifts("origin", noon.Add(24*time.Hour))}
	both(15 * time.Second)
	o.kv.cut = true
	both(15 * time.Second)
	both(15 * time.Second)
	told := len(b.letters())
	o.kv.cut = false
	both(15 * time.Second)
	leads = "b"
	both(15 * time.Second)
	both(15 * time.Second)
	if got := b.letters(); told > 3 || len(got) != 3 || got[2].String() != "firing origin again=false" {
		t.Errorf("told %d times while the state was away; all in all %v", told-2, got)
	}
}

// A crash between the receiver's answer and the write of it tells the same twice, and the receiver can know that.
func TestCrashBeforeTheWrite(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	to := notify.Receiver{Name: "team", Type: "webhook", URL: b.URL}
	first := o.server(nil, to)
	o.alerts = []alert.Alert{drifts("distance", noon)}
	o.step(first, 0)
	o.now = o.now.Add(time.Minute)
	first.round(t.Context())
	clear(first.under)
	<-first.reports // it told, and dies
	second := o.server(nil, to)
	for range 4 {
		o.step(second, 20*time.Second)
	}
	if got := b.letters(); len(got) != 2 || got[0].id != got[1].id {
		t.Errorf("%v: %q", got, got)
	}
}

// An incident that somebody takes care of is not told again; one that nobody does is.
func TestAcknowledgedIsNotRepeated(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	n := o.server(nil, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL, Repeat: time.Hour})
	o.alerts = []alert.Alert{drifts("distance", noon)}
	o.step(n, 0)
	o.step(n, time.Minute)
	o.step(n, time.Hour)
	o.expect(b, "nobody cares", "firing distance again=false", "firing distance again=true")
	in := incidentsOf(o.alerts, time.Hour)[0]
	if err := n.desk.acknowledge(t.Context(), "flights", notify.Ack{Incident: in.ID, Alerts: in.Alerts, By: "ann", At: o.now}); err != nil {
		t.Fatal(err)
	}
	o.alerts = append(o.alerts, drifts("origin", noon.Add(time.Hour))) // it grows
	for range 10 {
		o.step(n, time.Hour)
	}
	o.expect(b, "acknowledged", "firing distance again=false", "firing distance again=true")
	if err := n.desk.unacknowledge(t.Context(), "flights", in.Alerts, in.ID); err != nil {
		t.Fatal(err)
	}
	o.step(n, time.Minute)
	o.over()
	o.step(n, time.Minute)
	o.step(n, time.Hour)
	o.expect(b, "taken back", "firing distance again=false", "firing distance again=true", "firing distance+origin again=true", "resolved distance+origin again=false")
	if err := n.desk.unacknowledge(t.Context(), "flights", in.Alerts, in.ID); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("taken back twice: %v", err)
	}
}

// Whoever answers does not choose who is told.
func TestRedirects(t *testing.T) {
	o, b, other := newOffice(t), newInbox(t), newInbox(t)
	send := func() (string, error) {
		d := notify.Test("", noon)
		return o.sender.send(t.Context(), &notify.Receiver{Name: "a", Type: "webhook", URL: b.URL + "/old", Secret: "s"}, &d)
	}
	for want, to := range map[string]struct {
		status int
		where  string
	}{
		"another host":            {http.StatusTemporaryRedirect, other.URL},
		"drops the message":       {http.StatusFound, "/new"},
		"more than 3 redirects":   {http.StatusTemporaryRedirect, "/old"},
		"418 I'm a teapot":        {http.StatusTeapot, ""},
		"301 Moved Permanently":   {http.StatusMovedPermanently, ""},
		"drops the message (only": {http.StatusSeeOther, other.URL},
	} {
		b.answers(func(w http.ResponseWriter, _ *http.Request) {
			if to.where != "" {
				w.Header().Set("Location", to.where)
			}
			w.WriteHeader(to.status)
		})
		if _, err := send(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	b.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusPermanentRedirect)
			return
		}
		fmt.Fprint(w, "thanks")
	})
	if said, err := send(); err != nil || said != "200 OK: thanks" {
		t.Errorf("%q, %v", said, err)
	}
	if len(other.tries) > 0 {
		t.Error("another host was told")
	}
	var e *sendError
	b.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if _, err := send(); !errors.As(err, &e) || e.after != 2*time.Minute {
		t.Errorf("%v", err)
	}
}

// While past predictions stream in, what they show may be over already: it is told when they are in and it still fires. Asking
// takes no round from the monitor.
func TestNobodyIsToldOfABacklog(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	n := o.server(nil, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL})
	var past backlog
	n.behind = func() bool { return past.streams(o.now) }
	o.alerts = []alert.Alert{drifts("distance", noon.Add(-1000*time.Hour)), drifts("origin", noon)}
	rounds := 0
	for range 150 {
		past.came(o.now)
		if !past.waits(o.now) {
			rounds++
		}
		o.step(n, time.Second)
	}
	o.alerts[0].State, o.alerts[0].Resolved = alert.Resolved, noon
	o.expect(b, "while they stream in")
	o.step(n, time.Minute)
	o.expect(b, "they are in", "firing origin again=false")
	if rounds != 2 {
		t.Errorf("the monitor had %d rounds, want one a minute", rounds)
	}
}

// Receivers that are no more, and a ledger that cannot be read, keep nobody else from being told.
func TestDamagedLedger(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	if _, err := o.kv.Put(t.Context(), ledgerKey("broken"), []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	n := o.server(nil, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL})
	n.names = func() []fairlead.Name { return []fairlead.Name{"broken", "flights"} }
	o.alerts = []alert.Alert{drifts("distance", noon)}
	o.step(n, 0)
	o.step(n, time.Minute)
	o.expect(b, "the other deployment", "firing distance again=false")
	if text := o.log.String(); !strings.Contains(text, "read what receivers were told of broken") {
		t.Error(text)
	}
}
