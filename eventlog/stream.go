package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/fairlead-ml/fairlead"
)

// Append stores data and returns its sequence number once it is on disk. A message whose non-empty msgID was stored
// within the last Options.Duplicates is not stored again; the first one's number is returned. After an error the
// message may be stored all the same: to try again safely, give the same msgID.
func (l *Log) Append(ctx context.Context, s Stream, msgID string, data []byte) (uint64, error) {
	if _, err := l.stream(s); err != nil {
		return 0, err
	}
	if len(data) > l.largest {
		e := fairlead.Errorf(fairlead.CodeTooLarge, "a message of %d bytes is too large for the event log", len(data)).
			Hintf("at most %d bytes: send fewer rows at once", l.largest)
		if l.largest < MaxMessage {
			e = e.Hintf("at most %d bytes: send fewer rows at once, or raise max_payload of the NATS servers", l.largest)
		}
		return 0, e
	}
	if err := l.Room(); err != nil {
		return 0, err
	}
	if l.opt.Cluster != nil {
		seq, err := l.publish(ctx, s, msgID, data)
		return seq, l.appendFailed(s, err)
	}
	var opts []jetstream.PublishOpt
	if msgID != "" {
		opts = append(opts, jetstream.WithMsgID(msgID))
	}
	ack, err := l.js.Publish(ctx, l.subject(s), data, opts...)
	if err == nil {
		return ack.Sequence, nil
	}
	return 0, l.appendFailed(s, err)
}

func (l *Log) appendFailed(s Stream, err error) error {
	if err == nil {
		return nil
	}
	if natsCode(err) == streamStoreFailed {
		return fairlead.Errorf(fairlead.CodeExhausted, "the event log's stream %s takes no more messages", s).
			Hintf("it is full or its disk is").Cause(err)
	}
	return l.unavailable("append to "+string(s), err)
}

// streamStoreFailed is the server's error code for a message that the store refused: stream full or disk error.
const streamStoreFailed = 10077

// Last is the sequence number of the newest message, 0 if there never was one.
func (l *Log) Last(ctx context.Context, s Stream) (uint64, error) {
	state, err := l.state(ctx, s)
	return state.LastSeq, err
}

func (l *Log) state(ctx context.Context, s Stream) (jetstream.StreamState, error) {
	str, err := l.stream(s)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	info, err := str.Info(ctx)
	if err != nil {
		return jetstream.StreamState{}, l.unavailable("read state of "+string(s), err)
	}
	return info.State, nil
}

// Trim forgets the messages up to and including seq. Call it with a number that every follower has safely behind it.
func (l *Log) Trim(ctx context.Context, s Stream, seq uint64) error {
	str, err := l.stream(s)
	if err != nil {
		return err
	}
	if seq == 0 {
		return nil
	}
	if err := str.Purge(ctx, jetstream.WithPurgeSequence(seq+1)); err != nil {
		return l.unavailable(fmt.Sprintf("trim %s to %d", s, seq), err)
	}
	return nil
}

// Follow calls fn with the messages after the given sequence number, in order, at most batch at a time, and goes on
// with new ones as they come. A batch holds what is there: fn is not kept waiting until it is full. Follow returns
// nil when ctx ends, fn's error when it fails, and CodeUnavailable when the log is closed. fn runs on the caller's
// goroutine.
func (l *Log) Follow(ctx context.Context, s Stream, after uint64, batch int, fn func([]Message) error) error {
	str, err := l.stream(s)
	if err != nil {
		return err
	}
	batch = max(batch, 1)
	op := "follow " + string(s)
	next, stop, err := l.reader(ctx, s, str, after, batch)
	if err != nil {
		return followEnd(ctx, l.unavailable(op, err))
	}
	defer stop()
	for {
		msgs, err := gather(ctx, next, s, batch)
		if len(msgs) > 0 {
			if fnErr := fn(msgs); fnErr != nil {
				return fnErr
			}
		}
		if err != nil {
			return followEnd(ctx, l.unavailable(op, err))
		}
	}
}

// reader gives the messages after a number, one by one.
func (l *Log) reader(ctx context.Context, s Stream, str jetstream.Stream, after uint64, batch int) (next func(context.Context) (jetstream.Msg, error), stop func(), err error) {
	from := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1}
	if l.opt.Cluster != nil {
		t := &tail{log: l, stream: l.streamName(s), begin: from}
		return t.next, t.close, nil
	}
	cons, err := str.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: from.DeliverPolicy, OptStartSeq: from.OptStartSeq})
	if err != nil {
		return nil, nil, err
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(min(batch, 1024)))
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (jetstream.Msg, error) { return it.Next(jetstream.NextContext(ctx)) }, it.Stop, nil
}

func followEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// more is how long gather waits for another message when it has one: those that have arrived at the consumer are taken
// without waiting.
const more = 2 * time.Millisecond

// gather waits for one message, then takes those that are there already, up to n of them and about MaxMessage bytes.
func gather(ctx context.Context, read func(context.Context) (jetstream.Msg, error), s Stream, n int) ([]Message, error) {
	var msgs []Message
	size := 0
	for len(msgs) < n && size < MaxMessage {
		m, err := next(ctx, read, len(msgs) > 0)
		if err != nil {
			return msgs, err
		}
		if m == nil {
			break
		}
		meta, err := m.Metadata()
		if err != nil {
			return msgs, err
		}
		msgs = append(msgs, Message{Stream: s, Seq: meta.Sequence.Stream, Time: meta.Timestamp.UTC(), ID: m.Headers().Get(jetstream.MsgIDHeader), Data: m.Data()})
		size += len(m.Data())
	}
	return msgs, nil
}

// next is the next message. In a hurry it is nil when none is there.
func next(ctx context.Context, read func(context.Context) (jetstream.Msg, error), hurry bool) (jetstream.Msg, error) {
	if !hurry {
		return read(ctx)
	}
	soon, cancel := context.WithTimeout(ctx, more)
	defer cancel()
	m, err := read(soon)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return m, err
}

// Lag is the age of the oldest message after the given sequence number, 0 when there is none.
func (l *Log) Lag(ctx context.Context, s Stream, after uint64, now time.Time) (time.Duration, error) {
	state, err := l.state(ctx, s)
	if err != nil || state.LastSeq <= after || state.Msgs == 0 {
		return 0, err
	}
	seq := max(after+1, state.FirstSeq)
	if at, ok := l.ages.of(s, seq); ok {
		return max(now.Sub(at), 0), nil
	}
	m, err := l.streams[s].GetMsg(ctx, seq)
	if err != nil {
		if errors.Is(err, jetstream.ErrMsgNotFound) { // trimmed meanwhile
			return 0, nil
		}
		return 0, l.unavailable("read oldest message of "+string(s), err)
	}
	l.ages.put(s, seq, m.Time)
	return max(now.Sub(m.Time), 0), nil
}

// ages remembers when one message of each stream was written: who asks for the lag asks often for the same one, and a
// message comes whole, megabytes of it.
type ages struct {
	mu   sync.Mutex
	last map[Stream]age
}

type age struct {
	seq uint64
	at  time.Time
}

func (a *ages) of(s Stream, seq uint64) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, ok := a.last[s]
	return last.at, ok && last.seq == seq
}

func (a *ages) put(s Stream, seq uint64, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil {
		a.last = map[Stream]age{}
	}
	a.last[s] = age{seq, at}
}
