package fairlead

import "time"

// Label is the truth about one prediction, as far as it is known now. A later label for the same prediction corrects
// an earlier one.
type Label struct {
	Deployment   Name      `json:"deployment"`
	PredictionID string    `json:"prediction_id"`
	Value        string    `json:"value"`         // a class name, or a number in decimal
	Time         time.Time `json:"time,omitzero"` // when the outcome happened; arrival if zero
	Received     time.Time `json:"received,omitzero"`
}
