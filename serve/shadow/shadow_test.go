package shadow_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/shadow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a deployment whose shadow answers with f; nil echoes.
func pair(t *testing.T, name fairlead.Name, f fake.Func) (live *route.Target, s *route.Split) {
	t.Helper()
	session := fake.Echo(2)
	if f != nil {
		session = fake.New(session.Signature(), f)
	}
	live = &route.Target{Version: 1, Signature: session.Signature(), Session: fake.Echo(2)}
	dark := &route.Target{Version: 2, Signature: session.Signature(), Session: session}
	s, err := route.NewSplit(route.SplitOptions{Signature: live.Signature, Shadow: dark})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := route.NewTable([]route.Deployment{{Name: name, Live: live, Split: s}}); err != nil {
		t.Fatal(err)
	}
	return live, s
}

func request(id int, live *route.Target, s *route.Split, bytes int64) shadow.Copy {
	x := fairlead.Tensor{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 2}, Data: []float32{float32(id), 2}}
	y := x
	y.Name = "y"
	return shadow.Copy{Split: s, Live: live, ID: fmt.Sprint(id), Rows: []fairlead.RowMeta{{ID: fmt.Sprint(id)}},
		Inputs: []fairlead.Tensor{x}, Outputs: []fairlead.Tensor{y}, Took: time.Millisecond, Bytes: bytes}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 5000 {
		if is() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: not within five seconds", what)
}

func hang(ctx context.Context, _ []fairlead.Tensor) ([]fairlead.Tensor, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestOneShadowDoesNotStarveAnother: one that hangs keeps its own part of the runs and no more.
func TestOneShadowDoesNotStarveAnother(t *testing.T) {
	p := shadow.New(shadow.Options{Runs: 2, Each: 1, Timeout: time.Hour})
	badLive, badSplit := pair(t, "bad", hang)
	goodLive, goodSplit := pair(t, "good", nil)
	bad, good := p.Lane(badSplit.Shadow()), p.Lane(goodSplit.Shadow())
	for i := range 10 {
		bad.Offer(request(i, badLive, badSplit, 0))
	}
	for i := range 100 {
		good.Offer(request(i, goodLive, goodSplit, 0))
	}
	until(t, "the good shadow", func() bool { return goodSplit.PairTally().Requests == 100 })
	if n := bad.Waiting(); n != 9 {
		t.Errorf("%d copies wait for the bad one, want 9", n)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tally := badSplit.PairTally(); tally.Dropped != 10 || tally.ShadowErrors != 0 {
		t.Errorf("%+v", tally)
	}
	good.Offer(request(101, goodLive, goodSplit, 0))
	if n := goodSplit.PairTally().Dropped; n != 1 {
		t.Errorf("%d copies offered after the end were dropped, want 1", n)
	}
}

// TestOldestIsDropped: by number and by size, what is new goes before what is old.
func TestOldestIsDropped(t *testing.T) {
	for name, test := range map[string]struct {
		o     shadow.Options
		bytes int64
		kept  uint64
	}{
		"by number":       {shadow.Options{Queue: 3}, 10, 3},
		"by size":         {shadow.Options{Bytes: 100}, 40, 2},
		"larger than all": {shadow.Options{Bytes: 100}, 101, 0},
	} {
		t.Run(name, func(t *testing.T) {
			first, running := make(chan struct{}), make(chan struct{}, 100)
			var ran []float32
			live, split := pair(t, "m", func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
				running <- struct{}{}
				<-first
				ran = append(ran, in[0].Data.([]float32)[0])
				y := in[0]
				y.Name = "y"
				return []fairlead.Tensor{y}, nil
			})
			test.o.Runs, test.o.Each = 1, 1
			p := shadow.New(test.o)
			l := p.Lane(split.Shadow())
			l.Offer(request(0, live, split, 1))
			<-running
			for i := 1; i <= 10; i++ {
				l.Offer(request(i, live, split, test.bytes))
			}
			if n := split.PairTally().Dropped; n != 10-test.kept {
				t.Errorf("%d dropped, want %d", n, 10-test.kept)
			}
			close(first)
			until(t, "the rest", func() bool { return split.PairTally().Requests == 1+test.kept })
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, id := range ran[1:] {
				if want := float32(10 - int(test.kept) + 1 + i); id != want {
					t.Errorf("copy %v ran, want %v", id, want)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCloseGivesUp: a model that does not heed its context keeps Close no longer than its own.
func TestCloseGivesUp(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	live, split := pair(t, "m", func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
		close(running)
		<-release
		return nil, nil
	})
	p := shadow.New(shadow.Options{})
	l := p.Lane(split.Shadow())
	l.Offer(request(0, live, split, 0))
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); err != context.DeadlineExceeded {
		t.Errorf("Close: %v", err)
	}
	close(release)
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
