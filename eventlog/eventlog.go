// Package eventlog is the seam where everything that happened is written down first: prediction rows, profile deltas,
// labels, business events and audit events, in append-only streams, and small state in key-value buckets. NATS
// JetStream runs inside the process; it opens no port and talks to nobody. With Options.Cluster the same streams and
// buckets are kept by NATS servers of the user's own, and several processes may share them.
//
// An append that returned without an error is on disk: the server runs with SyncAlways, which makes the file store call
// fsync on a stream's block after each message and before it acknowledges. One writer at a time may open a
// directory; the log does not lock it. On a cluster it has returned when most of the servers that keep the stream have
// written the message; when they call fsync is their setting (sync_interval).
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fairlead-ml/fairlead"
)

// Stream names one append-only sequence of messages.
type Stream string

// The streams of the log.
const (
	Predictions Stream = "PREDICTIONS" // rows, as EncodeKept makes them, with their counts in front (WithCounts)
	Profiles    Stream = "PROFILES"    // profile deltas without rows, as EncodeProfiles makes them
	Labels      Stream = "LABELS"      // labels, as EncodeLabels makes them
	Events      Stream = "EVENTS"      // business events, as EncodeEvents makes them
	Audit       Stream = "AUDIT"       // changes of state
)

var streams = []Stream{Predictions, Profiles, Labels, Events, Audit}

// MaxMessage is the largest message in bytes; Append refuses a larger one with CodeTooLarge.
const MaxMessage = 16 << 20 // the file store takes no record over 32 MiB

// Message is one stored message. Data belongs to the receiver.
type Message struct {
	Stream Stream
	Seq    uint64 // from 1, without gaps as long as nothing was trimmed
	Time   time.Time
	ID     string // message id that Append was given; may be empty
	Data   []byte
}

// Options say where the log is and how large it may become.
type Options struct {
	Dir string // created if it does not exist; "" with Cluster
	// Cluster keeps the log on NATS servers elsewhere; nil: inside the process, in Dir.
	Cluster *Cluster
	Log     *slog.Logger
	// MaxBytes bounds each stream on disk. A full stream refuses appends with CodeExhausted rather than forget a
	// message which nobody read; Trim makes room. 0 is 16 GiB, on a cluster 4 GiB: servers set aside what they promise.
	MaxBytes int64
	// MinFree is how many bytes stay free on the disk of Dir: below it appends are refused with CodeExhausted and
	// ReasonDiskFull. 0 is 64 MiB.
	MinFree int64
	// Duplicates is how long a message id is remembered; 0 is ten minutes.
	Duplicates time.Duration
	// StartTimeout bounds recovery of the streams at Open, or the search for servers; 0 is one minute, on a cluster 20 s.
	StartTimeout time.Duration
}

func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Cluster != nil {
		c := *o.Cluster
		c.defaults()
		o.Cluster = &c
		if o.MaxBytes <= 0 {
			o.MaxBytes = 4 << 30
		}
		if o.StartTimeout <= 0 {
			o.StartTimeout = 20 * time.Second
		}
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 30
	}
	if o.MinFree <= 0 {
		o.MinFree = minFree
	}
	if o.Duplicates <= 0 {
		o.Duplicates = 10 * time.Minute
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = time.Minute
	}
}

// Log is an open event log. Its methods may be called by many goroutines at once.
type Log struct {
	opt     Options
	server  *server.Server // nil: a cluster keeps the log
	conn    *nats.Conn
	closed  chan struct{} // closed once the connection has drained
	js      jetstream.JetStream
	streams map[Stream]jetstream.Stream
	largest int // bytes of a message
	doubts  doubts
	ages    ages
}

// Open starts the server on opt.Dir, recovers what a crash left, and makes the streams that do not exist yet. With
// opt.Cluster it connects to the servers; an error then is CodeUnavailable or CodeInvalid and says what a person can do.
func Open(ctx context.Context, opt Options) (*Log, error) {
	opt.defaults()
	if opt.Cluster != nil {
		return openCluster(ctx, opt)
	}
	if opt.Dir == "" {
		return nil, errors.New("open event log: no directory given")
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	opt.Dir = dir
	l := &Log{opt: opt, closed: make(chan struct{}), streams: make(map[Stream]jetstream.Stream), largest: MaxMessage}
	if err := l.start(); err != nil {
		return nil, fmt.Errorf("open event log %s: %w", dir, err)
	}
	if err := l.connect(ctx); err != nil {
		l.stop()
		return nil, fmt.Errorf("open event log %s: %w", dir, err)
	}
	return l, nil
}

func (l *Log) start() error {
	srv, err := server.NewServer(&server.Options{
		ServerName:             "fairlead",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               l.opt.Dir,
		SyncAlways:             true,
		JetStreamMaxMemory:     64 << 20,
		JetStreamMaxStore:      int64(len(streams)+1) * l.opt.MaxBytes, // the buckets share the last part
		MaxPayload:             MaxMessage + 4096,                      // headers count too
		MaxPending:             4 * MaxMessage,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return err
	}
	srv.SetLoggerV2(serverLog{l.opt.Log}, false, false, false)
	l.server = srv
	srv.Start()
	if !srv.ReadyForConnections(l.opt.StartTimeout) {
		l.stop()
		return fmt.Errorf("the server was not ready after %s", l.opt.StartTimeout)
	}
	if !srv.JetStreamEnabled() {
		l.stop()
		return errors.New("the server could not open its store (see the log)")
	}
	return nil
}

func (l *Log) connect(ctx context.Context) error {
	conn, err := nats.Connect("", nats.InProcessServer(l.server), nats.Name("fairlead"),
		nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ClosedHandler(func(*nats.Conn) { close(l.closed) }))
	if err != nil {
		return err
	}
	l.conn = conn
	return l.makeStreams(ctx)
}

// makeStreams makes the streams that do not exist yet.
func (l *Log) makeStreams(ctx context.Context) error {
	wait := 30 * time.Second
	if l.opt.Cluster != nil {
		wait = l.opt.Cluster.Attempt
	}
	var err error
	if l.js, err = jetstream.New(l.conn, jetstream.WithDefaultTimeout(wait)); err != nil {
		return err
	}
	for _, s := range streams {
		err := l.insist(ctx, func(ctx context.Context) error {
			str, err := l.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
				Name:       l.streamName(s),
				Subjects:   []string{l.subject(s)},
				Storage:    jetstream.FileStorage,
				Retention:  jetstream.LimitsPolicy,
				Discard:    jetstream.DiscardNew,
				MaxBytes:   l.opt.MaxBytes,
				Duplicates: l.opt.Duplicates,
				Replicas:   l.replicas(),
			})
			l.streams[s] = str
			return err
		})
		if err != nil {
			return fmt.Errorf("stream %s: %w", s, err)
		}
	}
	return nil
}

// Close waits for appends in flight, then stops the server. Followers return.
func (l *Log) Close() error {
	if l.conn.IsClosed() {
		return nil
	}
	var err error
	if err = l.conn.Drain(); err == nil {
		<-l.closed // bounded by the connection's drain timeout, 30 s
	}
	l.stop()
	if err != nil {
		return fmt.Errorf("close event log: %w", err)
	}
	return nil
}

func (l *Log) stop() {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.server != nil {
		l.server.Shutdown()
		l.server.WaitForShutdown()
	}
}

func (l *Log) subject(s Stream) string {
	if l.opt.Cluster != nil {
		return l.opt.Cluster.Prefix + "." + string(s)
	}
	return "fairlead." + string(s)
}

// streamName is a stream's name on the server: one of our own has no other streams.
func (l *Log) streamName(s Stream) string {
	if l.opt.Cluster != nil {
		return l.opt.Cluster.Prefix + "_" + string(s)
	}
	return string(s)
}

func (l *Log) bucketName(name string) string {
	if l.opt.Cluster != nil {
		return l.opt.Cluster.Prefix + "_" + name
	}
	return name
}

func (l *Log) replicas() int {
	if l.opt.Cluster != nil {
		return l.opt.Cluster.Replicas
	}
	return 1
}

func (l *Log) stream(s Stream) (jetstream.Stream, error) {
	str := l.streams[s]
	if str == nil {
		return nil, fmt.Errorf("there is no stream %q", s)
	}
	return str, nil
}

// unavailable says that the log is closed, or that its servers do not answer, where err means that, else it wraps err with
// the operation.
func (l *Log) unavailable(op string, err error) error {
	if l.conn.IsClosed() || l.conn.IsDraining() || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrConnectionDraining) {
		return fairlead.Errorf(fairlead.CodeUnavailable, "the event log is closed").Cause(fmt.Errorf("%s: %w", op, err))
	}
	if l.opt.Cluster != nil && transient(err) {
		e := fairlead.Errorf(fairlead.CodeUnavailable, "the event log's NATS servers do not answer").
			Hintf("predictions go on; try again when most of the servers run and see each other").Cause(fmt.Errorf("%s: %w", op, err))
		e.Reason, e.Retry = ReasonNoQuorum, 2*time.Second
		return e
	}
	return fmt.Errorf("%s: %w", op, err)
}

// ReasonNoQuorum is the Reason of an error that ends when enough of a cluster's servers run and see each other.
const ReasonNoQuorum = "event_log_unreachable"
