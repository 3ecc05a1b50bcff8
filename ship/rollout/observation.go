package rollout

import (
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Observation is what was seen since the stage began, and now. Step keeps no reference to it.
type Observation struct {
	Now  time.Time
	Zone *time.Location // of Policy.Zone, for weekly freeze windows; UTC if nil

	// Epoch names the counting that the tallies come from, for example the server's start time. When it changes within a
	// stage, counting began anew, and the gates go on with a smaller part of the budget.
	Epoch string

	Live   *fairlead.Tally     // since the stage (or, if later, the epoch) began; nil: none
	Canary *fairlead.Tally     // in shadow nil or empty
	Pairs  *fairlead.PairTally // shadow only

	// Outcomes are labels and business events of predictions made since the rollout began, those that came so far.
	Outcomes []Outcome

	// Unavailable says why the canary cannot answer at all (it does not load, its golden vectors differ); "" if it can.
	// It is harm without a test.
	Unavailable string

	// Weight is the canary's weight that the route table applied while Live and Canary were counted, for the sample-ratio
	// check; 0: the stage's. Filled by a caller who could not set the weight it was asked for.
	Weight Share

	// Arms are the outcomes by version for experiments and bandits.
	Arms []ArmOutcome

	// Chance makes uniform random numbers in [0, 1) for a bandit's draws. Only KindBandit needs it.
	Chance func() float64
}

// Outcome is one metric of labels, or one business event, in both arms.
type Outcome struct {
	Metric string  `json:"metric"`
	Live   Moments `json:"live"`
	Canary Moments `json:"canary"`
}

// Moments are the number, sum and sum of squares of values. They add up.
type Moments struct {
	N          uint64  `json:"n"`
	Sum        float64 `json:"sum"`
	SumSquares float64 `json:"sum_squares"`
}

// ArmOutcome is one arm of an experiment or bandit: how much traffic it got, and what came of it.
type ArmOutcome struct {
	Version  fairlead.Version   `json:"version"`
	Requests uint64             `json:"requests"`
	Outcomes map[string]Moments `json:"outcomes,omitempty"` // by the name of a metric or business event

	Live        bool            `json:"live,omitempty"`        // the version that answers where another one cannot
	Tally       *fairlead.Tally `json:"tally,omitempty"`       // since the weights last changed; nil: none
	Unavailable string          `json:"unavailable,omitempty"` // why it cannot answer at all; "" if it can
}

// Command is something a person does to a rollout.
type Command struct {
	Do   Do        `json:"do"`
	Who  string    `json:"who"`
	Why  string    `json:"why"`
	Time time.Time `json:"time"`
}

// Do is what a person can do.
type Do string

// What a person can do.
const (
	DoPause   Do = "pause"   // no promotion until resume; harm still rolls back
	DoResume  Do = "resume"  //
	DoApprove Do = "approve" // the next stage that waits for approval
	DoPromote Do = "promote" // enter the next stage now, whatever the evidence says; freeze windows do not stop a person
	DoAbort   Do = "abort"   // roll back (rollout), end (experiment, bandit)
)
