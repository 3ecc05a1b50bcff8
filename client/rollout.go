package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/fairlead-ml/fairlead/api"
)

// StartRollout begins to put a version live step by step. It returns when the version is loaded.
func (c *Client) StartRollout(ctx context.Context, deployment string, in api.RolloutStart) (api.Rollout, error) {
	return post[api.Rollout](ctx, c, rolloutPath(deployment), in)
}

// Rollout is the latest rollout of a deployment.
func (c *Client) Rollout(ctx context.Context, deployment string) (api.Rollout, error) {
	return get[api.Rollout](ctx, c, rolloutPath(deployment), nil)
}

// Rollouts lists the rollouts of a deployment, newest first.
func (c *Client) Rollouts(ctx context.Context, deployment string) ([]api.Rollout, error) {
	return get[[]api.Rollout](ctx, c, rolloutPath(deployment)+"s", nil)
}

// ExplainRollout gives every decision with its numbers, of the latest rollout for an empty id.
func (c *Client) ExplainRollout(ctx context.Context, deployment, id string) (api.RolloutExplanation, error) {
	q := url.Values{}
	if id != "" {
		q.Set("id", id)
	}
	return get[api.RolloutExplanation](ctx, c, rolloutPath(deployment)+"/explain", q)
}

// CommandRollout tells the rollout under way to pause, resume, approve, promote or abort.
func (c *Client) CommandRollout(ctx context.Context, deployment, do string, in api.RolloutCommand) (api.Rollout, error) {
	return post[api.Rollout](ctx, c, rolloutPath(deployment)+"/"+url.PathEscape(do), in)
}

// PlanRollout says what a policy means at the deployment's traffic.
func (c *Client) PlanRollout(ctx context.Context, deployment string, in api.RolloutPlanRequest) (api.RolloutPlan, error) {
	return post[api.RolloutPlan](ctx, c, rolloutPath(deployment)+"/plan", in)
}

// ApplyDeployment makes a deployment what in says, or with DryRun says what would change.
func (c *Client) ApplyDeployment(ctx context.Context, deployment string, in api.DeploymentRequest) (api.DeploymentAnswer, error) {
	var out api.DeploymentAnswer
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, http.MethodPut, "/api/v1/deployments/"+url.PathEscape(deployment), nil, "application/json", bytes.NewReader(body), &out)
	return out, err
}

func rolloutPath(deployment string) string {
	return "/api/v1/deployments/" + url.PathEscape(deployment) + "/rollout"
}
