package report_test

import (
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/quality"
	"github.com/fairlead-ml/fairlead/watch/report"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var nan = compare.Number(math.NaN())

// april is a report with one of everything, names that try to get out of their cell included.
func april() *compare.Report {
	r := &compare.Report{
		Reference: compare.SideReport{Name: "march.parquet", Rows: 1477911, From: "2001-01-01T00:01:00Z", To: "2001-03-31T23:59:00Z"},
		Current:   compare.SideReport{Name: "april.parquet", Rows: 520089, From: "2001-04-01T00:00:00Z", To: "2001-04-13T23:59:00Z"},
		Drifted:   1, Missing: []string{"gate"}, Added: []string{"crew"}, Rules: 29, Tolerance: 0.02, FDR: 0.01,
		Windows: &compare.Windows{Column: "time", Length: "day"},
		Notes:   []string{"column code holds text on one side and numbers on the other: compared as text"},
		Quality: []quality.Result{{Text: "2994 of 100000 values of destination break not_null", Examples: []quality.Example{{Row: 42, Value: "null"}}}},
	}
	for day := range 14 {
		r.Windows.Starts = append(r.Windows.Starts, "2001-04-"+string([]byte{'0' + byte((day+1)/10), '0' + byte((day+1)%10)})+"T00:00:00Z")
	}
	distance := compare.Column{
		Name: "distance", Kind: "numeric", PSI: 0.119, PSIDebiased: 0.1181, PSIFloor: 0.001, P: 0, KS: 0.128, KSFloor: 0.01, D1: 0.2, LInf: 0.05, JSDistance: 0.12, Hellinger: 0.12,
		W1: 260, W1Deviation: 0.46, Significant: true, Drifted: true,
		Reference: compare.Summary{Mean: 729, Std: 560, Min: 21, Max: 4962}, Current: compare.Summary{Mean: 990, Std: 760, Min: 21, Max: 7984, Unseen: 0.004},
		Bins:  []compare.Bin{{Label: "21 to 300", Kind: "range", Low: 21, High: 300, Reference: 0.5, Current: 0.3}, {Label: "300 to 4962", Kind: "range", Low: 300, High: 4962, Reference: 0.5, Current: 0.7}},
		Shape: &shape.Drift{Kind: shape.Instantaneous, Onset: 9, Confidence: 0.99}, Since: "2001-04-10T00:00:00Z",
	}
	for day := range 14 {
		v := compare.Number(0.01)
		if day >= 9 {
			v = 0.31
		}
		distance.Series = append(distance.Series, v)
	}
	evil := compare.Column{
		Name: `<script>alert("1")</script>|_x_`, Kind: "categorical", PSI: 0.001, PSIFloor: 0.002, P: 0.2, KS: nan, KSFloor: nan, W1: nan, W1Deviation: nan, ChiSquareP: 0.3,
		Bins: []compare.Bin{{Label: `"><img src=x>`, Kind: "category", Reference: 0.9, Current: 0.88}},
	}
	broken := compare.Column{Name: "colour", Why: "the reference has no value", PSI: nan, PSIFloor: nan, KS: nan, Bins: []compare.Bin{}}
	r.Columns = []compare.Column{distance, evil, broken}
	r.Together = &compare.Together{AUROC: 0.634, SE: 0.006, Z: 22, Drifted: true, Drivers: []compare.Driver{{Column: "distance", Importance: 0.1}}, PCARatio: 1.08, PCAZ: 9, MMDZ: 6}
	r.Performance = &compare.Performance{Task: "binary", Cause: estimate.ConceptDrift, Metrics: []compare.Metric{
		{Name: "accuracy", Reference: 0.783, Estimated: 0.783, Low: 0.779, High: 0.788, Shifted: 0.787, Realised: 0.816},
		{Name: "log_loss", Reference: 0.512, Estimated: nan, Low: nan, High: nan, Shifted: nan, Realised: 0.466},
	}}
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

func TestText(t *testing.T)     { golden(t, "april.txt", report.Text(april(), 0)) }
func TestMarkdown(t *testing.T) { golden(t, "april.md", report.Markdown(april())) }

// The page is well formed, loads nothing from anywhere, and no name escapes.
func TestHTML(t *testing.T) {
	page, err := report.HTML(april(), "14 April 2001")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, bad := range []string{"<script", "<img", "http:", "https:", "NaN", "url("} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{"1 column of 3 drifted, 1 rule of 29 broken.", "instantaneous since 2001-04-10", "the reference has no value", "&lt;script&gt;", "Concept drift", "gate is only in the reference"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	svgs := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal("not well formed: ", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "svg" {
			svgs++
		}
	}
	if svgs < 5 {
		t.Errorf("%d pictures", svgs)
	}
}

// A thousand columns make a page of a size that opens at once.
func TestWidePage(t *testing.T) {
	r := april()
	for range 1000 {
		r.Columns = append(r.Columns, r.Columns[0])
	}
	page, err := report.HTML(r, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(page) > 8<<20 {
		t.Errorf("%d bytes", len(page))
	}
}
