package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Pipelines are the deployments made of several steps.
type Pipelines interface {
	// Pipelines lists them by name.
	Pipelines(ctx context.Context) ([]api.Pipeline, error)
	// PushPipeline loads and checks the tar of a pipeline's folder and puts it live; with check it stops before that.
	PushPipeline(ctx context.Context, tar []byte, check bool) (api.PipelinePush, error)
	// DeletePipeline takes one out of service and forgets it; the answer is what it was.
	DeletePipeline(ctx context.Context, name fairlead.Name) (api.Pipeline, error)
}

func (s *server) registerPipelines(a huma.API) {
	const path = "/api/v1/pipelines"
	huma.Register(a, huma.Operation{
		OperationID: "pipelines", Method: http.MethodGet, Path: path, Tags: []string{"pipelines"},
		Summary: "Pipelines, their steps, and what happened to each",
	}, func(ctx context.Context, _ *struct{}) (*reply[[]api.Pipeline], error) {
		return replied(s.Pipelines.Pipelines(ctx))
	})
	huma.Register(a, huma.Operation{
		OperationID: "pipeline", Method: http.MethodGet, Path: path + "/{name}", Tags: []string{"pipelines"},
		Summary: "One pipeline",
	}, func(ctx context.Context, in *ByName) (*reply[api.Pipeline], error) {
		return replied(s.pipeline(ctx, in.Name))
	})
	type push struct {
		Check   bool   `query:"check" doc:"only load and check it: nothing is stored or put live"`
		RawBody []byte `contentType:"application/x-tar" required:"true"`
	}
	huma.Register(a, huma.Operation{
		OperationID: "push-pipeline", Method: http.MethodPost, Path: path, Tags: []string{"pipelines"},
		Summary:      "Push a pipeline and put it live",
		Description:  "The body is a tar of its folder: pipeline.yaml and the files it names. The name is the file's.",
		MaxBodyBytes: s.MaxUpload, BodyReadTimeout: -1,
	}, func(ctx context.Context, in *push) (*reply[api.PipelinePush], error) {
		return replied(s.Pipelines.PushPipeline(ctx, in.RawBody, in.Check))
	})
	huma.Register(a, huma.Operation{
		OperationID: "delete-pipeline", Method: http.MethodDelete, Path: path + "/{name}", Tags: []string{"pipelines"},
		Summary: "Take a pipeline out of service and forget it", Description: "What it was is the answer. The models of its steps stay.",
	}, func(ctx context.Context, in *ByName) (*reply[api.Pipeline], error) {
		return replied(s.Pipelines.DeletePipeline(ctx, fairlead.Name(in.Name)))
	})
}

func (s *server) pipeline(ctx context.Context, name string) (api.Pipeline, error) {
	all, err := s.Pipelines.Pipelines(ctx)
	if err != nil {
		return api.Pipeline{}, err
	}
	i := slices.IndexFunc(all, func(p api.Pipeline) bool { return p.Name == name })
	if i < 0 {
		e := fairlead.NotFound("there is no pipeline %q", name).Hintf("there is none; push one with: fairlead pipeline push FOLDER")
		if len(all) > 0 {
			return api.Pipeline{}, unknown("pipeline", name, all, func(p api.Pipeline) string { return p.Name })
		}
		return api.Pipeline{}, e
	}
	return all[i], nil
}
