package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oklog/ulid/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// maxAnnotations bounds one deployment's list; the oldest goes first.
const maxAnnotations = 500

// annotations keeps marks on event time, one list a deployment, in a bucket.
type annotations struct {
	kv keyValue

	mu    sync.Mutex
	lists map[fairlead.Name][]api.Annotation // what the bucket holds
	revs  map[fairlead.Name]uint64
}

// keyValue is a bucket with compare-and-set; *eventlog.KV is one.
type keyValue interface {
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Keys(ctx context.Context) ([]string, error)
}

// bucketKey is a name as a key: a bucket refuses dots at the end or in a row, which names may have, and names have no '='.
func bucketKey(n fairlead.Name) string { return strings.ReplaceAll(string(n), ".", "=") }

func nameOfKey(key string) fairlead.Name { return fairlead.Name(strings.ReplaceAll(key, "=", ".")) }

func openAnnotations(ctx context.Context, kv keyValue) (*annotations, error) {
	a := &annotations{kv: kv, lists: map[fairlead.Name][]api.Annotation{}, revs: map[fairlead.Name]uint64{}}
	keys, err := kv.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		value, rev, err := kv.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		var list []api.Annotation
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, fmt.Errorf("annotations of %s: %w", nameOfKey(key), err)
		}
		a.lists[nameOfKey(key)], a.revs[nameOfKey(key)] = list, rev
	}
	return a, nil
}

// put keeps one; the same id replaces.
func (a *annotations) put(ctx context.Context, name fairlead.Name, in api.Annotation) (api.Annotation, error) {
	if in.ID == "" {
		in.ID = ulid.Make().String()
	}
	in.Start, in.End = in.Start.UTC(), in.End.UTC()
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(a.lists[name]), func(x api.Annotation) bool { return x.ID == in.ID })
	list = append(list, in)
	slices.SortFunc(list, func(x, y api.Annotation) int { return x.Start.Compare(y.Start) })
	if len(list) > maxAnnotations {
		list = list[len(list)-maxAnnotations:]
	}
	value, err := json.Marshal(list)
	if err != nil {
		return in, err
	}
	rev, err := a.kv.Put(ctx, bucketKey(name), value, a.revs[name])
	if err != nil {
		return in, err
	}
	a.lists[name], a.revs[name] = list, rev
	return in, nil
}

func (a *annotations) list(name fairlead.Name) []api.Annotation {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lists[name] == nil {
		return []api.Annotation{}
	}
	return slices.Clone(a.lists[name])
}
