package eventlog

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// tail reads a stream of a cluster in order. The server that runs its consumer may go away: then it makes another one that
// begins behind the last message it gave. It differs from the client library's ordered consumer in that everything it
// does ends with the context.
type tail struct {
	log    *Log
	stream string                   // on the servers
	begin  jetstream.ConsumerConfig // where it begins
	it     jetstream.MessagesContext
	at     uint64 // number of the last message given
	n      uint64 // how many this consumer gave
}

const (
	// heartbeat is how often a server says that it has nothing: twice as long a silence means that it is gone.
	heartbeat = 2 * time.Second
	// remakes is how often in a row a consumer is made anew before the reader hears of it.
	remakes = 3
)

// next waits for the next message. The error is ctx's, or why no server would give any.
func (t *tail) next(ctx context.Context) (jetstream.Msg, error) {
	var failed error
	for range remakes {
		if t.it == nil {
			if failed = t.open(ctx); failed != nil {
				if !transient(failed) || !sleep(ctx, 300*time.Millisecond) {
					return nil, failed
				}
				continue
			}
		}
		m, err := t.it.Next(jetstream.NextContext(ctx))
		if err == nil {
			var meta *jetstream.MsgMetadata
			if meta, err = m.Metadata(); err == nil && meta.Sequence.Consumer == t.n+1 {
				t.n, t.at = meta.Sequence.Consumer, meta.Sequence.Stream
				return m, nil
			}
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// The consumer is gone, or a message on the way to here is.
		if failed = err; failed == nil {
			failed = errors.New("a message was lost on the way")
		}
		t.close()
	}
	return nil, failed
}

func (t *tail) open(ctx context.Context) error {
	cfg := t.begin
	if t.at > 0 {
		cfg = jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.at + 1, HeadersOnly: cfg.HeadersOnly}
	}
	cfg.AckPolicy, cfg.MemoryStorage, cfg.Replicas, cfg.InactiveThreshold = jetstream.AckNonePolicy, true, 1, 30*time.Second
	wait := 30 * time.Second
	if c := t.log.opt.Cluster; c != nil {
		wait = c.Attempt
	}
	try, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	cons, err := t.log.js.CreateConsumer(try, t.stream, cfg)
	if err != nil {
		return err
	}
	t.it, err = cons.Messages(jetstream.PullMaxMessages(256), jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(4*heartbeat))
	t.n = 0
	return err
}

// close gives the consumer back; next makes another one.
func (t *tail) close() {
	if t.it != nil {
		t.it.Stop()
		t.it = nil
	}
}
