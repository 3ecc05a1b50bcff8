package codec

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

func TestARequestToAnotherServerReadsBack(t *testing.T) {
	inputs := []fairlead.Tensor{
		{Name: "x", Type: fairlead.FP32, Shape: []int64{2, 1}, Data: []float32{1.5, -2}},
		{Name: "text", Type: fairlead.Bytes, Shape: []int64{2}, Data: []string{`"a"`, "ü\n"}},
	}
	sig := fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}}}
	body := AppendInferRequest(nil, "r1", inputs, []string{"y", "z"})
	r, err := Decode(body, NewSchema(&sig))
	if err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if r.ID != "r1" || !reflect.DeepEqual(r.Inputs, inputs) || !reflect.DeepEqual(r.Outputs, []string{"y", "z"}) {
		t.Errorf("%s reads as %+v", body, r)
	}
	if _, err := Decode(AppendInferRequest(nil, "", inputs, nil), NewSchema(&sig)); err != nil {
		t.Error(err)
	}
}

var wrongAnswers = map[string]string{
	``:                "the answer is",
	`[]`:              "expected a JSON object",
	`{}`:              `no "outputs"`,
	`{"outputs":{}}`:  "expected an array of tensors",
	`{"outputs":[1]}`: "expected an object",
	`{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1]}]}`:                                                       "shape",
	`{"outputs":[{"name":"y","datatype":"FP99","shape":[1],"data":[1]}]}`:                                                       "FP99",
	`{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}`:                              "binary",
	`{"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1]},{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}`: "twice",
	`{"outputs":[],"outputs":[]}`: "twice",
	`{"outputs":[]} x`:            "the end of the answer",
}

func TestAnswersOfAnotherServer(t *testing.T) {
	answer := AppendInfer(nil, &Answer{ID: "1", Outputs: []fairlead.Tensor{{Name: "y", Type: fairlead.Int64, Shape: []int64{1}, Data: []int64{1 << 60}}}})
	out, err := DecodeInferAnswer(answer)
	if err != nil || len(out) != 1 || out[0].Data.([]int64)[0] != 1<<60 {
		t.Errorf("%s reads as %v, %v", answer, out, err)
	}
	for body, want := range wrongAnswers {
		if _, err := DecodeInferAnswer([]byte(body)); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzDecodeInferAnswer(f *testing.F) {
	for body := range wrongAnswers {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"model_name":"m","outputs":[{"name":"y","datatype":"BYTES","shape":[1,1],"data":["a"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := DecodeInferAnswer(b)
		for i := range out {
			if err == nil && int64(out[i].Len()) != fairlead.Elements(out[i].Shape) {
				t.Errorf("%d values of shape %v", out[i].Len(), out[i].Shape)
			}
		}
	})
}
