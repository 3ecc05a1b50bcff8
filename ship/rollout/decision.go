package rollout

import "time"

// Action is what the controller has to do, or note, after a decision.
type Action string

// Actions. Enter, Promote, Complete and RollBack change the traffic: route to State.Traffic after the state is stored.
const (
	ActStart    Action = "start"    // the rollout exists; the first stage may still wait for a person or a freeze window
	ActEnter    Action = "enter"    // a stage begins
	ActPromote  Action = "promote"  // the canary gets all traffic; the old version stays warm
	ActComplete Action = "complete" // the bake is over; the old version may be unloaded
	ActRollBack Action = "rollback" // all traffic to the old version, at once
	ActHold     Action = "hold"     // something stands in the way of the next stage; said once
	ActPause    Action = "pause"    // by hand: nothing is promoted until resume; harm still rolls back
	ActResume   Action = "resume"
	ActApprove  Action = "approve"
	ActReport   Action = "report"  // worth knowing, nothing to do
	ActWeights  Action = "weights" // experiment or bandit: route to State.Arms
	ActEnd      Action = "end"     // an experiment or bandit is over
)

// Reasons, machine-readable. A gate's harm has the reason "harm_" and the gate's name, for example "harm_errors".
const (
	ReasonStarted     = "started"
	ReasonEvidence    = "evidence_complete"
	ReasonWaiting     = "too_few_requests" // too little traffic for any verdict
	ReasonTime        = "too_early"        // the stage's least time is not over; not said
	ReasonGathering   = "not_shown_yet"    // enough requests, but a required gate has not concluded
	ReasonFrozen      = "freeze_window"
	ReasonApproval    = "approval_needed"
	ReasonApproved    = "approved"
	ReasonUndecided   = "undecided" // the stage's longest time is over
	ReasonRatio       = "sample_ratio_mismatch"
	ReasonHarm        = "harm_"
	ReasonBroken      = "canary_unavailable"
	ReasonByHand      = "by_hand"
	ReasonBaked       = "baked"
	ReasonResumed     = "resumed"
	ReasonRestarted   = "counting_restarted"
	ReasonMoreTraffic = "posterior"
	ReasonTimeOver    = "time_over"
)

// Actor of what the machine decides by itself.
const ActorSelf = "fairlead"

// Decision is one entry of the rollout's history: what, why, and every number behind it.
type Decision struct {
	Sequence int        `json:"sequence"` // from 1 in a rollout, without gaps
	Time     time.Time  `json:"time"`
	Action   Action     `json:"action"`
	Reason   string     `json:"reason"`
	Stage    string     `json:"stage"`          // the stage it was made in: "shadow", "5%", "bake"
	Next     string     `json:"next,omitempty"` // the stage entered, if any
	Text     string     `json:"text"`           // one English sentence
	Evidence []Evidence `json:"evidence,omitempty"`
	Actor    string     `json:"actor"`         // ActorSelf or the person
	Why      string     `json:"why,omitempty"` // the person's words
}

// Finding is what a gate can say.
type Finding string

// Findings of a gate.
const (
	Harm        Finding = "harm"         // worse than tolerated
	NonInferior Finding = "non_inferior" // not worse than the margin
	Open        Finding = "open"         // not enough data
	NoData      Finding = "no_data"      // nothing to compare: no scores, no labels, no latency
)

// Evidence is one gate's numbers at one look.
type Evidence struct {
	Gate       string  `json:"gate"`
	Segment    string  `json:"segment,omitempty"`
	Finding    Finding `json:"finding"`
	Required   bool    `json:"required,omitempty"`
	Mode       Mode    `json:"mode"`
	Better     Better  `json:"better,omitempty"` // metrics: which direction is good; Lower for the others
	Unit       string  `json:"unit"`             // "rate", "seconds", "distance", "mean"
	Live       Side    `json:"live,omitzero"`    // zero where the gate has one arm only (shadow flips)
	Canary     Side    `json:"canary,omitzero"`
	Difference float64 `json:"difference"` // canary minus live; for a distance the distance itself
	Lower      float64 `json:"lower"`      // always-valid bounds of Difference
	Upper      float64 `json:"upper"`
	Margin     float64 `json:"margin"`    // what Upper has to stay below in this stage
	Tolerance  float64 `json:"tolerance"` // what Difference has to exceed to be harm
	LogE       float64 `json:"log_e"`     // natural logarithm of the evidence against "not worse"
	Threshold  float64 `json:"threshold"` // harm when LogE reaches it: ln(1/Alpha)
	Alpha      float64 `json:"alpha"`     // this gate's part of the budget in this stage
	// Span is set where the counts are those of the bake's present window, as old as this; 0: of the whole stage.
	Span Duration `json:"span,omitempty"`
}

// Side is one arm's numbers in a gate.
type Side struct {
	N      float64 `json:"n"`                // requests, pairs or outcomes
	Events float64 `json:"events,omitempty"` // of N, where the gate counts
	Value  float64 `json:"value"`            // rate, quantile or mean
}
