package flights

import (
	"context"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

const (
	missingFor = 30 * time.Second // a server that starts may not know its deployments yet
	settleWarn = 10 * time.Second
	settlePoll = 200 * time.Millisecond // between questions whether everything recorded is stored
)

// resume is the minute from which to send. again says that something may have been recorded a moment ago.
func (r *Replay) resume(ctx context.Context, again bool) (int64, error) {
	clock := r.opt.Clock
	var wait backoff
	var missing time.Time // since when the deployment is
	for {
		from, err := r.position(ctx, again)
		if err == nil {
			r.opt.Log.Info("replaying flights", "from", at(from), "to", r.opt.To)
			return from, nil
		}
		if !passing(err) {
			return 0, err
		}
		if fairlead.CodeOf(err) == fairlead.CodeNotFound {
			if missing.IsZero() {
				missing = clock.Now()
			}
			if clock.Now().Sub(missing) > missingFor {
				return 0, fairlead.NotFound("%s has no deployment %q", r.opt.Server, Name).Hintf("push the bundle first").Cause(err)
			}
		} else {
			missing = time.Time{}
		}
		if err := clock.Sleep(ctx, wait.next(err)); err != nil {
			return 0, err
		}
	}
}

// position asks once; the server must be there, and it waits until it is settled.
func (r *Replay) position(ctx context.Context, again bool) (int64, error) {
	d, err := r.client.deployment(ctx)
	if err != nil {
		return 0, err
	}
	if again || d.Rows > 0 {
		if err := r.settle(ctx); err != nil {
			return 0, err
		}
		if d, err = r.client.deployment(ctx); err != nil {
			return 0, err
		}
	}
	latest := d.To
	if !latest.Before(r.opt.To) {
		// Somebody else's predictions, made for example by hand and now, lie after ours.
		if latest, err = r.client.latest(ctx, r.opt.To); err != nil {
			return 0, err
		}
	}
	if latest.Before(r.opt.From) {
		return minuteOf(r.opt.From), nil
	}
	return minuteOf(latest) + 1, nil
}

// settle waits until everything the server has recorded is in its evaluation store: first as long as it may gather rows
// before it writes them, then until nothing lags.
func (r *Replay) settle(ctx context.Context) error {
	s, err := r.client.status(ctx)
	if err != nil {
		return err
	}
	pause, began := seconds(s.LossLimit), r.opt.Clock.Now()
	for waited := false; !waited || s.Lag > 0; waited = true {
		if err := r.opt.Clock.Sleep(ctx, max(pause, settlePoll)); err != nil {
			return err
		}
		pause = settlePoll
		var next api.Status
		if next, err = r.client.status(ctx); err != nil {
			return err
		}
		s = next
		if r.opt.Clock.Now().Sub(began) > settleWarn {
			r.opt.Log.Warn("still waiting for the server to store what it has recorded", "lag_seconds", s.Lag)
			began = r.opt.Clock.Now()
		}
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
