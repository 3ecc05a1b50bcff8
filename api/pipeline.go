package api

import "time"

// Pipeline is a deployment made of several steps.
type Pipeline struct {
	Name     string            `json:"name"`
	Version  int               `json:"version" doc:"that answers; counted from 1 at every push of something new"`
	Digest   string            `json:"digest" doc:"of its folder"`
	Pushed   time.Time         `json:"pushed"`
	State    string            `json:"state" enum:"ready,failed"`
	Reason   string            `json:"reason,omitempty" doc:"why it does not answer"`
	Task     string            `json:"task,omitempty"`
	Inputs   []Tensor          `json:"inputs" doc:"of a request"`
	Outputs  []Tensor          `json:"outputs"`
	Steps    []PipelineStep    `json:"steps" doc:"each after those that it needs"`
	Versions []PipelineVersion `json:"versions" doc:"newest first; a rollback goes to the one that was live before"`
}

// PipelineVersion is one that was pushed.
type PipelineVersion struct {
	Version int       `json:"version"`
	Digest  string    `json:"digest"`
	Pushed  time.Time `json:"pushed"`
	Size    int64     `json:"size" doc:"bytes of its folder"`
}

// PipelineStep is one step and what happened to it since its pipeline was loaded.
type PipelineStep struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind" enum:"model,transform,process,ensemble,switch"`
	Runs      string   `json:"runs" doc:"the model, module or command"`
	Needs     []string `json:"needs" doc:"steps that it takes something of, or may"`
	Within    string   `json:"within,omitempty" doc:"the time it has"`
	Fallback  string   `json:"fallback,omitempty" doc:"the step that answers when it fails or is late"`
	Inputs    []Tensor `json:"inputs"`
	Outputs   []Tensor `json:"outputs"`
	Count     uint64   `json:"count" doc:"how often it was computed"`
	Rows      uint64   `json:"rows"`
	Failed    uint64   `json:"failed"`
	Late      uint64   `json:"late" doc:"how often it was not ready in time"`
	Fallbacks uint64   `json:"fallbacks" doc:"how often its fallback answered"`
	MeanMS    float64  `json:"mean_ms"`
}

// PipelinePush is the answer to a push.
type PipelinePush struct {
	Pipeline
	Existing bool `json:"existing" doc:"this folder was live already"`
	Checked  bool `json:"checked" doc:"it was only checked: nothing was stored or put live"`
}
