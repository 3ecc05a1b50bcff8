package evalstore

import (
	"context"
	"sync"

	"github.com/fairlead-ml/fairlead/eventlog"
)

const (
	// handedRows bounds the rows that wait decoded for their message: some 200 bytes each.
	handedRows = 8 * 61_440
	// overtaken is after how many younger ones rows are let go: the log took their message for one that it had already.
	overtaken = 64
)

// handed are rows whose message is on its way through the event log, by its id. They are a shortcut only: a message whose rows
// are not here is decoded.
type handed struct {
	mu    sync.Mutex
	wait  map[string]handedPart
	rows  int
	last  int           // number of the part that was handed last
	freed chan struct{} // closed when rows are taken; nil: nobody waits
}

type handedPart struct {
	*eventlog.Rows
	number int
}

// Hand gives the rows of a message that is about to be appended to the stream of predictions, as eventlog.DecodePredictions
// would give them, so that Ingest need not decode it. The caller does not touch them any more. The id is that of BulkID.
// While many wait it waits for Ingest until ctx ends, and then the message will be decoded: whoever sends faster than
// the store writes would only take processor time from the writer.
func (s *Store) Hand(ctx context.Context, id string, rows *eventlog.Rows) {
	h := &s.handed
	for {
		freed := h.put(id, rows)
		if freed == nil {
			return
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return
		}
	}
}

// put keeps rows, or gives what is closed when there may be room for them.
func (h *handed) put(id string, rows *eventlog.Rows) (freed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, has := h.wait[id]; has {
		return nil
	}
	if h.rows > 0 && h.rows+rows.N > handedRows {
		if h.freed == nil {
			h.freed = make(chan struct{})
		}
		return h.freed
	}
	if h.wait == nil {
		h.wait = map[string]handedPart{}
	}
	h.last++
	h.wait[id] = handedPart{rows, h.last}
	h.rows += rows.N
	return nil
}

// Withdraw forgets rows whose message was not appended.
func (s *Store) Withdraw(id string) { s.handed.take(id) }

// take gives the rows of a message, once; nil if they are not there.
func (h *handed) take(id string) *eventlog.Rows {
	h.mu.Lock()
	defer h.mu.Unlock()
	part, has := h.wait[id]
	if !has {
		return nil
	}
	for other, p := range h.wait {
		if other == id || p.number < part.number-overtaken {
			delete(h.wait, other)
			h.rows -= p.N
		}
	}
	if h.freed != nil {
		close(h.freed)
		h.freed = nil
	}
	return part.Rows
}
