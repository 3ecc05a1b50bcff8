package cloud_test

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/cloud"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func env(pairs string) func(string) string {
	m := map[string]string{}
	for pair := range strings.FieldsSeq(pairs) {
		k, v, _ := strings.Cut(pair, "=")
		m[k] = v
	}
	return func(k string) string { return m[k] }
}

func TestDetect(t *testing.T) {
	const grace = 25 * time.Second
	sagemaker := cloud.Contract{Platform: "sagemaker", Address: "0.0.0.0:8080", Readiness: "/ping", Predict: "/invocations",
		ModelDir: "/opt/ml/model", ModelsRoot: "/opt/ml/models", StopWithin: grace}
	with := func(c cloud.Contract, f func(*cloud.Contract)) *cloud.Contract { f(&c); return &c }
	for _, test := range []struct {
		name, wanted, env, args, folder string
		want                            *cloud.Contract
	}{
		{name: "a laptop", args: "serve"},
		{name: "a laptop that has SageMaker's folder and flags", args: "serve --http :8080", folder: "/opt/ml/model"},
		{name: "switched off", wanted: "none", env: "SAGEMAKER_BIND_TO_PORT=8081 AIP_HTTP_PORT=8080"},
		{name: "switched off by the environment", env: "FAIRLEAD_CLOUD=none AIP_HTTP_PORT=8080"},
		{name: "SageMaker by its folder", args: "serve", folder: "/opt/ml/model",
			want: with(sagemaker, func(c *cloud.Contract) { c.Why = "the argument is serve and there is /opt/ml/model" })},
		{name: "SageMaker by its port", env: "SAGEMAKER_BIND_TO_PORT=8085", want: with(sagemaker, func(c *cloud.Contract) {
			c.Address, c.Why = "0.0.0.0:8085", "SAGEMAKER_BIND_TO_PORT is set"
		})},
		{name: "SageMaker with many models", env: "SAGEMAKER_MULTI_MODEL=true", want: with(sagemaker, func(c *cloud.Contract) {
			c.MultiModel, c.ModelDir, c.Why = true, "", "SAGEMAKER_MULTI_MODEL is set"
		})},
		{name: "SageMaker asked for, Triton's variable for the default model", wanted: "sagemaker",
			env: "SAGEMAKER_TRITON_DEFAULT_MODEL_NAME=iris FAIRLEAD_MODEL_DIR=/models", want: with(sagemaker, func(c *cloud.Contract) {
				c.Model, c.ModelDir, c.Why = "iris", "/models", "--cloud=sagemaker"
			})},
		{name: "Vertex AI", env: "AIP_HTTP_PORT=8088 AIP_HEALTH_ROUTE=/v1/endpoints/1/deployedModels/2 AIP_PREDICT_ROUTE=/v1/endpoints/1/deployedModels/2:predict AIP_STORAGE_URI=/mnt/model/",
			want: &cloud.Contract{Platform: "vertex", Why: "AIP_HTTP_PORT is set", Address: "0.0.0.0:8088",
				Readiness: "/v1/endpoints/1/deployedModels/2", Predict: "/v1/endpoints/1/deployedModels/2:predict", ModelDir: "/mnt/model", StopWithin: grace}},
		{name: "Vertex AI with the model in the image", env: "AIP_PREDICT_ROUTE=/predict AIP_STORAGE_URI=gs://bucket/m FAIRLEAD_MODEL_DIR=/models",
			want: &cloud.Contract{Platform: "vertex", Why: "AIP_PREDICT_ROUTE is set", Address: "0.0.0.0:8080",
				Readiness: "/health", Predict: "/predict", ModelDir: "/models", StopWithin: grace}},
		{name: "Azure", env: "AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/flights/3",
			want: &cloud.Contract{Platform: "azure", Why: "AZUREML_MODEL_DIR is set", Address: "0.0.0.0:8080", Liveness: "/livez",
				Readiness: "/readyz", Predict: "/score", ModelDir: "/var/azureml-app/azureml-models/flights/3", StopWithin: grace}},
		{name: "Azure with its own routes", wanted: "azure", env: "FAIRLEAD_PORT=5001 FAIRLEAD_LIVENESS_ROUTE=/ FAIRLEAD_READINESS_ROUTE=/ok FAIRLEAD_SCORING_ROUTE=/predict",
			want: &cloud.Contract{Platform: "azure", Why: "--cloud=azure", Address: "0.0.0.0:5001", Liveness: "/", Readiness: "/ok",
				Predict: "/predict", StopWithin: grace}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, found, err := cloud.Detect(test.wanted, cloud.Surroundings{Env: env(test.env), Args: strings.Fields(test.args),
				Exists: func(path string) bool { return path == test.folder }})
			if err != nil {
				t.Fatal(err)
			}
			if found != (test.want != nil) {
				t.Fatalf("found %v: %+v", found, got)
			}
			if test.want == nil {
				test.want = &cloud.Contract{}
			}
			if diff := cmp.Diff(*test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDetectErrors(t *testing.T) {
	for _, test := range []struct{ wanted, env, want string }{
		{"aws", "", `--cloud is "aws", which is not a cloud (use auto, none, sagemaker, vertex or azure)`},
		{"", "FAIRLEAD_CLOUD=gcp", `FAIRLEAD_CLOUD is "gcp", which is not a cloud (use auto, none, sagemaker, vertex or azure)`},
		{"", "AIP_HTTP_PORT=http", `AIP_HTTP_PORT is "http", which is not a port (a port is a number from 1 to 65535)`},
		{"", "SAGEMAKER_BIND_TO_PORT=70000", `SAGEMAKER_BIND_TO_PORT is "70000", which is not a port (a port is a number from 1 to 65535)`},
		{"azure", "FAIRLEAD_PORT=0", `FAIRLEAD_PORT is "0", which is not a port (a port is a number from 1 to 65535)`},
		{"", "AIP_PREDICT_ROUTE=predict", `AIP_PREDICT_ROUTE is "predict", which is not a path (a path starts with a slash, for example /score)`},
		{"azure", "FAIRLEAD_SCORING_ROUTE=/livez", `predictions and health are both asked for at /livez (give them different paths)`},
		{"", "AIP_HTTP_PORT=8080 AIP_STORAGE_URI=gs://bucket/model", `the model is at gs://bucket/model, which is not a folder of this machine ` +
			`(put the model into the image and set FAIRLEAD_MODEL_DIR to its folder, or mount the bucket and point there; this server fetches nothing from the network by itself)`},
	} {
		_, _, err := cloud.Detect(test.wanted, cloud.Surroundings{Env: env(test.env)})
		if err == nil || err.Error() != test.want || fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s %s:\n got %v\nwant %s", test.wanted, test.env, err, test.want)
		}
	}
}

func TestFind(t *testing.T) {
	for _, test := range []struct{ name, files, want string }{
		{"an ONNX file", "flights.onnx", "flights flights.onnx"},
		{"a file without a name of its own", "model.onnx notes.txt .hidden", "given model.onnx"},
		{"a bundle", "fairlead.yaml model.onnx reference.parquet", "given ."},
		{"a bundle in a folder, as tar packs it", "flights/fairlead.yaml flights/model.onnx", "flights flights"},
		{"a Triton repository", "flights/config.pbtxt flights/1/model.onnx flights/10/model.onnx flights/9/model.onnx", "flights flights/10/model.onnx"},
		{"two models", "a/1/model.onnx b/model.onnx", "a a/1/model.onnx; b b/model.onnx"},
		{"versions at the top", "1/model.onnx 2/model.onnx", "given 2/model.onnx"},
		{"an archive with a folder at its top", "export/models/Flight_Delay/1/model.onnx", "flight_delay export/models/Flight_Delay/1/model.onnx"},
		{"a name that is none", "Über Modell/1/model.onnx", "ber-modell Über Modell/1/model.onnx"},
		{"nothing", "", "error: there is no model in the model's folder; it is empty (expected an .onnx file, a folder with fairlead.yaml, or NAME/1/model.onnx)"},
		{"another kind of model", "model.pkl code/inference.py", "error: there is no model in the model's folder; there is code, model.pkl (expected an .onnx file, a folder with fairlead.yaml, or NAME/1/model.onnx)"},
		{"two files", "a.onnx b.onnx", "error: there are 2 models beside each other: a.onnx, b.onnx (keep one, or give each a folder: NAME/1/model.onnx)"},
		{"one name twice", "A/model.onnx a/model.onnx", "error: two models would be called a, one of them in a/model.onnx (a name has a-z 0-9 . _ - and other letters are folded to them: rename a folder)"},
	} {
		fsys := fstest.MapFS{}
		for name := range strings.FieldsSeq(strings.ReplaceAll(test.files, "Über Modell", "Über\x00Modell")) {
			fsys[strings.ReplaceAll(name, "\x00", " ")] = &fstest.MapFile{}
		}
		found, err := cloud.Find(fsys, "given")
		var got []string
		for _, f := range found {
			got = append(got, string(f.Name)+" "+f.Path)
			if _, err := fairlead.ParseName(string(f.Name)); err != nil {
				t.Error(err)
			}
		}
		if err != nil {
			got = []string{"error: " + err.Error()}
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, strings.Join(got, "; "), test.want)
		}
	}
}

// TestDocumented: docs/cloud.md names exactly the variables that Detect reads, and the paths and the port that it falls back
// on.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/cloud.md")
	if err != nil {
		t.Fatal(err)
	}
	read, told := map[string]bool{}, map[string]bool{}
	for _, platform := range []string{"", "sagemaker", "vertex", "azure"} {
		c, _, err := cloud.Detect(platform, cloud.Surroundings{Env: func(name string) string { read[name] = true; return "" }})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{c.Liveness, c.Readiness, c.Predict, c.ModelsRoot} {
			if !strings.Contains(string(page), path) {
				t.Errorf("docs/cloud.md does not say %s", path)
			}
		}
		if platform == "sagemaker" && !strings.Contains(string(page), c.ModelDir) {
			t.Errorf("docs/cloud.md does not say %s", c.ModelDir)
		}
	}
	for _, name := range regexp.MustCompile(`(FAIRLEAD|AIP|SAGEMAKER|AZUREML)_[A-Z_]*[A-Z]`).FindAllString(string(page), -1) {
		told[name] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(told))); diff != "" {
		t.Errorf("variables read (-) and documented (+):\n%s", diff)
	}
}
