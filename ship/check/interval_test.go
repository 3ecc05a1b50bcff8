package check

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Noise adds to a calibration error: on a hundred rows a perfect model has one of about 0.1. Its interval still holds the
// truth, of perfect models and of overconfident ones, so that few rows do not make harm.
func TestCalibrationErrorOfFewRows(t *testing.T) {
	for n, trials := range map[int]int{100: 150, 1000: 30} {
		for _, shift := range []float64{0, 0.15} {
			// p is uniform on [shift, 1]; y happens with p − shift, so that every bin is off by shift.
			m := Metric{Metric: "ece", Bins: 10}
			covered, total := 0, 0.0
			for k := range trials {
				c := chance{uint64(7000*n + k)}
				r := rows{width: 1}
				for range n {
					p := shift + (1-shift)*c.float()
					r.score, r.truth = append(r.score, p), append(r.truth, number(c.float() < p-shift))
				}
				f := (&judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: r}).find(sequence(n), 0.9)
				if total += f.value; f.low <= shift && shift <= f.high {
					covered++
				}
			}
			if covered < trials*17/20 {
				t.Errorf("n %d: %d of %d intervals of 90 %% hold the calibration error %g", n, covered, trials, shift)
			}
			if average := total / float64(trials); n == 100 && shift == 0 && average < 0.05 {
				t.Errorf("the error of a perfect model is %g on average: the test looks at nothing", average)
			}
		}
	}
	// And a miscalibrated model is found.
	if r := ask(t, "{metric: ece, at_most: 0.05, by: city}", &shop{sign: -1, mean: 0.7}); r.Verdict != Failed {
		t.Errorf("%+v", r)
	}
	// In a hundred rows of a good one nothing is.
	if r := ask(t, "{metric: ece, at_most: 0.01, decide: harm, where: {age: {from: 59}}, min_rows: 50}", good()); r.Verdict == Failed || r.N > 200 || *r.Value < 0.01 {
		t.Errorf("%+v", r)
	}
}

// A few clusters say little: of three the interval is several times as wide as of a thousand, of one there is none, and
// nothing is shown by it. Intervals by cluster hold the truth as often as they say.
func TestFewClusters(t *testing.T) {
	const trials, each = 300, 40
	for _, k := range []int{4, 12} {
		for _, name := range []string{"accuracy", "brier", "auroc"} {
			m := Metric{Metric: name, Threshold: 0.5, Bins: 10}
			truth := map[string]float64{}
			covered := 0
			for trial := range trials {
				// Every cluster has its own weather, which moves the truth of all of its rows.
				c := chance{uint64(99_000 + trial)}
				r, clusters := weather(&c, k, each)
				f := (&judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: r, clusters: clusters}).find(sequence(k*each), 0.9)
				if truth[name] == 0 {
					long := chance{1}
					all, _ := weather(&long, 4000, each)
					truth[name] = m.measure(fairlead.TaskBinary, nil, all).value
				}
				if f.low <= truth[name] && truth[name] <= f.high {
					covered++
				}
			}
			if share := float64(covered) / trials; share < 0.83 {
				t.Errorf("%s of %d clusters: %.2f of the 90 %% intervals hold %g", name, k, share, truth[name])
			}
		}
	}
	oneDay := func(s *Subject) {
		for i := range s.Rows.Columns[4].Times {
			s.Rows.Columns[4].Times[i] = time.Date(2026, 3, 2, 0, 0, i%80_000, 0, time.UTC)
		}
	}
	for _, metric := range []string{"accuracy, at_least: 0.1", "auroc, at_least: 0.1", "brier, at_most: 5", "ece, at_most: 5"} {
		yaml := fmt.Sprintf("{metric: %s, cluster: {time: day}, decide: proof}", metric)
		if r := ask(t, yaml, good()); r.Verdict != Passed { // three days
			t.Errorf("%s: %+v", yaml, r)
		}
		if r := ask(t, yaml, good(), oneDay); r.Verdict == Passed && metric[:4] != "ece," && metric[:4] != "brie" {
			t.Errorf("one day shows %s: %+v", yaml, r)
		}
	}
	r := ask(t, "{metric: brier, at_most: 0.1, cluster: {time: day}, decide: harm}", good(), oneDay)
	if r.Verdict != TooFew || r.Text != "0.1657 [0, +Inf] n 4000 in 1 day, wanted brier ≤ 0.1000; all rows have the same day: there is nothing to take an interval from" {
		t.Errorf("%+v", r)
	}
}

// Clusters are counted in the rows that are judged: of a group with few of them the interval is that of the group alone.
func TestClustersOfGroups(t *testing.T) {
	three := func(s *Subject) { // Lima sells on two days only
		for i, c := range s.Rows.Columns[2].Strings {
			day := 2 + i%60
			if c == "Lima" {
				day = 2 + i%2
			}
			s.Rows.Columns[4].Times[i] = time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC)
		}
	}
	for _, metric := range []string{"accuracy, at_least: 0.1", "auroc, at_least: 0.1", "brier, at_most: 5", "ece, at_most: 1"} {
		alone := ask(t, "{metric: "+metric+", cluster: {time: day}, where: {city: Lima}}", good(), three)
		r := ask(t, "{metric: "+metric+", cluster: {time: day}, by: city, confidence: 0.85}", good(), three)
		if g := r.Groups[0]; g.Name != "city=Lima" || !close12(*g.Low, *alone.Low) || !close12(*g.High, *alone.High) {
			t.Errorf("%s: the group has [%g, %g], the rows alone [%g, %g]", metric, *g.Low, *g.High, *alone.Low, *alone.High)
		}
		if !strings.Contains(alone.Text, "in 2 days") {
			t.Errorf("%s", alone.Text)
		}
	}
}

// Noise makes two calibration errors alike: it adds more to the smaller one. The interval of their difference knows.
func TestDifferenceOfCalibrationErrors(t *testing.T) {
	const n, trials, shift = 400, 60, 0.1
	m := Metric{Metric: "ece", Bins: 10, OtherThan: "champion"}
	covered := 0
	for k := range trials {
		c := chance{uint64(400_000 + k)}
		a, b := rows{width: 1}, rows{width: 1}
		for range n {
			p := 0.9 * c.float()
			y := number(c.float() < p)
			a.score, a.truth = append(a.score, p+shift), append(a.truth, y)
			b.score, b.truth = append(b.score, p), append(b.truth, y)
		}
		f := (&judged{m: &m, sample: &Sample{Task: fairlead.TaskBinary}, rows: a, other: &b}).find(sequence(n), 0.9)
		if f.low <= shift && shift <= f.high {
			covered++
		}
	}
	if covered < trials*17/20 {
		t.Errorf("%d of %d intervals of 90 %% hold the difference %g", covered, trials, shift)
	}
}

// weather are k clusters of so many rows; in each the odds of all rows are moved together.
func weather(c *chance, k, each int) (rows, []int) {
	r := rows{width: 1}
	var clusters []int
	for g := range k {
		storm := 3 * (c.float() - 0.5)
		for range each {
			p := c.float()
			r.score, r.truth = append(r.score, p), append(r.truth, number(c.float() < sigmoid(math.Log(p/(1-p))+storm)))
			clusters = append(clusters, g)
		}
	}
	return r, clusters
}
