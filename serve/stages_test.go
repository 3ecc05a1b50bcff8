package serve_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
)

// door lets in clients until it is shut, and counts who is inside.
type door struct {
	mu     sync.Mutex
	inside int
	shut   bool
}

func (d *door) Acquire(client, deployment string) (func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		err := fairlead.Errorf(fairlead.CodeExhausted, "%s may not use %s", client, deployment)
		err.Reason = "client_rate"
		return nil, err
	}
	d.inside++
	return func() { d.mu.Lock(); d.inside--; d.mu.Unlock() }, nil
}

// book writes down what is observed.
type book struct{ lines []string }

func (b *book) Observe(_ context.Context, f *serve.Finished) {
	line := fmt.Sprintf("%s %s %s@%d rows %d of %d, cached %v", f.Protocol, f.ID, f.Deployment, f.Target.Version, f.Rows, f.BatchRows, f.Cached)
	if f.Err != nil {
		line += ": " + f.Err.Error()
	}
	b.lines = append(b.lines, line)
}

// TestStagesTogether: an equal request is answered out of the cache, recorded and observed all the same; a limit is one
// too.
func TestStagesTogether(t *testing.T) {
	c := cache.New(cache.Options{})
	defer func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	session := fake.New(fake.Echo(2).Signature(), func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		time.Sleep(time.Millisecond)
		y := in[0]
		y.Name = "y"
		return []fairlead.Tensor{y}, nil
	})
	m := target(3, session)
	m.Digest, m.Settings.CacheTTL = "sha256:1", time.Minute
	rec, door, book := &recorder{}, &door{}, &book{}
	s := serve.New(serve.Options{Router: routerTo(t, m), Recorder: rec, Cache: c, Limiter: door, Observers: []serve.Observer{book}})
	ask := func(id string, v ...float32) (*serve.Response, error) {
		in := x(v...)
		in.ID = id
		return s.Predict(t.Context(), serve.Request{Deployment: "m", Client: "ann", Protocol: "http/oip", Input: in})
	}
	for _, id := range []string{"first", "again"} {
		resp, err := ask(id, 1, 2, 3, 4)
		if err != nil {
			t.Fatal(err)
		}
		cached := id == "again"
		if resp.Cached != cached || resp.Outputs[0].Data.([]float32)[3] != 4 || cached != (resp.Latency.Run == 0) || cached != (resp.BatchRows == 0) {
			t.Errorf("%s: %+v", id, resp)
		}
	}
	if _, err := ask("other", 5, 6); err != nil {
		t.Fatal(err)
	}
	door.shut = true
	if _, err := ask("refused", 1, 2, 3, 4); fairlead.CodeOf(err) != fairlead.CodeExhausted {
		t.Error(err)
	}
	if session.Runs() != 2 || door.inside != 0 {
		t.Errorf("%d runs, %d inside", session.Runs(), door.inside)
	}
	if len(rec.got) != 3 || !rec.got[1].Cached || rec.got[0].Cached || rec.got[1].Outputs[0].Rows() != 2 {
		t.Errorf("recorded %v", rec.got)
	}
	want := []string{
		"http/oip first m@3 rows 2 of 2, cached false",
		"http/oip again m@3 rows 2 of 0, cached true",
		"http/oip other m@3 rows 1 of 1, cached false",
		"http/oip refused m@3 rows 0 of 0, cached false: ann may not use m",
	}
	if fmt.Sprint(book.lines) != fmt.Sprint(want) {
		t.Errorf("observed %q", book.lines)
	}
	if q := s.Queues(); len(q) != 1 || q[0].Deployment != "m" || q[0].Version != 3 || q[0].Counts.Runs != 2 || q[0].Cost.Fixed+q[0].Cost.PerRow == 0 {
		t.Errorf("%+v", q)
	}
}

// TestDrain: what waits for a version that leaves is answered by it; who comes too late is answered by the next, and by
// nobody once the server is closed.
func TestDrain(t *testing.T) {
	release := make(chan struct{})
	old := target(1, blocking(release))
	router := routerTo(t, old)
	s := serve.New(serve.Options{Router: router, Runs: 1})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: x(1, 2)}); err != nil || resp.Target.Version != 1 {
				t.Errorf("%+v, %v", resp, err)
			}
		})
	}
	for range 1000 {
		if q := s.Queues()[0]; q.Running == 1 && q.Waiting == 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	swap(t, router, target(2, fake.Echo(2)))
	drained := make(chan error)
	go func() { drained <- s.Drain(t.Context(), old) }()
	time.Sleep(5 * time.Millisecond)
	close(release)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := old.Session.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: x(1, 2)})
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeUnavailable || e.Reason != "draining" {
		t.Errorf("after Close: %v", err)
	}
}
