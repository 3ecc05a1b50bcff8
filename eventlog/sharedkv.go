package eventlog

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sharedKV is KV on a cluster.
func (l *Log) sharedKV(ctx context.Context, bucket string) (*KV, error) {
	k := &KV{log: l, name: bucket}
	ctx, cancel := context.WithTimeout(ctx, l.opt.StartTimeout)
	defer cancel()
	name := l.bucketName(bucket)
	err := l.insist(ctx, func(ctx context.Context) error {
		if ready, err := l.readFromLeader(ctx, "KV_"+name); err != nil || !ready {
			if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return err
			}
			_, err := l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: name, Storage: jetstream.FileStorage, History: 8, Replicas: l.replicas(),
			})
			if err != nil {
				return err
			}
			if _, err = l.readFromLeader(ctx, "KV_"+name); err != nil {
				return err
			}
		}
		var err error
		k.kv, err = l.js.KeyValue(ctx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// readFromLeader changes how a bucket is read. Any of the servers that keep it answers a direct read, also one that has not
// heard of the latest write; but a writer must read its own writes. It says whether the bucket is as it should be otherwise.
func (l *Log) readFromLeader(ctx context.Context, stream string) (ready bool, err error) {
	str, err := l.js.Stream(ctx, stream)
	if err != nil {
		return false, err
	}
	cfg := str.CachedInfo().Config
	if cfg.AllowDirect {
		cfg.AllowDirect = false
		_, err = l.js.UpdateStream(ctx, cfg)
	}
	return cfg.Replicas == l.replicas(), err
}

// insist repeats a read that the servers did not answer. Inside the process nothing is lost on the way.
func (k *KV) insist(ctx context.Context, read func(context.Context) error) error {
	return k.write(ctx, read, func(context.Context) (bool, error) { return false, nil })
}

// write repeats a write whose answer did not come. Where it then turns out that somebody was first, made says whether that
// was the write itself; while the servers cannot tell, it is asked again.
func (k *KV) write(ctx context.Context, request func(context.Context) error, made func(context.Context) (bool, error)) error {
	c := k.log.opt.Cluster
	if c == nil {
		return request(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	doubtful := false
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		try, stop := context.WithTimeout(ctx, c.Attempt)
		err := request(try)
		stop()
		if doubtful && outrun(err) {
			own, unknown := made(ctx)
			if own {
				return nil
			}
			if unknown != nil {
				err = unknown
			}
		}
		if err == nil || !transient(err) {
			return err
		}
		doubtful = true
		if !sleep(ctx, wait) {
			return err
		}
	}
}

// Change is one key's value as it was written; a nil Value means deleted.
type Change struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Changes calls fn with the latest change of each key there is, then with every change in order. It returns nil when ctx
// ends, and an error when the log is closed or its servers were out of reach for too long: call it again, and it begins
// with the latest changes again. fn runs on the caller's goroutine.
func (k *KV) Changes(ctx context.Context, fn func(Change)) error {
	name := k.log.bucketName(k.name)
	t := &tail{log: k.log, stream: "KV_" + name, begin: jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubjects: []string{">"},
	}}
	defer t.close()
	prefix := len("$KV." + name + ".")
	for {
		m, err := t.next(ctx)
		if err != nil {
			return followEnd(ctx, k.failed("watch", "", err))
		}
		meta, err := m.Metadata()
		if err != nil {
			return k.failed("watch", "", err)
		}
		if len(m.Subject()) <= prefix {
			return k.failed("watch", "", errors.New("a message without a key"))
		}
		c := Change{Key: m.Subject()[prefix:], Revision: meta.Sequence.Stream}
		if m.Headers().Get("KV-Operation") == "" {
			if c.Value = m.Data(); c.Value == nil {
				c.Value = []byte{}
			}
		}
		fn(c)
	}
}
