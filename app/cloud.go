package app

import (
	"context"
	"net/http"
	"os"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/cloud"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// DetectCloud finds out whether the process runs as a serving container of a cloud, and takes over what that expects:
// the address, unless one was given by name, and how long a stop may take. wanted is "auto", "none", a platform's name,
// or "" for what FAIRLEAD_CLOUD says. why tells what it went by, for the log; "" where there is no cloud.
func (c *Config) DetectCloud(wanted string, args []string, addressGiven bool) (why string, err error) {
	contract, found, err := cloud.Detect(wanted, cloud.Surroundings{Env: os.Getenv, Args: args, Exists: func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}})
	if err != nil || !found {
		return "", err
	}
	c.cloud = &contract
	if !addressGiven {
		c.HTTP = contract.Address
	}
	c.StopWithin = min(c.StopWithin, contract.StopWithin)
	return string(contract.Platform) + ": " + contract.Why, nil
}

// clouded puts the paths of the cloud's contract in front of next.
func (a *App) clouded(inference, next http.Handler) http.Handler {
	if a.config.cloud == nil {
		return next
	}
	return cloud.New(*a.config.cloud, cloud.Options{
		Inference: inference, Next: next, Ready: a.readiness, MaxBody: a.config.MaxBody, Loader: pathLoader{a}, Log: a.log,
		Model: func() string {
			if name := a.defaultModel.Load(); name != nil {
				return *name
			}
			return ""
		},
	})
}

// startCloud pushes the model that the platform laid beside the container. A server without it would answer nothing.
func (a *App) startCloud(ctx context.Context) error {
	if a.config.cloud == nil {
		return nil
	}
	name, err := a.config.cloud.Load(ctx, pathLoader{a})
	if err == nil {
		a.defaultModel.Store(&name)
	}
	return err
}

// pathLoader implements cloud.Loader: it pushes what lies in a folder.
type pathLoader struct{ app *App }

// LoadPath pushes an .onnx file or a bundle folder.
func (l pathLoader) LoadPath(ctx context.Context, name, path string) error {
	model, err := fairlead.ParseName(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return fairlead.NotFound("there is nothing to load at %s", path).Cause(err)
	}
	var body []byte
	if info.IsDir() {
		body, err = bundle.Tar(os.DirFS(path))
	} else {
		body, err = os.ReadFile(path)
	}
	if err != nil {
		return err
	}
	_, err = l.app.Push(ctx, model, info.IsDir(), body, api.PushOptions{Force: true}) // the contract has no word for it
	return err
}

// Unload takes a model out of memory.
func (l pathLoader) Unload(ctx context.Context, name string) error {
	return newRepository(l.app).Unload(ctx, name)
}
