package api

import (
	"encoding/json"
	"time"
)

// Rollout is one rollout, experiment or bandit of a deployment: GET /api/v1/deployments/{d}/rollout gives the latest,
// /rollouts all that are remembered, newest first.
type Rollout struct {
	ID         string          `json:"id"`
	Deployment string          `json:"deployment"`
	Model      string          `json:"model"`
	Kind       string          `json:"kind" enum:"rollout,experiment,bandit"`
	From       int             `json:"from" doc:"the live version when it began, to which a rollback goes"`
	To         int             `json:"to" doc:"the version that is to go live; 0 for experiments and bandits"`
	Phase      string          `json:"phase" enum:"waiting,running,baking,completed,rolled_back,ended"`
	Stage      string          `json:"stage" doc:"where it stands: shadow, 5%, bake, or the phase"`
	Stages     []string        `json:"stages,omitempty" doc:"of the policy, in order"`
	Shadow     bool            `json:"shadow" doc:"the new version answers copies of the requests"`
	Canary     float64         `json:"canary" doc:"share of the requests that the new version answers, 0 to 1"`
	Arms       []RolloutArm    `json:"arms,omitempty" doc:"of an experiment or bandit"`
	Started    time.Time       `json:"started"`
	StartedBy  string          `json:"started_by,omitempty"`
	Why        string          `json:"why,omitempty"`
	Entered    time.Time       `json:"entered,omitzero" doc:"when the stage began"`
	Ended      time.Time       `json:"ended,omitzero"`
	Paused     bool            `json:"paused"`
	Waiting    string          `json:"waiting,omitempty" doc:"what stands in the way of the next stage, machine-readable"`
	Says       string          `json:"says" doc:"what it waits for now, else the latest decision, in a sentence"`
	Decisions  int             `json:"decisions" doc:"made so far"`
	Requests   RolloutRequests `json:"requests" doc:"since the stage, or the server, began"`
	Policy     json.RawMessage `json:"policy,omitempty" doc:"with every default filled in"`
}

// RolloutArm is one version of an experiment or bandit and the share of requests that it gets.
type RolloutArm struct {
	Version int     `json:"version"`
	Share   float64 `json:"share"`
}

// RolloutRequests counts what the versions answered in this stage.
type RolloutRequests struct {
	Live   uint64 `json:"live"`
	Canary uint64 `json:"canary"`
	Pairs  uint64 `json:"pairs" doc:"copies that the new version answered and that were compared"`
}

// RolloutStart is the body of POST /api/v1/deployments/{d}/rollout.
type RolloutStart struct {
	Version string `json:"version" minLength:"1" doc:"the version to roll out: ordinal, alias or digest; for an experiment the policy names them, write live"`
	Policy  string `json:"policy,omitempty" maxLength:"1048576" doc:"YAML or JSON; absent: the deployment's own, else the default"`
	Force   bool   `json:"force,omitempty" doc:"also when clients of the live version break"`
	By      string `json:"by,omitempty" maxLength:"200" doc:"who"`
	Why     string `json:"why,omitempty" maxLength:"2000"`
}

// RolloutCommand is the body of POST /api/v1/deployments/{d}/rollout/{do}.
type RolloutCommand struct {
	By  string `json:"by,omitempty" maxLength:"200" doc:"who"`
	Why string `json:"why,omitempty" maxLength:"2000"`
}

// RolloutExplanation answers GET /api/v1/deployments/{d}/rollout/explain?id=: every decision with its numbers, and what
// the gates say now.
type RolloutExplanation struct {
	Rollout
	History []RolloutDecision `json:"history" doc:"oldest first"`
	Now     []RolloutEvidence `json:"now" doc:"what the gates say at this moment; empty when it is over"`
	Text    string            `json:"text" doc:"the same for people"`
}

// RolloutDecision is one entry of a rollout's history.
type RolloutDecision struct {
	Sequence int               `json:"sequence" doc:"from 1, without gaps"`
	Time     time.Time         `json:"time"`
	Action   string            `json:"action" enum:"start,enter,promote,complete,rollback,hold,continue,pause,resume,approve,report,weights,end"`
	Reason   string            `json:"reason" doc:"machine-readable"`
	Stage    string            `json:"stage" doc:"that it was made in"`
	Next     string            `json:"next,omitempty" doc:"the stage that it entered"`
	Text     string            `json:"text"`
	Actor    string            `json:"actor" doc:"fairlead, or the person"`
	Why      string            `json:"why,omitempty" doc:"the person's words"`
	Evidence []RolloutEvidence `json:"evidence,omitempty"`
}

// RolloutEvidence is one gate's numbers at one look.
type RolloutEvidence struct {
	Gate       string      `json:"gate"`
	Segment    string      `json:"segment,omitempty"`
	Finding    string      `json:"finding" enum:"harm,non_inferior,open,no_data"`
	Required   bool        `json:"required" doc:"the next stage waits until this gate has shown that the new version is not worse"`
	Mode       string      `json:"mode" enum:"abort,hold,report,off"`
	Unit       string      `json:"unit"`
	Live       RolloutSide `json:"live"`
	Canary     RolloutSide `json:"canary"`
	Difference float64     `json:"difference" doc:"canary minus live, or the distance"`
	Lower      float64     `json:"lower" doc:"of the interval that stays valid however often one looks"`
	Upper      float64     `json:"upper"`
	Margin     float64     `json:"margin" doc:"not worse when upper is below it"`
	Tolerance  float64     `json:"tolerance" doc:"harm is more than this"`
	LogE       float64     `json:"log_e" doc:"natural logarithm of the evidence of harm"`
	Threshold  float64     `json:"threshold" doc:"harm is shown when log_e reaches it"`
	Alpha      float64     `json:"alpha" doc:"this gate's part of the probability of a false alarm"`
}

// RolloutSide is one version's numbers in a gate.
type RolloutSide struct {
	N      float64 `json:"n"`
	Events float64 `json:"events,omitempty"`
	Value  float64 `json:"value"`
}

// RolloutPlan answers POST /api/v1/deployments/{d}/rollout/plan: what a policy means at this traffic.
type RolloutPlan struct {
	Deployment string          `json:"deployment"`
	Traffic    RolloutTraffic  `json:"traffic" doc:"what was assumed"`
	Plan       json.RawMessage `json:"plan" doc:"per stage: expected times and probabilities"`
	Text       string          `json:"text" doc:"the same for people"`
}

// RolloutTraffic is what a plan assumes of the live version. In a request, zero values are measured.
type RolloutTraffic struct {
	RequestsPerSecond float64 `json:"requests_per_second,omitempty" minimum:"0"`
	ErrorRate         float64 `json:"error_rate,omitempty" minimum:"0" maximum:"1"`
}

// RolloutPlanRequest is the body of POST /api/v1/deployments/{d}/rollout/plan.
type RolloutPlanRequest struct {
	Policy  string         `json:"policy,omitempty" maxLength:"1048576" doc:"YAML or JSON; absent: the deployment's own, else the default"`
	Traffic RolloutTraffic `json:"traffic,omitempty"`
}

// DeploymentRollout is where a deployment's rollout stands; absent when none is under way.
type DeploymentRollout struct {
	ID     string  `json:"id"`
	To     int     `json:"to"`
	Phase  string  `json:"phase"`
	Stage  string  `json:"stage"`
	Canary float64 `json:"canary"`
}

// DeploymentRequest is the body of PUT /api/v1/deployments/{d}: what is to run under a name.
type DeploymentRequest struct {
	Model   string `json:"model,omitempty" doc:"absent: the deployment's name"`
	Version string `json:"version,omitempty" doc:"ordinal, alias or digest; absent: as it is"`
	Policy  string `json:"policy,omitempty" maxLength:"1048576" doc:"of its rollouts, YAML or JSON; absent: as it is; default: the default"`
	Rollout bool   `json:"rollout,omitempty" doc:"a new version goes live by a rollout; false: at once"`
	Force   bool   `json:"force,omitempty" doc:"also when clients of the live version break"`
	DryRun  bool   `json:"dry_run,omitempty" doc:"say what would change and change nothing"`
	By      string `json:"by,omitempty" maxLength:"200" doc:"who"`
}

// DeploymentAnswer answers PUT /api/v1/deployments/{d}.
type DeploymentAnswer struct {
	Deployment string             `json:"deployment"`
	Changes    []DeploymentChange `json:"changes" doc:"empty: it is as asked"`
	Applied    bool               `json:"applied"`
}

// DeploymentChange is one difference between what runs and what was asked for.
type DeploymentChange struct {
	Field string `json:"field" enum:"deployment,version,policy"`
	From  string `json:"from"`
	To    string `json:"to"`
	How   string `json:"how,omitempty" doc:"for people: at once, or by a rollout"`
}
