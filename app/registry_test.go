package app

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

// variantFile is one of testdata/variants: model.onnx in float32, small.onnx with weights in int8.
func variantFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/variants/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// network is a folder with both variants; small is what is said of the int8 one beside name and model.
func network(t *testing.T, small string) []byte {
	return folder(t, []byte(variantFile(t, "model.onnx")), `name: network
model: model.onnx
variants:
  - {name: int8, model: small.onnx`+small+`}
  - {name: fp32, model: model.onnx}
inputs: [{name: features, features: [a, b, c, d]}]
outputs: [{name: probability, role: score, classes: [no, yes]}]
task: binary
lineage: {trained_on: [rows-2001]}
`, "", map[string]string{"small.onnx": variantFile(t, "small.onnx"), "README.md": "# A network\n"})
}

// A version with an int8 variant: it is held to its own tolerance, serves where the host can, and comes out of a file in
// another server as the same version.
func TestVariantsServed(t *testing.T) {
	a := open(t, t.TempDir())
	push := func(small string) (api.PushAnswer, error) {
		return a.Push(t.Context(), "network", true, network(t, small), api.PushOptions{Alias: "champion", By: "ann"})
	}
	_, err := push("")
	var e *fairlead.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "variant int8: the model does not give its golden answers") || !strings.Contains(e.Hint, "give it a tolerance: {name: int8, model: small.onnx, tolerance:") {
		t.Fatalf("an int8 variant passes the tolerance of float32: %v", err)
	}
	v, err := push(", tolerance: {absolute: 0.05}")
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want string) {
		t.Helper()
		target, err := a.router.Load().Lookup("network", "")
		if err != nil || target.Variant != want || target.Digest != fairlead.Digest(v.Digest) {
			t.Errorf("%+v, %v; want variant %s", target, err, want)
		}
	}
	serves("int8")
	for i, want := range []api.Variant{
		{Name: "int8", File: "small.onnx", Serves: true, Tolerance: &api.Tolerance{Absolute: 0.05, Relative: bundle.DefaultRelative}}, {Name: "fp32", File: "model.onnx"},
	} {
		want.Digest = v.Variants[i].Digest
		if d := cmp.Diff(want, v.Variants[i]); d != "" {
			t.Error(d)
		}
	}
	if card, err := a.Card(t.Context(), "network", "champion"); err != nil || card.Text != "# A network\n" {
		t.Errorf("%+v, %v", card, err)
	}
	// Where the processor lacks what int8 needs, the other one serves; where both lack something, none.
	if v, err = push(", requires: {isa: [no_such_isa]}"); err != nil {
		t.Fatal(err)
	}
	serves("fp32")
	if !slices.ContainsFunc(v.Notes, func(n string) bool {
		return strings.HasPrefix(n, "variant int8 was not tried: it needs the instructions no_such_isa")
	}) || v.Variants[0].Lacking == "" || v.Variants[1].Lacking != "" || !v.Variants[1].Serves {
		t.Errorf("%q %+v", v.Notes, v.Variants)
	}

	write, err := a.Export(t.Context(), "network", "")
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := write(&file); err != nil {
		t.Fatal(err)
	}
	other := open(t, t.TempDir())
	loaded, err := other.Load(t.Context(), "copy", bytes.NewReader(file.Bytes()))
	if err != nil || len(loaded) != 2 || loaded[1].Digest != v.Digest || !slices.Equal(loaded[1].Aliases, []string{"champion"}) {
		t.Fatalf("%+v, %v", loaded, err)
	}
	if _, err := other.deployer.Live("copy"); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Errorf("a loaded version is deployed: %v", err)
	}
	if err := other.deployer.deploy(t.Context(), "copy", 2); err != nil {
		t.Error(err)
	}
}

// A version from elsewhere whose claims its graph does not bear out is not taken in.
func TestLoadRefusesLies(t *testing.T) {
	a := open(t, t.TempDir())
	lie := func(change func(*bundle.Source, *fairlead.Signature)) error {
		src := bundle.FromModel("network", []byte(variantFile(t, "model.onnx")))
		session, err := a.runtime.Load(src.Model, ort.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		sig, _, err := bundle.Merge(session.Signature(), src.File)
		if err != nil {
			t.Fatal(err)
		}
		if src.Golden, _, err = goldenFor(t.Context(), session, sig, nil, nil); err != nil {
			t.Fatal(err)
		}
		change(src, &sig)
		b, err := bundle.Seal(src, sig, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := registry.Open(t.TempDir(), &registrytest.KV{})
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := r.Add(t.Context(), "network", b, noon, "")
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if err := r.Export(t.Context(), &file, []registry.Entry{e}); err != nil {
			t.Fatal(err)
		}
		_, err = a.Load(t.Context(), "", &file)
		return err
	}
	for what, c := range map[string]struct {
		change func(*bundle.Source, *fairlead.Signature)
		want   string
	}{
		"the truth":  {func(*bundle.Source, *fairlead.Signature) {}, "<nil>"},
		"signature":  {func(_ *bundle.Source, s *fairlead.Signature) { s.Inputs[0].Name = "x" }, "its signature is not that of its graph"},
		"no model":   {func(s *bundle.Source, _ *fairlead.Signature) { s.Model = []byte("graph") }, "variant fp32"},
		"the golden": {func(s *bundle.Source, _ *fairlead.Signature) { s.Golden.Cases[0].Outputs[0].Data.([]float32)[0] += 0.1 }, "does not give its golden answers"},
	} {
		if err := lie(c.change); !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v; want %s", what, err, c.want)
		}
	}
}

// What breaks clients is refused at a push and at a move of an alias; what does not is not.
func TestPushBreakingChange(t *testing.T) {
	a := open(t, t.TempDir())
	push := func(features string, o api.PushOptions) error {
		_, err := a.Push(t.Context(), "m", true, folder(t, []byte(variantFile(t, "model.onnx")), "name: m\ninputs: [{name: features, features: ["+features+"]}]\n", ""), o)
		return err
	}
	if err := push("a, b, c, d", api.PushOptions{Alias: "champion"}); err != nil {
		t.Fatal(err)
	}
	err := push("b, a, c, d", api.PushOptions{})
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Reason != "breaking_change" ||
		e.Message != `the new version does not fit the clients of m@1, which is live: input "features" has its features in another order: "a" was column 0, now it is column 1` {
		t.Errorf("%v", err)
	}
	if m, err := a.registry.Model(t.Context(), "m"); err != nil || len(m.Versions) != 1 {
		t.Errorf("a refused version is stored: %+v, %v", m, err)
	}
	if err := push("b, a, c, d", api.PushOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	// The live one has the new order now; the alias still has clients of the old one.
	if err := push("b, a, c, d", api.PushOptions{Alias: "champion"}); !errors.As(err, &e) || !strings.Contains(e.Message, "m@1, which is its champion") {
		t.Errorf("%v", err)
	}
	one := 1
	if _, err := a.PointAlias(t.Context(), "m", "champion", api.AliasRequest{Version: "2"}, &one); !errors.As(err, &e) || e.Reason != "breaking_change" {
		t.Errorf("%v", err)
	}
	if move, err := a.PointAlias(t.Context(), "m", "champion", api.AliasRequest{Version: "2", Force: true, By: "ann"}, &one); err != nil || !move.Forced || move.From != 1 {
		t.Errorf("%+v, %v", move, err)
	}
	if target, err := a.router.Load().Lookup("m", "champion"); err != nil || target.Version != 2 {
		t.Errorf("%+v, %v", target, err)
	}
	if _, err := a.PointAlias(t.Context(), "m", "champion", api.AliasRequest{Version: "1", Force: true}, &one); !errors.As(err, &e) || e.Reason != "moved" {
		t.Errorf("%v", err)
	}
}

// A deployment's versions cannot be removed; one that only a far rollback would reach can, and then no rollback tries it.
func TestRemoveDeployed(t *testing.T) {
	a := open(t, t.TempDir())
	for n := range 4 {
		settings := fmt.Sprintf("name: m\ntests: [{size: {model: %dMB}}]\n", n+1)
		if _, err := a.Push(t.Context(), "m", true, folder(t, []byte(variantFile(t, "model.onnx")), settings, ""), api.PushOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for v, by := range map[string]string{"4": "deployment m, which serves it", "3": "deployment m, which keeps it ready"} {
		if _, err := a.RemoveVersion(t.Context(), "m", v, "ann"); fairlead.CodeOf(err) != fairlead.CodeConflict || !strings.Contains(err.Error(), by) {
			t.Errorf("%s: %v", v, err)
		}
	}
	if gone, err := a.RemoveVersion(t.Context(), "m", "2", "ann"); err != nil || gone.Version != 2 || gone.By != "ann" {
		t.Fatalf("%+v, %v", gone, err)
	}
	got, err := a.Collect(t.Context(), api.CollectRequest{DryRun: true, Grace: time.Hour.Seconds()})
	if err != nil || got.Blobs != 0 || got.Waiting == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, want := range []int{3, 1} {
		if back, err := a.deployer.Rollback(t.Context(), "m"); err != nil || back.To != want {
			t.Errorf("%+v, %v; want a rollback to %d", back, err, want)
		}
	}
	models, err := a.Models(t.Context())
	if err != nil || len(models) != 1 || len(models[0].Versions) != 3 || len(models[0].Removed) != 1 {
		t.Errorf("%+v, %v", models, err)
	}
	if found, err := a.CheckRegistry(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// The lineage of a push: names of versions become digests, and what is named must exist.
func TestPushLineage(t *testing.T) {
	a := open(t, t.TempDir())
	push := func(name fairlead.Name, o api.PushOptions) (api.PushAnswer, error) {
		return a.Push(t.Context(), name, true, folder(t, []byte(variantFile(t, "model.onnx")), "name: m\nlineage: {trained_on: rows}\n", ""), o)
	}
	teacher, err := push("teacher", api.PushOptions{Alias: "champion"})
	if err != nil {
		t.Fatal(err)
	}
	student, err := push("student", api.PushOptions{DistilledFrom: "teacher:champion", TrainedOn: []string{"more", "rows"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.Origin{
		{Relation: "distilled_from", Reference: "teacher@" + teacher.Digest, Model: "teacher", Version: 1, Depth: 1, Of: "student@1"},
		{Relation: "trained_on", Reference: "more", Depth: 1, Of: "student@1"}, {Relation: "trained_on", Reference: "rows", Depth: 1, Of: "student@1"},
	}
	if d := cmp.Diff(want, student.Origins); d != "" {
		t.Error(d)
	}
	l, err := a.Lineage(t.Context(), "student", "1")
	if err != nil || len(l.Ancestors) != 4 || l.Ancestors[3].Of != "teacher@1" || len(l.Descendants) != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err = a.Lineage(t.Context(), "teacher", "champion"); err != nil || len(l.Descendants) != 1 || l.Descendants[0].Model != "student" {
		t.Errorf("%+v, %v", l, err)
	}
	for ref, want := range map[string]string{"nobody@1": `there is no model "nobody"`, "teacher@7": `no version "7"`} {
		if _, err := push("student", api.PushOptions{QuantizedFrom: ref}); err == nil || !strings.Contains(err.Error(), "quantized_from") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// The host is described as its processor is.
func TestThisHost(t *testing.T) {
	h := thisHost("1.30.0")
	if h.OS == "" || h.Arch == "" || h.Runtime != "1.30.0" || !slices.IsSorted(h.ISA) {
		t.Errorf("%+v", h)
	}
	for text, want := range map[string]int64{"MemFree: 1 kB\nMemTotal:       16384 kB\n": 16 << 20, "MemTotal: lots\n": 0, "": 0} {
		got := memoryOf(func(string) ([]byte, error) { return []byte(text), nil })
		if got != want {
			t.Errorf("%q: %d bytes, want %d", text, got, want)
		}
	}
	if got := memoryOf(func(string) ([]byte, error) { return nil, os.ErrNotExist }); got != 0 {
		t.Errorf("%d bytes", got)
	}
}
