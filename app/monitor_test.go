package app

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/watch/alert"
)

// What the live version's bundle says under monitor is the rule of the deployment, and the page is told.
func TestMonitorOfABundleIsTheRule(t *testing.T) {
	a := open(t, t.TempDir())
	base := "http://" + a.Address()
	push := func(monitor string) {
		t.Helper()
		folder := fstest.MapFS{}
		for _, name := range []string{"model.onnx", "reference.parquet"} {
			b, err := os.ReadFile("../examples/flights/bundle/" + name)
			if err != nil {
				t.Fatal(err)
			}
			folder[name] = &fstest.MapFile{Data: b}
		}
		folder["fairlead.yaml"] = &fstest.MapFile{Data: []byte("name: flights\nreference: reference.parquet\ninputs:\n" +
			"  - {name: features, features: [hour, weekday, distance, departures]}\n" + monitor)}
		raw, err := bundle.Tar(folder)
		if err != nil {
			t.Fatal(err)
		}
		call(t, base+"/api/v1/models/flights/versions", "application/x-tar", raw, &map[string]any{})
	}
	want := func(r alert.Rule) {
		t.Helper()
		if got := a.deployer.Rule("flights"); got != r {
			t.Errorf("the rule is %+v, want %+v", got, r)
		}
		var d api.Drift
		get(t, base+"/api/v1/deployments/flights/drift", &d)
		if d.Rule != (api.Rule{Measure: r.Measure, Threshold: r.Threshold, Grain: r.Grain, For: r.For, Of: r.Of, FDR: r.FDR, Clear: r.Clear}) {
			t.Errorf("the page is told %+v", d.Rule)
		}
	}
	push("")
	want(alert.DefaultRule())
	push("monitor: {measure: ks, tolerance: 0.05, fdr: 0, windows: 3 of 5, grain: day, clear: 1}\n")
	want(alert.Rule{Measure: alert.MeasureKS, Threshold: 0.05, Grain: "day", For: 3, Of: 5, Clear: 1})
}
