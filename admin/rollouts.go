package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Rollouts is what may be done to a rollout.
type Rollouts interface {
	// StartRollout begins to put a version live step by step.
	StartRollout(ctx context.Context, name fairlead.Name, in api.RolloutStart) (api.Rollout, error)
	// CommandRollout does what a person asks for: pause, resume, approve, promote or abort.
	CommandRollout(ctx context.Context, name fairlead.Name, do string, in api.RolloutCommand) (api.Rollout, error)
	// PlanRollout says what a policy means at the deployment's traffic.
	PlanRollout(ctx context.Context, name fairlead.Name, in api.RolloutPlanRequest) (api.RolloutPlan, error)
}

// RolloutHistory is what is known of rollouts.
type RolloutHistory interface {
	// Rollout is the latest one of a deployment.
	Rollout(ctx context.Context, name fairlead.Name) (api.Rollout, error)
	// Rollouts lists all that are remembered, newest first.
	Rollouts(ctx context.Context, name fairlead.Name) ([]api.Rollout, error)
	// Explain gives every decision with its numbers, of the latest one for an empty id.
	Explain(ctx context.Context, name fairlead.Name, id string) (api.RolloutExplanation, error)
}

// rolloutCommands are the last part of a command's path, and what it does.
var rolloutCommands = []struct{ do, summary string }{
	{"pause", "Promote nothing until it is resumed; harm still rolls back"},
	{"resume", "Go on after a pause"},
	{"approve", "Allow the next stage that waits for a person"},
	{"promote", "Enter the next stage now, whatever the evidence says"},
	{"abort", "Roll back: the version that was live before gets all requests, at once"},
}

func (s *server) registerRollouts(a huma.API) {
	const path = "/api/v1/deployments/{name}/rollout"
	huma.Register(a, huma.Operation{
		OperationID: "rollout", Method: http.MethodGet, Path: path, Tags: []string{"rollouts"},
		Summary: "Where the latest rollout stands",
	}, named(s, func(ctx context.Context, name fairlead.Name, _ *ByName) (api.Rollout, error) {
		return s.History.Rollout(ctx, name)
	}))
	huma.Register(a, huma.Operation{
		OperationID: "rollouts", Method: http.MethodGet, Path: path + "s", Tags: []string{"rollouts"},
		Summary: "Rollouts of a deployment, newest first",
	}, named(s, func(ctx context.Context, name fairlead.Name, _ *ByName) ([]api.Rollout, error) {
		return s.History.Rollouts(ctx, name)
	}))
	type explain struct {
		ByName
		ID string `query:"id" doc:"of a rollout; absent: the latest"`
	}
	huma.Register(a, huma.Operation{
		OperationID: "explain-rollout", Method: http.MethodGet, Path: path + "/explain", Tags: []string{"rollouts"},
		Summary: "Every decision of a rollout with its numbers, and what the gates say now",
	}, named(s, func(ctx context.Context, name fairlead.Name, in *explain) (api.RolloutExplanation, error) {
		return s.History.Explain(ctx, name, in.ID)
	}))
	type start struct {
		ByName
		Body api.RolloutStart
	}
	huma.Register(a, huma.Operation{
		OperationID: "start-rollout", Method: http.MethodPost, Path: path, Tags: []string{"rollouts"},
		Summary:     "Put a version live step by step",
		Description: "The version is loaded before the answer comes. Its stages, gates and times are the policy's.",
	}, named(s, func(ctx context.Context, name fairlead.Name, in *start) (api.Rollout, error) {
		return s.Rollouts.StartRollout(ctx, name, in.Body)
	}))
	type plan struct {
		ByName
		Body api.RolloutPlanRequest
	}
	huma.Register(a, huma.Operation{
		OperationID: "plan-rollout", Method: http.MethodPost, Path: path + "/plan", Tags: []string{"rollouts"},
		Summary: "What a policy means at this traffic: times to promote and to notice harm, probability of a false alarm",
	}, named(s, func(ctx context.Context, name fairlead.Name, in *plan) (api.RolloutPlan, error) {
		return s.Rollouts.PlanRollout(ctx, name, in.Body)
	}))
	type command struct {
		ByName
		Body api.RolloutCommand
	}
	for _, c := range rolloutCommands {
		huma.Register(a, huma.Operation{
			OperationID: c.do + "-rollout", Method: http.MethodPost, Path: path + "/" + c.do, Tags: []string{"rollouts"},
			Summary: c.summary,
		}, named(s, func(ctx context.Context, name fairlead.Name, in *command) (api.Rollout, error) {
			return s.Rollouts.CommandRollout(ctx, name, c.do, in.Body)
		}))
	}
}

// inputOf is an operation's input that names a deployment.
type inputOf interface{ deployment() string }

func (n *ByName) deployment() string { return n.Name }

// named makes a handler of f, which is called for deployments that exist.
func named[I any, O any, P interface {
	*I
	inputOf
}](s *server, f func(context.Context, fairlead.Name, P) (O, error)) func(context.Context, P) (*reply[O], error) {
	return func(ctx context.Context, in P) (*reply[O], error) {
		name, err := s.known(in.deployment())
		if err != nil {
			return nil, toStatus(err)
		}
		return replied(f(ctx, name, in))
	}
}
