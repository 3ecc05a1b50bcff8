package grpcd

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// FuzzDecode: whatever a message says, it is decoded into tensors that are what their shapes say, or refused as invalid.
func FuzzDecode(f *testing.F) {
	typedOne := &oip.ModelInferRequest{ModelName: "m", Id: "a", Outputs: []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "y"}},
		Parameters: map[string]*oip.InferParameter{"deadline": {ParameterChoice: &oip.InferParameter_StringParam{StringParam: "1s"}}, "none": {}},
		Inputs: []*oip.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "INT8", Shape: []int64{2},
			Contents: &oip.InferTensorContents{IntContents: []int32{1, 200}}}}}
	rawOne := &oip.ModelInferRequest{RawInputContents: [][]byte{[]byte("\x01\x00\x00\x00a")},
		Inputs: []*oip.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "BYTES", Shape: []int64{1, 1}}}}
	for _, m := range []*oip.ModelInferRequest{typedOne, rawOne, {}} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var req oip.ModelInferRequest
		if proto.Unmarshal(b, &req) != nil {
			return
		}
		var in serve.Input
		_, err := decode(&req, codec.Meta{}, &in)
		if code := fairlead.CodeOf(err); err != nil {
			if code != fairlead.CodeInvalid && code != fairlead.CodeUnsupported {
				t.Fatalf("%v is %s", err, code)
			}
			return
		}
		for i := range in.Tensors {
			if tensor := &in.Tensors[i]; int64(tensor.Len()) != fairlead.Elements(tensor.Shape) {
				t.Fatalf("%s has %d elements of shape %v", tensor.Name, tensor.Len(), tensor.Shape)
			}
		}
	})
}
