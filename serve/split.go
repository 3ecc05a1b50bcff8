package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/shadow"
	"github.com/fairlead-ml/fairlead/serve/tally"
)

// part is how a call takes part in a split, or whom it is pinned to.
type part struct {
	split  *route.Split // nil: there is none
	choice route.Choice // of the call; who answers in the end may be the live version instead
	pinned bool         // by a version, an arm or an alias: it counts nowhere
	read   *route.Target
	key    string
	failed error         // of the chosen arm; the live version was asked instead
	late   bool          // it did not fail but took so long that the live version could just answer before the deadline
	waited time.Duration // for it, until it was given up
}

// take begins the part of a call whose deployment is divided, or that says whom it wants before it is read.
func (c *call) take(d *route.Deployment) (err error) {
	p := &part{split: d.Split}
	switch {
	case c.req.Version != "":
		p.pinned, p.choice = true, d.As(c.target)
	case c.req.Pin != "":
		p.pinned = true
		p.choice, err = d.Pinned(c.req.Pin)
	default: // who answers is known when the request has been read, by the live version's signature for now
		p.choice = route.Choice{Target: c.target, Role: fairlead.RoleLive, Number: -1}
	}
	if err != nil {
		return err
	}
	c.part = p
	c.target, c.resp.Target = p.choice.Target, p.choice.Target
	return nil
}

// assign says who answers, now that the request has been read.
func (c *call) assign() error {
	if c.part == nil { // pinned by its body in a deployment that is not divided
		c.part = &part{choice: route.Choice{Target: c.target, Role: c.target.Role, Number: -1}}
	}
	p := c.part
	p.read = c.target
	if !p.pinned && c.req.Version == "" {
		d, err := c.router.Load().Deployment(c.req.Deployment)
		if err != nil {
			return err
		}
		if c.in.Pin != "" {
			p.pinned = true
			if p.choice, err = d.Pinned(c.in.Pin); err != nil {
				return err
			}
		} else {
			p.key = c.routingKey()
			p.assigned(d)
		}
	}
	c.target = cmp.Or(p.choice.Target, c.target)
	c.resp.Target, c.resp.Role = c.target, p.choice.Role
	return nil
}

// assigned chooses by the key. The table may be another one than that which the request was read by: a canary that was
// rolled back meanwhile gets no request any more.
func (p *part) assigned(d *route.Deployment) {
	p.split, p.choice = d.Split, d.Assigned(p.key)
}

// routingKey is what the client says it is, else the entity key of the first row, else the request's id.
func (c *call) routingKey() string {
	key := c.in.RoutingKey
	if key == "" && len(c.resp.Rows) > 0 {
		key = c.resp.Rows[0].Key
	}
	return cmp.Or(key, c.in.Default.Key, c.in.ID)
}

// again chooses anew, for the target was unloaded.
func (p *part) again(c *call, d *route.Deployment, t *route.Target) (_ *route.Target, err error) {
	switch {
	case p.failed != nil:
		return d.Live, nil
	case c.req.Version != "":
		p.choice = d.As(t)
	case p.pinned:
		if p.choice, err = d.Pinned(cmp.Or(c.req.Pin, c.in.Pin)); err != nil {
			return nil, err
		}
	default:
		p.assigned(d)
	}
	c.resp.Role = p.choice.Role
	return p.choice.Target, nil
}

// divide answers a call that takes part in a split or is pinned. What another version than the live one cannot answer, the
// live version does, where the client has not asked for the other and there is time: no request fails because of it.
func (c *call) divide(ctx context.Context) error {
	if err := c.assign(); err != nil {
		return err
	}
	p, note := c.part, c.resp.Note
	if p.pinned || p.choice.Role == fairlead.RoleLive {
		return c.complete(ctx)
	}
	began := c.now()
	err := c.try(ctx)
	if err == nil || p.choice.Role == fairlead.RoleLive || ctx.Err() != nil || c.overdue() {
		return err // it was answered, moved to the live version on the way, or came too late for anybody
	}
	_, live, lookupErr := c.router.Load().Route(c.req.Deployment, "")
	if lookupErr != nil || live == c.target {
		return err
	}
	p.failed, p.waited, p.late = err, c.now().Sub(began), errors.Is(err, errReserved)
	c.target, c.resp.Target, c.resp.Role = live, live, fairlead.RoleLive
	c.resp.Note, c.lookup = note, 0
	return c.complete(ctx)
}

// complete has the target answer.
func (c *call) complete(ctx context.Context) error {
	if err := c.refit(); err != nil {
		return err
	}
	c.remark(c.part.choice.Note)
	if err := c.run(ctx); err != nil {
		return err
	}
	return c.encode()
}

// refit fits the input to a target that it was not read for.
func (c *call) refit() error {
	p := c.part
	if p == nil || p.read == nil {
		return c.check()
	}
	if p.read.Same(c.target) {
		return nil
	}
	if c.req.Decode != nil {
		in, err := c.req.Decode(c.target)
		if err != nil {
			return c.advise(err)
		}
		in.ID = cmp.Or(in.ID, c.in.ID)
		c.in = in
	}
	p.read = c.target
	return c.advise(c.check())
}

// Why a canary was given up.
var (
	errReserved = errors.New("what is left until the deadline is for the live version")
	errPatience = errors.New("it took too long")
)

// try has a canary answer, for as long as that leaves the live version time to do it. The time is not a deadline, by which
// requests would be sorted: a canary's requests wait as the live version's do.
func (c *call) try(ctx context.Context) (err error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	after, why := c.allowed()
	timer := time.AfterFunc(after, func() { cancel(why) })
	defer timer.Stop()
	defer func() {
		if v := recover(); v != nil {
			err = fairlead.Errorf(fairlead.CodeInternal, "the version panicked: %v", v).Cause(errors.New(string(debug.Stack())))
		}
	}()
	err = c.complete(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("%w: %w", why, err)
	}
	return err
}

// allowed is how long a canary may take, and why not longer.
func (c *call) allowed() (time.Duration, error) {
	_, live, err := c.router.Load().Route(c.req.Deployment, "")
	var cost time.Duration // of the live version, 0 where it is unknown
	if err == nil {
		if _, composite := live.Session.(Composite); !composite {
			cost = c.place(live).queue.Cost(max(1, c.rows))
		}
	}
	if c.in.Deadline == 0 {
		return max(c.patience, 20*cost), errPatience
	}
	left := c.req.Received.Add(c.in.Deadline).Sub(c.now())
	if cost == 0 {
		return left - left/4, errReserved
	}
	return left - min(left/2, max(2*time.Millisecond, 4*cost)), errReserved
}

// overdue says whether the client's deadline has passed.
func (c *call) overdue() bool {
	return c.in.Deadline > 0 && !c.now().Before(c.req.Received.Add(c.in.Deadline))
}

// wanted says whether somebody else than the client looks at the outputs.
func (c *call) wanted() bool { return c.recorder != nil || c.part != nil }

// finish counts the call for its arm, and hands a copy to the shadow.
func (p *part) finish(ctx context.Context, c *call) {
	if p.split == nil || p.choice.Number < 0 || p.pinned || c.in.Unrecorded {
		return
	}
	r := tally.Request{
		Bucket: route.Bucket(p.key), Inputs: c.in.Tensors, Outputs: c.outputs, Rows: c.rows, Cached: c.resp.Cached,
		Took: c.resp.Latency.Queue + c.resp.Latency.Run,
	}
	switch {
	case c.err != nil && clients(c.err):
		return // whichever version: the request is not one for this model
	case p.late && c.err == nil:
		r.Late, r.Took = true, p.waited
	case p.failed != nil:
		r.Failed = true
	case c.err != nil && ctx.Err() != nil && fairlead.CodeOf(c.err) == fairlead.CodeCanceled:
		r.Left = true
	case c.err != nil:
		r.Failed = true
	}
	p.split.Count(p.choice.Number, &r)
	if p.choice.Number == p.split.Live() && !r.Left && p.split.Copies(p.key) {
		c.copy(p.split)
	}
}

// clients says whether an error is the client's doing.
func clients(err error) bool {
	switch fairlead.CodeOf(err) {
	case fairlead.CodeInvalid, fairlead.CodeNotFound, fairlead.CodeTooLarge, fairlead.CodeUnsupported:
		return true
	}
	return false
}

// copy hands the call to the shadow.
func (c *call) copy(s *route.Split) {
	took, outputs := c.resp.Latency.Run, c.outputs
	if c.resp.Cached {
		took = 0
	}
	if c.err != nil {
		outputs = nil
	}
	c.place(s.Shadow()).lane.Offer(shadow.Copy{
		Split: s, Live: c.target, ID: c.resp.ID, Rows: c.resp.Rows, Received: c.req.Received, Inputs: c.in.Tensors, Outputs: outputs,
		Failed: c.err != nil, Took: took, Bytes: cache.Size(c.in.Tensors) + cache.Size(outputs),
	})
}

// runCopy computes a copy.
func runCopy(ctx context.Context, t *route.Target, c *shadow.Copy) ([]fairlead.Tensor, error) {
	if session, ok := t.Session.(Composite); ok {
		out, _, err := session.Answer(ctx, Part{ID: c.ID, Rows: c.Rows, Tensors: c.Inputs, Unrecorded: true})
		return out, err
	}
	return t.Session.Run(ctx, c.Inputs, nil)
}
