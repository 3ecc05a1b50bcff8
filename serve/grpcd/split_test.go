package grpcd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/cloud"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// TestEveryProtocolAgrees asks for the same keys over gRPC, both REST protocols and a cloud platform's, the key in the
// header and in the parameters: whoever asks in whatever way gets the same version, and is told which.
func TestEveryProtocolAgrees(t *testing.T) {
	canary := &route.Target{Model: "m", Version: 2, Signature: fake.Echo(2).Signature(), Session: fake.Echo(2)}
	live := one(fake.Echo(2))
	split, err := route.NewSplit(route.SplitOptions{Salt: "s", Signature: live.Signature, Arms: []route.Arm{{Name: "canary", Weight: 0.5, Target: canary}}})
	if err != nil {
		t.Fatal(err)
	}
	router := &route.Router{}
	b := start(t, serve.Options{Router: router}, grpcd.Options{})
	table, err := route.NewTable([]route.Deployment{{Name: "m", Live: live, Split: split}})
	if err != nil {
		t.Fatal(err)
	}
	router.Swap(table)
	rest := httpd.New(b.core, httpd.Options{})
	platform := cloud.New(cloud.Contract{Platform: cloud.Vertex, Predict: "/predict", Model: "m"}, cloud.Options{Inference: rest})

	const tensors = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]%s}`
	post := func(h http.Handler, path, body string, header ...string) string {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", path, body, w.Code, w.Body)
		}
		var answer struct {
			Version string `json:"model_version"`
		}
		if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		role := w.Header().Get("Fairlead-Role")
		if want := map[string]string{"1": "live", "2": "canary"}[answer.Version]; answer.Version != "" && role != want {
			t.Errorf("%s: version %s calls itself %q", path, answer.Version, role)
		}
		return role
	}
	overGRPC := func(parameters map[string]*oip.InferParameter, md ...string) string {
		ctx := metadata.AppendToOutgoingContext(t.Context(), md...)
		var header metadata.MD
		answer, err := b.client.ModelInfer(ctx, &oip.ModelInferRequest{
			ModelName: "m", Parameters: parameters, Inputs: []*oip.ModelInferRequest_InferInputTensor{{
				Name: "x", Datatype: "FP32", Shape: []int64{1, 2}, Contents: &oip.InferTensorContents{Fp32Contents: []float32{1, 2}},
			}},
		}, grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		role := strings.Join(header.Get("fairlead-role"), ",")
		if want := map[string]string{"1": "live", "2": "canary"}[answer.ModelVersion]; role != want {
			t.Errorf("gRPC: version %s calls itself %q", answer.ModelVersion, role)
		}
		return role
	}
	text := func(name, value string) map[string]*oip.InferParameter {
		return map[string]*oip.InferParameter{name: {ParameterChoice: &oip.InferParameter_StringParam{StringParam: value}}}
	}
	seen := map[string]int{}
	for i := range 40 {
		key := fmt.Sprint("customer-", i)
		want := string(fairlead.RoleLive)
		if split.Assign(key) == 0 {
			want = string(fairlead.RoleCanary)
		}
		seen[want]++
		body := fmt.Sprintf(tensors, `,"parameters":{"routing_key":"`+key+`"}`)
		for how, got := range map[string]string{
			"OIP, header":       post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, ""), "Fairlead-Routing-Key", key),
			"OIP, parameter":    post(rest, "/v2/models/m/infer", body),
			"OIP, entity key":   post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, ""), "Fairlead-Entity-Key", key),
			"OIP, row's key":    post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, `,"rows":[{"key":"`+key+`"}]`)),
			"OIP, request id":   post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, `,"id":"`+key+`"`)),
			"TensorFlow":        post(rest, "/v1/models/m:predict", `{"instances":[[1,2]]}`, "Fairlead-Routing-Key", key),
			"cloud":             post(platform, "/predict", `{"instances":[[1,2]]}`, "Fairlead-Routing-Key", key),
			"gRPC, metadata":    overGRPC(nil, "fairlead-routing-key", key),
			"gRPC, parameter":   overGRPC(text("routing_key", key)),
			"gRPC, entity key":  overGRPC(text("entity_key", key)),
			"body beats header": post(rest, "/v2/models/m/infer", body, "Fairlead-Routing-Key", "another"),
		} {
			if got != want {
				t.Errorf("%s: %s is answered as %q, want %q", how, key, got, want)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("all of the keys are of one arm: %v", seen)
	}
	for how, got := range map[string]string{
		"header":         post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, ""), "Fairlead-Pin", "canary"),
		"parameter":      post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, `,"parameters":{"pin":"canary"}`)),
		"number":         post(rest, "/v2/models/m/infer", fmt.Sprintf(tensors, `,"parameters":{"pin":2}`)),
		"path":           post(rest, "/v2/models/m/versions/2/infer", fmt.Sprintf(tensors, "")),
		"gRPC, metadata": overGRPC(nil, "fairlead-pin", "2"),
		"cloud":          post(platform, "/predict", `{"instances":[[1,2]]}`, "Fairlead-Pin", "canary"),
	} {
		if got != "canary" {
			t.Errorf("pinned to the canary by %s: %q answered", how, got)
		}
	}
	var counted uint64
	for _, tally := range split.Tallies() {
		counted += tally.Total().Requests
	}
	if counted != 40*11 {
		t.Errorf("%d requests counted, want %d: those that were not pinned", counted, 40*11)
	}
}
