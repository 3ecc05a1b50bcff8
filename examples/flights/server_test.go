package flights

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leap is a clock whose sleeps pass at once.
type leap struct {
	mu  sync.Mutex
	now time.Time
}

func newLeap() *leap { return &leap{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *leap) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *leap) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.now = c.now.Add(max(d, 0))
	c.mu.Unlock()
	return ctx.Err()
}

// received is one row or label as the server got it.
type received struct {
	ID, Key  string
	Time     time.Time
	Features map[string]any
	Value    any
}

// river is a server that records what comes in, and fails where a test says so.
type river struct {
	*httptest.Server
	t       *testing.T
	flights []Flight // of the slice

	mu          sync.Mutex
	rows        []received
	labels      []received
	annotations []api.Annotation
	recorded    int       // rows before this index are in the store
	latest      time.Time // over all rows, stored or not
	foreign     time.Time // of a prediction that is not the replay's
	requests    map[string]int
	// fail may answer a request itself: record says whether what it carries is kept all the same; status 0 breaks the
	// connection. It is called with the number of requests of that kind, from 1.
	fail func(kind string, n int) (status int, record, failed bool)
	lag  func(n int) float64 // in seconds, at the nth question; overrides the store's own
}

func newRiver(t *testing.T) *river {
	s := &river{t: t, flights: golden(t), requests: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/models/flights/infer", s.handle("infer", s.infer))
	mux.HandleFunc("POST /api/v1/deployments/flights/labels", s.handle("labels", s.label))
	mux.HandleFunc("POST /api/v1/deployments/flights/annotations", s.handle("annotations", s.annotate))
	mux.HandleFunc("GET /api/v1/deployments/flights", s.handle("deployment", s.deployment))
	mux.HandleFunc("GET /api/v1/status", s.handle("status", s.status))
	mux.HandleFunc("POST /api/v1/sql", s.handle("sql", s.sql))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *river) handle(kind string, do func(r *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests[kind]++
		if s.fail != nil {
			if status, record, failed := s.fail(kind, s.requests[kind]); failed {
				if record {
					do(r)
				}
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(status)
				_ = json.NewEncoder(w).Encode(api.ErrorBody{Error: fmt.Sprintf("%s failed on purpose", kind), Code: "test"})
				return
			}
		}
		_ = json.NewEncoder(w).Encode(do(r))
	}
}

func (s *river) infer(r *http.Request) any {
	var body struct {
		Instances []map[string]any `json:"instances"`
		Rows      []struct {
			ID, Key string
			Time    time.Time
		} `json:"rows"`
	}
	s.decode(r, &body)
	if len(body.Rows) != len(body.Instances) || len(body.Rows) == 0 {
		s.t.Errorf("%d rows of %d instances", len(body.Rows), len(body.Instances))
	}
	ids := []string{}
	for i, row := range body.Rows {
		if row.Time.Before(s.latest) {
			s.t.Errorf("%s at %s comes after %s", row.ID, row.Time, s.latest)
		}
		s.latest = row.Time
		s.rows = append(s.rows, received{ID: row.ID, Key: row.Key, Time: row.Time, Features: body.Instances[i]})
		ids = append(ids, row.ID)
	}
	return map[string]any{"ids": ids, "predictions": make([]float64, len(ids))}
}

func (s *river) label(r *http.Request) any {
	var body api.LabelsRequest
	s.decode(r, &body)
	for _, l := range body.Labels {
		s.labels = append(s.labels, received{ID: l.PredictionID, Value: l.Value, Time: l.Time})
		// Every flight that left before this one landed must have been asked for.
		if left := s.left(l.Time); left.After(s.latest) {
			s.t.Errorf("the label of %s, landed at %s, came when of the flights until then, the last at %s, those after %s were still to come",
				l.PredictionID, l.Time, left, s.latest)
		}
	}
	return api.LabelsAnswer{Accepted: len(body.Labels)}
}

// left is when the last flight left that left no later than t.
func (s *river) left(t time.Time) (last time.Time) {
	for _, f := range s.flights {
		if d := at(f.Minute); d.After(last) && !d.After(t) && !d.Before(Start) && d.Before(sliceEnd) {
			last = d
		}
	}
	return last
}

func (s *river) annotate(r *http.Request) any {
	var a api.Annotation
	s.decode(r, &a)
	s.annotations = append(s.annotations, a)
	return a
}

// status stores what was recorded, but only when it is asked for the second time: until then it lags.
func (s *river) status(*http.Request) any {
	st := api.Status{LossLimit: 1}
	if s.lag != nil {
		st.Lag = s.lag(s.requests["status"])
		return st
	}
	if s.recorded < len(s.rows) && s.requests["status"]%3 != 0 {
		st.Lag = 0.5
		return st
	}
	s.recorded = len(s.rows)
	return st
}

func (s *river) stored() (to time.Time) {
	if s.recorded > 0 {
		to = s.rows[s.recorded-1].Time
	}
	return to
}

func (s *river) deployment(*http.Request) any {
	d := api.Deployment{Name: Name, Rows: uint64(len(s.rows)), To: s.stored()}
	if !s.foreign.IsZero() {
		d.To = s.foreign
	}
	return d
}

func (s *river) sql(*http.Request) any {
	value := any(nil)
	if to := s.stored(); !to.IsZero() {
		value = to.UnixMilli()
	}
	return api.SQLAnswer{Columns: []string{"latest"}, Rows: [][]any{{value}}}
}

func (s *river) decode(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}
