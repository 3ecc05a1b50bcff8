// Package api holds the contracts of the control API, /api/v1: plain types with JSON names, no logic. The server
// (admin), the Go client, the UI and the Python client all follow them. Times are RFC 3339 in UTC; shares and rates of
// outcomes lie in [0,1]; a number that cannot be computed (no rows, one class only) is null.
package api

import "time"

// Status answers GET /api/v1/status.
type Status struct {
	Version   string    `json:"version" doc:"of the server"`
	Started   time.Time `json:"started"`
	Now       time.Time `json:"now"`
	Engine    string    `json:"engine" doc:"inference engine and its version"`
	Recorded  uint64    `json:"recorded" doc:"rows handed to the recorder since the start"`
	Dropped   uint64    `json:"dropped" doc:"rows answered but neither counted nor stored: the recorder's queue was full or the disk was"`
	Stored    uint64    `json:"stored" doc:"rows in the evaluation store"`
	Labels    uint64    `json:"labels" doc:"labels in the evaluation store"`
	Lag       float64   `json:"lag_seconds" doc:"age of the oldest event not yet in the evaluation store"`
	LossLimit float64   `json:"loss_window_seconds" doc:"rows younger than this may be lost by a crash"`
}

// Model is one entry of GET /api/v1/models.
type Model struct {
	Name     string           `json:"name"`
	Aliases  map[string]int   `json:"aliases" doc:"alias to version ordinal"`
	Versions []ModelVersion   `json:"versions" doc:"newest first"`
	Removed  []RemovedVersion `json:"removed,omitempty" doc:"newest first"`
}

// ModelVersion describes one version of a model.
type ModelVersion struct {
	Model   string    `json:"model"`
	Version int       `json:"version" doc:"ordinal, from 1"`
	Digest  string    `json:"digest"`
	Created time.Time `json:"created"`
	Size    int64     `json:"size_bytes"`
	Task    string    `json:"task"`
	Inputs  []Tensor  `json:"inputs"`
	Outputs []Tensor  `json:"outputs"`
	Label   string    `json:"label,omitempty" doc:"name of the label column"`
	// LabelDelay is how late labels come by declaration.
	LabelDelay float64   `json:"label_delay_seconds,omitempty" doc:"how late labels come, as the model declares"`
	Reference  *RefInfo  `json:"reference,omitempty" doc:"absent: nothing to compare live traffic with"`
	Notes      []string  `json:"notes,omitempty" doc:"what push noticed"`
	Variants   []Variant `json:"variants" doc:"in order of preference"`
	Origins    []Origin  `json:"origins,omitempty" doc:"lineage, one step back"`
	Card       string    `json:"card,omitempty" doc:"file name of the model card"`
	Tests      int       `json:"tests,omitempty" doc:"in its test suite"`
}

// Tensor is one input or output of a model.
type Tensor struct {
	Name     string   `json:"name"`
	Datatype string   `json:"datatype"`
	Shape    []int64  `json:"shape"`
	Features []string `json:"features,omitempty"`
	Role     string   `json:"role,omitempty"`
	Classes  []string `json:"classes,omitempty"`
}

// ModelExample answers GET /api/v1/models/{name}/versions/{version}/example: a request that the version answers.
type ModelExample struct {
	Source  string         `json:"source" enum:"reference,golden,made" doc:"reference: a real row of the reference data; golden: a golden vector's; made: values that fit the signature"`
	Request map[string]any `json:"request" doc:"the body for POST /v2/models/NAME/infer: instances of named features where the model has them, else inputs"`
}

// RefInfo says what a reference profile was made of.
type RefInfo struct {
	Rows   int       `json:"rows"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Phases bool      `json:"phases" doc:"windows are compared with the same hours of the week of the reference"`
}

// Deployment is one entry of GET /api/v1/deployments.
type Deployment struct {
	Name     string             `json:"name"`
	Model    string             `json:"model"`
	Version  int                `json:"version"`
	Digest   string             `json:"digest"`
	Task     string             `json:"task"`
	State    string             `json:"state" enum:"ready,loading,failed,unloaded"`
	Reason   string             `json:"reason,omitempty" doc:"why it is not ready"`
	Live     Live               `json:"live" doc:"over the last ten seconds"`
	Rows     uint64             `json:"rows" doc:"rows in the evaluation store"`
	Labelled uint64             `json:"labelled" doc:"of them with a label"`
	From     time.Time          `json:"from,omitzero" doc:"earliest event time"`
	To       time.Time          `json:"to,omitzero" doc:"latest event time"`
	Firing   int                `json:"firing" doc:"alerts firing now"`
	Label    string             `json:"label,omitempty" doc:"name of the label, for example late"`
	Drifted  []string           `json:"drifted" doc:"columns whose latest hour of event time is drifted"`
	History  []LivePoint        `json:"history" doc:"one point a second, oldest first, at most 120"`
	Notes    []Annotation       `json:"annotations"`
	Rollout  *DeploymentRollout `json:"rollout,omitempty" doc:"where the rollout of another version stands; absent when there is none"`
	Serving  *Serving           `json:"serving,omitempty" doc:"how the live version is run; absent while it is not loaded"`
}

// Serving is how a loaded version is run, as measured when it was loaded and learnt since.
type Serving struct {
	MaxBatch int      `json:"max_batch" doc:"rows of one run at most; 1: requests are never run together"`
	Batching string   `json:"batching" doc:"why"`
	Fixed    float64  `json:"fixed_us" doc:"microseconds of a run, whatever its rows"`
	PerRow   float64  `json:"per_row_us" doc:"microseconds of each row on top"`
	Threads  int      `json:"threads" doc:"of one run"`
	Memory   int64    `json:"memory_bytes" doc:"that loading it took; 0: too little to measure"`
	CacheTTL float64  `json:"cache_ttl_seconds" doc:"0: answers are not cached"`
	Decode   float64  `json:"decode_us" doc:"mean of answered requests since the server started, as are the next three"`
	Queue    float64  `json:"queue_us"`
	Run      float64  `json:"run_us"`
	Encode   float64  `json:"encode_us"`
	Requests uint64   `json:"requests" doc:"answered"`
	Runs     uint64   `json:"runs" doc:"of the model; fewer than requests where they were run together or came from the cache"`
	Hits     uint64   `json:"cache_hits"`
	Waiting  int      `json:"waiting" doc:"requests in the queue now"`
	Refused  uint64   `json:"refused" doc:"requests refused or dropped by the queue since the version was loaded"`
	Report   []string `json:"report,omitempty" doc:"what the checks at load found"`
}

// Live is the state of a deployment's traffic.
type Live struct {
	RequestsPerSecond float64  `json:"requests_per_second"`
	RowsPerSecond     float64  `json:"rows_per_second"`
	ErrorsPerSecond   float64  `json:"errors_per_second"`
	P50               *float64 `json:"p50_ms" doc:"request latency inside the server, milliseconds"`
	P95               *float64 `json:"p95_ms"`
	P99               *float64 `json:"p99_ms"`
}

// LivePoint is one second of traffic.
type LivePoint struct {
	Time time.Time `json:"time" doc:"wall clock"`
	Rows float64   `json:"rows"`
	P50  *float64  `json:"p50_ms"`
	P99  *float64  `json:"p99_ms"`
}

// Annotation marks a span of event time, for example a planted incident.
type Annotation struct {
	ID    string    `json:"id,omitempty" doc:"given by the client or made by the server; a second one of the same id replaces the first"`
	Kind  string    `json:"kind" enum:"planted,note" doc:"planted: a fault put there on purpose"`
	Title string    `json:"title" minLength:"1" maxLength:"120"`
	Text  string    `json:"text,omitempty" maxLength:"2000"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// LabelsRequest is the body of POST /api/v1/deployments/{d}/labels.
type LabelsRequest struct {
	Labels []Label `json:"labels" minItems:"1" maxItems:"100000"`
}

// Drift answers GET /api/v1/deployments/{d}/drift?grain=hour|day&from=&to=&limit=: a heat map, windows in order of time.
type Drift struct {
	Deployment string        `json:"deployment"`
	Version    int           `json:"version"`
	Grain      string        `json:"grain" enum:"hour,day"`
	Windows    []time.Time   `json:"windows" doc:"starts, in event time"`
	Columns    []DriftColumn `json:"columns" doc:"features first, then outputs"`
	Rule       Rule          `json:"rule"`
	Empty      string        `json:"empty,omitempty" doc:"why there is nothing to show: no_reference or no_data"`
}

// DriftColumn is one row of the heat map.
type DriftColumn struct {
	Name   string  `json:"name"`
	Kind   string  `json:"kind" enum:"numeric,categorical"`
	Output bool    `json:"output" doc:"an output of the model, not a feature"`
	Cells  []*Cell `json:"cells" doc:"one per window; null where there is no data"`
}

// Cell is what was measured on one column in one window.
type Cell struct {
	N           uint64   `json:"n" doc:"rows in the window"`
	M           uint64   `json:"m" doc:"rows of the reference it was compared with"`
	Reference   string   `json:"reference" doc:"which part of the reference: all, or same phase of the week"`
	PSI         *float64 `json:"psi"`
	PSIDebiased *float64 `json:"psi_debiased" doc:"PSI less its expectation without drift"`
	PSIFloor    *float64 `json:"psi_floor" doc:"99.9 % quantile of PSI without drift at this n and m"`
	KS          *float64 `json:"ks" doc:"null for categories"`
	KSFloor     *float64 `json:"ks_floor"`
	D1          *float64 `json:"d1" doc:"sum of absolute differences of shares, 0 to 2"`
	D1Floor     *float64 `json:"d1_floor"`
	JS          *float64 `json:"js" doc:"Jensen-Shannon divergence, natural logarithm"`
	JSFloor     *float64 `json:"js_floor"`
	Missing     float64  `json:"missing" doc:"share of null and NaN"`
	Unseen      float64  `json:"unseen" doc:"share of values outside the reference: new categories, under its minimum or over its maximum, infinities"`
	Verdict     string   `json:"verdict" enum:"ok,drifted,too_few" doc:"too_few: the noise floor lies above the threshold"`
	Provisional bool     `json:"provisional" doc:"the window is still open"`
}

// Rule is the alert rule of a deployment.
type Rule struct {
	Measure   string  `json:"measure" enum:"psi,ks" doc:"psi is compared after debiasing"`
	Threshold float64 `json:"threshold" doc:"the tolerance: smaller changes are no drift"`
	Grain     string  `json:"grain" enum:"hour,day"`
	For       int     `json:"for" doc:"drifted closed windows before it fires"`
	Of        int     `json:"of,omitempty" doc:"among so many of the latest; absent: in a row"`
	FDR       float64 `json:"fdr,omitempty" doc:"false discovery rate over all columns of a window; absent: each column is held against its own noise floor"`
	Clear     int     `json:"clear" doc:"clean closed windows in a row before it resolves"`
}

// Distribution answers GET /api/v1/deployments/{d}/drift/{column}?grain=&start=: reference and current over each other.
type Distribution struct {
	Column  string    `json:"column"`
	Kind    string    `json:"kind" enum:"numeric,categorical"`
	Grain   string    `json:"grain"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Cell    Cell      `json:"cell"`
	Bins    []Bin     `json:"bins"`
	Mean    *float64  `json:"mean" doc:"of the window"`
	RefMean *float64  `json:"reference_mean"`
}

// Bin is one bar.
type Bin struct {
	Label     string   `json:"label" doc:"category, or lower bound … upper bound"`
	Kind      string   `json:"kind" enum:"range,value,category,other,under,over,null,nan,inf,unseen"`
	Low       *float64 `json:"low"`
	High      *float64 `json:"high"`
	Reference float64  `json:"reference" doc:"share of the reference's rows"`
	Current   float64  `json:"current" doc:"share of the window's rows"`
	Rows      uint64   `json:"rows" doc:"of the window"`
}

// Metrics answers GET /api/v1/deployments/{d}/metrics?grain=&from=&to=&limit=.
type Metrics struct {
	Deployment string         `json:"deployment"`
	Grain      string         `json:"grain" enum:"hour,day"`
	Task       string         `json:"task"`
	Label      string         `json:"label"`
	Names      []string       `json:"names" doc:"metrics of this task, in display order"`
	Points     []MetricsPoint `json:"points" doc:"in order of time"`
	Reference  *MetricsPoint  `json:"reference,omitempty" doc:"on the reference data"`
	Empty      string         `json:"empty,omitempty" doc:"no_data, no_labels or no_task"`
}

// MetricsPoint is one window's realised metrics.
type MetricsPoint struct {
	Start       time.Time           `json:"start"`
	N           uint64              `json:"n" doc:"predictions"`
	Labelled    uint64              `json:"labelled" doc:"of them with a label"`
	Provisional bool                `json:"provisional" doc:"fewer than 95 % have their label"`
	Metrics     map[string]*float64 `json:"metrics" doc:"accuracy, auroc, log_loss, brier, positive_rate, predicted_rate; over labelled rows, predicted_rate over all"`
	Estimated   map[string]Estimate `json:"estimated,omitempty" doc:"accuracy, auroc, positive_rate as the scores promise them, with no label looked at; absent where the reference has no labels"`
	Cause       string              `json:"cause,omitempty" enum:"unchanged,concept drift,covariate shift,unclear" doc:"why the accuracy changed, where labels have come: concept drift, the labels are not what the scores promise; covariate shift, they are, and not what they were in the reference"`
}

// Estimate is a metric before its labels, and where the metric of the labels will lie 95 times in 100.
type Estimate struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
}

// Alert is one entry of GET /api/v1/alerts.
type Alert struct {
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"`
	Column     string    `json:"column"`
	State      string    `json:"state" enum:"pending,firing,resolved"`
	Measure    string    `json:"measure"`
	Value      float64   `json:"value" doc:"of the last window that counted"`
	Worst      float64   `json:"worst"`
	Threshold  float64   `json:"threshold"`
	Floor      float64   `json:"floor"`
	N          uint64    `json:"n"`
	Grain      string    `json:"grain"`
	Onset      time.Time `json:"onset" doc:"start of the first drifted window, event time"`
	Last       time.Time `json:"last" doc:"start of the last drifted window, event time"`
	Fired      time.Time `json:"fired,omitzero" doc:"event time at which it fired"`
	Resolved   time.Time `json:"resolved,omitzero" doc:"event time"`
	Message    string    `json:"message"`
	Planted    string    `json:"planted,omitempty" doc:"title of the planted incident it falls into"`

	Incident     string           `json:"incident,omitempty" doc:"id of the incident that it is part of; absent while it is pending"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty" doc:"of its incident"`
	Silenced     *SilencedBy      `json:"silenced,omitempty" doc:"the silence that covers it at this moment"`
}

// SilencedBy is why nobody is told of an alert.
type SilencedBy struct {
	ID     string    `json:"id" doc:"of the silence"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Until  time.Time `json:"until,omitzero"`
}

// PushAnswer answers POST /api/v1/models/{name}/versions?alias=, whose body is an .onnx file
// (Content-Type application/octet-stream) or a tar of a bundle folder (application/x-tar).
type PushAnswer struct {
	ModelVersion
	Deployment string             `json:"deployment" doc:"the deployment that now serves it"`
	Existing   bool               `json:"existing" doc:"the same content was there already; no new version was made"`
	Rollout    *DeploymentRollout `json:"rollout,omitempty" doc:"by which it goes live; absent: it is live"`
}

// ErrorBody is every error's body: the same shape on all of the server's HTTP faces.
type ErrorBody struct {
	Error string `json:"error" doc:"what was expected, what came, how to fix it"`
	Code  string `json:"code" doc:"machine-readable"`
	Hint  string `json:"hint,omitempty"`
}

// RollbackAnswer answers POST /api/v1/deployments/{d}/rollback.
type RollbackAnswer struct {
	Deployment string `json:"deployment"`
	From       int    `json:"from" doc:"version that was live"`
	To         int    `json:"to" doc:"version that is live now"`
}
