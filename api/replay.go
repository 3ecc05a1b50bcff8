package api

import "time"

// ReplayRequest is the body of POST /api/v1/deployments/{name}/replay.
type ReplayRequest struct {
	Against string    `json:"against" minLength:"1" doc:"the version to ask: a number, an alias or a digest"`
	From    time.Time `json:"from,omitzero" doc:"event time; absent: a day before to"`
	To      time.Time `json:"to,omitzero" doc:"event time, excluded; absent: the latest recorded row"`
	Sample  int       `json:"sample,omitempty" minimum:"0" maximum:"5000000" doc:"about how many rows, always the same ones; absent: 100,000"`
}

// ReplayReport says how the answers of another version differ from those that were recorded.
type ReplayReport struct {
	Deployment string    `json:"deployment"`
	Against    string    `json:"against" doc:"name@version"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`

	Rows       int            `json:"rows" doc:"compared"`
	Skipped    ReplaySkipped  `json:"skipped"`
	Versions   map[string]int `json:"versions" doc:"compared rows by the version that was recorded"`
	Flips      uint64         `json:"flips" doc:"rows with another decision"`
	FlipRate   *float64       `json:"flip_rate" doc:"absent without decisions"`
	FlipLow    *float64       `json:"flip_low" doc:"95 % interval (Wilson)"`
	FlipHigh   *float64       `json:"flip_high"`
	Invalid    uint64         `json:"invalid" doc:"rows where the other version gave no finite score and the recorded one did"`
	Scored     uint64         `json:"scored" doc:"rows where both have a score"`
	Difference []ReplayLevel  `json:"difference" doc:"quantiles of the difference of the scores, replayed - recorded"`
	Mean       *float64       `json:"mean" doc:"of that difference"`
	Spearman   *float64       `json:"spearman" doc:"rank correlation of the scores; absent if one side is constant"`
	PSI        *float64       `json:"psi" doc:"of the two distributions of scores, over ten bins of equal recorded counts"`
	PSIFloor   *float64       `json:"psi_floor" doc:"what chance alone gives in one case of a thousand"`
	KS         *float64       `json:"ks"`
	KSFloor    *float64       `json:"ks_floor"`

	Segments []ReplaySegment `json:"segments" doc:"most flips first"`
	Examples []ReplayExample `json:"examples" doc:"the largest disagreements"`
	Engine   string          `json:"engine,omitempty"`
	Run      float64         `json:"run_us" doc:"microseconds of computing for a row, in batches"`
	Recorded *float64        `json:"recorded_p50_us" doc:"median latency of the recorded requests, waiting included"`
	Seconds  float64         `json:"seconds"`
}

// ReplaySkipped counts the rows that were not compared.
type ReplaySkipped struct {
	Redacted   int `json:"redacted" doc:"an input that the version needs is not stored as it came"`
	Incomplete int `json:"incomplete" doc:"an input that the version needs has no value"`
	Failed     int `json:"failed" doc:"the version answered with an error"`
}

// ReplayLevel is one quantile.
type ReplayLevel struct {
	Level    float64 `json:"level"`
	Signed   float64 `json:"signed"`
	Absolute float64 `json:"absolute"`
}

// ReplaySegment is what differs in one segment.
type ReplaySegment struct {
	Name  string   `json:"name"`
	Rows  uint64   `json:"rows"`
	Flips uint64   `json:"flips"`
	Low   *float64 `json:"low" doc:"95 % interval of the share of flips (Wilson)"`
	High  *float64 `json:"high"`
	Mean  *float64 `json:"mean" doc:"of the difference of the scores"`
}

// ReplayExample is a row on which the two versions disagree.
type ReplayExample struct {
	ID            string  `json:"id" doc:"of the prediction"`
	Recorded      float64 `json:"recorded"`
	Replayed      float64 `json:"replayed"`
	RecordedClass string  `json:"recorded_class,omitempty"`
	ReplayedClass string  `json:"replayed_class,omitempty"`
	Segment       string  `json:"segment,omitempty"`
	Invalid       bool    `json:"invalid,omitempty"`
}

// ReplayProgress is a line of the answer where Accept is application/x-ndjson: how far it is; the last line has the report
// or the error.
type ReplayProgress struct {
	Done   int           `json:"done"`
	Total  int           `json:"total"`
	Report *ReplayReport `json:"report,omitempty"`
	Error  *ErrorBody    `json:"error,omitempty"`
}
