package fairlead

import (
	"math"
	"slices"
	"strings"
	"time"
)

// BusinessEvent is a named number that came of a prediction: revenue, a click, minutes saved. It belongs to the prediction
// with PredictionID, else to the latest prediction about the entity Key at Time.
type BusinessEvent struct {
	Deployment Name   `json:"deployment"`
	Name       string `json:"name"`
	// ID makes sending again safe and correcting possible: a later event of the same deployment, name and ID takes the
	// place of an earlier one. Events without an ID all count.
	ID           string    `json:"id,omitempty"`
	PredictionID string    `json:"prediction_id,omitempty"`
	Key          string    `json:"key,omitempty"` // entity key
	Value        float64   `json:"value"`         // finite
	Time         time.Time `json:"time,omitzero"` // when it happened; arrival if zero
	Received     time.Time `json:"received,omitzero"`
}

// LabelMetrics lists the names under which a rollout compares labels. No business event may be called so.
func LabelMetrics() []string {
	return []string{"accuracy", "brier", "label", "absolute_error", "squared_error"}
}

// MaxEventName is the longest name of a business event in bytes.
const MaxEventName = 64

// CheckEventName says what is wrong with the name of a business event: it is a letter, then letters, digits and _ . -
func CheckEventName(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	const hint = "a letter, then letters, digits and _ . - such as revenue or booking.completed"
	switch {
	case name == "":
		return Invalid("an event needs a name").Hintf(hint)
	case len(name) > MaxEventName:
		return Invalid("the event's name %.20q… is longer than %d bytes", name, MaxEventName).Hintf(hint)
	case !strings.Contains(first, name[:1]) || strings.Trim(name, first+"0123456789_.-") != "":
		return Invalid("%q is not a name of an event", name).Hintf(hint)
	case slices.Contains(LabelMetrics(), name):
		return Invalid("an event cannot be called %s: rollouts compare labels under that name", name).
			Hintf("send truths as labels, or give the event another name; taken are %s", strings.Join(LabelMetrics(), ", "))
	}
	return nil
}

// Check says what is wrong with e: its name, its value, or that it does not say which prediction it belongs to.
func (e *BusinessEvent) Check() error {
	if err := CheckEventName(e.Name); err != nil {
		return err
	}
	switch {
	case math.IsNaN(e.Value) || math.IsInf(e.Value, 0):
		return Invalid("the value of %s is %v", e.Name, e.Value).Hintf("a finite number; leave out what is not known")
	case e.PredictionID == "" && e.Key == "":
		return Invalid("%s says not which prediction it belongs to", e.Name).
			Hintf("give prediction_id, or the entity's key and the time when it happened")
	case e.PredictionID != "" && e.Key != "":
		return Invalid("%s has both prediction_id %q and key %q", e.Name, e.PredictionID, e.Key).Hintf("give one of them: the id is the exact one")
	}
	return nil
}
