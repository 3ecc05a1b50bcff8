// Package serve turns a request into an answer: route → decode → run → encode → record. Nothing here waits for another
// room of the server; what happens to a finished prediction is the Recorder's business.
package serve

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/oklog/ulid/v2"
)

// Recorder takes finished predictions. Record never blocks: what it cannot take it drops and counts. It may keep the
// prediction and must not change it.
type Recorder interface {
	Record(p *fairlead.Prediction)
}

// Options say what a Server is made of.
type Options struct {
	Router    *route.Router
	Recorder  Recorder     // nil: predictions are not recorded
	Meter     *meter.Meter // nil: a new one
	Observers []Observer
	Runs      int              // at once; 0: GOMAXPROCS, for a run keeps one core busy
	Queue     int              // requests waiting for a run beyond those; 0: 1024
	Now       func() time.Time // nil: time.Now
	NewID     func() string    // nil: ULIDs
}

// Server answers predictions. It may be used by many goroutines at once.
type Server struct {
	router   *route.Router
	recorder Recorder
	meter    *meter.Meter
	runs     chan struct{}
	limit    int64
	waiting  atomic.Int64
	now      func() time.Time
	newID    func() string
}

// New makes a Server.
func New(o Options) *Server {
	s := &Server{router: o.Router, recorder: o.Recorder, meter: o.Meter, now: o.Now, newID: o.NewID, limit: int64(o.Queue)}
	if s.meter == nil {
		s.meter = meter.New()
	}
	if o.Runs == 0 {
		o.Runs = runtime.GOMAXPROCS(0)
	}
	s.runs = make(chan struct{}, o.Runs)
	if s.limit == 0 {
		s.limit = 1024
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = func() string { return ulid.Make().String() }
	}
	return s
}

// Table is the present routing table.
func (s *Server) Table() *route.Table { return s.router.Load() }

// Meter counts this server's requests.
func (s *Server) Meter() *meter.Meter { return s.meter }

// Now is the server's clock.
func (s *Server) Now() time.Time { return s.now() }

// NewID makes an id for a request whose client gave none.
func (s *Server) NewID() string { return s.newID() }

// Input is what a client sends.
type Input struct {
	ID       string             // request id; made by the server if empty
	Tensors  []fairlead.Tensor  // belong to the server afterwards
	Outputs  []string           // to be answered; nil: all
	Rows     []fairlead.RowMeta // nil, or one per row
	Default  fairlead.RowMeta   // time, key and tags of rows that have none of their own
	Deadline time.Duration      // from arrival; 0: none
	Priority int                // 1 is the most urgent, larger numbers less so; 0: the model's default
}

// Request is one call of a deployment.
type Request struct {
	Deployment string
	Version    string    // "": the live one
	Received   time.Time // now if zero
	Client     string    // who asks, for limits: an API key's name, else the address; "" unknown
	Protocol   string    // how it came, for observers: "http/oip", "http/tfs", "grpc/oip", …
	Input      Input

	// Decode, if not nil, makes the Input once it is known who answers. A transport gives it.
	Decode func(*route.Target) (Input, error)
	// Encode, if not nil, is called once with the answer. A transport gives it to have its time measured; its error is
	// the request's.
	Encode func(*Response) error
}

// Response is an answer.
type Response struct {
	ID      string
	Target  *route.Target
	Rows    []fairlead.RowMeta // with ids and times
	Outputs []fairlead.Tensor  // those asked for, in that order
	Note    string             // "" or what was made of the request, for the client
	Latency fairlead.Anatomy

	BatchRows int  // rows of the run that it was part of, its own included
	Cached    bool // out of the cache
}

// Predict answers one request. Errors are *fairlead.Error where the client can do something about them. A prediction is
// recorded when it has been answered without error.
func (s *Server) Predict(ctx context.Context, req Request) (*Response, error) {
	c := &call{Server: s, req: &req, err: errPanic}
	defer c.record()
	if c.err = c.answer(ctx); c.err != nil {
		return nil, c.err
	}
	return &c.resp, nil
}

// errPanic is what a request is counted under whose model or transport panicked.
var errPanic = errors.New("a panic")

func (c *call) answer(ctx context.Context) error {
	if err := c.route(); err != nil {
		return err
	}
	if err := c.decode(); err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	return c.encode()
}

// call is one request on its way.
type call struct {
	*Server
	req     *Request
	last    time.Time // end of the stage before
	target  *route.Target
	in      Input
	rows    int
	outputs []fairlead.Tensor // all of the model's
	resp    Response
	err     error
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
	c.target, err = c.router.Load().Lookup(c.req.Deployment, c.req.Version)
	c.resp.Target = c.target
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
	return err
}

// run waits for a free core and computes. A version that was unloaded in between hands over to its successor.
func (c *call) run(ctx context.Context) error {
	if c.in.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.req.Received.Add(c.in.Deadline))
		defer cancel()
	}
	err := c.acquire(ctx)
	c.resp.Latency.Queue = c.lap()
	if err != nil {
		return c.explain(err)
	}
	defer func() { <-c.runs }()
	c.outputs, err = c.target.Session.Run(ctx, c.in.Tensors, nil)
	for range 3 {
		if !errors.Is(err, engine.ErrClosed) || !c.reroute() {
			break
		}
		if err = c.check(); err == nil {
			c.outputs, err = c.target.Session.Run(ctx, c.in.Tensors, nil)
		}
	}
	c.resp.Latency.Run = c.lap()
	if err != nil {
		return c.explain(err)
	}
	return c.choose()
}

// acquire takes one of the runs that may go on at once; the error is CodeExhausted where too many wait already.
func (c *call) acquire(ctx context.Context) error {
	select {
	case c.runs <- struct{}{}:
		return nil
	default:
	}
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > c.limit {
		err := fairlead.Errorf(fairlead.CodeExhausted, "the server is busy: %d requests are waiting already", c.limit).
			Hintf("try again shortly, and send fewer at once")
		err.Retry = time.Second
		return err
	}
	select {
	case c.runs <- struct{}{}:
		return nil
	case <-ctx.Done():
		return engine.ContextError(ctx)
	}
}

// reroute looks again who answers; false if that is the same as before or nobody.
func (c *call) reroute() bool {
	t, err := c.router.Load().Lookup(c.req.Deployment, c.req.Version)
	if err != nil || t == c.target {
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

// record counts the request and hands an answered one to the recorder.
func (c *call) record() {
	o := meter.Observation{At: c.last, Rows: c.rows, Code: fairlead.CodeOf(c.err), Stages: c.resp.Latency,
		Total: c.last.Sub(c.req.Received)}
	if c.target != nil {
		o.Deployment = c.target.Deployment
	}
	c.meter.Observe(o)
	if c.err != nil || c.recorder == nil {
		return
	}
	c.recorder.Record(&fairlead.Prediction{
		ID: c.resp.ID, Deployment: c.target.Deployment, Model: c.target.Model, Version: c.target.Version,
		Digest: c.target.Digest, Variant: c.target.Variant, Role: c.target.Role, Received: c.req.Received,
		Rows: c.resp.Rows, Inputs: byRow(c.in.Tensors, c.rows), Outputs: byRow(c.outputs, c.rows), Latency: c.resp.Latency,
	})
}

// byRow keeps the tensors that have one entry per row of the request; a scalar, for example, has none.
func byRow(ts []fairlead.Tensor, rows int) []fairlead.Tensor {
	kept := make([]fairlead.Tensor, 0, len(ts))
	for _, t := range ts {
		if len(t.Shape) > 0 && t.Rows() == rows {
			kept = append(kept, t)
		}
	}
	return kept
}
