// Package protocol is what the two faces of the Open Inference Protocol, REST and gRPC, say alike: which extensions there
// are, how a model is configured, what its statistics are, and what a client may ask of the repository of models. The
// transports turn these values into their own messages.
package protocol

import (
	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// What every model is, in the metadata and in the configuration.
const (
	Platform       = "onnx_onnxv1"
	ConfigPlatform = "onnxruntime_onnx"
	Backend        = "onnxruntime"
)

// Extensions of the protocol that both faces have. Those of the repository are there where a server has one.
func Extensions(repository bool) []string {
	list := []string{"classification", "model_configuration", "parameters", "schedule_policy", "statistics"}
	if repository {
		list = append(list, "model_repository", "model_repository(unload_dependents)")
	}
	return list
}

// Shape is a tensor's shape in the metadata, where -1 is any size. An unknown rank, which the protocol cannot say, is one
// free dimension.
func Shape(s fairlead.TensorSpec) []int64 {
	if s.Shape == nil {
		return []int64{-1}
	}
	return s.Shape
}

// Classify gives the outputs of a response as options ask for them: those with the parameter "classification" become
// BYTES with their best classes. Neither the response nor its tensors change. Errors are CodeInvalid.
func Classify(resp *serve.Response, options []codec.OutputOption) ([]fairlead.Tensor, error) {
	outputs, own := resp.Outputs, false
	for _, o := range options {
		if o.Classes == 0 {
			continue
		}
		if !own {
			outputs, own = append([]fairlead.Tensor(nil), outputs...), true
		}
		t := fairlead.Find(outputs, o.Name)
		if t == nil {
			continue
		}
		best, err := codec.Classify(*t, o.Classes, classes(resp.Target, o.Name, t.Width()))
		if err != nil {
			return nil, err
		}
		*t = best
	}
	return outputs, nil
}

// classes are the labels of an output's columns, as far as known. One column of a model with two classes is the score of
// the second.
func classes(t *route.Target, output string, width int) []string {
	spec := t.Signature.Output(output)
	switch {
	case spec == nil:
		return nil
	case width == 1 && len(spec.Classes) == 2:
		return spec.Classes[1:]
	}
	return spec.Classes
}
