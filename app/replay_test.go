package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// flightsBundle is the example's folder with its settings changed.
func flightsBundle(t *testing.T, change func(string) string) []byte {
	t.Helper()
	folder := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS("../examples/flights/bundle"), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile("../examples/flights/bundle/" + path)
		folder[path] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	folder[bundle.FileName].Data = []byte(change(string(folder[bundle.FileName].Data)))
	packed, err := bundle.Tar(folder)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// TestReplay sends flights to one version and asks others about them.
func TestReplay(t *testing.T) {
	a := open(t, t.TempDir())
	base := "http://" + a.Address()
	push := func(change func(string) string) (version int) {
		t.Helper()
		var pushed struct{ Version int }
		call(t, base+"/api/v1/models/flights/versions?force=true", "application/x-tar", flightsBundle(t, change), &pushed)
		return pushed.Version
	}
	r := rand.New(rand.NewPCG(3, 4))
	sent := 0
	predict := func(day string, n int) {
		t.Helper()
		var instances, rows []string
		for i := range n {
			instances = append(instances, fmt.Sprintf(`{"hour":%d,"weekday":3,"distance":%d,"departures":%d,"origin":%q,"destination":"ORD"}`,
				r.IntN(24), 100+r.IntN(2000), r.IntN(80), []string{"ATL", "JFK"}[i%2]))
			rows = append(rows, fmt.Sprintf(`{"id":"%s-%d","time":"%sT10:00:00Z"}`, day, i, day))
		}
		call(t, base+"/v2/models/flights/infer", "application/json",
			[]byte(`{"instances":[`+strings.Join(instances, ",")+`],"rows":[`+strings.Join(rows, ",")+`]}`), &map[string]any{})
		sent += n
		wait(t, "the rows", func() bool {
			return fmt.Sprint(query(t, base, "SELECT count(*)::INT FROM predictions")[0][0]) == fmt.Sprint(sent)
		})
	}

	first := push(func(s string) string { return s })
	predict("2001-03-08", 300)
	same := push(func(s string) string { return s + "\nlog: {redact: [distance]}\n" })
	predict("2001-03-09", 40) // recorded by the version that redacts

	replay := func(in api.ReplayRequest) (api.ReplayReport, error) {
		return a.Replay(t.Context(), "flights", in, nil)
	}
	march := func(day int) time.Time { return time.Date(2001, 3, day, 0, 0, 0, 0, time.UTC) }
	report, err := replay(api.ReplayRequest{Against: fmt.Sprint(same), From: march(8), To: march(10)})
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows != 300 || report.Skipped.Redacted != 40 || report.Flips != 0 || *report.Spearman < 1-1e-9 || *report.PSI != 0 ||
		math.Abs(report.Difference[7].Absolute) > 1e-5 || report.Versions[fmt.Sprint(first)] != 300 {
		t.Errorf("the same graph: %+v", report)
	}
	if len(report.Segments) != 2 || report.Segments[0].Rows != 150 {
		t.Errorf("segments %+v", report.Segments)
	}
	if report, err = replay(api.ReplayRequest{Against: "1", From: march(8), To: march(9), Sample: 60}); err != nil || report.Rows < 20 || report.Rows > 120 {
		t.Errorf("a sample of 60: %d rows, %v", report.Rows, err)
	}
	if report, err = replay(api.ReplayRequest{Against: "1", From: march(20), To: march(21)}); err != nil || report.Rows != 0 || report.FlipRate != nil {
		t.Errorf("a day without rows: %+v, %v", report, err)
	}

	other := push(func(s string) string {
		s, _, _ = strings.Cut(s, "\ntests:")
		return strings.ReplaceAll(strings.ReplaceAll(s, "distance", "miles"), "reference: reference.parquet", "")
	})
	for _, x := range []struct {
		in         api.ReplayRequest
		code, says string
	}{
		{api.ReplayRequest{Against: fmt.Sprint(other)}, string(fairlead.CodeConflict), "needs miles, which no recorded row"},
		{api.ReplayRequest{Against: "77"}, string(fairlead.CodeNotFound), "77"},
		{api.ReplayRequest{Against: "1", From: march(9), To: march(8)}, string(fairlead.CodeInvalid), "is not before"},
	} {
		if _, err := replay(x.in); string(fairlead.CodeOf(err)) != x.code || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%+v: %v", x.in, err)
		}
	}
	a.replaying.Store(true)
	if _, err := replay(api.ReplayRequest{Against: "1"}); fairlead.CodeOf(err) != fairlead.CodeExhausted {
		t.Errorf("a second replay: %v", err)
	}
	a.replaying.Store(false)

	lines := post(t, base+"/api/v1/deployments/flights/replay", "application/x-ndjson", `{"against":"1","from":"2001-03-08T00:00:00Z","to":"2001-03-09T00:00:00Z"}`)
	var last api.ReplayProgress
	for dec := json.NewDecoder(bytes.NewReader(lines)); dec.More(); {
		last = api.ReplayProgress{}
		if err := dec.Decode(&last); err != nil {
			t.Fatal(err)
		}
	}
	if last.Report == nil || last.Report.Rows != 300 || last.Done != 300 {
		t.Errorf("the last line: %+v", last)
	}
}

func post(t *testing.T, address, accept, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", address, resp.Status, b, err)
	}
	return b
}
