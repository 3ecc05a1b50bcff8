package app

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// testModel is one of the engine's test graphs.
func testModel(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../serve/engine/ort/testdata/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// folder packs a bundle folder of a graph, fairlead.yaml and a reference in CSV; "" leaves a file out.
func folder(t *testing.T, graph []byte, settings, reference string, more ...map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	files := map[string]string{"fairlead.yaml": settings, "model.onnx": string(graph), "reference.csv": reference}
	for _, m := range more {
		maps.Copy(files, m)
	}
	for name, content := range files {
		if content == "" {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree is the settings of the graph "tree": three classes over two numbers.
const tree = "name: tree\nmodel: model.onnx\nreference: reference.csv\ninputs: [{name: X, features: [a, b]}]\ntask: multiclass\nlabel: {name: truth}\n"

const treeRows = "a,b,truth\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n2,0,5\n2,1,5\n"

func TestPush(t *testing.T) {
	a := open(t, t.TempDir())
	push := func(t *testing.T, name fairlead.Name, tar bool, body []byte) api.PushAnswer {
		t.Helper()
		answer, err := a.Push(t.Context(), name, tar, body, api.PushOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	noted := func(t *testing.T, notes []string, part string) {
		t.Helper()
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, part) }) {
			t.Errorf("no note says %q: %q", part, notes)
		}
	}
	t.Run("bare", func(t *testing.T) {
		got := push(t, "bare", false, testModel(t, "tree"))
		if got.Reference != nil || got.Version != 1 || got.Deployment != "bare" || got.Existing {
			t.Errorf("%+v", got)
		}
		var drift api.Drift
		get(t, "http://"+a.Address()+"/api/v1/deployments/bare/drift", &drift)
		if drift.Empty != "no_reference" {
			t.Errorf("drift without a reference is %+v", drift)
		}
		if again := push(t, "bare", false, testModel(t, "tree")); !again.Existing || again.Version != 1 {
			t.Errorf("the same again: %+v", again)
		}
	})
	t.Run("outputs are scored", func(t *testing.T) {
		got := push(t, "tree", true, folder(t, testModel(t, "tree"), tree, treeRows))
		if got.Reference == nil || got.Reference.Rows != 6 || got.Reference.Phases {
			t.Fatalf("%+v", got.Reference)
		}
		noted(t, got.Notes, "the model computed it")
		noted(t, got.Notes, "no two weeks of event time")
		ref, _, err := a.deployer.Reference(t.Context(), "tree", 1)
		if err != nil {
			t.Fatal(err)
		}
		var columns []string
		for i, c := range ref.Layout.Columns {
			columns = append(columns, c.Name)
			if n := ref.Total.Missing(ref.Layout, i); n != 0 {
				t.Errorf("%s: a share of %g is missing", c.Name, n)
			}
		}
		if want := "a b label probabilities.0 probabilities.1 probabilities.2"; strings.Join(columns, " ") != want {
			t.Errorf("columns %v, want %s", columns, want)
		}
	})
	t.Run("labels are strings", func(t *testing.T) {
		settings := "name: bin\nmodel: model.onnx\nreference: reference.csv\ninputs: [{name: x, features: [score_in, other]}]\n" +
			"outputs: [{name: y, role: score, classes: [on_time, late]}]\ntask: binary\nlabel: {name: truth}\n"
		rows := "score_in,other,truth\n0.9,0.1,on_time\n0.2,0.8,late\n0.4,0.6,late\n0.7,0.3,\n0.3,0.7,on_time\n"
		push(t, "bin", true, folder(t, testModel(t, "identity_fp32"), settings, rows))
		m := a.deployer.Metrics("bin", 1)
		if m["accuracy"] != 0.75 || m["positive_rate"] != 0.5 {
			t.Errorf("metrics of the reference are %v; 3 of 4 labelled rows are right, 2 are late", m)
		}
	})
	t.Run("golden vectors", func(t *testing.T) {
		golden := func(name string) *bundle.Golden {
			entry, err := a.registry.Resolve(t.Context(), fairlead.Name(name), "")
			if err != nil {
				t.Fatal(err)
			}
			b, err := a.registry.Open(t.Context(), entry.Digest)
			if err != nil {
				t.Fatal(err)
			}
			g, err := b.Golden()
			if err != nil || g == nil {
				t.Fatalf("%s has the golden vectors %+v, %v", name, g, err)
			}
			return g
		}
		g := golden("tree") // of rows of its reference
		if len(g.Cases) != 6 || !slices.Equal(g.Cases[5].Inputs[0].Data.([]float32), []float32{2, 1}) || len(g.Cases[0].Outputs) != 2 {
			t.Errorf("%+v", g)
		}
		if g := golden("bare"); len(g.Cases) != goldenCases { // of values made up
			t.Errorf("%+v", g)
		}
		report := a.deployer.Report("tree", 1)
		noted(t, report, "golden vectors: all 6 cases agree")
		noted(t, report, "batching: ")
		given := map[string]string{"golden.json": `{"cases":[{"inputs":[{"name":"X","datatype":"FP32","shape":[1,2],"data":[0,0]}],` +
			`"outputs":[{"name":"label","datatype":"INT64","shape":[1],"data":[1]}]}]}`}
		_, err := a.Push(t.Context(), "wrong", true, folder(t, testModel(t, "tree"), tree, treeRows, given), api.PushOptions{})
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), `case 0: output "label", row 0: expected 1, got 0`) {
			t.Errorf("golden vectors that are wrong: %v", err)
		}
		given["golden.json"] = strings.Replace(given["golden.json"], "[1]}]}]}", "[0]}]}]}", 1)
		push(t, "right", true, folder(t, testModel(t, "tree"), tree, treeRows, given))
		if g := golden("right"); len(g.Cases) != 1 || g.Relative != bundle.DefaultRelative {
			t.Errorf("%+v", g)
		}
	})
	t.Run("fixed batch", func(t *testing.T) {
		settings := "name: one\nmodel: model.onnx\nreference: reference.csv\ninputs: [{name: x, features: [a, b, c]}]\n"
		got := push(t, "one", true, folder(t, testModel(t, "batch1"), settings, "a,b,c\n1,2,3\n4,5,6\n7,8,9\n"))
		if got.Reference == nil || got.Reference.Rows != 3 {
			t.Errorf("%+v", got.Reference)
		}
	})
	before := len(a.deployer.Names())
	for name, bad := range map[string]struct {
		tar  bool
		body []byte
		want string
	}{
		"no bytes":               {false, nil, "the model is empty"},
		"not a graph":            {false, []byte("hello"), ""},
		"not a tar":              {true, testModel(t, "tree"), "tar"},
		"a tar without settings": {true, folder(t, testModel(t, "tree"), "", treeRows), "fairlead.yaml"},
		"a feature is missing":   {true, folder(t, testModel(t, "tree"), tree, "a,truth\n1,1\n"), "lacks 1 of the model's features"},
		"text for a number":      {true, folder(t, testModel(t, "tree"), tree, "a,b\n1,x\n"), "b: expected numbers"},
		"a reference of no rows": {true, folder(t, testModel(t, "tree"), tree, "a,b\n"), "rows"},
		"too many features":      {true, folder(t, testModel(t, "tree"), strings.Replace(tree, "[a, b]", "[a, b, c]", 1), treeRows), "3"},
		"no such input":          {true, folder(t, testModel(t, "tree"), strings.Replace(tree, "name: X", "name: Y", 1), treeRows), `"Y"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.Push(t.Context(), "nothing", bad.tar, bad.body, api.PushOptions{})
			if err == nil || !slices.Contains([]fairlead.Code{fairlead.CodeInvalid, fairlead.CodeNotFound}, fairlead.CodeOf(err)) || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("%v (%s), want it to say %q", err, fairlead.CodeOf(err), bad.want)
			}
		})
	}
	models, err := a.Models(t.Context())
	if err != nil || len(a.deployer.Names()) != before || len(models) != before {
		t.Errorf("after bad pushes there are %d models and %d deployments, before %d (%v)", len(models), len(a.deployer.Names()), before, err)
	}
	t.Run("over http", func(t *testing.T) {
		resp, err := http.Post("http://"+a.Address()+"/api/v1/models/Bad/versions", "application/octet-stream", bytes.NewReader([]byte("x")))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Error(resp.Status)
		}
	})
}

// A slow client does not take the time that the rows need.
func TestStopCutsOffASlowClient(t *testing.T) {
	a := open(t, t.TempDir())
	a.config.StopWithin = 2 * time.Second
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	done := make(chan error, 1)
	go func() {
		resp, err := http.Post("http://"+a.Address()+"/v2/models/m/infer", "application/json", r)
		if err == nil {
			err = fmt.Errorf("answered %s", resp.Status)
			_ = resp.Body.Close()
		}
		done <- err
	}()
	if _, err := w.WriteString(`{"inputs":`); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // for the request to be in flight; if it is not, there is nothing to cut off
	began := time.Now()
	if err := a.stopHTTP(t.Context()); err != nil || time.Since(began) > a.config.StopWithin {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	_ = w.Close()
	<-done
}

// A push that does not get as far as serving leaves the aliases where they were.
func TestFailedPushMovesNoAlias(t *testing.T) {
	a := open(t, t.TempDir())
	push := func(graph, alias string) error {
		_, err := a.Push(t.Context(), "m", false, testModel(t, graph), api.PushOptions{Alias: alias, Force: true})
		return err
	}
	aliases := func() map[string]fairlead.Version {
		m, err := a.registry.Model(t.Context(), "m")
		if err != nil {
			t.Fatal(err)
		}
		return m.Aliases
	}
	if err := push("tree", "best"); err != nil {
		t.Fatal(err)
	}
	load := a.deployer.load
	a.deployer.load = func([]byte, int) (engine.Session, error) { return nil, errors.New("no memory") }
	if err := push("identity_fp32", "best"); err == nil {
		t.Error("pushed without memory")
	}
	if err := push("identity_fp32", "No Alias"); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("an alias that is none: %v", err)
	}
	if got := aliases(); got["best"] != 1 {
		t.Errorf("the alias points at %v, and version 1 serves", got)
	}
	a.deployer.load = load
	if err := push("identity_fp32", "best"); err != nil {
		t.Fatal(err)
	}
	if target, err := a.router.Load().Lookup("m", "best"); err != nil || target.Version != 2 || aliases()["best"] != 2 {
		t.Errorf("%+v, %v, %v", target, err, aliases())
	}
}
