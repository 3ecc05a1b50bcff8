package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// A report adds up the windows that were measured, each of them 60 rows of one city.
func TestDriftReport(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	const path = "/api/v1/deployments/flights/drift-report?grain=hour"
	refused := func(text string) {
		t.Helper()
		if resp, raw := ask(t, s, "GET", path, "", ""); resp.StatusCode != http.StatusNotFound || !strings.Contains(string(raw), text) {
			t.Errorf("%s %s, want %s", resp.Status, raw, text)
		}
	}
	refused("has no reference to compare with")
	w.reference = reference(t)
	refused("no window of flights version 2 has been measured there")

	table := &fairlead.Table{Rows: 60, Columns: []fairlead.TableColumn{{Name: "hour"}, {Name: "city"}}}
	for i := range 60 {
		table.Columns[0].Floats, table.Columns[1].Strings = append(table.Columns[0].Floats, 2.5*float64(i)), append(table.Columns[1].Strings, "ATL")
	}
	counts := profile.NewCounts(w.reference.Layout)
	counts.AddTable(w.reference.Layout, table, 0, table.Rows)
	blob, err := counts.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	w.profiles = [][]byte{blob}
	for hour := range 2 {
		for _, column := range []string{"hour", "city"} {
			f := watch.Finding{Window: watch.Window{Start: noon.Add(time.Duration(hour) * time.Hour)}, Column: column, Verdict: watch.OK}
			if column == "city" && hour == 1 {
				f.Verdict = watch.Drifted
			}
			w.findings = append(w.findings, f)
		}
	}
	_, raw := ask(t, s, "GET", path, "", "")
	var r compare.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if r.Current.Rows != 120 || r.Reference.Rows != 100 || r.Drifted != 1 || len(r.Windows.Starts) != 2 || r.Tolerance != 0.2 {
		t.Errorf("%s", raw)
	}
	city := r.Columns[0]
	if city.Name != "city" || city.DriftedWindows != 1 || !city.Drifted || city.Bins[0].Current+city.Bins[1].Current != 1 {
		t.Errorf("%+v", city)
	}
	for format, want := range map[string][2]string{
		"html": {"text/html; charset=utf-8", "<h1>1 column of 2 drifted.</h1>"}, "markdown": {"text/markdown; charset=utf-8", "| **city** | drifted |"},
	} {
		resp, raw := ask(t, s, "GET", path+"&format="+format, "", "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != want[0] || !strings.Contains(string(raw), want[1]) {
			t.Errorf("%s: %s %s\n%s", format, resp.Status, resp.Header.Get("Content-Type"), raw)
		}
		if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s may load what it likes", format)
		}
	}
	if resp, _ := ask(t, s, "GET", path+"&format=pdf", "", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("pdf: %s", resp.Status)
	}
}
