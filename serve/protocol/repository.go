package protocol

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
)

// Repository is what clients may ask of a server's models. It refuses everything where From is nil.
type Repository struct{ From serve.Repository }

func (r Repository) present() error {
	if r.From != nil {
		return nil
	}
	return fairlead.Errorf(fairlead.CodeUnsupported, "this server's models are not loaded and unloaded over this protocol").
		Hintf("push and roll back with the command fairlead; GET /v2/models lists what is served")
}

// Index lists the versions known, only those that are ready if the client wants it so.
func (r Repository) Index(ctx context.Context, ready bool) ([]serve.ModelState, error) {
	if err := r.present(); err != nil {
		return nil, err
	}
	all, err := r.From.Index(ctx)
	if err != nil || !ready {
		return all, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(m serve.ModelState) bool { return m.State != serve.StateReady }), nil
}

// Load makes a model ready. Parameters are "config", JSON as a string, and files by "file:" and their path, as bytes.
func (r Repository) Load(ctx context.Context, name string, parameters map[string]any) error {
	if err := r.present(); err != nil {
		return err
	}
	var o serve.LoadOptions
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		value := parameters[key]
		path, isFile := strings.CutPrefix(key, "file:")
		switch {
		case key == "config":
			text, ok := value.(string)
			if !ok || !json.Valid([]byte(text)) {
				return fairlead.Invalid(`parameter "config" is no JSON in a string`).
					Hintf(`for example {"parameters":{"config":"{\"max_batch_size\":8}"}}`)
			}
			o.Config = text
		case isFile:
			data, ok := value.([]byte)
			if !ok || path == "" {
				return fairlead.Invalid("parameter %.80q is no file with its path and its bytes", key).
					Hintf(`for example "file:1/model.onnx", over HTTP with the bytes in base64`)
			}
			if o.Files == nil {
				o.Files = map[string][]byte{}
			}
			o.Files[path] = data
		default:
			return fairlead.Invalid("parameter %.80q of a load is not known", key).Hintf(`there are "config" and "file:<path>"`)
		}
	}
	return r.From.Load(ctx, name, o)
}

// Unload takes a model out of service. The only parameter is "unload_dependents", which changes nothing: no model here
// depends on another.
func (r Repository) Unload(ctx context.Context, name string, parameters map[string]any) error {
	if err := r.present(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		if _, ok := parameters[key].(bool); key != "unload_dependents" || !ok {
			return fairlead.Invalid("parameter %.80q of an unload is not known or not true or false", key).
				Hintf(`there is only "unload_dependents"`)
		}
	}
	return r.From.Unload(ctx, name)
}

// Unsupported is the error of an extension that this server does not have.
func Unsupported(what string) error {
	err := fairlead.Errorf(fairlead.CodeUnsupported, "%s is not supported", what)
	switch what {
	case SharedMemory:
		return err.Hintf("send and take the values in the messages; the binary form costs little more")
	case Tracing:
		return err.Hintf("tracing is set when the server starts")
	case Logging:
		return err.Hintf("what is logged is set when the server starts")
	}
	return err.Hintf("send inference requests; each has one answer")
}

// What Unsupported knows more about.
const (
	SharedMemory = "shared memory"
	Tracing      = "setting traces over this protocol"
	Logging      = "setting the log over this protocol"
)
