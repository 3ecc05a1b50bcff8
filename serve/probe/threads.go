package probe

import (
	"math"
	"time"

	"github.com/fairlead-ml/fairlead/serve/engine"
)

const (
	// ManyThreadsFrom is how long one row must take before more threads are tried: below, handing work around costs more
	// than it brings, and the cores are better used by other requests.
	ManyThreadsFrom = 5 * time.Millisecond
	// PerDoubling is the gain in speed that twice the threads must bring, for they take twice the cores from others.
	PerDoubling = 1.5

	threadRuns = 5
)

// Faster says whether so many threads more are worth the time they save.
func Faster(before, after time.Duration, threads, more int) bool {
	return float64(before) >= float64(after)*math.Pow(PerDoubling, math.Log2(float64(more)/float64(threads)))
}

// chooseThreads tries 2, 4 … threads up to the cores while each step pays, and keeps the session of the best number.
func (p *prober) chooseThreads() error {
	one, err := p.timeRuns(p.session)
	if err != nil {
		return p.ctx.Err() // the self-test says what fails
	}
	p.one = one[0]
	if p.one < ManyThreadsFrom || p.Cores < 2 {
		p.report("threads: 1; one row takes %s, more are tried from %s on, where there are cores", short(p.one), short(ManyThreadsFrom))
		return nil
	}
	threads, first := 1, p.one
	for threads < p.Cores {
		more := min(2*threads, p.Cores)
		s, err := p.Load(more)
		if err != nil {
			p.report("threads: %d; with %d the model does not load: %v", threads, more, err)
			break
		}
		times, err := p.timeRuns(p.session, s)
		if err != nil || !Faster(times[0], times[1], threads, more) {
			if closeErr := s.Close(); closeErr != nil {
				return closeErr
			}
			if err != nil {
				return p.ctx.Err()
			}
			p.report("threads: %d; with %d one row takes %s instead of %s, and twice the threads must be %.1f times as fast",
				threads, more, short(times[1]), short(times[0]), PerDoubling)
			break
		}
		old := p.session
		p.session, threads, p.one = s, more, times[1]
		p.result.Settings.Threads = threads
		if err := old.Close(); err != nil {
			return err
		}
	}
	if threads > 1 {
		p.report("threads: %d; one row takes %s instead of %s", threads, short(p.one), short(first))
		return p.checkGolden() // other threads add in another order
	}
	return nil
}

// timeRuns gives the shortest of several runs of each session, taken in turn so that a busy moment falls on all. The
// shortest is what the machine can do: a run that was disturbed says nothing about threads.
func (p *prober) timeRuns(sessions ...engine.Session) ([]time.Duration, error) {
	best := make([]time.Duration, len(sessions))
	in := p.rows.batch(0)
	for round := range threadRuns + 1 {
		for i, s := range sessions {
			_, took, err := p.runOn(s, in)
			if err != nil {
				return nil, err
			}
			if round == 0 || took < best[i] {
				best[i] = took
			}
		}
		if round >= 2 && best[0] > p.Budget/threadRuns {
			break
		}
	}
	return best, nil
}
