package eventlog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fairlead-ml/fairlead"
)

// Cluster says where the NATS servers of the user's own are that keep the log instead of a folder, and how to reach them.
type Cluster struct {
	// URL lists servers: nats://h1:4222,nats://h2:4222. tls:// asks for encryption; user:password@ or token@ may stand
	// before a host.
	URL   string
	Creds string // file with a user's JWT and its key; "": none
	CA    string // file with the certificates that vouch for the servers; "": the system's
	Cert  string // file with the client's certificate, Key with its key; "": none
	Key   string
	// Replicas is how many servers keep each message; an append has returned only when most of them have it. 0 is 3.
	Replicas int
	// Prefix starts the names of the streams, subjects and buckets, so that several installations share a cluster. "" is
	// fairlead.
	Prefix string
	// Server names this writer among those that share the log: it is part of every message id.
	Server string
	// Attempt bounds one try of a write, Patience all of them together; 0 is 3 s and 10 s.
	Attempt, Patience time.Duration
}

func (c *Cluster) defaults() {
	if c.Replicas <= 0 {
		c.Replicas = 3
	}
	if c.Prefix == "" {
		c.Prefix = "fairlead"
	}
	if c.Attempt <= 0 {
		c.Attempt = 3 * time.Second
	}
	if c.Patience <= 0 {
		c.Patience = 10 * time.Second
	}
}

// check refuses what no server would take, before anything is dialled.
func (c *Cluster) check() error {
	for i, r := range c.Prefix {
		if letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'; !letter && (i == 0 || !(r >= '0' && r <= '9') && r != '-' && r != '_') {
			return fairlead.Invalid("the prefix %q of the NATS streams has the character %q", c.Prefix, r).
				Hintf("a prefix has letters, digits, - and _, and starts with a letter")
		}
	}
	if c.Replicas > 5 {
		return fairlead.Invalid("%d replicas of the NATS streams are too many", c.Replicas).Hintf("NATS keeps 1 to 5; 3 outlive the loss of one server, 5 of two")
	}
	for _, one := range strings.Split(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" {
			return fairlead.Invalid("%q is not the address of a NATS server", redacted(one)).Hintf("it looks like nats://host:4222; several are parted by commas")
		}
	}
	for what, file := range map[string]string{"credentials": c.Creds, "certificates": c.CA, "client certificate": c.Cert, "client key": c.Key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return fairlead.Invalid("the file of the NATS %s cannot be read: %v", what, err)
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return fairlead.Invalid("a client certificate for NATS needs its key, and the key the certificate")
	}
	return nil
}

// redacted is a URL, or a list of them, without user and password.
func redacted(list string) string {
	all := strings.Split(list, ",")
	for i, one := range all {
		scheme, rest, ok := strings.Cut(strings.TrimSpace(one), "://")
		if !ok {
			scheme, rest = "nats", scheme
		}
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			rest = rest[at+1:]
		}
		all[i] = scheme + "://" + rest
	}
	return strings.Join(all, ",")
}

// dial connects, and goes on trying until ctx ends where servers may still be starting.
func (l *Log) dial(ctx context.Context) error {
	c := l.opt.Cluster
	options := []nats.Option{
		nats.Name("fairlead " + c.Server),
		nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1), // a write without a connection fails at once; whoever made it tries again
		// A server that is gone without a word is noticed in some seconds.
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(3 * time.Second),
		nats.IgnoreAuthErrorAbort(), // credentials are renewed in their file
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				l.opt.Log.Warn("the connection to NATS is lost; connecting again", "err", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			l.opt.Log.Info("connected to NATS again", "server", redacted(conn.ConnectedUrl()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.opt.Log.Debug("nats", "err", err) }),
	}
	if c.Creds != "" {
		options = append(options, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		options = append(options, nats.ClientCert(c.Cert, c.Key))
	}
	for {
		closed := make(chan struct{})
		conn, err := nats.Connect(c.URL, append(slices.Clone(options), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
		if err == nil {
			l.conn, l.closed = conn, closed
			return nil
		}
		final := errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked)
		if final || !sleep(ctx, 300*time.Millisecond) {
			return c.explain(err)
		}
	}
}

// sleep is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Codes of the NATS server's answers.
const (
	natsAccountLimit     jetstream.ErrorCode = 10002
	natsNoPeers          jetstream.ErrorCode = 10005
	natsUnavailable      jetstream.ErrorCode = 10008
	natsNotLeader        jetstream.ErrorCode = 10009
	natsNoResources      jetstream.ErrorCode = 10023
	natsMaxStreams       jetstream.ErrorCode = 10027
	natsNoStorage        jetstream.ErrorCode = 10047
	natsOverlap          jetstream.ErrorCode = 10065
	natsNoReplicas       jetstream.ErrorCode = 10074
	natsMaxBytesRequired jetstream.ErrorCode = 10113
	natsMaxStreamBytes   jetstream.ErrorCode = 10122
	natsStreamOffline    jetstream.ErrorCode = 10118
	natsInProcess        jetstream.ErrorCode = 10158 // the first message with this id is not through yet
	natsTooManyRequests  jetstream.ErrorCode = 10167
)

func natsCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

// transient says that the same request may get through later: nobody answered, or the servers had no leader.
func transient(err error) bool {
	switch natsCode(err) {
	case natsUnavailable, natsNotLeader, natsTooManyRequests, natsStreamOffline, natsInProcess:
		return true
	case 0:
		return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
			errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
			errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrStaleConnection)
	}
	return false
}

// explain says what a start failed on in terms of what a person can change.
func (c *Cluster) explain(err error) error {
	where := redacted(c.URL)
	say := func(hint string, format string, args ...any) error {
		return fairlead.Errorf(fairlead.CodeUnavailable, format, args...).Hintf("%s", hint).Cause(err)
	}
	switch code := natsCode(err); {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrPermissionViolation):
		return say("give --nats-creds FILE, or user:password@ before the host", "the NATS servers at %s refuse this user: %v", where, err)
	case errors.Is(err, nats.ErrNoServers):
		return say("check the addresses and that the servers run: the first one says why with `nats-server -DV`", "no NATS server answers at %s", where)
	// Without JetStream nobody listens to its requests; without a quorum they have no answer.
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return say("start the servers with `jetstream {}` in their configuration, and enable it for the account", "JetStream is off on the NATS servers at %s", where)
	case code == natsNoReplicas:
		return say("--nats-replicas 1, or connect to a cluster", "the NATS server at %s is not in a cluster and cannot keep %d replicas", where, c.Replicas)
	case code == natsNoPeers, code == natsNoResources:
		return say("start the missing servers, give them room, or ask for fewer with --nats-replicas", "the NATS cluster at %s has no %d servers for its replicas: %v", where, c.Replicas, err)
	case code == natsAccountLimit, code == natsMaxStreams, code == natsNoStorage, code == natsMaxBytesRequired, code == natsMaxStreamBytes:
		return say("raise the account's limits, or lower --nats-stream-mb", "the account at %s has no room for the streams: %v", where, err)
	case code == natsOverlap:
		return say("choose another with --nats-prefix", "streams that are there already take the subjects %s.> at %s", c.Prefix, where)
	case transient(err):
		return say("most of the servers must run and see each other", "the NATS servers at %s do not agree on a leader: JetStream answers nothing (%v)", where, err)
	}
	return fmt.Errorf("NATS at %s: %w", where, err)
}

// insist repeats a request at the start for as long as the servers may still be electing a leader.
func (l *Log) insist(ctx context.Context, request func(context.Context) error) error {
	if l.opt.Cluster == nil {
		return request(ctx)
	}
	for {
		try, cancel := context.WithTimeout(ctx, l.opt.Cluster.Attempt)
		err := request(try)
		cancel()
		if err == nil {
			return nil
		}
		// A server that starts answers "not enabled" and "no peers" before it has found the others.
		starting := transient(err) || natsCode(err) == natsNoPeers || errors.Is(err, jetstream.ErrJetStreamNotEnabled)
		if !starting || !sleep(ctx, 250*time.Millisecond) {
			return l.opt.Cluster.explain(err)
		}
	}
}

// openCluster connects to the servers of opt.Cluster and makes the streams that they do not have.
func openCluster(ctx context.Context, opt Options) (*Log, error) {
	c := opt.Cluster
	if err := c.check(); err != nil {
		return nil, err
	}
	l := &Log{opt: opt, streams: make(map[Stream]jetstream.Stream)}
	ctx, cancel := context.WithTimeout(ctx, opt.StartTimeout)
	defer cancel()
	if err := l.dial(ctx); err != nil {
		return nil, err
	}
	l.largest = min(MaxMessage, int(l.conn.MaxPayload())-headerRoom)
	if err := l.makeStreams(ctx); err != nil {
		l.stop()
		return nil, err
	}
	opt.Log.Info("the event log is on NATS", "server", redacted(l.conn.ConnectedUrl()), "replicas", c.Replicas, "prefix", c.Prefix, "largest_message", l.largest)
	return l, nil
}

// headerRoom is kept of the servers' max_payload for a message's headers, which count too.
const headerRoom = 4096

// Largest is how many bytes of data a message may have here: MaxMessage, or what the cluster's servers take.
func (l *Log) Largest() int { return l.largest }

// Connected says whether the log's servers can be reached now.
func (l *Log) Connected() bool { return l.conn.IsConnected() }
