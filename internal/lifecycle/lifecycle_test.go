package lifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStopsInReverseAndJoinsErrors(t *testing.T) {
	var log []string
	part := func(name string, stopErr error) Part {
		return Part{
			Name:  name,
			Start: func(context.Context) error { log = append(log, "+"+name); return nil },
			Stop:  func(context.Context) error { log = append(log, "-"+name); return stopErr },
		}
	}
	var g Group
	broken := errors.New("disk gone")
	for _, p := range []Part{part("a", nil), part("b", broken), part("c", nil)} {
		if err := g.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	err := g.Stop(t.Context())
	if got, want := strings.Join(log, " "), "+a +b +c -c -b -a"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "stop b") {
		t.Errorf("error %v does not name the part that failed", err)
	}
	if err := g.Stop(t.Context()); err != nil || len(log) != 6 {
		t.Errorf("second Stop did something: %v %v", err, log)
	}
}

func TestFailedStartIsNotStopped(t *testing.T) {
	var g Group
	stopped := false
	err := g.Start(t.Context(), Part{
		Name:  "x",
		Start: func(context.Context) error { return errors.New("no port") },
		Stop:  func(context.Context) error { stopped = true; return nil },
	})
	if err == nil || err.Error() != "start x: no port" {
		t.Errorf("error %v", err)
	}
	if g.Stop(t.Context()); stopped {
		t.Error("a part that did not start was stopped")
	}
}

func TestLoopEndsWithStop(t *testing.T) {
	var g Group
	ended := false
	g.Start(t.Context(), Loop("tick", func(ctx context.Context) { <-ctx.Done(); ended = true }))
	if err := g.Stop(t.Context()); err != nil || !ended {
		t.Errorf("err %v, ended %v", err, ended)
	}
	release := make(chan struct{})
	g.Start(t.Context(), Loop("deaf", func(context.Context) { <-release }))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := g.Stop(ctx); err == nil {
		t.Error("a loop that does not end was not reported")
	}
	close(release)
}
