package fairlead

import (
	"fmt"
	"time"
)

// Label is the truth about a prediction, as far as it is known now: about the one with PredictionID, else about
// predictions of the entity Key, those that Join says. A label received later corrects an earlier one.
type Label struct {
	Deployment   Name      `json:"deployment"`
	PredictionID string    `json:"prediction_id,omitempty"`
	Key          string    `json:"key,omitempty"` // entity key
	Join         LabelJoin `json:"join,omitzero"` // of a label by key
	// Value is a class name, or a number in decimal; "" takes back what was said before: the prediction has no label.
	Value    string    `json:"value"`
	Time     time.Time `json:"time,omitzero"` // when the outcome happened; arrival if zero
	Received time.Time `json:"received,omitzero"`
}

// LabelJoin says which predictions a label by entity key is about: the latest one of the entity at or before the label's
// time, or all of them, at most Within before that time.
type LabelJoin struct {
	All    bool          `json:"all,omitempty"`
	Within time.Duration `json:"within,omitempty"` // 0: DefaultWithin
}

// DefaultWithin is how long before a label by entity key its prediction may be when the model does not say, and
// LongestWithin how long it may be at most.
const (
	DefaultWithin = 30 * 24 * time.Hour
	LongestWithin = 10 * 366 * 24 * time.Hour
)

// Horizon is Within, or its default.
func (j LabelJoin) Horizon() time.Duration {
	if j.Within <= 0 {
		return DefaultWithin
	}
	return min(j.Within, LongestWithin)
}

// Names of the two joins, as fairlead.yaml has them.
const (
	JoinLatest = "latest"
	JoinAll    = "all"
)

// KeyJoin is how labels by entity key find their predictions.
func (l LabelSpec) KeyJoin() LabelJoin { return LabelJoin{All: l.Join == JoinAll, Within: l.Within} }

// MaxKey is the longest prediction id or entity key of a label in bytes.
const MaxKey = 1024

// Check says what is wrong with l: that it does not say which prediction it is about, or says so twice.
func (l *Label) Check() error {
	const hint = "give prediction_id, or the entity's key and the time when it happened"
	switch {
	case l.PredictionID == "" && l.Key == "":
		return Invalid("the label says not which prediction it is about").Hintf(hint)
	case l.PredictionID != "" && l.Key != "":
		return Invalid("the label has both prediction_id %q and key %q", l.PredictionID, l.Key).Hintf("give one of them: the id is the exact one")
	case len(l.PredictionID) > MaxKey || len(l.Key) > MaxKey:
		return Invalid("the label's prediction_id or key is longer than %d bytes", MaxKey).Hintf(hint)
	}
	return nil
}

// CheckJoin says what is wrong with the name of a join.
func CheckJoin(s string) error {
	switch s {
	case "", JoinLatest, JoinAll:
		return nil
	}
	return fmt.Errorf("join %q is not known: %s or %s", s, JoinLatest, JoinAll)
}
