package api

import "time"

// AlertExplanation answers GET /api/v1/alerts/explain?id=.
type AlertExplanation struct {
	Alert   Alert          `json:"alert"`
	Text    string         `json:"text" doc:"all of it in a few sentences"`
	Harm    string         `json:"harm" enum:"hurts,moves,unknown,quiet" doc:"hurts: performance, realised or estimated, has fallen; moves: predictions have moved; quiet: neither"`
	Course  Course         `json:"course"`
	Since   time.Time      `json:"since"`
	Until   time.Time      `json:"until,omitzero" doc:"of drift that is over"`
	Sure    Sureness       `json:"sure"`
	Shares  []ValueShare   `json:"shares" doc:"values and ranges that make most of the drift, the largest part first"`
	Related []RelatedDrift `json:"related" doc:"columns that moved at the same time"`
	Effects []Effect       `json:"effects" doc:"the model before the drift and since"`
	Changes []Change       `json:"changes" doc:"versions that went live and notes near the onset"`
	Advice  []string       `json:"advice"`

	Carried  *Concentration  `json:"carried,omitempty" doc:"which rows the change is in; absent from a brief explanation"`
	Impact   *Counterfactual `json:"impact,omitempty" doc:"what the change does to predictions; absent from a brief explanation"`
	Examples []ExampleRow    `json:"examples,omitempty" doc:"rows that show the change best, at most 5"`

	Incident string   `json:"incident" doc:"id of the first alert of those that began together"`
	Together []string `json:"together" doc:"ids of the others"`
}

// Course is what a drift looks like over time.
type Course struct {
	Kind        string  `json:"kind" enum:"none,instantaneous,gradual,periodic,temporary"`
	Confidence  float64 `json:"confidence" doc:"among the kinds, 0 to 1"`
	Provisional bool    `json:"provisional" doc:"the next windows can still change it"`
	Period      int     `json:"period,omitempty" doc:"windows of a season"`
}

// Sureness is what an alert rests on.
type Sureness struct {
	Windows int     `json:"windows" doc:"since the onset"`
	Drifted int     `json:"drifted" doc:"of them"`
	Rows    uint64  `json:"rows"`
	PSI     float64 `json:"psi" doc:"median of the drifted windows"`
	Floor   float64 `json:"floor" doc:"median: what chance alone exceeds in one window of 1,000"`
	Rule    string  `json:"rule"`
}

// ValueShare is how much of the rows a value or a range has.
type ValueShare struct {
	Label  string  `json:"label"`
	Before float64 `json:"before" doc:"in the reference"`
	Now    float64 `json:"now"`
	Part   float64 `json:"part" doc:"of the PSI that it makes"`
}

// RelatedDrift is a column that moved with another.
type RelatedDrift struct {
	Column string    `json:"column"`
	Output bool      `json:"output,omitempty"`
	Onset  time.Time `json:"onset"`
	PSI    float64   `json:"psi"`
}

// Effect is a number of the model before a drift and since.
type Effect struct {
	What    string  `json:"what"`
	Before  float64 `json:"before"`
	Since   float64 `json:"since"`
	Windows int     `json:"windows"`
	Clear   bool    `json:"clear" doc:"the difference is larger than windows before differ by chance"`
}

// Change is something that happened to a deployment.
type Change struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}
