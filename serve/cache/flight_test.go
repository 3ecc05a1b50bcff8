package cache_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/cache"
	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// story writes down who asks when, and what happens.
type story struct {
	*testing.T
	cache *cache.Cache
	start time.Time
	mu    sync.Mutex
	lines []string
	runs  int
	entry cache.Entry
	wg    sync.WaitGroup
}

func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%4dms  %s\n", time.Since(s.start).Milliseconds(), fmt.Sprintf(format, args...)))
}

// text is the lines in order of time, and what happens at one time in an order that is always the same: questions, runs, answers.
func (s *story) text() string {
	rank := func(line string) int {
		switch {
		case strings.HasSuffix(line, "asks\n"):
			return 0
		case strings.Contains(line, "  run "):
			return 1
		}
		return 2
	}
	slices.SortFunc(s.lines, func(a, b string) int {
		return cmp.Or(strings.Compare(a[:6], b[:6]), rank(a)-rank(b), strings.Compare(a, b))
	})
	return strings.Join(s.lines, "")
}

// ask lets who ask at a time, with a deadline and a cancellation if not 0; the run takes some time unless its end is told.
func (s *story) ask(who string, at, deadline, gone, takes int, end string) {
	s.wg.Go(func() {
		ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
		time.Sleep(ms(at))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if deadline > 0 {
			ctx, cancel = context.WithDeadline(ctx, s.start.Add(ms(deadline)))
			defer cancel()
		}
		if gone > 0 {
			time.AfterFunc(ms(gone-at), cancel)
		}
		s.say("%s asks", who)
		defer func() {
			if p := recover(); p != nil {
				p, _, _ := strings.Cut(fmt.Sprint(p), "\n")
				s.say("%s panics: %s", who, p)
			}
		}()
		out, hit, err := s.cache.Do(ctx, cache.Key{}, s.entry, func(ctx context.Context) ([]fairlead.Tensor, error) {
			return s.run(ctx, who, ms(takes), end)
		})
		if err != nil {
			s.say("%s gets the error %s: %v", who, fairlead.CodeOf(err), err)
			return
		}
		s.say("%s gets %v, hit %v", who, out[0].Data, hit)
	})
}

func (s *story) run(ctx context.Context, who string, takes time.Duration, end string) ([]fairlead.Tensor, error) {
	s.mu.Lock()
	s.runs++
	n := s.runs
	s.mu.Unlock()
	limit := "no deadline"
	if d, ok := ctx.Deadline(); ok {
		limit = fmt.Sprintf("deadline %v", d.Sub(s.start))
	}
	s.say("  run %d starts for %s, %s", n, who, limit)
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		s.say("  run %d is told to end", n)
		return nil, ctx.Err()
	}
	switch end {
	case "":
		s.say("  run %d ends", n)
		return []fairlead.Tensor{floats("y", float32(n))}, nil
	case "panic":
		s.say("  run %d panics", n)
		panic("a bug")
	}
	s.say("  run %d fails", n)
	err := fairlead.Errorf(fairlead.CodeExhausted, "run %d: %s", n, end)
	err.Reason = end
	return nil, err
}

// TestSingleFlight is read in testdata/flight.txt.
func TestSingleFlight(t *testing.T) {
	var all strings.Builder
	var entry cache.Entry
	tell := func(title string, asks func(*story)) {
		synctest.Test(t, func(t *testing.T) {
			s := &story{T: t, cache: cache.New(cache.Options{Now: time.Now}), start: time.Now(), entry: entry}
			asks(s)
			s.wg.Wait()
			if err := s.cache.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			st := s.cache.Stats()["m"]
			fmt.Fprintf(&all, "# %s\n%s        %d hits, %d shared, %d misses, %d kept\n\n", title, s.text(), st.Hits, st.Shared, st.Misses, st.Entries)
		})
	}
	for _, entry = range []cache.Entry{{Model: "m", TTL: time.Hour}, {Model: "m", TTL: time.Hour, Cost: 50 * time.Microsecond}} {
		fmt.Fprintf(&all, "## A model whose run takes %v, as predicted (0s: unknown)\n\n", entry.Cost)
		stories(tell)
	}
	const golden = "testdata/flight.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), all.String()); diff != "" {
		t.Error(diff)
	}
}

func stories(tell func(title string, asks func(*story))) {
	tell("Three ask the same while it is computed; the fourth comes later.", func(s *story) {
		s.ask("Ann", 0, 0, 0, 100, "")
		s.ask("Bob", 10, 0, 0, 100, "")
		s.ask("Cid", 20, 0, 0, 100, "")
		s.ask("Dan", 150, 0, 0, 100, "")
	})
	tell("Who started it goes away: the others get their answer.", func(s *story) {
		s.ask("Ann", 0, 0, 30, 100, "")
		s.ask("Bob", 10, 0, 0, 100, "")
	})
	tell("Who waits goes away: nobody else minds.", func(s *story) {
		s.ask("Ann", 0, 0, 0, 100, "")
		s.ask("Bob", 10, 40, 0, 100, "")
	})
	tell("All go away: the run is told to end; who comes then starts anew.", func(s *story) {
		s.ask("Ann", 0, 0, 30, 100, "")
		s.ask("Bob", 10, 0, 40, 100, "")
		s.ask("Cid", 41, 0, 0, 100, "")
	})
	tell("The deadline of who started it passes: the other gets an answer.", func(s *story) {
		s.ask("Ann", 0, 50, 0, 100, "")
		s.ask("Bob", 10, 500, 0, 100, "")
	})
	tell("The run is refused for the deadline of who started it: another one runs again.", func(s *story) {
		s.ask("Ann", 0, 60, 0, 50, "deadline_predicted")
		s.ask("Bob", 10, 0, 0, 100, "")
		s.ask("Cid", 60, 0, 0, 100, "")
	})
	tell("An error of the model is everybody's, and is not kept.", func(s *story) {
		s.ask("Ann", 0, 0, 0, 50, "queue_full")
		s.ask("Bob", 10, 0, 0, 100, "")
		s.ask("Cid", 60, 0, 0, 10, "")
	})
	tell("So is a panic.", func(s *story) {
		s.ask("Ann", 0, 0, 0, 50, "panic")
		s.ask("Bob", 10, 0, 0, 100, "")
		s.ask("Cid", 60, 0, 0, 10, "")
	})
}
