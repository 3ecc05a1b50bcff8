package fairlead

import (
	"slices"
	"time"
)

// OutputRole says what an output means to the monitor.
type OutputRole string

// Output roles.
const (
	RoleScore     OutputRole = "score"     // probability or decision value
	RoleLabel     OutputRole = "label"     // the predicted class
	RoleEmbedding OutputRole = "embedding" // profiled by projections, not by element
	RoleValue     OutputRole = "value"     // a regression's answer
)

// TensorSpec describes one input or output of a model.
type TensorSpec struct {
	Name     string     `json:"name"`
	Type     DataType   `json:"datatype"`
	Shape    []int64    `json:"shape"` // the batch dimension included; -1 is variable
	Features []string   `json:"features,omitempty"`
	Role     OutputRole `json:"role,omitempty"`    // outputs only
	Classes  []string   `json:"classes,omitempty"` // outputs only: names of the columns of a score
}

// Width is the product of the dimensions after the first, -1 when one of them is variable.
func (s TensorSpec) Width() int {
	if len(s.Shape) == 0 {
		return 1
	}
	return int(Elements(s.Shape[1:]))
}

// LabelSpec says what the truth is called, how late it usually comes, and which predictions a label by entity key is
// about.
type LabelSpec struct {
	Name   string        `json:"name"`
	Delay  time.Duration `json:"delay"`
	Join   string        `json:"join,omitempty"`   // JoinLatest or JoinAll; "": latest
	Within time.Duration `json:"within,omitempty"` // 0: DefaultWithin
}

// Signature is the contract of a model version: typed, named inputs and outputs, and what they mean.
type Signature struct {
	Task     Task         `json:"task"`
	Inputs   []TensorSpec `json:"inputs"`
	Outputs  []TensorSpec `json:"outputs"`
	Label    LabelSpec    `json:"label"`
	Segments []string     `json:"segments,omitempty"`
}

// Input is the input of that name, or nil.
func (s *Signature) Input(name string) *TensorSpec { return findSpec(s.Inputs, name) }

// Output is the output of that name, or nil.
func (s *Signature) Output(name string) *TensorSpec { return findSpec(s.Outputs, name) }

func findSpec(specs []TensorSpec, name string) *TensorSpec {
	i := slices.IndexFunc(specs, func(t TensorSpec) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &specs[i]
}

// Field is one scalar column of a model's inputs or outputs: what a person calls a feature or a score.
type Field struct {
	Name   string   // feature name, or output name (with the class for a column of a multi-class score)
	Tensor string   // the tensor it lives in
	Index  int      // its column in that tensor's row
	Output bool     // of the outputs
	Type   DataType // of the tensor
	Role   OutputRole
}

// Fields lists the scalar columns in signature order, inputs first. An input with feature names gives one field for
// each of them; an input or output of width 1 gives one field of its own name. A binary score with two columns gives
// only the second (the positive class), under the output's name. Wider tensors without names (images, embeddings)
// give none.
func (s *Signature) Fields() []Field {
	var fields []Field
	for _, in := range s.Inputs {
		switch {
		case len(in.Features) > 0:
			for i, f := range in.Features {
				fields = append(fields, Field{Name: f, Tensor: in.Name, Index: i, Type: in.Type})
			}
		case in.Width() == 1:
			fields = append(fields, Field{Name: in.Name, Tensor: in.Name, Type: in.Type})
		}
	}
	for _, out := range s.Outputs {
		if out.Role == RoleEmbedding {
			continue
		}
		f := Field{Name: out.Name, Tensor: out.Name, Output: true, Type: out.Type, Role: out.Role}
		switch w := out.Width(); {
		case w == 1 || w == -1 && len(out.Shape) == 1:
			fields = append(fields, f)
		case out.Role == RoleScore && w == 2 && s.Task == TaskBinary:
			f.Index = 1
			fields = append(fields, f)
		case out.Role == RoleScore && w == len(out.Classes):
			for i, class := range out.Classes {
				f.Index, f.Name = i, out.Name+"."+class
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// Classes are the names of the columns of the score, the positive class of a binary one last; nil: there are none.
func (s *Signature) Classes() []string {
	for _, o := range s.Outputs {
		if o.Role == RoleScore && len(o.Classes) > 0 {
			return o.Classes
		}
	}
	return nil
}

// Score is the field that carries the model's score (binary) or value (regression), false if it has none.
func (s *Signature) Score() (Field, bool) {
	for _, f := range s.Fields() {
		if f.Output && (f.Role == RoleScore || f.Role == RoleValue) {
			return f, true
		}
	}
	return Field{}, false
}
