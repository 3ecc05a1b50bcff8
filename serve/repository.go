package serve

import "context"

// Repository loads and unloads models for clients that ask for it over the Open Inference Protocol's model repository
// extension. Errors are *fairlead.Error.
type Repository interface {
	// Index lists the versions known, by name and then newest first.
	Index(ctx context.Context) ([]ModelState, error)
	// Load makes a model ready, or loads it again. It returns when the model answers.
	Load(ctx context.Context, name string, o LoadOptions) error
	// Unload takes a model out of service when its requests under way are answered. It stays in the registry.
	Unload(ctx context.Context, name string) error
}

// ModelState is one version of a model.
type ModelState struct {
	Name    string
	Version string
	State   string // StateReady and its like
	Reason  string // why it is not ready; "" if it is
}

// States of a model, in the protocol's words.
const (
	StateReady       = "READY"
	StateUnavailable = "UNAVAILABLE"
	StateLoading     = "LOADING"
	StateUnloading   = "UNLOADING"
)

// LoadOptions are what a client may send along with a load.
type LoadOptions struct {
	Config string            // the model's configuration as JSON; "": as it is
	Files  map[string][]byte // by path, "1/model.onnx": a new version made of these files
}
