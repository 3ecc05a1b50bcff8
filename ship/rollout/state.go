package rollout

import (
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Format is the version of State's encoding.
const Format = 1

// Phase of a rollout.
type Phase string

// Phases.
const (
	Waiting    Phase = "waiting"     // before the first stage
	Running    Phase = "running"     // in a stage below 100 %, an experiment or a bandit
	Baking     Phase = "baking"      // 100 %, the old version warm
	Completed  Phase = "completed"   // the new version is live
	RolledBack Phase = "rolled_back" // the old version is live
	Ended      Phase = "ended"       // an experiment or bandit is over
)

// Over says that nothing will happen any more.
func (p Phase) Over() bool { return p == Completed || p == RolledBack || p == Ended }

// State is where a rollout stands. It is JSON, versioned by Format. Store it before acting on the decisions that came
// with it: then a restart finds the rollout where it stood or further back, never further on. Step with a stored state
// makes the same decisions again.
type State struct {
	Format   int          `json:"format"`
	Phase    Phase        `json:"phase"`
	Stage    int          `json:"stage"` // index into Policy.Stages; -1 while Waiting
	Started  time.Time    `json:"started,omitzero"`
	Entered  time.Time    `json:"entered,omitzero"`   // the stage
	Epoch    string       `json:"epoch,omitempty"`    // Observation.Epoch of the last look
	Restarts int          `json:"restarts,omitempty"` // how often counting began anew in this stage
	Sequence int          `json:"sequence"`           // decisions made so far
	Paused   *Note        `json:"paused,omitempty"`
	Held     string       `json:"held,omitempty"`     // reason of the hold that was last said
	Approved map[int]Note `json:"approved,omitempty"` // by stage
	Reported []string     `json:"reported,omitempty"` // gates whose finding was reported in this stage
	Baseline *Baseline    `json:"baseline,omitempty"` // the live version in the stages before 100 %
	Arms     []ArmWeight  `json:"arms,omitempty"`     // experiment, bandit: current weights
	Moved    time.Time    `json:"moved,omitzero"`     // bandit: when weights last moved
	Moves    int          `json:"moves,omitempty"`    // experiment, bandit: how often weights have changed, each time a new counting
	Closed   []ClosedArm  `json:"closed,omitempty"`   // experiment, bandit: versions that get nothing any more

	Window     int             `json:"window,omitempty"`     // of the bake, from 0
	WindowFrom time.Time       `json:"window_from,omitzero"` // when it began
	Watched    *fairlead.Tally `json:"watched,omitempty"`    // the new version in the windows before it; never changed
}

// ClosedArm is a version of an experiment or a bandit that was taken out.
type ClosedArm struct {
	Version fairlead.Version `json:"version"`
	Why     string           `json:"why"`
}

// Note is who did something, when and why.
type Note struct {
	Who  string    `json:"who"`
	Why  string    `json:"why,omitempty"`
	Time time.Time `json:"time"`
}

// Traffic is what the route table has to look like.
type Traffic struct {
	Shadow bool  // copies of the live version's requests go to the canary
	Canary Share // 1: all
}

// Traffic says where the traffic goes in this state. A terminal state has no shadow; Completed sends all to the canary.
func (s State) Traffic(p Policy) Traffic {
	switch s.Phase {
	case Running:
		if p.Kind != KindRollout || s.Stage < 0 || s.Stage >= len(p.Stages) {
			return Traffic{}
		}
		w := p.Stages[s.Stage].Traffic
		return Traffic{Shadow: w == 0, Canary: w}
	case Baking, Completed:
		return Traffic{Canary: 1}
	}
	return Traffic{}
}

// StageName is "shadow", "5%", "bake", or the phase where there is no stage.
func (s State) StageName(p Policy) string {
	switch {
	case s.Phase == Baking:
		return "bake"
	case s.Phase == Running && s.Stage >= 0 && s.Stage < len(p.Stages):
		return p.Stages[s.Stage].Traffic.String()
	case s.Phase == Running:
		return string(p.Kind)
	}
	return string(s.Phase)
}

// Baseline is what the bake compares with when no request goes to the old version any more.
type Baseline struct {
	Requests float64         `json:"requests"`
	Errors   float64         `json:"errors"`
	Invalid  float64         `json:"invalid"`
	Latency  []uint64        `json:"latency,omitempty"`
	Scores   []uint64        `json:"scores,omitempty"`
	Effect   float64         `json:"effect,omitempty"`   // design effect of the scores
	Segments map[string]Side `json:"segments,omitempty"` // requests, errors and invalid answers
}
