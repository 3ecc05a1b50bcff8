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
	kv keyValue

	mu     sync.Mutex
	cached map[fairlead.Name]bookAt
}

type bookAt struct {
	raw      []byte
	revision uint64
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
		at = bookAt{raw, revision}
		if b.cached == nil {
			b.cached = map[fairlead.Name]bookAt{}
		}
		b.cached[name] = at
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
	revision, err := b.kv.Put(ctx, bucketKey(name), raw, at.revision)
	if err != nil {
		delete(b.cached, name) // it may have been written all the same: the next Load looks
		return fmt.Errorf("store the alerts of %s: %w", name, err)
	}
	b.cached[name] = bookAt{raw, revision}
	return nil
}
