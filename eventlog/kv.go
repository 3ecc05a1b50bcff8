package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/fairlead-ml/fairlead"
)

// KV is a bucket of small values with compare-and-set. A write that returned without an error is on disk.
type KV struct {
	log  *Log
	name string
	kv   jetstream.KeyValue
}

// KV opens the bucket of that name (letters, digits, - and _), making it if needed.
func (l *Log) KV(ctx context.Context, bucket string) (*KV, error) {
	if l.opt.Cluster != nil {
		return l.sharedKV(ctx, bucket)
	}
	kv, err := l.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, Storage: jetstream.FileStorage, History: 8, Replicas: 1,
	})
	if err != nil {
		return nil, l.unavailable("open bucket "+bucket, err)
	}
	return &KV{log: l, name: bucket, kv: kv}, nil
}

// Get gives the value of key and its revision; nil, 0, nil when it is absent.
func (k *KV) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	var e jetstream.KeyValueEntry
	err := k.insist(ctx, func(ctx context.Context) (err error) {
		e, err = k.kv.Get(ctx, key)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, k.failed("get", key, err)
	}
	return e.Value(), e.Revision(), nil
}

// Put sets key if its revision is still the given one, 0 meaning that it is absent, and returns the new revision.
// The error is CodeConflict when somebody else was first.
func (k *KV) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var rev uint64
	err := k.write(ctx, func(ctx context.Context) (err error) {
		if revision == 0 {
			rev, err = k.kv.Create(ctx, key, value)
		} else {
			rev, err = k.kv.Update(ctx, key, value, revision)
		}
		return err
	}, func(ctx context.Context) (bool, error) {
		e, err := k.kv.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound) && revision > 0:
			return false, nil // somebody deleted it
		case errors.Is(err, jetstream.ErrKeyNotFound), err == nil && e.Revision() <= revision:
			return false, context.DeadlineExceeded // the write that was first is not settled: it may be this one
		case err != nil:
			return false, err
		}
		rev = e.Revision()
		return bytes.Equal(e.Value(), value), nil
	})
	if err != nil {
		return 0, k.failed("put", key, err)
	}
	return rev, nil
}

// Delete removes key if its revision is still the given one, whatever it is if 0. The error is CodeConflict when
// somebody else changed it. Deleting an absent key with revision 0 does nothing.
func (k *KV) Delete(ctx context.Context, key string, revision uint64) error {
	var opts []jetstream.KVDeleteOpt
	if revision != 0 {
		opts = append(opts, jetstream.LastRevision(revision))
	} else if _, rev, err := k.Get(ctx, key); err != nil || rev == 0 {
		return err
	}
	err := k.write(ctx, func(ctx context.Context) error { return k.kv.Delete(ctx, key, opts...) }, func(ctx context.Context) (bool, error) {
		_, err := k.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return k.failed("delete", key, err)
	}
	return nil
}

// Keys lists the keys that have a value, in no order.
func (k *KV) Keys(ctx context.Context) ([]string, error) {
	var keys []string
	err := k.insist(ctx, func(ctx context.Context) (err error) {
		keys, err = k.kv.Keys(ctx)
		return err
	})
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	if err != nil {
		return nil, k.failed("list keys", "", err)
	}
	return keys, nil
}

// Watch calls fn with each key and value there is, then with every change in order; a nil value means deleted. It
// returns nil when ctx ends and CodeUnavailable when the log is closed. fn runs on the caller's goroutine.
func (k *KV) Watch(ctx context.Context, fn func(key string, value []byte)) error {
	w, err := k.kv.WatchAll(ctx)
	if err != nil {
		return followEnd(ctx, k.failed("watch", "", err))
	}
	defer func() { _ = w.Stop() }() // the connection may be gone already
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.log.closed:
			return k.failed("watch", "", errors.New("connection closed"))
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return followEnd(ctx, k.failed("watch", "", errors.New("subscription ended")))
			case e == nil: // the server's mark: all present values were given
			case e.Operation() == jetstream.KeyValuePut:
				v := e.Value()
				if v == nil {
					v = []byte{}
				}
				fn(e.Key(), v)
			default:
				fn(e.Key(), nil)
			}
		}
	}
}

// outrun says that somebody else wrote first. Streams with replicas say it in another way.
func outrun(err error) bool {
	code := natsCode(err)
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) ||
		code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

func (k *KV) failed(op, key string, err error) error {
	what := fmt.Sprintf("%s %s in bucket %s", op, key, k.name)
	switch {
	case outrun(err):
		return fairlead.Errorf(fairlead.CodeConflict, "%s was changed by somebody else", key).
			Hintf("read it again and repeat the change").Cause(fmt.Errorf("%s: %w", what, err))
	case errors.Is(err, jetstream.ErrInvalidKey):
		return fairlead.Invalid("%q is not a key", key).
			Hintf("a key has letters, digits and - / _ = . and does not start or end with a dot")
	}
	return k.log.unavailable(what, err)
}
