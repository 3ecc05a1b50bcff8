package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// requestRows is how many rows each request of a load has.
const requestRows = 20

// load predicts and labels until its context ends, and remembers what was acknowledged.
type load struct {
	base     string
	pause    time.Duration // between two requests of a worker
	next     atomic.Int64
	sent     atomic.Int64 // rows in requests, answered or not
	answered atomic.Int64
	mu       sync.Mutex
	acked    map[string]bool // by prediction id; true: the label's value
	events   []string        // ids of acknowledged business events
	answers  []answer
	round    int                   // of those that come
	from     int64                 // number of the first row of that round
	writes   map[int]time.Time     // by worker: when the label was sent whose answer it waits for
	slowest  map[int]time.Duration // by round: of the labels that were answered
}

// answer is a request that was answered, as its client saw it.
type answer struct {
	ids   []string
	at    time.Time
	round int
}

// lossWindow is the server's default of a second, and another for the write to reach the disk of a busy machine.
const lossWindow = 2 * time.Second

// labelOf is what the load says of the row with that place in its request.
func labelOf(row int) bool { return row%4 == 0 }

func (l *load) work(ctx context.Context, t *testing.T, p *process, worker int) {
	for n := 0; ctx.Err() == nil && !t.Failed(); n++ {
		l.request(ctx, t, p, worker, n)
		if l.pause > 0 {
			rest(ctx, l.pause)
		}
	}
}

// quick only predicts: the rows of others wait for their labels.
func (l *load) quick(ctx context.Context, t *testing.T, p *process, worker int) {
	for ctx.Err() == nil && !t.Failed() {
		l.ask(ctx, t, p, worker)
		rest(ctx, 2*time.Millisecond)
	}
}

// request sends rows, their labels when they are answered, and with every fourth request an event.
func (l *load) request(ctx context.Context, t *testing.T, p *process, worker, n int) {
	ids := l.ask(ctx, t, p, worker)
	if ids == nil {
		return
	}
	l.label(ctx, p, worker, ids)
	if n%4 == 0 {
		l.event(ctx, p, ids[0])
	}
}

// ask sends rows and gives their ids, nil where no answer came.
func (l *load) ask(ctx context.Context, t *testing.T, p *process, worker int) []string {
	first := l.next.Add(requestRows) - requestRows
	var body, rows strings.Builder
	body.WriteString(`{"instances":[`)
	for i := range requestRows {
		if i > 0 {
			body.WriteByte(',')
			rows.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"hour":17,"weekday":4,"distance":%d,"departures":60,"origin":"ATL","destination":"ORD"}`, 200+i)
		fmt.Fprintf(&rows, `{"id":"w%d-%d","time":"2001-03-08T17:%02d:00Z"}`, worker, first+int64(i), i)
	}
	fmt.Fprintf(&body, `],"rows":[%s]}`, rows.String())
	l.sent.Add(requestRows)
	raw, err := p.client.Predict(ctx, "flights", []byte(body.String()))
	if err != nil {
		return nil // the server is being killed; this request counts for nothing
	}
	var out struct {
		IDs []string `json:"ids"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || len(out.IDs) != requestRows {
		t.Errorf("answer %s: %v", raw, err)
		return nil
	}
	l.count(out.IDs)
	return out.IDs
}

func (l *load) count(ids []string) {
	l.answered.Add(requestRows)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, answer{ids, time.Now(), l.round})
}

func (l *load) label(ctx context.Context, p *process, worker int, ids []string) {
	labels := make([]api.Label, len(ids))
	for i, id := range ids {
		labels[i] = api.Label{PredictionID: id, Value: labelOf(i)}
	}
	began := time.Now()
	l.mu.Lock()
	if l.writes == nil {
		l.writes, l.slowest = map[int]time.Time{}, map[int]time.Duration{}
	}
	l.writes[worker] = began
	l.mu.Unlock()
	_, err := p.client.Label(ctx, "flights", labels)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.writes, worker)
	l.slowest[l.round] = max(l.slowest[l.round], time.Since(began))
	for i, id := range ids {
		l.acked[id] = labelOf(i)
	}
}

func (l *load) event(ctx context.Context, p *process, prediction string) {
	value := 1.0
	e := api.Event{Name: "revenue", ID: "of " + prediction, PredictionID: prediction, Value: &value}
	if _, err := p.client.Event(ctx, "flights", []api.Event{e}); err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e.ID)
}

// begin starts a round: what is answered from now on is of it.
func (l *load) begin(round int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round, l.from = round, l.next.Load()
	clear(l.writes)
}

// slowestWrite is how long the slowest label of a round took to be on disk, one that has no answer yet at that time included.
func (l *load) slowestWrite(round int, at time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	slowest := l.slowest[round]
	for _, began := range l.writes {
		slowest = max(slowest, at.Sub(began))
	}
	return slowest
}

// answeredSince is the number of rows answered after t.
func (l *load) answeredSince(t time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := 0
	for _, a := range l.answers {
		if a.at.After(t) {
			rows += requestRows
		}
	}
	return rows
}

// missing lists acknowledged labels that the store does not have.
func (l *load) missing(t *testing.T, p *process) []string {
	answer, err := p.client.SQL(t.Context(), `SELECT DISTINCT prediction_id FROM labels`, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool, len(answer.Rows))
	for _, r := range answer.Rows {
		have[r[0].(string)] = true
	}
	var gone []string
	for id := range l.acked {
		if !have[id] {
			gone = append(gone, id)
		}
	}
	return gone
}
