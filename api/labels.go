package api

import "time"

// Label is the truth about one prediction, or about those of an entity.
type Label struct {
	PredictionID string    `json:"prediction_id,omitempty" maxLength:"1024"`
	Key          string    `json:"key,omitempty" maxLength:"1024" doc:"entity key, instead of a prediction's id: the label is about the latest prediction of this entity at or before time, or about all of them, as the model's label.join and label.within say"`
	Value        any       `json:"value,omitempty" doc:"a class name, a number or a boolean"`
	Retract      bool      `json:"retract,omitempty" doc:"take back what was said before, instead of a value: the prediction has no label then"`
	Time         time.Time `json:"time,omitzero" doc:"when the outcome happened; arrival if absent"`
}

// LabelsAnswer says that the labels are on disk.
type LabelsAnswer struct {
	Accepted int `json:"accepted"`
}

// BulkLabelsAnswer answers POST /api/v1/deployments/{d}/labels/bulk: what was taken is on disk.
type BulkLabelsAnswer struct {
	Accepted int     `json:"accepted" doc:"labels on disk that were not there before"`
	Repeated int     `json:"repeated" doc:"labels that had been sent before, in the same portion: nothing was added"`
	Unknown  int64   `json:"unknown" doc:"rows without a value: not known yet"`
	Bad      int64   `json:"bad" doc:"rows that were left out"`
	Faults   []Fault `json:"faults" doc:"the first of them"`
}

// Fault is a row of a file that was left out.
type Fault struct {
	Line   int64  `json:"line" doc:"in the file, from 1; of Parquet, the row"`
	Column string `json:"column,omitempty"`
	Text   string `json:"text"`
}

// ImportAnswer answers POST /api/v1/deployments/{d}/predictions: what was taken is on disk.
type ImportAnswer struct {
	Rows     int `json:"rows" doc:"in the message"`
	Accepted int `json:"accepted" doc:"on disk, and not there before"`
	Repeated int `json:"repeated" doc:"known already"`
}

// LabelLag answers GET /api/v1/deployments/{d}/labels/lag: how late labels come, and how complete each window is.
type LabelLag struct {
	Deployment string      `json:"deployment"`
	Grain      string      `json:"grain" enum:"hour,day"`
	Label      string      `json:"label,omitempty"`
	Delay      float64     `json:"delay_seconds" doc:"how late labels come at most, as the model declares; 0: not declared"`
	N          uint64      `json:"n" doc:"predictions that the curve was estimated from"`
	Followed   float64     `json:"followed_seconds" doc:"the longest that one of them was followed"`
	Final      float64     `json:"final" doc:"share of predictions that get a label at all, estimated"`
	Median     *float64    `json:"median_seconds" doc:"half of the labels that come are there after so long; null: none came"`
	P95        *float64    `json:"p95_seconds"`
	Curve      []LagPoint  `json:"curve" doc:"share of predictions labelled after a delay (Kaplan-Meier)"`
	Windows    []LagWindow `json:"windows" doc:"in order of time"`
}

// LagPoint is a step of the curve.
type LagPoint struct {
	Delay float64 `json:"delay_seconds"`
	Share float64 `json:"share"`
	Low   float64 `json:"low" doc:"95 % confidence interval"`
	High  float64 `json:"high"`
}

// LagWindow says how many of the labels of a window are there.
type LagWindow struct {
	Start        time.Time `json:"start"`
	N            uint64    `json:"n" doc:"predictions"`
	Labelled     uint64    `json:"labelled" doc:"of them with a label"`
	Share        float64   `json:"share" doc:"labelled / n"`
	Final        float64   `json:"final" doc:"share that will be labelled in the end, estimated"`
	Completeness float64   `json:"completeness" doc:"share / final"`
	Provisional  bool      `json:"provisional" doc:"the window is open, or fewer than 95 % of the labels that will come are there and label.delay is not over"`
}
