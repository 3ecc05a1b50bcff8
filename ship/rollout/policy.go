package rollout

import (
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Kind is what a policy does with the two versions.
type Kind string

// Kinds of a policy.
const (
	KindRollout    Kind = "rollout"    // replace live by the canary, stage by stage; the default
	KindExperiment Kind = "experiment" // fixed weights, a report, no promotion
	KindBandit     Kind = "bandit"     // weights follow a business event
)

// Verdict is what happens at the end of a stage's maximum time when a gate could not conclude.
type Verdict string

// What to do when undecided.
const (
	Hold    Verdict = "hold"    // stay, ask a person
	Promote Verdict = "promote" // go on: no harm was shown, but neither was its absence
	Abort   Verdict = "abort"   // roll back
)

// Mode is what harm shown by a gate does.
type Mode string

// Modes of a gate.
const (
	ModeAbort  Mode = "abort"  // roll back at once
	ModeHold   Mode = "hold"   // stay where it is and ask a person
	ModeReport Mode = "report" // say it once, nothing else
	ModeOff    Mode = "off"    // not looked at
)

// Better is the direction in which a metric is good.
type Better string

// Directions.
const (
	Higher Better = "higher"
	Lower  Better = "lower"
)

// Names of the built-in gates.
const (
	GateErrors     = "errors"      // server-side failures per request
	GateInvalid    = "invalid"     // answers that hold NaN or Inf
	GateLatencyP50 = "latency_p50" // latency quantiles
	GateLatencyP95 = "latency_p95"
	GateLatencyP99 = "latency_p99"
	GateDrift      = "drift"    // largest difference between the two distribution functions of the score (Kolmogorov-Smirnov)
	GateSegments   = "segments" // errors and invalid answers in each segment, with control for their number
	// The latency of each segment, to an octave: a version that is slow for some. In shadow, and while both versions answer.
	GateSegmentLatency = "segment_latency"
	// Shadow: difference in each segment.
	GateSegmentDifference = "segment_difference"

	GateFlips      = "flips"      // shadow: share of requests where the answered class differs
	GateDifference = "difference" // shadow: share of rows whose score moved by more than a quarter of the live scores' standard deviation
	GateMismatch   = "mismatch"   // shadow: answers of another shape or type
	GateRatio      = "ratio"      // sample-ratio mismatch: the canary's share of the requests is not its weight
)

// GateNames lists the built-in gates in the order in which they are judged and reported.
func GateNames() []string {
	return []string{
		GateErrors, GateInvalid, GateLatencyP50, GateLatencyP95, GateLatencyP99, GateDrift, GateSegments,
		GateSegmentLatency, GateSegmentDifference, GateFlips, GateDifference, GateMismatch, GateRatio,
	}
}

// Policy is a rollout, an experiment or a bandit as data. Parse reads it, fills in what is not said and checks it; the
// zero Policy is not valid, Default() is.
type Policy struct {
	Kind      Kind            `json:"kind"`
	Stages    []Stage         `json:"stages,omitempty"`
	Bake      Duration        `json:"bake,omitempty"`      // how long the new version is watched at 100 % while the old one stays warm
	Budget    float64         `json:"budget,omitempty"`    // probability that a harmless version is rolled back, over the whole rollout and all gates
	Promotion float64         `json:"promotion,omitempty"` // probability per gate that a version as bad as its margin passes a stage
	Undecided Verdict         `json:"undecided,omitempty"` // for stages that do not say
	Gates     map[string]Gate `json:"gates,omitempty"`     // by name, see GateNames; Parse merges what is said into the defaults
	Metrics   []Metric        `json:"metrics,omitempty"`   // labels and business events
	Zone      string          `json:"zone,omitempty"`      // IANA name, for weekly freeze windows; UTC if empty. The caller loads it into Observation.Zone
	Freeze    []Freeze        `json:"freeze,omitempty"`    // no version gets more traffic within
	Arms      []ArmWeight     `json:"arms,omitempty"`      // KindExperiment, KindBandit
	Bandit    *Bandit         `json:"bandit,omitempty"`    // KindBandit
	Duration  Duration        `json:"duration,omitempty"`  // KindExperiment, KindBandit: end of the report; 0: until somebody ends it
}

// Stage is one step. A stage ends when its evidence is complete: the minimum time has passed, each arm has its minimum
// requests, and each required gate has shown non-inferiority.
type Stage struct {
	Traffic   Share    `json:"traffic"`             // "shadow" (0), "5%", …, "100%"
	Requests  uint64   `json:"requests,omitempty"`  // least requests of the canary (pairs, in shadow)
	Time      Duration `json:"time,omitempty"`      // least time
	Max       Duration `json:"max,omitempty"`       // longest time; then Undecided rules
	Undecided Verdict  `json:"undecided,omitempty"` // Policy.Undecided if empty
	Slack     float64  `json:"slack,omitempty"`     // multiplies the margins that promotion has to show: an early stage rules out a disaster, a late one a nuisance
	Approve   bool     `json:"approve,omitempty"`   // a person approves before this stage is entered
}

// Gate is one guardrail.
type Gate struct {
	Mode     Mode    `json:"mode"`
	Required bool    `json:"required"`           // promotion waits until non-inferiority is shown
	Relative float64 `json:"relative,omitempty"` // tolerated relative increase: 0.25 is a quarter more
	Absolute float64 `json:"absolute,omitempty"` // tolerated absolute increase (a rate, a distance); the larger of the two counts
	Weight   float64 `json:"weight,omitempty"`   // share of the budget, relative to the other gates
}

// Metric is an outcome that arrives later: a label's metric (accuracy, squared error) or a business event. The two arms are
// compared by their means.
type Metric struct {
	Name   string `json:"name"`            // of an Outcome in the Observation
	Better Better `json:"better"`          // which direction is good
	Least  uint64 `json:"least,omitempty"` // outcomes per arm before it is judged
	// Window is for business events: a prediction counts once it is this old, as 0 where no event came. Without it only
	// predictions with an event count.
	Window Duration `json:"window,omitempty"`
	Gate
}

// ArmWeight is a fixed share of the traffic.
type ArmWeight struct {
	Version fairlead.Version `json:"version"`
	Traffic Share            `json:"traffic"`
}

// Bandit moves traffic towards the arm with the better business event (Thompson sampling).
type Bandit struct {
	Event     string   `json:"event"`            // name of the business event in Observation.Outcomes
	Better    Better   `json:"better,omitempty"` // Higher if empty
	Posterior string   `json:"posterior"`        // "beta" for events in 0..1, "normal" for any number
	Window    Duration `json:"window,omitempty"` // as Metric.Window
	Floor     Share    `json:"floor"`            // least share of each arm
	Every     Duration `json:"every"`            // how often weights move
}

// Freeze is a time in which no version gets more traffic; a rollback is never frozen. Either From and To, or a weekly
// range.
type Freeze struct {
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Weekly string    `json:"weekly,omitempty"` // "fri 16:00 - mon 08:00", in the policy's zone
	Why    string    `json:"why,omitempty"`
}
