// Package pipeline makes one model of several: a DAG of models, WebAssembly transforms, programs, ensembles and switches
// that answers like a model with a signature of its own. Tensors pass from step to step in memory; every step that is a
// model goes through the serve room like any other request of that model, so it is batched, cached, traced, recorded and
// swapped by itself.
package pipeline

import (
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Kind is what a step does.
type Kind string

// Kinds of steps.
const (
	KindModel     Kind = "model"     // a deployment, in the version or by the alias that is given
	KindTransform Kind = "transform" // a WebAssembly module
	KindProcess   Kind = "process"   // a program that speaks the Open Inference Protocol
	KindEnsemble  Kind = "ensemble"  // one answer out of several
	KindSwitch    Kind = "switch"    // the answer of the first step whose condition holds
)

// Definition is a pipeline as its author wrote it; docs/pipelines.md describes the file.
type Definition struct {
	Name    fairlead.Name
	Task    fairlead.Task // "": that of the model that gives the first output
	Label   fairlead.LabelSpec
	Inputs  []fairlead.TensorSpec // of the request; empty: derived from what the steps take
	Steps   []Step
	Outputs []Output
}

// Step is one node of the DAG. One of Model, Transform, Process, Ensemble and Switch is set, as Kind says.
type Step struct {
	Name     string
	Kind     Kind
	Inputs   []Input       // nil: the request's tensors of the same names
	Within   time.Duration // after its inputs are there; 0: as long as the request has
	Fallback string        // the step that answers when this one fails or is late; "": none

	Model     *Model
	Transform *Transform
	Process   *Process
	Ensemble  *Ensemble
	Switch    *Switch
}

// Input says where an input of a step comes from.
type Input struct {
	Name string
	From Ref
}

// Output is a tensor of the pipeline's answer.
type Output struct {
	Name    string
	From    Ref
	Role    fairlead.OutputRole // "": the step's
	Classes []string            // nil: the step's
}

// Ref is a tensor of a step or, without a step, of the request.
type Ref struct {
	Step   string
	Tensor string // "": the only output of the step
}

func (r Ref) String() string {
	switch {
	case r.Step == "":
		return requestName + "." + r.Tensor
	case r.Tensor == "":
		return r.Step
	}
	return r.Step + "." + r.Tensor
}

// requestName is what the request is called in references and conditions.
const requestName = "request"

// Model names a deployment: Version is "" for the live one, else a number or an alias.
type Model struct {
	Name, Version string
}

func (m Model) String() string {
	if m.Version == "" {
		return m.Name
	}
	return m.Name + "@" + m.Version
}

// ParseModel reads flights, flights@3, flights@champion or flights:champion. The error is CodeInvalid.
func ParseModel(s string) (Model, error) {
	name, version, has := strings.Cut(s, "@")
	if !has {
		name, version, has = strings.Cut(s, ":")
	}
	if _, err := fairlead.ParseName(name); err != nil {
		return Model{}, err
	}
	if has && version == "" {
		return Model{}, fairlead.Invalid("%q names no version", s).Hintf("write %s, %[1]s@3 or %[1]s@champion", name)
	}
	return Model{name, version}, nil
}

// Transform is a WebAssembly module and what it takes and gives.
type Transform struct {
	Module    string // path in the pipeline's folder
	Signature fairlead.Signature
	Memory    int64         // bytes at most; 0: the server's default
	Time      time.Duration // of one call at most; 0: the server's default
}

// Process is a program that is started with the pipeline and says itself, by its metadata, what it takes and gives.
type Process struct {
	Command     []string
	Model       string        // the name that it is called by; "": the step's
	Port        bool          // it listens on a port of the loopback address; else on a Unix socket
	Start       time.Duration // until it is ready; 0: the default
	Stop        time.Duration // to end by itself; 0: the default
	Concurrency int           // requests at a time; 0: the default
}

// How an ensemble makes one answer of several.
const (
	ByMean     = "mean"     // element by element
	ByWeighted = "weighted" // the mean with weights
	ByVote     = "vote"     // the most frequent value; among equals the one that comes first in the list
	ByStacked  = "stacked"  // a model whose one input takes the answers side by side
)

// Ensemble makes one tensor of several.
type Ensemble struct {
	By      string
	Of      []Ref
	Weights []float64 // of Of, for weighted, and for vote if it has any
	Output  string    // what the tensor is called; "": as the first of Of. Stacked: the model's outputs keep their names
	Model   *Model    // of stacked
}

// Switch answers with one of several steps, for the request or for each row.
type Switch struct {
	PerRequest bool // one choice for the whole request; else each row has its own
	Cases      []Case
}

// Case is a step and the condition for it. The last one has none.
type Case struct {
	When string // CEL, true or false
	Use  string
}
