package serve

import (
	"context"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/batch"
)

// Composite is a session that answers by asking others, such as a pipeline. Its runs take no core and wait in no queue of
// their own: the steps do, each in its model's. It is told more about a request than Run could say.
type Composite interface {
	// Answer computes the outputs that p asks for. note, if not empty, is shown to the client. Errors are as those of Run.
	Answer(ctx context.Context, p Part) (outputs []fairlead.Tensor, note string, err error)
}

// Part is what a Composite passes on to those that it asks.
type Part struct {
	ID         string             // of the request
	Rows       []fairlead.RowMeta // one per row, with ids and times
	Tensors    []fairlead.Tensor  // they fit the composite's signature
	Outputs    []string           // nil: all
	Priority   int
	RoutingKey string
	Unrecorded bool
}

// compose lets a composite answer.
func (c *call) compose(ctx context.Context, session Composite) (batch.Answer, error) {
	p := Part{
		ID: c.resp.ID, Rows: c.resp.Rows, Tensors: c.in.Tensors, Outputs: c.in.Outputs, Priority: c.in.Priority,
		RoutingKey: c.in.RoutingKey, Unrecorded: c.in.Unrecorded,
	}
	if c.wanted() {
		p.Outputs = nil // what nobody asked for is watched, too
	}
	ctx = c.begin(ctx)
	started := c.now()
	outputs, note, err := session.Answer(ctx, p)
	took := max(0, c.now().Sub(started))
	c.remark(note)
	if err == nil {
		c.meter.ObserveRun(c.target.Deployment, c.target.Version, max(1, c.rows), took)
	}
	return batch.Answer{Outputs: outputs, Rows: max(1, c.rows), Took: took, First: true}, err
}

// begin tells the observers that others are asked now.
func (c *call) begin(ctx context.Context) context.Context {
	for _, o := range c.observers {
		if b, ok := o.(Beginner); ok {
			ctx = b.Begin(ctx)
		}
	}
	c.under = ctx
	return ctx
}

// remark adds to the note for the client.
func (c *call) remark(note string) {
	if note != "" && c.resp.Note != "" {
		note = c.resp.Note + "; " + note
	}
	if note != "" {
		c.resp.Note = note
	}
}
