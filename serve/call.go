package serve

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// call is one request on its way.
type call struct {
	*Server
	req     *Request
	last    time.Time // end of the stage before
	release func()    // the limiter's; nil: none
	target  *route.Target
	in      Input
	rows    int
	part    *part             // in a split or by a pin; nil: none, as for most
	outputs []fairlead.Tensor // all of the model's, or those asked for where nobody else wants them
	lookup  time.Duration     // of the cache
	resp    Response
	under   context.Context // of a composite: what the observers gave it to ask others under
	err     error

	recorded bool // already
}

// lap is the time since the last one.
func (c *call) lap() time.Duration {
	now := c.now()
	took := now.Sub(c.last)
	c.last = now
	return took
}

func (c *call) route() (err error) {
	c.last = c.now()
	if c.req.Received.IsZero() {
		c.req.Received = c.last
	}
	d, t, err := c.router.Load().Route(c.req.Deployment, c.req.Version)
	c.target, c.resp.Target = t, t
	if err == nil && (d.Split != nil || c.req.Pin != "") {
		err = c.take(d)
	}
	return err
}

func (c *call) limit() (err error) {
	if c.limiter != nil {
		c.release, err = c.limiter.Acquire(c.req.Client, string(c.target.Deployment))
	}
	return err
}

func (c *call) decode() (err error) {
	c.in = c.req.Input
	if c.req.Decode != nil {
		c.in, err = c.req.Decode(c.target)
	}
	if err == nil {
		err = c.check()
	}
	c.resp.Latency.Decode = c.lap()
	return c.advise(err)
}

// advise tells a client whose request does not fit the model where it is described, unless the error says better.
func (c *call) advise(err error) error {
	if err == nil {
		return nil
	}
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeInvalid || e.Hint != "" {
		return err
	}
	advised := *e
	return advised.Hintf("GET /v2/models/%[1]s says what the model takes, /v2/models/%[1]s/openapi.json with an example", c.req.Deployment)
}

// reroute looks again who answers, for the target was unloaded; false if that is the same as before or nobody.
func (c *call) reroute() bool {
	d, t, err := c.router.Load().Route(c.req.Deployment, c.req.Version)
	if err == nil && c.part != nil {
		t, err = c.part.again(c, d, t)
	}
	if err != nil || t == nil || t == c.target {
		return false
	}
	c.target, c.resp.Target = t, t
	return true
}

func (c *call) encode() (err error) {
	if c.req.Encode != nil {
		err = c.req.Encode(&c.resp)
	}
	c.resp.Latency.Encode = c.lap()
	return err
}
