package app

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
)

// books keeps one alert book a deployment in a bucket. It implements watch.AlertStore.
type books struct {
	kv    keyValue
	leads func() bool // this server keeps the alerts; nil: it is alone

	mu     sync.Mutex
	cached map[fairlead.Name]bookAt
}

type bookAt struct {
	raw      []byte
	revision uint64
	kept     bool // here only: another server keeps the alerts
}

// Load gives the book, an empty one if there is none yet. The caller owns it.
func (b *books) Load(ctx context.Context, name fairlead.Name) (alert.Book, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	book := alert.Book{Deployment: name}
	at, ok := b.cached[name]
	if !ok {
		raw, revision, err := b.kv.Get(ctx, bucketKey(name))
		if err != nil {
			return book, fmt.Errorf("read the alerts of %s: %w", name, err)
		}
		at = bookAt{raw: raw, revision: revision}
		b.remember(name, at)
	}
	if at.raw == nil {
		return book, nil
	}
	if err := json.Unmarshal(at.raw, &book); err != nil {
		return book, fmt.Errorf("read the alerts of %s: %w", name, err)
	}
	return book, nil
}

// Save replaces the book.
func (b *books) Save(ctx context.Context, name fairlead.Name, book alert.Book) error {
	raw, err := json.Marshal(book)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.cached[name]
	if string(at.raw) == string(raw) {
		return nil
	}
	if b.leads != nil && !b.leads() {
		b.remember(name, bookAt{raw, at.revision, true})
		return nil
	}
	revision, err := b.kv.Put(ctx, bucketKey(name), raw, at.revision)
	if b.leads != nil && fairlead.CodeOf(err) == fairlead.CodeConflict { // the server that led before this one wrote last
		if _, revision, err = b.kv.Get(ctx, bucketKey(name)); err == nil {
			revision, err = b.kv.Put(ctx, bucketKey(name), raw, revision)
		}
	}
	if err != nil {
		delete(b.cached, name) // it may have been written all the same: the next Load looks
		return fmt.Errorf("store the alerts of %s: %w", name, err)
	}
	b.remember(name, bookAt{raw: raw, revision: revision})
	return nil
}

// remember is for who holds mu.
func (b *books) remember(name fairlead.Name, at bookAt) {
	if b.cached == nil {
		b.cached = map[fairlead.Name]bookAt{}
	}
	b.cached[name] = at
}

// flush stores what was kept here only while another server led. Each server judges the same log, so that its books are
// those that the other one kept, or would have kept had it lived longer.
func (b *books) flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, at := range b.cached {
		if !at.kept {
			continue
		}
		_, revision, err := b.kv.Get(ctx, bucketKey(name))
		if err == nil {
			revision, err = b.kv.Put(ctx, bucketKey(name), at.raw, revision)
		}
		if err != nil {
			return fmt.Errorf("store the alerts of %s: %w", name, err)
		}
		b.cached[name] = bookAt{raw: at.raw, revision: revision}
	}
	return nil
}
