// Package lifecycle starts the parts of a program in order and stops them in reverse.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Part is something with a beginning and an end. Stop returns when everything the part started has ended; both are
// called at most once, Stop only after a successful Start. Either may be nil.
type Part struct {
	Name  string
	Start func(ctx context.Context) error
	Stop  func(ctx context.Context) error
}

// Group holds started parts. The zero value is ready.
type Group struct {
	mu    sync.Mutex
	parts []Part
}

// Start starts p and remembers it. If p fails to start, the parts before it keep running: call Stop.
func (g *Group) Start(ctx context.Context, p Part) error {
	if p.Start != nil {
		if err := p.Start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", p.Name, err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parts = append(g.parts, p)
	return nil
}

// Stop stops the parts, last started first. Every part is stopped even when one before it fails; the errors are joined.
// A second call does nothing.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	parts := g.parts
	g.parts = nil
	g.mu.Unlock()
	var errs []error
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i].Stop == nil {
			continue
		}
		if err := parts[i].Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", parts[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Loop is a Part that runs fn in one goroutine of its own from Start to Stop. Stop cancels fn's context and waits for it.
func Loop(name string, fn func(ctx context.Context)) Part {
	var cancel context.CancelFunc
	done := make(chan struct{})
	return Part{
		Name: name,
		Start: func(context.Context) error {
			// The loop outlives the context of the start call: Stop ends it.
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			go func() {
				defer close(done)
				fn(ctx)
			}()
			return nil
		},
		Stop: func(ctx context.Context) error {
			cancel()
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("did not end in time: %w", ctx.Err())
			}
		},
	}
}
