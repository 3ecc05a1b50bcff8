// Package serve turns a request into an answer: route → limit → decode → cache → batch and run → encode → record. Nothing
// here waits for another room of the server; what happens to a finished prediction is the Recorder's business.
package serve

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/batch"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/shadow"
	"github.com/oklog/ulid/v2"
)

// Recorder takes finished predictions. Record never blocks: what it cannot take it drops and counts. It may keep the
// prediction and must not change it.
type Recorder interface {
	Record(p *fairlead.Prediction)
}

// DurableRecorder is a Recorder that can say when a prediction is on disk. Settings.Durable asks for it.
type DurableRecorder interface {
	// RecordDurable takes a prediction and returns when its rows are on disk, or with what the client is told.
	RecordDurable(ctx context.Context, p *fairlead.Prediction) error
}

// Cache keeps answers; *cache.Cache is one. What it gives out is shared: nobody changes it.
type Cache interface {
	// Admit says whether an answer to a request with so many bytes of inputs is looked up and kept at all.
	Admit(e cache.Entry, bytes int64) bool
	// Do answers out of the cache, by the run of an equal request, or by calling run, and says whether it was one of the
	// first two. run may go on when Do has returned because ctx ended.
	Do(ctx context.Context, key cache.Key, e cache.Entry, run func(context.Context) ([]fairlead.Tensor, error)) (out []fairlead.Tensor, hit bool, err error)
}

// Limiter bounds what one client or deployment may use. Its errors are of CodeExhausted, with a Reason.
type Limiter interface {
	// Acquire lets a request in. release is called when it has been answered.
	Acquire(client, deployment string) (release func(), err error)
}

// Options say what a Server is made of.
type Options struct {
	Router    *route.Router
	Recorder  Recorder        // nil: predictions are not recorded
	Meter     *meter.Meter    // nil: a new one
	Executor  *batch.Executor // shares the cores between models; nil: one of the server's own, with Runs and Queue
	Cache     Cache           // nil: none
	Limiter   Limiter         // nil: no limits
	Observers []Observer
	Shadow    shadow.Options   // what copies for shadows may use; Now and Run are the server's
	Patience  time.Duration    // with a canary on a request without deadline, before the live version answers it; 0: 10 s
	Runs      int              // at once; 0: GOMAXPROCS, for a run keeps one core busy
	Queue     int              // requests waiting for one model beyond those; 0: 1024
	Now       func() time.Time // nil: time.Now
	NewID     func() string    // nil: ULIDs
}

// Server answers predictions. It may be used by many goroutines at once.
type Server struct {
	router    *route.Router
	recorder  Recorder
	meter     *meter.Meter
	executor  *batch.Executor
	cache     Cache
	limiter   Limiter
	observers []Observer
	shadows   *shadow.Pool
	patience  time.Duration
	now       func() time.Time
	newID     func() string
}

// New makes a Server.
func New(o Options) *Server {
	s := &Server{
		router: o.Router, recorder: o.Recorder, meter: o.Meter, executor: o.Executor, cache: o.Cache, limiter: o.Limiter,
		observers: o.Observers, patience: o.Patience, now: o.Now, newID: o.NewID,
	}
	if s.meter == nil {
		s.meter = meter.New()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = func() string { return ulid.Make().String() }
	}
	if s.executor == nil {
		s.executor = batch.New(batch.Options{Slots: o.Runs, Waiting: o.Queue, Now: s.now})
	}
	if s.patience == 0 {
		s.patience = 10 * time.Second
	}
	o.Shadow.Now, o.Shadow.Run = s.now, runCopy
	s.shadows = shadow.New(o.Shadow)
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

	RoutingKey string // requests with the same one get the same version; "": the first row's key, else the request id
	Pin        string // the arm or version that is to answer, for testers; Request.Version and Request.Pin go before it

	Unrecorded bool // answered and metered, but not handed to the Recorder
}

// Request is one call of a deployment.
type Request struct {
	Deployment string
	Version    string    // "": the live one, or the one of those beside it that the routing key belongs to
	Pin        string    // as Input.Pin, where it is known before the request is read
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
	Role    fairlead.Role      // of Target in a deployment whose calls are divided or pinned; "" in others
	Rows    []fairlead.RowMeta // with ids and times
	Outputs []fairlead.Tensor  // those asked for, in that order
	Note    string             // "" or what was made of the request, for the client
	Latency fairlead.Anatomy

	BatchRows int  // rows of the run that it was part of, its own included
	Cached    bool // out of the cache
}

// Predict answers one request. Errors are *fairlead.Error where the client can do something about them. A prediction is
// recorded when it has been answered without error, out of the cache or not; every request is metered and observed.
func (s *Server) Predict(ctx context.Context, req Request) (*Response, error) {
	c := &call{Server: s, req: &req, err: errPanic}
	defer c.finish(ctx)
	if c.err = c.answer(ctx); c.err == nil {
		c.err = c.recordDurably(ctx)
	}
	if c.err != nil {
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
	if err := c.limit(); err != nil {
		return err
	}
	if err := c.decode(); err != nil {
		return err
	}
	if c.part != nil || c.in.Pin != "" {
		return c.divide(ctx)
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	return c.encode()
}

// finish meters, records and observes.
func (c *call) finish(ctx context.Context) {
	if c.release != nil {
		c.release()
	}
	c.count(ctx)
	if c.part != nil {
		c.part.finish(ctx, c)
	}
	if c.err == nil && c.recorder != nil && c.rows > 0 && !c.in.Unrecorded && !c.recorded {
		c.recorder.Record(c.prediction())
	}
	if len(c.observers) > 0 {
		c.observe(ctx)
	}
}
