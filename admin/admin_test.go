package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/admin"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

var noon = time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)

// world is everything the handlers ask, in memory.
type world struct {
	deployments []api.Deployment
	models      []api.Model
	pushed      []string // name alias tar bytes
	labels      []fairlead.Label
	events      []fairlead.BusinessEvent
	reference   *profile.Reference
	signature   fairlead.Signature
	onReference map[string]float64
	findings    []watch.Finding
	profiles    [][]byte // of each window
	rows        []watch.MetricsRow
	spans       []admin.Span
	alerts      []api.Alert
	limits      []int
	fail        error
	log         bytes.Buffer
}

func (w *world) Models(context.Context) ([]api.Model, error) { return w.models, w.fail }

func (w *world) Push(_ context.Context, name fairlead.Name, tar bool, body []byte, o api.PushOptions) (api.PushAnswer, error) {
	alias := o.Alias
	w.pushed = append(w.pushed, fmt.Sprint(name, " ", alias, " ", tar, " ", len(body)))
	return api.PushAnswer{Deployment: string(name)}, w.fail
}

func (w *world) Example(_ context.Context, name, version string) (api.ModelExample, error) {
	if version != "champion" {
		return api.ModelExample{}, fairlead.NotFound("%s has no version %q", name, version)
	}
	return api.ModelExample{Source: "reference", Request: map[string]any{"instances": []any{map[string]any{"hour": 7.5}}}}, w.fail
}

func (w *world) Deployments(context.Context) ([]api.Deployment, error) { return w.deployments, w.fail }

func (w *world) Rollback(_ context.Context, name fairlead.Name) (api.RollbackAnswer, error) {
	return api.RollbackAnswer{Deployment: string(name), From: 2, To: 1}, w.fail
}

func (w *world) Annotate(_ context.Context, _ fairlead.Name, a api.Annotation) (api.Annotation, error) {
	a.ID = "made"
	return a, w.fail
}

func (w *world) AppendBulk(_ context.Context, labels []fairlead.Label, _ fairlead.LabelJoin) (int, error) {
	w.labels = append(w.labels, labels...)
	return 0, w.fail
}

func (w *world) LabelLag(context.Context, fairlead.Name, fairlead.LabelSpec, watch.Grain, int) (api.LabelLag, error) {
	return api.LabelLag{}, w.fail
}

func (w *world) Append(_ context.Context, labels []fairlead.Label) error {
	w.labels = append(w.labels, labels...)
	return w.fail
}

func (w *world) AppendEvents(_ context.Context, events []fairlead.BusinessEvent) error {
	w.events = append(w.events, events...)
	return w.fail
}

func (w *world) Findings(_ context.Context, s admin.Span) ([]watch.Finding, error) {
	w.spans = append(w.spans, s)
	return w.findings, w.fail
}

func (w *world) Metrics(_ context.Context, s admin.Span) ([]watch.MetricsRow, error) {
	w.spans = append(w.spans, s)
	return w.rows, w.fail
}

func (w *world) Profiles(context.Context, watch.Window) ([][]byte, error) { return w.profiles, w.fail }

func (w *world) Explain(_ context.Context, id string) (api.AlertExplanation, error) {
	return api.AlertExplanation{Alert: api.Alert{ID: id}}, w.fail
}

func (w *world) ExplainRows(ctx context.Context, id string) (api.AlertExplanation, error) {
	e, err := w.Explain(ctx, id)
	e.Examples = []api.ExampleRow{}
	return e, err
}

func (w *world) Alerts(context.Context) ([]api.Alert, error) { return slices.Clone(w.alerts), w.fail }

func (w *world) SQL(_ context.Context, _ string, limit int) (api.SQLAnswer, error) {
	w.limits = append(w.limits, limit)
	return api.SQLAnswer{Columns: []string{"n"}, Types: []string{"BIGINT"}, Rows: [][]any{{1}}}, w.fail
}

func (w *world) WriteSQL(_ context.Context, out io.Writer, query, format string, limit int) (api.SQLWritten, error) {
	w.limits = append(w.limits, limit)
	if strings.Contains(query, "late") { // an error after the first byte
		_, _ = io.WriteString(out, "n\n")
		return api.SQLWritten{}, errors.New("broke off")
	}
	if w.fail != nil {
		return api.SQLWritten{}, w.fail
	}
	_, err := io.WriteString(out, format)
	return api.SQLWritten{Rows: 1, Truncated: true}, err
}

func (w *world) SQLSchema(context.Context) ([]api.SQLTable, error) {
	return []api.SQLTable{{Name: "labels", About: "truths", Columns: []api.SQLColumn{{Name: "value", Type: "VARCHAR"}}}}, w.fail
}

func (w *world) names() []fairlead.Name {
	var names []fairlead.Name
	for _, d := range w.deployments {
		names = append(names, fairlead.Name(d.Name))
	}
	return names
}

// references is the part of world whose method names are taken.
type references struct{ *world }

func (r references) Reference(context.Context, fairlead.Name, fairlead.Version) (*profile.Reference, fairlead.Signature, error) {
	return r.reference, r.signature, nil
}

func (r references) Metrics(fairlead.Name, fairlead.Version) map[string]float64 { return r.onReference }

func (r references) Rule(fairlead.Name) alert.Rule {
	return alert.Rule{Measure: "psi", Threshold: 0.2, Grain: "hour", For: 2, Clear: 2}
}

// serve is the control API over a world with the deployments flights and iris.
func serve(t *testing.T, w *world) *httptest.Server {
	t.Helper()
	if w.deployments == nil {
		w.deployments = []api.Deployment{{Name: "flights", Model: "flights", Version: 2}, {Name: "iris", Version: 1}}
	}
	mux := http.NewServeMux()
	admin.New(mux, admin.Options{
		Version: "test", Log: slog.New(slog.NewTextHandler(&w.log, nil)), Now: func() time.Time { return noon },
		Names: w.names, Live: func(fairlead.Name) (fairlead.Version, error) { return 2, nil },
		Status: func(context.Context) (api.Status, error) { return api.Status{Version: "test"}, w.fail },
		Models: w, Deployments: w, Labels: w, Events: w, Findings: w, References: references{w}, Alerts: w, SQL: w, MaxUpload: 1000,
		Watermark: func(context.Context, fairlead.Name) (time.Time, error) { return noon, w.fail },
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// ask sends one request and gives the answer's body.
func ask(t *testing.T, s *httptest.Server, method, path, contentType, body string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, raw
}

func read[T any](t *testing.T, s *httptest.Server, method, path, body string) T {
	t.Helper()
	resp, raw := ask(t, s, method, path, "application/json", body)
	var out T
	if err := json.Unmarshal(raw, &out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, raw, err)
	}
	return out
}

// Every error has the same shape, whoever made it.
func TestErrors(t *testing.T) {
	s := serve(t, &world{models: []api.Model{{Name: "flights"}}})
	const labels = "/api/v1/deployments/flights/labels"
	long := strings.TrimSuffix(strings.Repeat(`{"prediction_id":"a","value":1},`, 100_001), ",")
	for _, c := range []struct {
		method, path, body string
		status             int
		code, text         string
	}{
		{"POST", labels, `{"labels":[]}`, 400, "invalid", "body.labels"},
		{"POST", labels, `{"labels":[{"value":1}]}`, 400, "invalid", "labels[0]: the label says not which prediction"},
		{"POST", labels, `{"labels":[{"prediction_id":"","value":1}]}`, 400, "invalid", "labels[0]: the label says not which prediction"},
		{"POST", labels, `{"labels":[{"prediction_id":"a","value":1,"colour":"red"}]}`, 400, "invalid", "colour"},
		{"POST", labels, `{"labels":[{"prediction_id":"a","value":1,"time":"yesterday"}]}`, 400, "invalid", "time"},
		{"POST", labels, `{"labels":[{"prediction_id":"a","value":null}]}`, 400, "invalid", "labels[0].value: is missing"},
		{"POST", labels, `{"labels":[{"prediction_id":"a","value":""}]}`, 400, "invalid", "labels[0].value: is empty"},
		{"POST", labels, `{"labels":[{"prediction_id":"a","value":1},{"prediction_id":"a","value":[1]}]}`, 400, "invalid", "labels[1].value: is a []interface {}"},
		{"POST", labels, `{"labels":[` + long + `]}`, 400, "invalid", "100000"},
		{"POST", labels, `{`, 400, "invalid", ""},
		{"POST", labels, ``, 400, "invalid", ""},
		{"POST", "/api/v1/deployments/fligths/labels", `{"labels":[{"prediction_id":"a","value":1}]}`, 404, "not_found", `no deployment "fligths"`},
		{"GET", "/api/v1/deployments/fligths", "", 404, "not_found", `no deployment "fligths"`},
		{"GET", "/api/v1/deployments/fligths/drift", "", 404, "not_found", `no deployment "fligths"`},
		{"GET", "/api/v1/deployments/fligths/metrics", "", 404, "not_found", `no deployment "fligths"`},
		{"POST", "/api/v1/deployments/fligths/rollback", "", 404, "not_found", `no deployment "fligths"`},
		{"GET", "/api/v1/models/x", "", 404, "not_found", `no model "x"`},
		{"GET", "/api/v1/deployments/flights/drift?grain=week", "", 400, "invalid", "query.grain"},
		{"GET", "/api/v1/deployments/flights/drift?limit=0", "", 400, "invalid", "query.limit"},
		{"GET", "/api/v1/deployments/flights/drift?limit=5001", "", 400, "invalid", "query.limit"},
		{"GET", "/api/v1/deployments/flights/drift?from=noon", "", 400, "invalid", "query.from"},
		{"GET", "/api/v1/deployments/flights/drift/hour", "", 400, "invalid", "query.start"},
		{"GET", "/api/v1/deployments/flights/drift/hour?start=2001-03-01T00:00:00Z", "", 404, "not_found", "has no reference"},
		{"GET", "/api/v1/alerts?state=loud", "", 400, "invalid", "query.state"},
		{"POST", "/api/v1/sql", `{"query":""}`, 400, "invalid", "body.query"},
		{"POST", "/api/v1/sql", `{"query":"SELECT 1","limit":1000001}`, 400, "invalid", "too many for JSON"},
		{"POST", "/api/v1/deployments/flights/annotations", `{"kind":"note","title":"x","start":"2001-03-02T00:00:00Z","end":"2001-03-01T00:00:00Z"}`, 400, "invalid", "end 2001-03-01T00:00:00Z is not after start"},
		{"POST", "/api/v1/deployments/flights/annotations", `{"kind":"wish","title":"x","start":"2001-03-01T00:00:00Z","end":"2001-03-02T00:00:00Z"}`, 400, "invalid", "body.kind"},
		{"POST", "/api/v1/models/Upper/versions", "x", 400, "invalid", `"Upper" is not a name`},
		{"POST", "/api/v1/models/big/versions", strings.Repeat("x", 1001), 413, "too_large", ""},
		{"GET", "/api/v1/nothing", "", 404, "not_found", "there is no GET /api/v1/nothing"},
		{"DELETE", "/api/v1/status", "", 404, "not_found", "there is no DELETE /api/v1/status"},
	} {
		t.Run(c.method+" "+c.path+" "+c.body[:min(len(c.body), 60)], func(t *testing.T) {
			kind := "application/json"
			if strings.HasSuffix(c.path, "/versions") {
				kind = "application/octet-stream"
			}
			resp, raw := ask(t, s, c.method, c.path, kind, c.body)
			d := json.NewDecoder(bytes.NewReader(raw))
			d.DisallowUnknownFields()
			var got api.ErrorBody
			if err := d.Decode(&got); err != nil {
				t.Fatalf("%s: %v in %s", resp.Status, err, raw)
			}
			if resp.StatusCode != c.status || got.Code != c.code || got.Error == "" || !strings.Contains(got.Error, c.text) {
				t.Errorf("%d %+v, want %d %s %q", resp.StatusCode, got, c.status, c.code, c.text)
			}
			if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
				t.Errorf("content type %s", resp.Header.Get("Content-Type"))
			}
			if strings.Contains(got.Error, "no deployment") && got.Hint != "there are: flights, iris" {
				t.Errorf("the hint is %q", got.Hint)
			}
		})
	}
}

func TestNothingDeployedYet(t *testing.T) {
	s := serve(t, &world{deployments: []api.Deployment{}})
	_, raw := ask(t, s, "GET", "/api/v1/deployments/flights", "", "")
	if !strings.Contains(string(raw), "fairlead push model.onnx --name flights") {
		t.Errorf("%s", raw)
	}
	for _, path := range []string{"/api/v1/deployments", "/api/v1/alerts"} {
		if _, raw := ask(t, s, "GET", path, "", ""); strings.TrimSpace(string(raw)) != "[]" && strings.TrimSpace(string(raw)) != "null" {
			t.Errorf("%s: %s", path, raw)
		}
	}
}

// What the client may not see is in the log; when to try again is in a header.
func TestFailures(t *testing.T) {
	w := &world{fail: errors.New("the disk is on fire")}
	s := serve(t, w)
	resp, raw := ask(t, s, "GET", "/api/v1/status", "", "")
	if resp.StatusCode != 500 || strings.Contains(string(raw), "fire") || !strings.Contains(string(raw), `"code":"internal"`) {
		t.Errorf("%s %s", resp.Status, raw)
	}
	if log := w.log.String(); !strings.Contains(log, "the disk is on fire") || !strings.Contains(log, "/api/v1/status") {
		t.Errorf("the log says %q", log)
	}
	busy := fairlead.Errorf(fairlead.CodeUnavailable, "the log is full").Cause(errors.New("ENOSPC"))
	busy.Retry = 1500 * time.Millisecond
	w.fail = fmt.Errorf("append: %w", busy)
	resp, raw = ask(t, s, "POST", "/api/v1/deployments/flights/labels", "application/json", `{"labels":[{"prediction_id":"a","value":1}]}`)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" || !strings.Contains(string(raw), "the log is full") || strings.Contains(string(raw), "ENOSPC") {
		t.Errorf("%s %s %s", resp.Status, resp.Header, raw)
	}
	if !strings.Contains(w.log.String(), "ENOSPC") {
		t.Error("the cause is not in the log")
	}
	w.fail = fairlead.Errorf("news", "a code of tomorrow")
	if resp, _ = ask(t, s, "GET", "/api/v1/status", "", ""); resp.StatusCode != 500 {
		t.Errorf("a code without a status gives %s", resp.Status)
	}
}

func TestLabelValues(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	got := read[api.LabelsAnswer](t, s, "POST", "/api/v1/deployments/flights/labels", `{"labels":[
		{"prediction_id":"a","value":"late"}, {"prediction_id":"b","value":true}, {"prediction_id":"c","value":false},
		{"prediction_id":"d","value":1}, {"prediction_id":"e","value":-0.25}, {"prediction_id":"f","value":1234567},
		{"prediction_id":"g","value":"007","time":"2001-03-01T08:00:00+02:00"}]}`)
	var values []string
	for _, l := range w.labels {
		values = append(values, l.Value)
		if l.Deployment != "flights" || l.Received != noon || l.Time.Location() != time.UTC {
			t.Errorf("%+v", l)
		}
	}
	if want := "late 1 0 1 -0.25 1234567 007"; strings.Join(values, " ") != want || got.Accepted != 7 {
		t.Errorf("%d labels: %v, want %s", got.Accepted, values, want)
	}
	if w.labels[0].Time != noon || w.labels[6].Time != time.Date(2001, 3, 1, 6, 0, 0, 0, time.UTC) {
		t.Errorf("times are %s and %s", w.labels[0].Time, w.labels[6].Time)
	}
	// One bad label keeps all of a request out.
	resp, _ := ask(t, s, "POST", "/api/v1/deployments/flights/labels", "application/json",
		`{"labels":[{"prediction_id":"x","value":1},{"prediction_id":"y","value":{}}]}`)
	if resp.StatusCode != 400 || len(w.labels) != 7 {
		t.Errorf("%s, %d labels", resp.Status, len(w.labels))
	}
}

func TestPush(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	for kind, path := range map[string]string{"application/octet-stream": "a", "application/x-tar": "b?alias=champion"} {
		name, query, _ := strings.Cut(path, "?")
		if resp, raw := ask(t, s, "POST", "/api/v1/models/"+name+"/versions?"+query, kind, "12345"); resp.StatusCode != 200 {
			t.Errorf("%s: %s %s", kind, resp.Status, raw)
		}
	}
	slices.Sort(w.pushed)
	if !slices.Equal(w.pushed, []string{"a  false 5", "b champion true 5"}) {
		t.Errorf("%q", w.pushed)
	}
}

func TestExample(t *testing.T) {
	s := serve(t, &world{})
	if resp, raw := ask(t, s, "GET", "/api/v1/models/flights/versions/champion/example", "", ""); resp.StatusCode != 200 ||
		strings.TrimSpace(string(raw)) != `{"source":"reference","request":{"instances":[{"hour":7.5}]}}` {
		t.Errorf("%s %s", resp.Status, raw)
	}
	if resp, raw := ask(t, s, "GET", "/api/v1/models/flights/versions/7/example", "", ""); resp.StatusCode != 404 {
		t.Errorf("%s %s", resp.Status, raw)
	}
}

// reference is one of a number "hour" and a text "city" over a hundred rows.
func reference(t *testing.T) *profile.Reference {
	t.Helper()
	table := &fairlead.Table{Rows: 100, Columns: []fairlead.TableColumn{{Name: "hour"}, {Name: "city"}}}
	for i := range 100 {
		table.Columns[0].Floats = append(table.Columns[0].Floats, 1.5*float64(i))
		table.Columns[1].Strings = append(table.Columns[1].Strings, []string{"ATL", "ORD"}[i%2])
	}
	r, err := profile.Learn([]fairlead.Field{{Name: "hour", Tensor: "hour", Type: fairlead.FP32}, {Name: "city", Tensor: "city", Type: fairlead.Bytes}}, table, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDrift(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	const path = "/api/v1/deployments/flights/drift"
	if d := read[api.Drift](t, s, "GET", path, ""); d.Empty != "no_reference" || d.Version != 2 || d.Grain != "day" {
		t.Errorf("%+v", d)
	}
	w.reference = reference(t)
	if d := read[api.Drift](t, s, "GET", path, ""); d.Empty != "no_data" || len(d.Columns) != 2 || d.Rule.Threshold != 0.2 {
		t.Errorf("%+v", d)
	}
	finding := func(hour int, column string, psi float64) watch.Finding {
		return watch.Finding{
			Window: watch.Window{Start: noon.Add(time.Duration(hour) * time.Hour)}, Column: column, N: 7, M: 10, PSI: psi,
			KS: math.NaN(), KSFloor: math.Inf(1), Verdict: watch.Drifted, Provisional: hour == 2,
		}
	}
	w.findings = []watch.Finding{finding(2, "city", 0.5), finding(0, "hour", math.NaN()), finding(2, "hour", 0.25), finding(1, "gone", 1)}
	d := read[api.Drift](t, s, "GET", path+"?grain=hour&from=2001-03-01T00:00:00Z&to=2001-03-02T00:00:00%2B00:00&limit=5&version=1", "")
	want := admin.Span{Deployment: "flights", Version: 1, Grain: watch.Hour, From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour), Limit: 5}
	got := w.spans[len(w.spans)-1]
	got.From, got.To = got.From.UTC(), got.To.UTC()
	if got != want {
		t.Errorf("asked for %+v, want %+v", got, want)
	}
	if len(d.Windows) != 3 || !slices.IsSortedFunc(d.Windows, time.Time.Compare) || d.Empty != "" {
		t.Fatalf("windows %v", d.Windows)
	}
	var layout strings.Builder
	for _, c := range d.Columns {
		fmt.Fprintf(&layout, "%s %s:", c.Name, c.Kind)
		for _, cell := range c.Cells {
			switch {
			case cell == nil:
				layout.WriteString(" none")
			case cell.PSI == nil:
				layout.WriteString(" null")
			default:
				fmt.Fprintf(&layout, " %g", *cell.PSI)
			}
		}
		layout.WriteString("\n")
	}
	if want := "hour numeric: null none 0.25\ncity categorical: none none 0.5\n"; layout.String() != want {
		t.Errorf("the heat map is\n%swant\n%s", layout.String(), want)
	}
	if c := d.Columns[1].Cells[2]; c.KS != nil || c.KSFloor != nil || c.N != 7 || c.M != 10 || c.Verdict != "drifted" || !c.Provisional {
		t.Errorf("%+v", c)
	}
}

func TestDistributionOfAnEmptyWindow(t *testing.T) {
	s := serve(t, &world{reference: reference(t)})
	const path = "/api/v1/deployments/flights/drift/"
	d := read[api.Distribution](t, s, "GET", path+"city?grain=hour&start=2001-03-01T12:34:00Z", "")
	if d.Start != noon || d.End != noon.Add(time.Hour) || d.Cell.N != 0 || d.Cell.M != 100 || d.Mean != nil {
		t.Errorf("%+v", d)
	}
	sum := 0.0
	for _, b := range d.Bins {
		sum += b.Reference
		if b.Current != 0 {
			t.Errorf("%+v of no rows", b)
		}
	}
	if math.Abs(sum-1) > 1e-12 {
		t.Errorf("the reference's shares sum to %g", sum)
	}
	resp, raw := ask(t, s, "GET", path+"town?start=2001-03-01T12:00:00Z", "", "")
	if resp.StatusCode != 404 || !strings.Contains(string(raw), "there are: hour, city") {
		t.Errorf("%s %s", resp.Status, raw)
	}
}

func TestMetrics(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	ask := func(want string) api.Metrics {
		t.Helper()
		m := read[api.Metrics](t, s, "GET", "/api/v1/deployments/flights/metrics", "")
		if m.Empty != want {
			t.Errorf("empty is %q, want %q", m.Empty, want)
		}
		return m
	}
	if m := ask("no_task"); m.Names == nil || m.Points == nil {
		t.Errorf("lists are null: %+v", m)
	}
	w.signature = fairlead.Signature{Task: fairlead.TaskBinary, Label: fairlead.LabelSpec{Name: "late"}}
	if m := ask("no_data"); m.Label != "late" || len(m.Names) == 0 {
		t.Errorf("%+v", m)
	}
	w.rows = []watch.MetricsRow{{Window: watch.Window{Start: noon}, N: 9, Values: map[string]float64{"predicted_rate": 0.5, "accuracy": math.NaN()}}}
	m := ask("no_labels")
	if p := m.Points[0]; p.N != 9 || *p.Metrics["predicted_rate"] != 0.5 || p.Metrics["accuracy"] != nil || m.Reference != nil {
		t.Errorf("%+v", p)
	}
	if len(m.Points[0].Metrics) != len(m.Names) {
		t.Errorf("%v of %v", m.Points[0].Metrics, m.Names)
	}
	w.rows[0].Labelled, w.reference, w.onReference = 3, reference(t), map[string]float64{"accuracy": 0.75}
	if m = ask(""); m.Reference == nil || m.Reference.N != 100 || *m.Reference.Metrics["accuracy"] != 0.75 {
		t.Errorf("%+v", m.Reference)
	}
}

func TestAlertsFilter(t *testing.T) {
	w := &world{}
	for _, d := range []string{"flights", "iris"} {
		for _, state := range []string{"pending", "firing", "resolved"} {
			w.alerts = append(w.alerts, api.Alert{ID: d + " " + state, Deployment: d, State: state})
		}
	}
	s := serve(t, w)
	for query, want := range map[string]string{
		"":              "flights pending,flights firing,flights resolved,iris pending,iris firing,iris resolved",
		"?state=firing": "flights firing,iris firing", "?deployment=iris": "iris pending,iris firing,iris resolved",
		"?state=pending&deployment=iris": "iris pending", "?deployment=nobody": "",
	} {
		var ids []string
		for _, a := range read[[]api.Alert](t, s, "GET", "/api/v1/alerts"+query, "") {
			ids = append(ids, a.ID)
		}
		if strings.Join(ids, ",") != want {
			t.Errorf("%s: %v, want %s", query, ids, want)
		}
	}
}

func TestSQLLimit(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	for _, body := range []string{`{"query":"SELECT 1"}`, `{"query":"SELECT 1","limit":5}`, `{"query":"SELECT 1","limit":-1}`} {
		read[api.SQLAnswer](t, s, "POST", "/api/v1/sql", body)
	}
	if !slices.Equal(w.limits, []int{10_000, 5, 10_000}) {
		t.Errorf("limits %v", w.limits)
	}
}

func TestSQLFormats(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	send := func(accept, body string) (*http.Response, string, error) {
		req, _ := http.NewRequest("POST", s.URL+"/api/v1/sql", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp, string(b), err
	}
	for _, x := range []struct{ accept, body, wrote, media string }{
		{"text/csv", `{"query":"SELECT 1"}`, "csv", "text/csv; charset=utf-8"},
		{"*/*", `{"query":"SELECT 1","format":"parquet"}`, "parquet", "application/vnd.apache.parquet"},
		{"text/html, application/vnd.apache.arrow.stream;q=0.5", `{"query":"SELECT 1"}`, "arrow", "application/vnd.apache.arrow.stream"},
		{"text/csv", `{"query":"SELECT 1","format":"json"}`, `{"columns":["n"],"types":["BIGINT"],"rows":[[1]],"truncated":false,"seconds":0}` + "\n", "application/json"},
	} {
		resp, body, err := send(x.accept, x.body)
		if err != nil || body != x.wrote || resp.Header.Get("Content-Type") != x.media {
			t.Errorf("%s %s: %q %v %v", x.accept, x.body, body, resp.Header, err)
		}
		if x.media != "application/json" && (resp.Trailer.Get(api.RowsTrailer) != "1" || resp.Trailer.Get(api.TruncatedTrailer) != "true") {
			t.Errorf("%s: trailers %v", x.body, resp.Trailer)
		}
	}
	if _, _, err := send("text/csv", `{"query":"late"}`); err == nil {
		t.Error("an answer that broke off looks whole")
	}
	w.fail = fairlead.Invalid("no such column").Hintf("look")
	resp, body, err := send("text/csv", `{"query":"SELECT 1"}`)
	if err != nil || resp.StatusCode != 400 || body != `{"error":"no such column","code":"invalid","hint":"look"}`+"\n" {
		t.Errorf("an error is %v %s %v", resp, body, err)
	}
	w.fail = nil
	if tables := read[[]api.SQLTable](t, s, "GET", "/api/v1/sql/schema", ""); len(tables) != 1 || tables[0].Columns[0].Name != "value" {
		t.Errorf("schema %v", tables)
	}
}

// The contract and the page for people have every operation, and make no browser call another host.
func TestDocs(t *testing.T) {
	s := serve(t, &world{})
	doc := read[struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}](t, s, "GET", "/api/openapi.json", "")
	resp, page := ask(t, s, "GET", "/api/docs", "", "")
	if resp.StatusCode != 200 || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("%s, OpenAPI %s", resp.Status, doc.OpenAPI)
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			ids[op["operationId"].(string)] = true
			row := regexp.MustCompile(`<td class="m">` + strings.ToUpper(method) + `<td><code>` + regexp.QuoteMeta(path) + `</code><td><strong>[^<]`)
			if !row.Match(page) {
				t.Errorf("the page lacks %s %s", method, path)
			}
		}
	}
	for _, id := range []string{"status", "models", "model", "push", "deployments", "deployment", "rollback", "annotate", "label", "drift", "distribution", "metrics", "alerts", "sql"} {
		if !ids[id] {
			t.Errorf("the contract lacks %s", id)
		}
	}
	if m := regexp.MustCompile(`(?i)(src|href|url|action|import)\s*[=(]?\s*["']?(https?:)?//`).Find(page); m != nil {
		t.Errorf("the page names another host: %s", m)
	}
}
