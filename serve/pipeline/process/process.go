// Package process runs programs that are steps of a pipeline: it starts them, asks them over the Open Inference Protocol on
// a Unix socket or a port of the loopback address, starts them again when they end or hang, and stops them.
//
// A program finds in its environment where to listen: FAIRLEAD_SOCKET, a path, or FAIRLEAD_PORT. It answers
//
//	GET  /v2/models/{model}         what it takes and gives; the first answer says that it is ready
//	GET  /v2/health/ready           200 while it works (a program without it answers 404, which is as good)
//	POST /v2/models/{model}/infer   a request as JSON
//
// It is asked to end by SIGTERM. What it writes to its standard output and error goes into the log.
package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Options say what is run and how patient the supervisor is. Zero values are the defaults.
type Options struct {
	Name        string // of the step
	Command     []string
	Dir         string        // where it is started
	Env         []string      // beside PATH, HOME, LANG, TMPDIR and where to listen: it gets nothing else of the server's
	Model       string        // the name it is asked by; "": Name
	Port        bool          // it listens on a port
	Start       time.Duration // until it has to be ready; 0: 30 s
	Stop        time.Duration // between the signal to end and the one that kills; 0: 5 s
	Concurrency int           // requests at a time; 0: 16
	Health      time.Duration // between two checks; 0: 5 s. Three that fail start it again
	Backoff     time.Duration // before the second start, doubled up to a hundredfold; 0: 200 ms
	Log         *slog.Logger
}

func (o *Options) complete() {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.Start, 30*time.Second)
	set(&o.Stop, 5*time.Second)
	set(&o.Health, 5*time.Second)
	set(&o.Backoff, 200*time.Millisecond)
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	if o.Model == "" {
		o.Model = o.Name
	}
}

// maxAnswer bounds the bytes of one answer.
const maxAnswer = 256 << 20

// Session is a supervised program; it implements engine.Session.
type Session struct {
	options Options
	folder  string // of the socket
	client  *http.Client
	base    string
	port    int
	sig     fairlead.Signature
	slots   chan struct{}
	cancel  context.CancelFunc
	done    chan struct{} // closed when the supervisor has ended

	flights sync.RWMutex // held for reading by every run
	closed  bool

	mu     sync.Mutex
	up     bool
	starts int
	why    string    // what ended it the last time
	again  time.Time // when it is started again
}

var _ engine.Session = (*Session)(nil)

// Start starts a program and waits until it is ready. Where it is not in time, or ends before, it is stopped; the error is
// CodeInvalid and has its last words. ctx is that of the start only.
func Start(ctx context.Context, o Options) (*Session, error) {
	o.complete()
	if len(o.Command) == 0 {
		return nil, fairlead.Invalid("process %s has no command", o.Name)
	}
	s := &Session{options: o, slots: make(chan struct{}, o.Concurrency), done: make(chan struct{})}
	if err := s.listenSomewhere(); err != nil {
		return nil, fmt.Errorf("process %s: %w", o.Name, err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	first := make(chan error, 1)
	go s.supervise(running, first)
	select {
	case err := <-first:
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	case <-ctx.Done():
		return nil, errors.Join(engine.ContextError(ctx), s.Close())
	}
}

// listenSomewhere finds a place for the program to listen, and makes the client for it.
func (s *Session) listenSomewhere() error {
	transport := &http.Transport{MaxConnsPerHost: s.options.Concurrency + 1, MaxIdleConnsPerHost: s.options.Concurrency + 1, IdleConnTimeout: time.Minute}
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if s.options.Port {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.port = l.Addr().(*net.TCPAddr).Port
		s.base = fmt.Sprintf("http://127.0.0.1:%d", s.port)
		return l.Close()
	}
	var err error
	// The path of a socket has 104 bytes at most: the folder is the system's, not the server's own.
	if s.folder, err = os.MkdirTemp("", "fairlead-"); err != nil {
		return err
	}
	socket := s.socket()
	s.base = "http://process"
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return nil
}

func (s *Session) socket() string { return filepath.Join(s.folder, "oip.sock") }

// Signature implements engine.Session: what the program said when it was started first.
func (s *Session) Signature() fairlead.Signature { return s.sig }

// Run implements engine.Session. A program that is down or ends meanwhile gives CodeUnavailable with the reason
// "process_down", one that answers nonsense CodeInternal with "process_failed".
func (s *Session) Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err := engine.Check(&s.sig, in); err != nil {
		return nil, err
	}
	if err := engine.CheckOutputs(&s.sig, outputs); err != nil {
		return nil, err
	}
	s.flights.RLock()
	defer s.flights.RUnlock()
	if s.closed {
		return nil, engine.Closed()
	}
	if err := s.down(); err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, engine.ContextError(ctx)
	}
	return s.ask(ctx, in, outputs)
}

// down is the error of a program that is not running, nil if it is.
func (s *Session) down() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up {
		return nil
	}
	e := fairlead.Errorf(fairlead.CodeUnavailable, "process %s is down: %s", s.options.Name, s.why).Hintf("it is being started again; the server's log has its output")
	e.Reason, e.Retry = "process_down", max(time.Until(s.again), 100*time.Millisecond)
	return e
}

func (s *Session) ask(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	body := codec.AppendInferRequest(nil, "", in, outputs)
	status, answer, err := s.call(ctx, http.MethodPost, "/v2/models/"+url.PathEscape(s.options.Model)+"/infer", body)
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err != nil {
		return nil, s.lost(ctx, err)
	}
	if status != http.StatusOK {
		return nil, s.refused(status, answer)
	}
	got, err := codec.DecodeInferAnswer(answer)
	if err != nil {
		return nil, s.failed("its answer cannot be read: %v", err)
	}
	return s.choose(got, outputs)
}

// lost is the error of a request during which the connection broke: mostly the program has ended, which is known a moment
// later.
func (s *Session) lost(ctx context.Context, cause error) error {
	wait := time.NewTimer(100 * time.Millisecond)
	defer wait.Stop()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if err := s.down(); err != nil {
			tick.Stop()
			var e *fairlead.Error
			errors.As(err, &e)
			e.Message = fmt.Sprintf("process %s ended during the request: %s", s.options.Name, strings.TrimPrefix(e.Message, "process "+s.options.Name+" is down: "))
			return e.Cause(cause)
		}
		select {
		case <-tick.C:
			continue
		case <-wait.C:
		case <-ctx.Done():
		}
		tick.Stop()
		e := fairlead.Errorf(fairlead.CodeUnavailable, "process %s broke off the connection", s.options.Name).Cause(cause)
		e.Reason = "process_down"
		return e
	}
}

func (s *Session) failed(format string, args ...any) error {
	e := fairlead.Errorf(fairlead.CodeInternal, "process %s: %s", s.options.Name, fmt.Sprintf(format, args...))
	e.Reason = "process_failed"
	return e
}

// refused is the error that the program answered with.
func (s *Session) refused(status int, answer []byte) error {
	var body struct {
		Error string `json:"error"`
	}
	text := string(answer[:min(len(answer), 300)])
	if json.Unmarshal(answer, &body) == nil && body.Error != "" {
		text = body.Error
	}
	text = strings.ToValidUTF8(text[:min(len(text), 2000)], "?")
	if status >= 400 && status < 500 && status != http.StatusNotFound {
		return fairlead.Invalid("process %s: %s", s.options.Name, text)
	}
	return s.failed("it answered %d: %s", status, text)
}

// choose checks the answer against what the program said that it gives.
func (s *Session) choose(got []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	if outputs == nil {
		for i := range s.sig.Outputs {
			outputs = append(outputs, s.sig.Outputs[i].Name)
		}
	}
	chosen := make([]fairlead.Tensor, len(outputs))
	for i, name := range outputs {
		t, spec := fairlead.Find(got, name), s.sig.Output(name)
		switch {
		case t == nil:
			return nil, s.failed("it answered without the output %q", name)
		case t.Type != spec.Type || !engine.Fits(spec.Shape, t.Shape):
			return nil, s.failed("it answered %q as %s %s; its metadata say %s %s", name, t.Type, fairlead.ShapeString(t.Shape), spec.Type,
				fairlead.ShapeString(spec.Shape))
		}
		chosen[i] = *t
	}
	return chosen, nil
}

// call sends one request.
func (s *Session) call(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if len(answer) > maxAnswer {
		return 0, nil, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return resp.StatusCode, answer, err
}

// describe asks what the program takes and gives.
func (s *Session) describe(ctx context.Context) (sig fairlead.Signature, err error) {
	status, body, err := s.call(ctx, http.MethodGet, "/v2/models/"+url.PathEscape(s.options.Model), nil)
	if err != nil {
		return sig, err
	}
	if status != http.StatusOK {
		return sig, fmt.Errorf("GET /v2/models/%s answers %d", s.options.Model, status)
	}
	var metadata struct {
		Inputs, Outputs []fairlead.TensorSpec
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return sig, fmt.Errorf("its metadata cannot be read: %w", err)
	}
	if len(metadata.Inputs) == 0 || len(metadata.Outputs) == 0 {
		return sig, errors.New("its metadata name no inputs or no outputs")
	}
	sig.Inputs, sig.Outputs = metadata.Inputs, metadata.Outputs
	for _, spec := range slices.Concat(sig.Inputs, sig.Outputs) {
		if spec.Name == "" || fairlead.MakeData(spec.Type, 0) == nil {
			return sig, fmt.Errorf("its metadata have the tensor %q of type %q", spec.Name, spec.Type)
		}
	}
	return sig, nil
}

// Close implements engine.Session: it waits for the requests under way, then stops the program.
func (s *Session) Close() error {
	s.flights.Lock()
	already := s.closed
	s.closed = true
	s.flights.Unlock()
	if already {
		return nil
	}
	s.cancel()
	<-s.done
	s.client.CloseIdleConnections()
	if s.folder == "" {
		return nil
	}
	return os.RemoveAll(s.folder)
}
