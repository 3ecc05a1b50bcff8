package registry

import (
	"sync"

	"github.com/fairlead-ml/fairlead"
)

// gate keeps a collection from taking blobs that somebody is about to refer to. Within one process, which is all that
// has the folder open, this is exact; the grace period is for blobs whose uploader comes back later.
type gate struct {
	mu      sync.Mutex
	held    map[fairlead.Digest]int  // by writers at work
	touched map[fairlead.Digest]bool // since the collection under way began; nil: there is none
}

// hold keeps the blobs until the answer is called: by then a record refers to them, or nobody will.
func (g *gate) hold(digests []fairlead.Digest) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = map[fairlead.Digest]int{}
	}
	for _, d := range digests {
		g.held[d]++
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, d := range digests {
			if g.held[d]--; g.held[d] <= 0 {
				delete(g.held, d)
			}
			if g.touched != nil {
				g.touched[d] = true
			}
		}
	}
}

// begin opens a collection, before it reads what is referred to; the answer ends it. False: one is under way.
func (g *gate) begin() (end func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.touched != nil {
		return nil, false
	}
	g.touched = map[fairlead.Digest]bool{}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.touched = nil
	}, true
}

// unless calls remove if nobody holds the blob or has since the collection began. A writer that comes now waits, and
// finds it gone.
func (g *gate) unless(d fairlead.Digest, remove func() error) (removed bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held[d] > 0 || g.touched[d] {
		return false, nil
	}
	return true, remove()
}
