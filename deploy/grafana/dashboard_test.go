// Package grafana_test holds what we give to Prometheus and Grafana against what the server really says.
package grafana_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/accesslog"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/trace"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite the table in docs/observability.md")

// ofApp are metrics that the wiring adds beside those of serve.
var ofApp = map[string]string{
	"fairlead_business_events_total": "Business events acknowledged: they are on disk.",
	"fairlead_rows_recorded_total":   "Rows handed to the recorder.",
	"fairlead_rows_dropped_total":    "Rows answered but neither counted nor stored: the recorder's queue was full or the log refused them.",
	"fairlead_event_log_connected":   "1 while the server has a connection to NATS.",
	"fairlead_event_log_isolated":    "1 while most of the NATS servers cannot be reached: rollouts part no traffic.",
	"fairlead_leads":                 "1 on the server that steps rollouts, trims the log and keeps the alerts.",
	"fairlead_rows_pending":          "Rows answered and not yet on disk; a crash loses them.",
}

// registry is everything that serve says, after a few requests.
func registry(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	m := meter.New()
	m.ObserveRun("flights", 3, 5, 40*time.Microsecond)
	m.Observe(meter.Observation{Deployment: "flights", Version: 3, At: time.Unix(1e9, 0), Rows: 2, BatchRows: 5, Total: time.Millisecond})
	m.Observe(meter.Observation{Deployment: "flights", Version: 3, At: time.Unix(1e9, 0), Code: fairlead.CodeExhausted, Reason: "queue_full"})
	c := cache.New(cache.Options{Now: time.Now})
	c.Admit(cache.Entry{Model: "flights", TTL: time.Hour}, 1)
	l, err := accesslog.New(accesslog.Options{Out: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trace.New(t.Context(), trace.Options{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Stop(context.Background()), l.Stop(context.Background()), tr.Stop(context.Background())); err != nil {
			t.Error(err)
		}
	})
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m, c, l, tr, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dto.MetricFamily{}
	for _, f := range families {
		all[f.GetName()] = f
	}
	return all
}

var (
	ours     = regexp.MustCompile(`\b(fairlead|process|go)_[a-z_]+`)
	selector = regexp.MustCompile(`\b((?:fairlead|process|go)_[a-z_]+)\{([^}]*)\}`)
	label    = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\b(?:by|on) ?\(([^)]*)\)`)
)

// checkQuery says which metrics and labels of a PromQL expression the server does not have.
func checkQuery(known map[string]*dto.MetricFamily, query string) []string {
	var wrong []string
	for _, name := range ours.FindAllString(query, -1) {
		if ofApp[name] == "" && family(known, name) == nil {
			wrong = append(wrong, name+" does not exist")
		}
	}
	labels := map[string]bool{"le": true, "instance": true, "job": true}
	for _, name := range ours.FindAllString(query, -1) {
		for l := range labelsOf(family(known, name)) {
			labels[l] = true
		}
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		for _, l := range label.FindAllStringSubmatch(s[2], -1) {
			if !labelsOf(family(known, s[1]))[l[1]] {
				wrong = append(wrong, s[1]+" has no label "+l[1])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if l = strings.TrimSpace(l); l != "" && !labels[l] {
				wrong = append(wrong, "nothing has a label "+l)
			}
		}
	}
	if strings.Count(query, "(") != strings.Count(query, ")") {
		wrong = append(wrong, "parentheses do not match")
	}
	return wrong
}

// family is the metric of a series: x of x_bucket, if x is a histogram.
func family(known map[string]*dto.MetricFamily, series string) *dto.MetricFamily {
	if f := known[series]; f != nil && f.GetType() != dto.MetricType_HISTOGRAM {
		return f
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, suffix); ok && known[name] != nil && known[name].GetType() == dto.MetricType_HISTOGRAM {
			return known[name]
		}
	}
	return nil
}

func labelsOf(f *dto.MetricFamily) map[string]bool {
	all := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			all[l.GetName()] = true
		}
	}
	return all
}

func TestDashboardAsksForWhatThereIs(t *testing.T) {
	b, err := os.ReadFile("fairlead.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title, UID string
		Panels     []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	known := registry(t)
	ids, queries, used := map[int]bool{}, 0, map[string]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 || p.Title == "" {
			t.Errorf("panel %d, %q, is there twice or does not fit: %+v", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			queries++
			for _, wrong := range checkQuery(known, target.Expr) {
				t.Errorf("panel %q: %s: %s", p.Title, wrong, target.Expr)
			}
			for _, name := range ours.FindAllString(target.Expr, -1) {
				if f := family(known, name); f != nil {
					name = f.GetName()
				}
				used[name] = true
			}
		}
	}
	for _, v := range dashboard.Templating.List {
		for _, wrong := range checkQuery(known, v.Definition) {
			t.Errorf("variable %s: %s", v.Name, wrong)
		}
	}
	if queries < 30 || dashboard.UID == "" {
		t.Errorf("%d queries, uid %q", queries, dashboard.UID)
	}
	for name := range known { // the counters of writes that fail are for alerts
		if strings.HasPrefix(name, "fairlead_") && !used[name] && !slices.Contains([]string{"fairlead_trace_spans_total", "fairlead_access_log_write_errors_total"}, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
	for name := range ofApp {
		if !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	known := registry(t)
	for query, want := range map[string]string{
		`sum(rate(fairlead_request_total[1m]))`:                           "fairlead_request_total does not exist",
		`fairlead_stage_duration_seconds`:                                 "fairlead_stage_duration_seconds does not exist", // only its series do
		`fairlead_rows_total_bucket`:                                      "fairlead_rows_total_bucket does not exist",
		`fairlead_rows_total{stage="run"}`:                                "fairlead_rows_total has no label stage",
		`sum by (le, phase) (fairlead_batch_rows_bucket)`:                 "nothing has a label phase",
		`sum(fairlead_rows_total`:                                         "parentheses do not match",
		`sum by (stage) (fairlead_stage_duration_seconds_sum{stage="a"})`: "",
	} {
		if got := strings.Join(checkQuery(known, query), "; "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestAlertRules(t *testing.T) {
	b, err := os.ReadFile("../prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	known, rules := registry(t), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			for _, wrong := range checkQuery(known, r.Expr) {
				t.Errorf("%s: %s", r.Alert, wrong)
			}
			if r.Annotations["summary"] == "" {
				t.Errorf("%s does not say what is wrong", r.Alert)
			}
		}
	}
	if rules < 5 {
		t.Errorf("%d rules", rules)
	}
}

// TestDocsTable keeps the table of docs/observability.md equal to what the server says about itself.
func TestDocsTable(t *testing.T) {
	const file, begin, end = "../../docs/observability.md", "<!-- metrics: made by deploy/grafana/dashboard_test.go -->\n", "<!-- end of metrics -->\n"
	known := registry(t)
	var table strings.Builder
	table.WriteString("\n| metric | type | labels | what it says |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if f := known[name]; strings.HasPrefix(name, "fairlead_") {
			labels := strings.Join(slices.Sorted(maps.Keys(labelsOf(f))), ", ")
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), labels, f.GetHelp())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ofApp)) {
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		fmt.Fprintf(&table, "| `%s` | %s | | %s |\n", name, kind, ofApp[name])
	}
	table.WriteString("\n")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("go test ./deploy/grafana -update brings it up to date: %s", diff)
	}
	for _, name := range ours.FindAllString(before+after, -1) {
		if ofApp[name] == "" && family(known, name) == nil && known[name] == nil {
			t.Errorf("the text speaks of %s, which does not exist", name)
		}
	}
}
