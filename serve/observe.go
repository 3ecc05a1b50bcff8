package serve

import (
	"context"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// Finished is one request that got its answer or its error, as observers see it.
type Finished struct {
	ID         string
	Protocol   string        // how it came: "http" or "grpc", with the dialect: "http/oip", "http/tfs", …
	Deployment string        // as the client wrote it
	Version    string        // as the client wrote it; "" for the live one
	Client     string        // who asked
	Target     *route.Target // who answered; nil where nobody could be found
	Received   time.Time     // wall clock
	Stages     fairlead.Anatomy
	Rows       int
	BatchRows  int // rows of the run that it was part of, its own included; 0 where nothing ran
	Cached     bool
	Role       fairlead.Role // of Target where the deployment's calls are divided or pinned; "" in others
	Instead    error         // why the canary could not answer, whose request the live version then answered; nil: it was not so
	Composite  bool          // it asked others, under the context that Begin gave
	Err        error
}

// Observer sees every finished request, in the goroutine that answers it: it must be quick, must not block and must not
// keep f. Tracing and the access log are observers.
type Observer interface {
	Observe(ctx context.Context, f *Finished)
}

// Beginner is an Observer that wants to know of a request that asks others before it does: they are asked, and the request
// is observed, under the context that Begin gives.
type Beginner interface {
	Observer
	Begin(ctx context.Context) context.Context
}
