package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/examples/flights"
)

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
	// A message has rows and the counts of just these.
	closed := `FROM findings WHERE grain = 'day' AND "column" = 'distance' AND NOT provisional`
	p.waitFor(60*time.Second, "counting the rows of the closed days", func() bool {
		counted := p.number(`SELECT coalesce(sum(n), 0)::BIGINT ` + closed)
		stored := p.number(`SELECT count(*) FROM rows."flights" WHERE date_trunc('day', event_time) IN (SELECT start ` + closed + `)`)
		return counted == stored && stored > 0
	})
	l := &load{acked: seen.ids}
	if gone := l.missing(t, p); len(gone) > 0 {
		t.Errorf("%d acknowledged labels are gone, for example %s", len(gone), gone[0])
	}
	p.stop()
}

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
