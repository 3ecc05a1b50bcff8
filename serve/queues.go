package serve

import (
	"context"
	"errors"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/batch"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// QueueState is what waits for one loaded version, and what was learnt about it.
type QueueState struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Variant    string
	batch.State
}

// Queues lists the loaded versions by deployment, newest first.
func (s *Server) Queues() []QueueState {
	var all []QueueState
	table := s.Table()
	for _, name := range table.Names() {
		d, err := table.Deployment(name)
		if err != nil {
			continue // names are the table's own
		}
		for _, t := range d.Targets() {
			all = append(all, QueueState{t.Deployment, t.Version, t.Variant, s.place(t).queue.State()})
		}
	}
	return all
}

// Drain lets the requests of a target that is in no table any more finish: those that wait for a core are answered, later
// ones go to the present table. Copies that wait for it as a shadow are dropped and counted, those under way broken off. It
// ends when none is left, or with ctx and its error. Close the session afterwards. A session that is closed without it
// hands the waiting requests over to the present table, behind those that wait there.
func (s *Server) Drain(ctx context.Context, t *route.Target) error {
	p := s.place(t)
	return errors.Join(p.queue.Close(ctx), p.lane.Close(ctx))
}

// Close refuses further requests with CodeUnavailable and the reason "draining" and waits for those under way, or for ctx,
// whose error it then gives. Copies for shadows are dropped.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.executor.Close(ctx), s.shadows.Close(ctx))
}
