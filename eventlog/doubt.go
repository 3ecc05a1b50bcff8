package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A write whose answer did not come may have been made. Trying again with the same message id is harmless while the server
// remembers the id (Options.Duplicates). A writer that goes on for longer than that, as the recorder does through an
// outage, would store the message twice: doubts remembers since when an id is in doubt, and such a message is first looked
// for in the stream.

// forgotten is how long after its last try an id is dropped: whoever tries again does so every few seconds.
const forgotten = 2 * time.Minute

// doubts remembers ids of messages that may have been stored.
type doubts struct {
	mu    sync.Mutex
	ids   map[string]doubt
	swept time.Time
}

type doubt struct{ first, last time.Time }

// add says that a write with this id is being tried.
func (d *doubts) add(id string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids, d.swept = map[string]doubt{}, at
	}
	known, ok := d.ids[id]
	if !ok {
		known.first = at
	}
	known.last = at
	d.ids[id] = known
	if at.Sub(d.swept) > forgotten {
		d.swept = at
		maps.DeleteFunc(d.ids, func(_ string, x doubt) bool { return at.Sub(x.last) > forgotten })
	}
}

func (d *doubts) clear(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, id)
}

// at is when the first write with this id was tried, false if it is not in doubt.
func (d *doubts) at(id string) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x, ok := d.ids[id]
	return x.first, ok
}

// clockSkew is how far this machine's clock may differ from those of the servers.
const clockSkew = 5 * time.Minute

// find looks for a message with this id among those stored since then: its number, 0 if there is none.
func (l *Log) find(ctx context.Context, s Stream, id string, since time.Time) (uint64, error) {
	str, err := l.stream(s)
	if err != nil {
		return 0, err
	}
	info, err := str.Info(ctx)
	if err != nil {
		return 0, err
	}
	if info.State.LastSeq == 0 || info.State.LastTime.Before(since.Add(-clockSkew)) {
		return 0, nil
	}
	from := since.Add(-clockSkew)
	t := &tail{log: l, stream: l.streamName(s), begin: jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &from, HeadersOnly: true,
	}}
	defer t.close()
	for {
		m, err := t.next(ctx)
		if err != nil {
			return 0, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return 0, err
		}
		if m.Headers().Get(jetstream.MsgIDHeader) == id {
			return meta.Sequence.Stream, nil
		}
		if meta.Sequence.Stream >= info.State.LastSeq {
			return 0, nil
		}
	}
}

// publish is Append on a cluster: it tries again after an answer that did not come, with the same id, until Patience is over.
func (l *Log) publish(ctx context.Context, s Stream, id string, data []byte) (uint64, error) {
	c := l.opt.Cluster
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	var opts []jetstream.PublishOpt
	if id != "" {
		id = c.Server + "/" + id // servers that share the log do not share ids
		opts = append(opts, jetstream.WithMsgID(id))
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		seq, err := l.tryPublish(ctx, s, id, data, opts)
		if err == nil {
			l.doubts.clear(id)
			return seq, nil
		}
		if !transient(err) {
			return 0, err
		}
		// Without an id a second try could double the message: whoever gave none hears of the doubt.
		if id == "" || !sleep(ctx, wait) {
			return 0, err
		}
	}
}

func (l *Log) tryPublish(ctx context.Context, s Stream, id string, data []byte, opts []jetstream.PublishOpt) (uint64, error) {
	now := time.Now()
	if since, ok := l.doubts.at(id); ok && now.Sub(since) > l.opt.Duplicates/2 {
		seq, err := l.find(ctx, s, id, since)
		if err != nil || seq != 0 {
			return seq, err
		}
		l.doubts.clear(id) // it is not there; from now on the server's memory covers it again
	}
	try, cancel := context.WithTimeout(ctx, l.opt.Cluster.Attempt)
	defer cancel()
	if id != "" {
		l.doubts.add(id, now)
	}
	ack, err := l.js.Publish(try, l.subject(s), data, opts...)
	if err == nil {
		return ack.Sequence, nil
	}
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return 0, fmt.Errorf("no answer within %s: %w", l.opt.Cluster.Attempt, err)
	}
	return 0, err
}
