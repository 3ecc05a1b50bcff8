package httpd_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// TestRealModels sends requests over a socket to models on ONNX Runtime.
func TestRealModels(t *testing.T) {
	library := os.Getenv("FAIRLEAD_ORT_LIBRARY")
	if library == "" {
		library = "../../bin/libonnxruntime.so.1"
	}
	if _, err := os.Stat(library); err != nil {
		t.Skipf("no ONNX Runtime library: set FAIRLEAD_ORT_LIBRARY or run make (%v)", err)
	}
	rt, err := ort.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	var deployments []route.Deployment
	for _, name := range []string{"tree_zipmap_words", "two_inputs", "loop", "identity_bf16", "strings"} {
		onnx, err := os.ReadFile("../engine/ort/testdata/" + name + ".onnx")
		if err != nil {
			t.Fatal(err)
		}
		s, err := rt.Load(onnx, ort.Options{})
		if err != nil {
			t.Fatal(err)
		}
		sig := s.Signature()
		if name == "tree_zipmap_words" {
			sig.Inputs[0].Features = []string{"left", "right"}
		}
		deployments = append(deployments, route.Deployment{Name: fairlead.Name(name),
			Live: &route.Target{Model: fairlead.Name(name), Version: 1, Signature: sig, Session: s}})
	}
	table, err := route.NewTable(deployments)
	if err != nil {
		t.Fatal(err)
	}
	var router route.Router
	router.Swap(table)
	ts := httptest.NewServer(httpd.New(serve.New(serve.Options{Router: &router, NewID: func() string { return "id" }}), httpd.Options{}))
	for _, c := range []struct {
		model, body string
		status      int
		answer      string
	}{
		{"tree_zipmap_words", `{"instances":[{"left":0,"right":0},{"left":2,"right":1}]}`, 200,
			`{"predictions":[{"output_label":"setosa","output_probability":[0,0,1]},{"output_label":"on time","output_probability":[0,1,0]}],` +
				`"ids":["id.0","id.1"],"id":"id","model_name":"tree_zipmap_words","model_version":"1"}`},
		{"two_inputs", `{"inputs":[{"name":"b","datatype":"FP32","shape":[1,2],"data":[1,2]},{"name":"a","datatype":"FP32","shape":[1,2],"data":[10,20]}],"outputs":[{"name":"difference"}]}`, 200,
			`{"model_name":"two_inputs","model_version":"1","id":"id","parameters":{"prediction_id":"id"},"outputs":[{"name":"difference","datatype":"FP32","shape":[1,2],"data":[9,18]}]}`},
		{"two_inputs", `{"inputs":[{"name":"b","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]},{"name":"a","datatype":"FP32","shape":[3,2],"data":[1,2,3,4,5,6]}]}`, 400,
			`{"error":"the inputs have different numbers of rows (\"b\" 2, \"a\" 3), and the model cannot compute that","code":"invalid"}`},
		{"identity_bf16", `{"inputs":[{"name":"x","datatype":"BF16","shape":[1,2],"data":[1.5,-Infinity]}]}`, 200,
			`{"model_name":"identity_bf16","model_version":"1","id":"id","parameters":{"prediction_id":"id"},"outputs":[{"name":"y","datatype":"BF16","shape":[1,2],"data":[1.5,-Infinity]}]}`},
		{"strings", `{"instances":["ORD",{"city":"ÅLB"}]}`, 200,
			`{"predictions":[[2],[3]],"ids":["id.0","id.1"],"id":"id","model_name":"strings","model_version":"1"}`},
		{"loop", `{"parameters":{"deadline":"80ms"},"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[0]},{"name":"trips","datatype":"INT64","shape":[1],"data":[1099511627776]}]}`, 504,
			`"code":"deadline"`},
	} {
		resp, err := http.Post(ts.URL+"/v2/models/"+c.model+"/infer", "", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(body), c.answer) {
			t.Errorf("%s %s:\n got %s %s\nwant %d %s", c.model, c.body, resp.Status, body, c.status, c.answer)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	ts.Close()
	for _, d := range deployments {
		if err := d.Live.Session.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
}
