package loadgen_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
)

func server(t *testing.T, mux *http.ServeMux) *loadgen.Server {
	u, err := url.Parse(serve(t, mux.ServeHTTP))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &loadgen.Server{URL: u, HTTP: client}
}

func answer(mux *http.ServeMux, pattern string, status int, body string) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

func TestAsksTheServer(t *testing.T) {
	mux := http.NewServeMux()
	answer(mux, "GET /v2/models/m", 200, `{"name":"m","versions":["3"],"platform":"onnx_onnxv1","inputs":[{"name":"x","datatype":"FP32","shape":[-1,2]}],"outputs":[]}`)
	answer(mux, "GET /v2/models/m/versions/3/stats", 200, `{"model_stats":[
		{"inference_count":30,"execution_count":10,"inference_stats":{"success":{"count":20,"ns":1},"fail":{"count":1,"ns":1},"queue":{"count":20,"ns":4000},"compute_infer":{"count":20,"ns":60000},"cache_hit":{"count":2,"ns":1}}},
		{"inference_count":2,"execution_count":2,"inference_stats":{"success":{"count":2,"ns":1},"queue":{"count":2,"ns":400}}}]}`)
	answer(mux, "GET /v2/models", 200, `{"models":["m","n"]}`)
	answer(mux, "GET /v2/models/m/versions/9", 404, `{"error":"m has no version 9"}`)
	answer(mux, "GET /v2/models/gone", 404, `{"error":"no model gone"}`)
	answer(mux, "GET /v2/models/page", 200, "<html>")
	answer(mux, "GET /api/v1/models/m/versions/3/example", 200, `{"source":"made","request":{"instances":[{"a":1}]}}`)
	answer(mux, "POST /v2/models/m/infer", 400, `{"error":"no inputs","hint":"give some"}`)
	s := server(t, mux)

	m, err := s.Model(t.Context(), "m", "")
	want := loadgen.Model{Name: "m", Versions: []string{"3"}, Platform: "onnx_onnxv1", Inputs: []loadgen.Spec{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 2}}}, Outputs: []loadgen.Spec{}}
	if diff := cmp.Diff(want, m); err != nil || diff != "" {
		t.Errorf("metadata: %v %s", err, diff)
	}
	if _, err := s.Model(t.Context(), "gone", ""); fairlead.CodeOf(err) != fairlead.CodeNotFound || !strings.Contains(err.Error(), "m, n") {
		t.Errorf("error %v; want one that names the models there are", err)
	}
	if _, err := s.Model(t.Context(), "m", "9"); fairlead.CodeOf(err) != fairlead.CodeNotFound || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("error %v; want one that names the versions there are", err)
	}
	if _, err := s.Model(t.Context(), "page", ""); err == nil || !strings.Contains(err.Error(), "is not the JSON") {
		t.Errorf("error %v for a page", err)
	}
	a, err := s.Anatomy(t.Context(), "m", "3")
	if err != nil || a.Rows != 32 || a.Runs != 12 || a.Successes != 22 || a.Failures != 1 || a.Queue != 4400 || a.QueueCount != 22 || a.CacheHits != 2 {
		t.Errorf("anatomy %+v, %v", a, err)
	}
	later := a
	later.Rows, later.Runs, later.Queue, later.QueueCount = 132, 22, 4400+5*time.Microsecond, 27
	if since := later.Since(a); since.RowsPerRun() != 10 || loadgen.Mean(since.Queue, since.QueueCount) != time.Microsecond || since.Successes != 0 {
		t.Errorf("since %+v", later.Since(a))
	}
	if _, err := s.Anatomy(t.Context(), "m", ""); err == nil {
		t.Error("statistics of a server without them")
	}
	if e, err := s.Example(t.Context(), "m", "3"); err != nil || string(e) != `{"instances":[{"a":1}]}` {
		t.Errorf("example %s, %v", e, err)
	}
	if e, err := s.Example(t.Context(), "m", "9"); err != nil || e != nil {
		t.Errorf("example %s, %v of a server without; want none and no error", e, err)
	}
	if err := s.Try(t.Context(), s.Path("m", "")+"/infer", []byte("{}")); err == nil || !strings.Contains(err.Error(), "no inputs (give some)") {
		t.Errorf("error %v; want the server's words", err)
	}
}

var allTypes = []fairlead.DataType{fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8, fairlead.Uint16,
	fairlead.Uint32, fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes}

// Values made for a model are those that come out of the JSON again, for every type; a seed makes them again.
func TestMadeInputsSurviveJSON(t *testing.T) {
	m := loadgen.Model{Name: "m"}
	for _, datatype := range allTypes {
		m.Inputs = append(m.Inputs, loadgen.Spec{Name: string(datatype), Datatype: datatype, Shape: []int64{-1, 3, -1}})
	}
	made, err := loadgen.MakeInputs(&m, 5, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := loadgen.MakeInputs(&m, 5, rand.New(rand.NewPCG(1, 2)))
	if diff := cmp.Diff(made, again); diff != "" {
		t.Errorf("the same seed made others: %s", diff)
	}
	for i, in := range made {
		if diff := cmp.Diff([]int64{5, 3, 1}, in.Shape); diff != "" || in.Len() != 15 {
			t.Errorf("%s: shape %v, %d elements", m.Inputs[i].Name, in.Shape, in.Len())
		}
		if in.Type == fairlead.FP16 {
			continue // ParseInputs says that it does not read them
		}
		body, err := loadgen.JSONBody(made[i : i+1])
		if err != nil {
			t.Fatal(err)
		}
		back, err := loadgen.ParseInputs(body)
		if diff := cmp.Diff(made[i:i+1], back); err != nil || diff != "" {
			t.Errorf("%s: %v %s", in.Name, err, diff)
		}
	}
}

func TestBinaryBody(t *testing.T) {
	in := []fairlead.Tensor{
		{Name: "s", Type: fairlead.Bytes, Shape: []int64{2}, Data: []string{"ab", ""}},
		{Name: "n", Type: fairlead.Uint16, Shape: []int64{2}, Data: []uint16{1, 0x0203}},
		{Name: "b", Type: fairlead.Bool, Shape: []int64{2}, Data: []bool{true, false}},
	}
	body, length, err := loadgen.BinaryBody(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(body[length:]), "\x02\x00\x00\x00ab\x00\x00\x00\x00"+"\x01\x00\x03\x02"+"\x01\x00"; got != want {
		t.Errorf("blobs %q, want %q", got, want)
	}
	var head struct {
		Inputs []struct {
			Parameters struct {
				Size int `json:"binary_data_size"`
			}
		}
		Parameters struct {
			Binary bool `json:"binary_data_output"`
		}
	}
	if err := json.Unmarshal(body[:length], &head); err != nil || len(head.Inputs) != 3 || head.Inputs[0].Parameters.Size != 10 || !head.Parameters.Binary {
		t.Errorf("head %s: %v", body[:length], err)
	}
}

func TestInputsThatCannotBeMade(t *testing.T) {
	spec := func(datatype fairlead.DataType, shape ...int64) *loadgen.Model {
		return &loadgen.Model{Name: "m", Inputs: []loadgen.Spec{{Name: "x", Datatype: datatype, Shape: shape}}}
	}
	for want, m := range map[string]*loadgen.Model{
		"does not say what inputs": {Name: "m"},
		"first dimension is fixed": spec(fairlead.FP32, 1, 4),
		`the datatype "COMPLEX"`:   spec("COMPLEX", -1),
	} {
		if _, err := loadgen.MakeInputs(m, 2, rand.New(rand.NewPCG(1, 1))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for body, want := range map[string]string{
		"nonsense":          "is not a JSON request",
		`{"instances":[1]}`: `has no "inputs"`,
		`{"inputs":[{"name":"x","shape":[3],"datatype":"FP32","data":[1,[2]]}]}`: "has 3 elements, but data has 2",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"WORD","data":[1]}]}`:     `"WORD" is not known`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[300]}]}`:   "element 0 is 300",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":["a"]}]}`:   "element 0 is a",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"BOOL","data":[1]}]}`:     "element 0 is 1",
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]}`:                `input "x"`,
		`{"inputs":[{"name":"x","shape":[-1],"datatype":"FP32","data":[1]}]}`:    "-1 elements",
	} {
		if _, err := loadgen.ParseInputs([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", body, err, want)
		}
	}
}

// FuzzParseInputs: whatever a file holds, what was read can be sent.
func FuzzParseInputs(f *testing.F) {
	f.Add([]byte(`{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[[1],[2.5]]}]}`))
	f.Add([]byte(`{"inputs":[{"name":"x","shape":[2],"datatype":"BYTES","data":["a","b"]}]}`))
	f.Add([]byte(`{"inputs":[{"name":"x","shape":[0],"datatype":"UINT64","data":[]}]}`))
	f.Add([]byte(`{"inputs":[{"name":"x","shape":[4611686018427387904,4],"datatype":"BOOL","data":[true]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := loadgen.ParseInputs(body)
		if err != nil {
			return
		}
		for i := range in {
			if int64(in[i].Len()) != fairlead.Elements(in[i].Shape) {
				t.Fatalf("%d elements of shape %v", in[i].Len(), in[i].Shape)
			}
		}
		if _, _, err := loadgen.BinaryBody(in); err != nil {
			t.Fatal(err)
		}
	})
}
