// Package grpcd serves predictions over gRPC: the Open Inference Protocol v2 with its extensions for streams, statistics,
// configuration, classification and the model repository, the standard health service and reflection.
//
// A request's metadata come as in httpd: in gRPC metadata (fairlead-request-id, -event-time, -entity-key, -tags,
// -deadline) or in the request's parameters (event_time, entity_key, tags, deadline), which win. Every answer to an
// inference carries the metadata fairlead-prediction-id. The deadline of the call counts like one of these, the earlier
// one wins, and a call that is cancelled stops computing.
//
// Errors are statuses whose message says what was expected, what came and how to fix it, with an ErrorInfo whose reason
// is that of the fairlead.Error, or else its code, and, where trying again makes sense, a RetryInfo.
package grpcd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/tap"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// DefaultMaxMessage is the largest message accepted or sent where Options do not say.
const DefaultMaxMessage = 64 << 20

const (
	// maxStreams bounds the calls that one connection has under way, whose messages are in memory; a client's further
	// calls wait on its side.
	maxStreams = 1024

	// idleStop is how long a stop waits where only streams are left without a prediction under way, which end when their
	// client wants.
	idleStop = time.Second

	// A client may ping this often; the library's default of five minutes breaks off connections of common clients.
	pingEvery = 10 * time.Second
)

// Options of a server.
type Options struct {
	MaxMessage int          // bytes of one message after decompression; 0: DefaultMaxMessage
	Version    string       // of the server, for ServerMetadata
	Ready      func() error // nil, or why the server as a whole is not ready yet
	Log        *slog.Logger // what clients must not see: causes of internal errors, panics

	// Repository loads and unloads models for clients; nil: they may not.
	Repository serve.Repository

	// ClientKey names the metadata whose value says who asks, for limits per client: of several values the last one,
	// which the nearest proxy wrote. It must be one that clients cannot choose themselves, and no secret. "": the
	// client is its address.
	ClientKey string

	// Context, if not nil, makes the context that an inference runs under, of its call's and its metadata, of which get
	// gives a value, "" for none. Tracing goes in here.
	Context func(ctx context.Context, get func(key string) string) context.Context
}

// Server answers gRPC on the listeners given to Serve.
type Server struct {
	grpc     *grpc.Server
	log      *slog.Logger
	calls    atomic.Int64 // unary calls, and messages of streams of inferences, under way
	streams  atomic.Int64
	stopOnce sync.Once
	stopping chan struct{}

	background sync.WaitGroup // what streams of inferences are doing
}

// New makes a Server in front of core.
func New(core *serve.Server, o Options) *Server {
	if o.MaxMessage == 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	s := &Server{log: o.Log, stopping: make(chan struct{})}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(o.MaxMessage), grpc.MaxSendMsgSize(o.MaxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingEvery, PermitWithoutStream: true}),
		grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
			return context.WithValue(ctx, arrivalKey{}, core.Now()), nil
		}),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
		grpc.WaitForHandlers(true),
	)
	oip.RegisterGRPCInferenceServiceServer(s.grpc, &service{server: core, o: o, repository: protocol.Repository{From: o.Repository},
		calls: &s.calls, background: &s.background, stopping: s.stopping, status: s.status, panicked: s.panicked})
	healthpb.RegisterHealthServer(s.grpc, &health{ready: o.Ready, stopping: s.stopping, every: time.Second})
	reflection.Register(s.grpc)
	return s
}

// arrivalKey is the context's key for when a call's header came, before its message was read.
type arrivalKey struct{}

func arrival(ctx context.Context) time.Time {
	at, _ := ctx.Value(arrivalKey{}).(time.Time)
	return at
}

// Serve answers on l, which it closes, until Stop; then it gives nil.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(l)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Stop takes no new calls and waits until those under way are answered, or until ctx ends: then they are broken off and
// the error is ctx's. Streams are ended, those of inferences when what they asked for is answered.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	err := s.drained(ctx, done)
	s.grpc.Stop() // also makes GracefulStop return
	<-done
	s.background.Wait()
	return err
}

// drained waits until done, until ctx ends, or until there have been only streams for a while.
func (s *Server) drained(ctx context.Context, done <-chan struct{}) error {
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for idle := time.Duration(0); idle < idleStop; {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if idle += step; s.calls.Load() > 0 || s.streams.Load() == 0 {
				idle = 0
			}
		}
	}
	return nil
}

// unary gives every call its status and survives its panics.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			answer, err = nil, s.panicked(info.FullMethod, v)
		}
	}()
	answer, err = handler(ctx, req)
	if err != nil {
		return nil, s.status(info.FullMethod, err)
	}
	return answer, nil
}

func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	s.streams.Add(1)
	defer s.streams.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			err = s.panicked(info.FullMethod, v)
		}
	}()
	if err = handler(srv, stream); err != nil {
		err = s.status(info.FullMethod, err)
	}
	return err
}

func (s *Server) panicked(method string, v any) error {
	s.log.Error("a request made the server panic", "method", method, "panic", v, "stack", string(debug.Stack()))
	return statusOf(failed())
}

func failed() *fairlead.Error {
	return fairlead.Errorf(fairlead.CodeInternal, "the server failed on this request").Hintf("the server's log says more")
}
