package app

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// library is the ONNX Runtime that `make runtime` fetched.
func library(t *testing.T) string {
	if path := os.Getenv("FAIRLEAD_ORT_LIBRARY"); path != "" {
		return path
	}
	found, _ := filepath.Glob("../bin/libonnxruntime.*")
	if len(found) == 0 {
		t.Fatal("no ONNX Runtime library in bin/: run `make runtime`")
	}
	return found[0]
}

// open starts a server on a free port and a fresh folder; it stops when the test ends.
func open(t *testing.T, data string) *App {
	t.Helper()
	c := Defaults()
	c.Data, c.HTTP, c.GRPC, c.Library, c.Version = data, "127.0.0.1:0", "", library(t), "test"
	c.LossWindow, c.MaxLag = 100*time.Millisecond, 0 // tests wait for what comes out, however busy the machine is
	a, err := Start(t.Context(), c, slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return a
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

// TestRiver follows one prediction through every station and keeps what it saw as text.
func TestRiver(t *testing.T) {
	a := open(t, t.TempDir())
	var story strings.Builder
	station := func(title string) { fmt.Fprintf(&story, "\n== %s\n", title) }
	base := "http://" + a.Address()

	station("ship: a bundle folder is pushed")
	folder, err := bundle.Tar(os.DirFS("../examples/flights/bundle"))
	if err != nil {
		t.Fatal(err)
	}
	var pushed map[string]any
	call(t, base+"/api/v1/models/flights/versions?alias=champion", "application/x-tar", folder, &pushed)
	fmt.Fprintf(&story, "%v@%v, task %v, label %v, deployed as %v, reference %v\n",
		pushed["model"], pushed["version"], pushed["task"], pushed["label"], pushed["deployment"], pushed["reference"])

	station("serve: one request in, one answer out")
	request := `{"instances":[{"hour":17,"weekday":3,"distance":733,"departures":60,"origin":"ATL","destination":"ORD"}],` +
		`"rows":[{"id":"p-1","time":"2001-03-08T17:05:00Z","key":"flight 1","tags":{"desk":"7"}}]}`
	var answer map[string]any
	call(t, base+"/v2/models/flights/infer", "application/json", []byte(request), &answer)
	delete(answer, "id") // made by the server
	fmt.Fprintf(&story, "%s\n%s\n", request, indent(t, answer))

	station("eventlog: the row, as it is on disk")
	msg := first(t, a, eventlog.Predictions)
	rows, err := eventlog.DecodePredictions(msg.Data)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&story, "%s", describeRows(rows))

	station("eventlog: the counts of its minute, in the same message")
	_, layout, _ := a.deployer.Info("flights", 1)
	for _, d := range rows.Counts {
		counts, err := profile.ParseCounts(layout, d.Counts)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&story, "%s@%d %s %s: %d row\n", d.Deployment, d.Version, d.Role, d.Minute.Format(time.RFC3339), counts.N)
		for i, c := range layout.Columns {
			fmt.Fprintf(&story, "  %-12s %s\n", c.Name, hit(layout, counts, i))
		}
	}

	station("eventlog: the label, acknowledged after it is on disk")
	var accepted map[string]any
	call(t, base+"/api/v1/deployments/flights/labels", "application/json",
		[]byte(`{"labels":[{"prediction_id":"p-1","value":"late","time":"2001-03-08T19:10:00Z"}]}`), &accepted)
	labels, err := eventlog.DecodeLabels(first(t, a, eventlog.Labels).Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range labels {
		fmt.Fprintf(&story, "%v: %s %s = %s at %s\n", accepted, l.Deployment, l.PredictionID, l.Value, l.Time.Format(time.RFC3339))
	}

	station("evalstore: the row, the label, the outcome")
	wait(t, "the outcome", func() bool { return len(query(t, base, "SELECT 1 FROM outcomes")) == 1 })
	for _, q := range []string{
		`SELECT prediction_id, event_time, version, role, key, hour, weekday, distance, departures, origin, destination FROM rows."flights"`,
		`SELECT prediction_id, value, time FROM labels`,
		`SELECT prediction_id, label, round(score, 4) AS score FROM outcomes`,
	} {
		fmt.Fprintf(&story, "%s\n", q)
		for _, row := range query(t, base, q) {
			fmt.Fprintf(&story, "  %v\n", row)
		}
	}

	station("watch: what the hour says, too few rows to say much")
	var drift, metrics map[string]any
	wait(t, "the findings and the metrics", func() bool {
		get(t, base+"/api/v1/deployments/flights/drift?grain=hour", &drift)
		get(t, base+"/api/v1/deployments/flights/metrics?grain=hour", &metrics)
		points := metrics["points"].([]any)
		return len(drift["windows"].([]any)) == 1 && len(points) == 1 && points[0].(map[string]any)["labelled"] == 1.0
	})
	fmt.Fprintf(&story, "window %v\n", drift["windows"])
	for _, c := range drift["columns"].([]any) {
		column := c.(map[string]any)
		cell := column["cells"].([]any)[0].(map[string]any)
		fmt.Fprintf(&story, "  %-12s n %v against %v rows (%v): %v, open %v\n",
			column["name"], cell["n"], cell["m"], cell["reference"], cell["verdict"], cell["provisional"])
	}
	fmt.Fprintf(&story, "metrics %s\n", indent(t, metrics["points"]))

	golden(t, "testdata/river.txt", story.String())
}

func describeRows(r *eventlog.Rows) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s@%d %s, %d row: %s at %s, key %s, tags %v\n", r.Deployment, r.Version, r.Role[0], r.N, r.ID[0],
		r.EventTime[0].Format(time.RFC3339), r.Key[0], r.Tags[0])
	for _, c := range r.Columns {
		fmt.Fprintf(&b, "  %-12s %v\n", c.Field.Name, reflect.ValueOf(c.Data).Index(0))
	}
	return b.String()
}

// hit names the bin that one row fell into.
func hit(l *profile.Layout, c *profile.Counts, col int) string {
	bins := l.Bins(col)
	for i, n := range c.BinCounts(l, col) {
		if n > 0 {
			return bins[i].Kind + " " + bins[i].Label
		}
	}
	return "nothing"
}

// first waits for the first message of a stream.
func first(t *testing.T, a *App, s eventlog.Stream) eventlog.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got eventlog.Message
	err := a.events.Follow(ctx, s, 0, 1, func(msgs []eventlog.Message) error {
		got = msgs[0]
		return io.EOF
	})
	if got.Seq == 0 {
		t.Fatalf("nothing in %s: %v", s, err)
	}
	return got
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func call(t *testing.T, url, contentType string, body []byte, out any) {
	t.Helper()
	resp, err := http.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, url, resp, out)
}

func get(t *testing.T, url string, out any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, url, resp, out)
}

func decode(t *testing.T, url string, resp *http.Response, out any) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", url, resp.Status, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatalf("%s: %v in %s", url, err, raw)
	}
}

func query(t *testing.T, base, sql string) [][]any {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": sql})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Rows [][]any `json:"rows"`
	}
	call(t, base+"/api/v1/sql", "application/json", body, &answer)
	return answer.Rows
}

func indent(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the river runs differently from %s (-update rewrites it):\n%s", path, got)
	}
}
