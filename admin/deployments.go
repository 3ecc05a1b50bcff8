package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// ByName is the path parameter that most operations share; huma reads only exported embedded structs.
type ByName struct {
	Name string `path:"name" doc:"name of the deployment"`
}

func (s *server) registerDeployments(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "deployments", Method: http.MethodGet, Path: "/api/v1/deployments", Tags: []string{"deployments"},
		Summary: "What runs, with its live rate and latency",
	}, func(ctx context.Context, _ *struct{}) (*reply[[]api.Deployment], error) {
		return replied(s.Deployments.Deployments(ctx))
	})
	huma.Register(a, huma.Operation{
		OperationID: "deployment", Method: http.MethodGet, Path: "/api/v1/deployments/{name}", Tags: []string{"deployments"},
		Summary: "One deployment",
	}, func(ctx context.Context, in *ByName) (*reply[api.Deployment], error) {
		return replied(s.deployment(ctx, in.Name))
	})
	huma.Register(a, huma.Operation{
		OperationID: "apply-deployment", Method: http.MethodPut, Path: "/api/v1/deployments/{name}", Tags: []string{"deployments"},
		Summary: "Make a deployment what the body says",
		Description: "What the body leaves out stays as it is. A version goes live at once, or with rollout by a rollout. " +
			"With dry_run nothing changes, and the answer says what would.",
	}, func(ctx context.Context, in *struct {
		ByName
		Body api.DeploymentRequest
	}) (*reply[api.DeploymentAnswer], error) {
		name, err := fairlead.ParseName(in.Name)
		if err != nil {
			return nil, toStatus(err)
		}
		return replied(s.Desired.Apply(ctx, name, in.Body))
	})
	huma.Register(a, huma.Operation{
		OperationID: "rollback", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/rollback", Tags: []string{"deployments"},
		Summary:     "Put the version that was live before back, at once",
		Description: "While a rollout is under way this aborts it: the version that was live when it began answers everything.",
	}, func(ctx context.Context, in *ByName) (*reply[api.RollbackAnswer], error) {
		name, err := s.known(in.Name)
		if err != nil {
			return nil, toStatus(err)
		}
		return replied(s.Deployments.Rollback(ctx, name))
	})
	huma.Register(a, huma.Operation{
		OperationID: "annotate", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/annotations", Tags: []string{"deployments"},
		Summary: "Mark a span of event time",
	}, func(ctx context.Context, in *struct {
		ByName
		Body api.Annotation
	}) (*reply[api.Annotation], error) {
		name, err := s.known(in.Name)
		if err != nil {
			return nil, toStatus(err)
		}
		if !in.Body.End.After(in.Body.Start) {
			return nil, toStatus(fairlead.Invalid("end %s is not after start %s", stamp(in.Body.End), stamp(in.Body.Start)))
		}
		return replied(s.Deployments.Annotate(ctx, name, in.Body))
	})
}

// known checks that there is such a deployment; the error lists what there is.
func (s *server) known(name string) (fairlead.Name, error) {
	names := s.Names()
	if !slices.Contains(names, fairlead.Name(name)) {
		return "", unknown("deployment", name, names, func(n fairlead.Name) string { return string(n) })
	}
	return fairlead.Name(name), nil
}

func (s *server) deployment(ctx context.Context, name string) (api.Deployment, error) {
	all, err := s.Deployments.Deployments(ctx)
	if err != nil {
		return api.Deployment{}, err
	}
	i := slices.IndexFunc(all, func(d api.Deployment) bool { return d.Name == name })
	if i < 0 {
		_, err := s.known(name)
		return api.Deployment{}, err
	}
	return all[i], nil
}
