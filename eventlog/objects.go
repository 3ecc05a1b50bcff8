package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Objects keeps large immutable contents by name on a cluster, cut into messages and kept by as many servers as the
// streams. A Put that returned without an error is kept by most of them.
type Objects struct {
	log   *Log
	name  string
	store jetstream.ObjectStore
}

// objectPatience bounds one transfer: a model of a gigabyte takes its time.
const objectPatience = 5 * time.Minute

// Objects opens the store of that name (letters, digits, - and _), making it if needed.
func (l *Log) Objects(ctx context.Context, bucket string) (*Objects, error) {
	o := &Objects{log: l, name: bucket}
	name := l.bucketName(bucket)
	ctx, cancel := context.WithTimeout(ctx, l.opt.StartTimeout)
	defer cancel()
	err := l.insist(ctx, func(ctx context.Context) error {
		if ready, err := l.readFromLeader(ctx, "OBJ_"+name); err != nil || !ready {
			if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return err
			}
			_, err := l.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
				Bucket: name, Storage: jetstream.FileStorage, Replicas: l.replicas(),
			})
			if err != nil {
				return err
			}
			if _, err = l.readFromLeader(ctx, "OBJ_"+name); err != nil {
				return err
			}
		}
		var err error
		o.store, err = l.js.ObjectStore(ctx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Put keeps content under a name that stands for this content only: what is there already is not sent again.
func (o *Objects) Put(ctx context.Context, name string, content []byte) error {
	return o.try(ctx, "store", name, func(ctx context.Context) error {
		info, err := o.store.GetInfo(ctx, name)
		if err == nil && info.Size == uint64(len(content)) {
			return nil
		}
		if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			return err
		}
		_, err = o.store.PutBytes(ctx, name, content)
		return err
	})
}

// Get reads what Put kept, nil if there is nothing under the name.
func (o *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	var content []byte
	err := o.try(ctx, "read", name, func(ctx context.Context) (err error) {
		content, err = o.store.GetBytes(ctx, name)
		return err
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, nil
	}
	return content, err
}

func (o *Objects) try(ctx context.Context, op, name string, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, objectPatience)
	defer cancel()
	for i := 0; ; i++ {
		err := request(ctx)
		if err == nil || errors.Is(err, jetstream.ErrObjectNotFound) {
			return err
		}
		again := transient(err) || errors.Is(err, jetstream.ErrDigestMismatch)
		if i >= 5 || !again || !sleep(ctx, time.Second) {
			return o.log.unavailable(fmt.Sprintf("%s %s in %s", op, name, o.name), err)
		}
	}
}
