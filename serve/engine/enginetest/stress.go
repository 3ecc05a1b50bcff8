package enginetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// testCanceledAnytime runs from many goroutines with contexts that end at a random moment: each answer is right or the
// context's error, and a run without a deadline after one that was broken off is not broken off too.
func testCanceledAnytime(t *testing.T, s engine.Session, g Golden) {
	const seed = 7
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, worker))
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(60))*time.Microsecond)
				out, err := s.Run(ctx, g.In, nil)
				cancel()
				if code := fairlead.CodeOf(err); err != nil && code != fairlead.CodeDeadline {
					t.Errorf("seed %d: a run with a deadline gives %v", seed, err)
				} else if diff := Diff(out, g.Want, g.Tolerance); err == nil && diff != "" {
					t.Errorf("seed %d: %s", seed, diff)
				}
				out, err = s.Run(t.Context(), g.In, nil)
				if err != nil {
					t.Errorf("seed %d: a run after one that was broken off: %v", seed, err)
				} else if diff := Diff(out, g.Want, g.Tolerance); diff != "" {
					t.Errorf("seed %d: after one that was broken off: %s", seed, diff)
				}
			}
		})
	}
	wg.Wait()
}

// testClosedUnderLoad closes a session that many goroutines use: each run gives the right answer or ErrClosed, and Close
// returns when the last of them is through.
func testClosedUnderLoad(t *testing.T, g Golden) {
	s := g.Open(t)
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				out, err := s.Run(t.Context(), g.In, nil)
				if i == 0 {
					started <- struct{}{}
				}
				if errors.Is(err, engine.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("a run while the session closes: %v", err)
					return
				}
				if diff := Diff(out, g.Want, g.Tolerance); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	closeSession(t, s)
	wg.Wait()
}
