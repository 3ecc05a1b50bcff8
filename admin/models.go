package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

type pushInput struct {
	Name          string   `path:"name" doc:"name of the model"`
	Alias         string   `query:"alias" doc:"alias to point at the new version, for example champion"`
	Force         bool     `query:"force" doc:"also where the signature breaks the clients of the live version"`
	By            string   `query:"by" doc:"who, for the history of aliases"`
	TrainedOn     []string `query:"trained_on,explode" doc:"lineage: data sets, as people name them"`
	QuantizedFrom string   `query:"quantized_from" doc:"lineage: a version such as flights@3 or flights:champion"`
	DistilledFrom string   `query:"distilled_from" doc:"lineage: a version"`
	Rollout       bool     `query:"rollout" doc:"it goes live by a rollout, not at once; a first version goes live at once"`
	Policy        string   `query:"policy" doc:"of that rollout, YAML or JSON; absent: the deployment's own, else the default"`
	Test          bool     `query:"test" doc:"store it only if it passes the tests in its bundle, else 409 with those that failed"`
	ContentType   string   `header:"Content-Type"`
	RawBody       []byte   `contentType:"application/octet-stream" required:"true"`
}

func (s *server) registerModels(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "models", Method: http.MethodGet, Path: "/api/v1/models", Tags: []string{"models"},
		Summary: "Models and their versions",
	}, func(ctx context.Context, _ *struct{}) (*reply[[]api.Model], error) {
		return replied(s.Models.Models(ctx))
	})
	huma.Register(a, huma.Operation{
		OperationID: "model", Method: http.MethodGet, Path: "/api/v1/models/{name}", Tags: []string{"models"},
		Summary: "One model",
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
	}) (*reply[api.Model], error) {
		return replied(s.model(ctx, in.Name))
	})
	huma.Register(a, huma.Operation{
		OperationID: "example", Method: http.MethodGet, Path: "/api/v1/models/{name}/versions/{version}/example", Tags: []string{"models"},
		Summary: "A request that this version answers", Description: "A real row of its reference data where there is one. The version is a number or an alias.",
	}, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		Version string `path:"version"`
	}) (*reply[api.ModelExample], error) {
		return replied(s.Models.Example(ctx, in.Name, in.Version))
	})
	huma.Register(a, huma.Operation{
		OperationID: "push", Method: http.MethodPost, Path: "/api/v1/models/{name}/versions", Tags: []string{"models"},
		Summary: "Push a version",
		Description: "The body is an .onnx file (application/octet-stream) or a tar of a bundle folder (application/x-tar). The version goes live under the model's name. " +
			"One whose signature breaks the clients of the version that is live, or that the alias points at, is refused with 409 unless force is set.",
		// A model is large and comes over slow links: bounded by size, not by huma's five seconds.
		MaxBodyBytes: s.MaxUpload, BodyReadTimeout: -1,
	}, func(ctx context.Context, in *pushInput) (*reply[api.PushAnswer], error) {
		name, err := fairlead.ParseName(in.Name)
		if err != nil {
			return nil, toStatus(err)
		}
		tar := strings.Contains(in.ContentType, "tar")
		return replied(s.Models.Push(ctx, name, tar, in.RawBody, api.PushOptions{
			Alias: in.Alias, Force: in.Force, By: in.By,
			TrainedOn: in.TrainedOn, QuantizedFrom: in.QuantizedFrom, DistilledFrom: in.DistilledFrom, Rollout: in.Rollout, Policy: in.Policy, Test: in.Test,
		}))
	})
}

func (s *server) model(ctx context.Context, name string) (api.Model, error) {
	models, err := s.Models.Models(ctx)
	if err != nil {
		return api.Model{}, err
	}
	i := slices.IndexFunc(models, func(m api.Model) bool { return m.Name == name })
	if i < 0 {
		return api.Model{}, unknown("model", name, models, func(m api.Model) string { return m.Name })
	}
	return models[i], nil
}

// unknown is a not-found error that lists what is there.
func unknown[T any](noun, name string, have []T, nameOf func(T) string) error {
	e := fairlead.NotFound("there is no %s %q", noun, name)
	if len(have) == 0 {
		return e.Hintf("there is none at all yet: `fairlead push model.onnx --name %s`", name)
	}
	names := make([]string, 0, len(have))
	for _, h := range have {
		names = append(names, nameOf(h))
	}
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return e.Hintf("there are: %s", strings.Join(names, ", "))
}
