package evalstore

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
)

func window(grain watch.Grain, n int) watch.Window {
	return watch.Window{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: grain,
		Start: march.Add(time.Duration(n) * grain.Length())}
}

func finding(w watch.Window, column string, psi float64) watch.Finding {
	return watch.Finding{Window: w, Column: column, Kind: "numeric", N: 10, M: 20, Reference: "all", PSI: psi, PSIDebiased: psi - 1,
		PSIFloor: 0.5, KS: math.NaN(), KSFloor: math.NaN(), D1: 1, D1Floor: 2, JS: 3, JSFloor: 4, Missing: 0.25, Unseen: 0.5,
		Verdict: watch.Drifted, Provisional: true}
}

func TestSaveReplacesWindows(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	save := func(res watch.Result) {
		t.Helper()
		if err := s.Save(ctx, res); err != nil {
			t.Fatal(err)
		}
	}
	h0, h1, day := window(watch.Hour, 0), window(watch.Hour, 1), window(watch.Day, 0)
	output := finding(h0, "distance", 9)
	output.Output = true // an output may have the name of a feature
	shadow := finding(h0, "distance", 7)
	shadow.Role = fairlead.RoleShadow
	metrics := watch.MetricsRow{Window: h0, N: 10, Labelled: 4, Values: map[string]float64{"auroc": 0.75, "brier": 0.1}, Provisional: true}
	empty := watch.MetricsRow{Window: h1, N: 3, Values: map[string]float64{}}
	save(watch.Result{Windows: []watch.Window{h0, h1, day}, Metrics: []watch.MetricsRow{metrics, empty},
		Findings: []watch.Finding{finding(h0, "distance", 1), output, finding(h0, "gone", 1), finding(h1, "distance", 2), finding(day, "distance", 3), shadow}})
	metrics.Labelled, metrics.Values = 9, map[string]float64{"auroc": 0.8}
	for range 2 { // saving the same again changes nothing
		save(watch.Result{Windows: []watch.Window{h0, day}, Metrics: []watch.MetricsRow{metrics},
			Findings: []watch.Finding{finding(h0, "distance", 4), output}})
	}
	got, err := s.Findings(ctx, "flights", 1, watch.Hour, time.Time{}, time.Time{}, 0)
	want := []watch.Finding{shadow, finding(h0, "distance", 4), output, finding(h1, "distance", 2)}
	less := func(a, b watch.Finding) bool {
		return fmt.Sprint(a.Start, a.Role, a.PSI) < fmt.Sprint(b.Start, b.Role, b.PSI)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.SortSlices(less)); diff != "" || err != nil {
		t.Errorf("findings: %v\n%s", err, diff)
	}
	if got, err := s.Findings(ctx, "flights", 1, watch.Day, time.Time{}, time.Time{}, 0); len(got) != 0 || err != nil {
		t.Errorf("a window without findings has %v %v", got, err)
	}
	rows, err := s.MetricsRows(ctx, "flights", 1, watch.Hour, time.Time{}, time.Time{}, 0)
	if diff := cmp.Diff([]watch.MetricsRow{metrics, empty}, rows); diff != "" || err != nil {
		t.Errorf("metrics: %v\n%s", err, diff)
	}
	expect(t, "metrics for people", table(t, s, `SELECT start, n, labelled, name, value FROM metrics`), "03-01 00:00 10 9 auroc 0.8")
}

func TestFindingsInARange(t *testing.T) {
	s := open(t, t.TempDir())
	var res watch.Result
	for i := range 10 {
		w := window(watch.Hour, i)
		res.Findings = append(res.Findings, finding(w, "a", float64(i)), finding(w, "b", float64(i)))
		res.Metrics = append(res.Metrics, watch.MetricsRow{Window: w, N: uint64(i)})
	}
	if err := s.Save(t.Context(), res); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to, limit int
		want            string
	}{
		{-1, -1, 0, "0 1 2 3 4 5 6 7 8 9 "}, {3, 6, 0, "3 4 5 "}, {-1, -1, 2, "8 9 "}, {-1, 5, 2, "3 4 "}, {8, -1, 5, "8 9 "}, {20, -1, 5, ""},
	} {
		at := func(n int) time.Time {
			if n < 0 {
				return time.Time{}
			}
			return march.Add(time.Duration(n) * time.Hour)
		}
		found, err := s.Findings(t.Context(), "flights", 1, watch.Hour, at(c.from), at(c.to), c.limit)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.MetricsRows(t.Context(), "flights", 1, watch.Hour, at(c.from), at(c.to), c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var fromFindings, fromMetrics string
		for i, f := range found {
			if i%2 == 0 {
				fromFindings += fmt.Sprint(f.PSI, " ")
			}
		}
		for _, m := range rows {
			fromMetrics += fmt.Sprint(m.N, " ")
		}
		if fromFindings != c.want || fromMetrics != c.want {
			t.Errorf("%+v: findings %q, metrics %q", c, fromFindings, fromMetrics)
		}
	}
}
