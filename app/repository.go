package app

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve"
)

// repository implements serve.Repository: what clients of the Open Inference Protocol may do to the models.
type repository struct {
	deployer *deployer
	// push makes a new version of a bare .onnx file and puts it live.
	push func(ctx context.Context, name fairlead.Name, onnx []byte) error
}

// newRepository is the repository of a server.
func newRepository(a *App) *repository {
	return &repository{deployer: a.deployer, push: func(ctx context.Context, name fairlead.Name, onnx []byte) error {
		_, err := a.Push(ctx, name, false, onnx, api.PushOptions{Force: true}) // the protocol has no word for it
		return err
	}}
}

// Index implements serve.Repository: every version of every deployment's model.
func (r *repository) Index(ctx context.Context) ([]serve.ModelState, error) {
	var index []serve.ModelState
	for _, dep := range r.deployer.list() {
		model, err := r.deployer.registry.Model(ctx, dep.Model)
		if err != nil {
			return nil, err
		}
		for i := len(model.Versions) - 1; i >= 0; i-- {
			if !model.Versions[i].Kept() {
				continue
			}
			v := model.Versions[i].Version
			state := serve.ModelState{Name: string(dep.Name), Version: v.String()}
			state.State, state.Reason = r.deployer.state(&dep, v)
			index = append(index, state)
		}
	}
	return index, nil
}

// state is how a version stands, in the protocol's words.
func (d *deployer) state(dep *deployment, v fairlead.Version) (state, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := versionKey{dep.Name, v}
	known := d.versions[key]
	switch {
	case known != nil && known.target != nil:
		return serve.StateReady, ""
	case d.loading[key]:
		return serve.StateLoading, ""
	case dep.Unloaded:
		return serve.StateUnavailable, "unloaded"
	case v == dep.Live && dep.failed != nil:
		return serve.StateUnavailable, dep.failed.Error()
	}
	return serve.StateUnavailable, "not loaded: the live version and the one before it are"
}

// Load implements serve.Repository. With files it is a push of a new version.
func (r *repository) Load(ctx context.Context, name string, o serve.LoadOptions) error {
	model, err := fairlead.ParseName(name)
	if err != nil {
		return err
	}
	config, err := parseOverride(model, o.Config)
	if err != nil {
		return err
	}
	if len(o.Files) > 0 {
		onnx, err := modelFile(o.Files)
		if err != nil {
			return err
		}
		if err := r.push(ctx, model, onnx); err != nil || config == nil {
			return err
		}
	}
	return r.deployer.loadAgain(ctx, model, config)
}

// modelFile is the one model among the files of a load.
func modelFile(files map[string][]byte) ([]byte, error) {
	var found string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case !strings.EqualFold(path.Ext(name), ".onnx"):
			return nil, fairlead.Errorf(fairlead.CodeUnsupported, "the file %q cannot be loaded", name).
				Hintf("a load takes one .onnx file, for example file:1/model.onnx; a bundle with more is pushed: fairlead push FOLDER")
		case found != "":
			return nil, fairlead.Invalid("the files %q and %q are both models", found, name).
				Hintf("a load makes one new version: send one .onnx file")
		}
		found = name
	}
	return files[found], nil
}

// Unload implements serve.Repository.
func (r *repository) Unload(ctx context.Context, name string) error {
	return r.deployer.unload(ctx, fairlead.Name(name))
}
