package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/examples/flights"
)

const bundle = "../examples/flights/bundle"

// TestKilledServerLosesNoAcknowledgedLabel kills the server at random moments under load: at the start, between two writes, in
// the middle of one. Every label that was acknowledged is there afterwards, no row is there twice, and the rows that are
// missing are no more than were answered within the loss window of a kill. FAIRLEAD_CRASH_ROUNDS says how often for each of
// two seeds, FAIRLEAD_CRASH_SEED the first seed.
func TestKilledServerLosesNoAcknowledgedLabel(t *testing.T) {
	rounds := number(t, "FAIRLEAD_CRASH_ROUNDS", 4)
	if testing.Short() {
		rounds = 2
	}
	first := number(t, "FAIRLEAD_CRASH_SEED", 20010308)
	for seed := first; seed < first+2; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { killAtRandom(t, rounds, uint64(seed)) })
	}
}

// number reads an environment variable.
func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, expected a number from 1", name, text)
	}
	return n
}

// killWindow is shorter than the server's default, so that most rounds are longer than it; killSlack is for the write to reach
// the disk of a busy machine.
const (
	killWindow = 200 * time.Millisecond
	killSlack  = 500 * time.Millisecond
)

func killAtRandom(t *testing.T, rounds int, seed uint64) {
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve", "--loss-window", killWindow.String())
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	l := &load{base: p.base, acked: map[string]bool{}}
	mayLose := 0
	var starting time.Duration
	for range rounds {
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for worker := range 2 {
			done.Go(func() { l.work(ctx, t, p, worker) })
		}
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		p.kill()
		mayLose += l.answeredSince(time.Now().Add(-killWindow - killSlack))
		stop()
		done.Wait()
		began := time.Now()
		p = start(t, data, address, "serve", "--loss-window", killWindow.String())
		starting += time.Since(began)
	}
	t.Logf("a start took %s", (starting / time.Duration(rounds)).Round(time.Millisecond))
	s := p.settled()
	answered := int(l.answered.Load())
	rows := p.number(`SELECT count(*) FROM rows."flights"`)
	distinct := p.number(`SELECT count(DISTINCT prediction_id) FROM rows."flights"`)
	t.Logf("%d rounds: %d rows answered, %d stored, %d labels acknowledged, %d stored", rounds, answered, rows, len(l.acked), s.Labels)
	if rows != distinct {
		t.Errorf("%d rows are stored twice", rows-distinct)
	}
	if rows > int(l.sent.Load()) {
		t.Errorf("%d rows are stored, only %d were sent", rows, l.sent.Load())
	}
	if lost := answered - rows; lost > mayLose {
		t.Errorf("%d rows lost in %d kills; %d were answered within %s of one", lost, rounds, mayLose, lossWindow)
	}
	if len(l.acked) == 0 {
		t.Fatal("no label was acknowledged: the test shows nothing")
	}
	missing := l.missing(t, p)
	if len(missing) > 0 {
		t.Errorf("%d acknowledged labels are gone, for example %s", len(missing), missing[0])
	}
	if twice := p.number(`SELECT count(*) - count(DISTINCT prediction_id) FROM outcomes`); twice != 0 {
		t.Errorf("%d predictions are joined twice", twice)
	}
	p.stop()
}

// TestDurableAnswerIsStored kills a server whose deployment asks for durable: true. Every row that was answered is there
// afterwards: there is no loss window.
func TestDurableAnswerIsStored(t *testing.T) {
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "fairlead.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "\nrecord: {durable: true}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", folder); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	rng := rand.New(rand.NewPCG(20010309, 1))
	l := &load{base: p.base, acked: map[string]bool{}}
	for range 5 {
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for worker := range 3 {
			done.Go(func() { l.work(ctx, t, p, worker) })
		}
		time.Sleep(time.Duration(300+rng.IntN(700)) * time.Millisecond)
		p.kill()
		stop()
		done.Wait()
		p = start(t, data, address, "serve")
	}
	p.settled()
	answered := int(l.answered.Load())
	rows, distinct := p.number(`SELECT count(*) FROM rows."flights"`), p.number(`SELECT count(DISTINCT prediction_id) FROM rows."flights"`)
	t.Logf("%d rows answered, %d stored", answered, rows)
	if answered == 0 || distinct < answered || rows != distinct {
		t.Errorf("%d rows answered, %d stored, %d of them once", answered, rows, distinct)
	}
	p.stop()
}

// load predicts and labels until its context ends, and remembers what was acknowledged.
type load struct {
	base     string
	next     atomic.Int64
	sent     atomic.Int64 // rows in requests, answered or not
	answered atomic.Int64
	mu       sync.Mutex
	acked    map[string]bool
	answers  []time.Time // one for each request of 20 rows
}

// lossWindow is the server's default of a second, and another for the write to reach the disk of a busy machine.
const lossWindow = 2 * time.Second

func (l *load) work(ctx context.Context, t *testing.T, p *process, worker int) {
	for ctx.Err() == nil {
		first := l.next.Add(20) - 20
		var body strings.Builder
		body.WriteString(`{"instances":[`)
		var rows strings.Builder
		for i := range 20 {
			if i > 0 {
				body.WriteByte(',')
				rows.WriteByte(',')
			}
			fmt.Fprintf(&body, `{"hour":17,"weekday":4,"distance":%d,"departures":60,"origin":"ATL","destination":"ORD"}`, 200+i)
			fmt.Fprintf(&rows, `{"id":"w%d-%d","time":"2001-03-08T17:%02d:00Z"}`, worker, first+int64(i), i)
		}
		fmt.Fprintf(&body, `],"rows":[%s]}`, rows.String())
		l.sent.Add(20)
		raw, err := p.client.Predict(ctx, "flights", []byte(body.String()))
		if err != nil {
			continue // the server is being killed; this request counts for nothing
		}
		var answer struct {
			IDs []string `json:"ids"`
		}
		if err := json.Unmarshal(raw, &answer); err != nil || len(answer.IDs) != 20 {
			t.Errorf("answer %s: %v", raw, err)
			return
		}
		l.count()
		labels := make([]api.Label, len(answer.IDs))
		for i, id := range answer.IDs {
			labels[i] = api.Label{PredictionID: id, Value: i%4 == 0}
		}
		if _, err := p.client.Label(ctx, "flights", labels); err != nil {
			continue
		}
		l.mu.Lock()
		for _, id := range answer.IDs {
			l.acked[id] = true
		}
		l.mu.Unlock()
	}
}

func (l *load) count() {
	l.answered.Add(20)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, time.Now())
}

// answeredSince is the number of rows answered after t.
func (l *load) answeredSince(t time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := 0
	for _, at := range l.answers {
		if at.After(t) {
			rows += 20
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

// TestReplayGoesOnThroughCrashes kills the server under the flights replay, as somebody would kill the demo: the replay goes
// on by itself, no row is there twice, and every label that was acknowledged is there.
func TestReplayGoesOnThroughCrashes(t *testing.T) {
	parquet := "../bin/flights-3m.parquet"
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	seen := &acknowledged{next: http.DefaultTransport, ids: map[string]bool{}}
	r, err := flights.New(flights.Options{
		Server: p.base, Flights: parquet, Incident: flights.IncidentUnit, PerDay: 2 * time.Second,
		To: flights.Start.Add(4 * 24 * time.Hour), Client: &http.Client{Transport: seen, Timeout: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(t.Context()) }()
	for range 3 {
		before := p.rows()
		p.waitFor(60*time.Second, "receiving flights", func() bool { return p.rows() > before+3000 })
		p.kill()
		p = start(t, data, address, "serve")
	}
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("the replay did not survive: %v", err)
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("the replay did not come to its end")
	}
	s := p.settled()
	rows, distinct := p.number(`SELECT count(*) FROM rows."flights"`), p.number(`SELECT count(DISTINCT prediction_id) FROM rows."flights"`)
	last := p.sql(`SELECT max(event_time)::DATE::VARCHAR FROM rows."flights"`)[0]
	t.Logf("%d rows until %v, %d labels acknowledged, %d in the store", rows, last, len(seen.ids), s.Labels)
	if rows != distinct {
		t.Errorf("%d rows are stored twice", rows-distinct)
	}
	if last != "2001-03-04" {
		t.Errorf("the last flight is of %v: the replay did not go on", last)
	}
	// Counts reach the log after their rows, so there are never more of them; a kill between the two loses one batch.
	closed := `FROM findings WHERE grain = 'day' AND "column" = 'distance' AND NOT provisional`
	counted := p.number(`SELECT coalesce(sum(n), 0)::BIGINT ` + closed)
	stored := p.number(`SELECT count(*) FROM rows."flights" WHERE date_trunc('day', event_time) IN (SELECT start ` + closed + `)`)
	if counted > stored || counted < stored-3*batchRows {
		t.Errorf("%d rows in the profiles of the closed days, %d in their table", counted, stored)
	}
	l := &load{acked: seen.ids}
	if gone := l.missing(t, p); len(gone) > 0 {
		t.Errorf("%d acknowledged labels are gone, for example %s", len(gone), gone[0])
	}
	p.stop()
}

// batchRows is what the replay sends in a second at most, the rows of one write.
const batchRows = 9000

func (p *process) rows() int {
	all, err := p.client.Deployments(context.Background())
	if err != nil || len(all) == 0 {
		return 0
	}
	return int(all[0].Rows)
}

// acknowledged remembers the labels whose request was answered with success.
type acknowledged struct {
	next http.RoundTripper
	mu   sync.Mutex
	ids  map[string]bool
}

func (a *acknowledged) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/labels") {
		return a.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := a.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	var sent api.LabelsRequest
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range sent.Labels {
		a.ids[l.PredictionID] = true
	}
	return resp, nil
}
