package evalstore

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/realised"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

// cubeRows are what a test put into the store.
type cubeRows struct {
	t    *testing.T
	s    *Store
	f    *feed
	rows []cubeTestRow
}

type cubeTestRow struct {
	id       string
	at       time.Time
	distance float64
	outcome  realised.Outcome
}

// more adds a request of n rows that begins so many hours into March.
func (c *cubeRows) more(rng *rand.Rand, hours, n int) {
	score := float32(rng.IntN(70))/100 + 0.005
	p := flight(fmt.Sprintf("r%04d", len(c.rows)), march.Add(time.Duration(hours)*time.Hour), n, score)
	c.f.rows(flights, p)
	scores, classes := p.Outputs[0].Data.([]float32), p.Outputs[1].Data.([]string)
	for i, r := range p.Rows {
		c.rows = append(c.rows, cubeTestRow{r.ID, r.Time, 100 * float64(i), realised.Outcome{Score: float64(scores[2*i+1]), Predicted: classes[i]}})
	}
}

// tell labels some rows; some are told again, some taken back.
func (c *cubeRows) tell(rng *rand.Rand, n, received int) {
	var labels []fairlead.Label
	for range n {
		i := rng.IntN(len(c.rows))
		value := []string{"late", "on_time", "late", "on_time", "cancelled", ""}[rng.IntN(6)]
		c.rows[i].outcome.Label = value
		received++
		labels = append(labels, label(c.rows[i].id, value, received))
	}
	c.f.labels(labels...)
}

// check compares the cube with the rows.
func (c *cubeRows) check(what string, grain watch.Grain, kept bool, texts ...string) {
	c.t.Helper()
	columns, err := c.s.SegmentColumns(c.t.Context(), "flights")
	if err != nil {
		c.t.Fatal(err)
	}
	q := CubeQuery{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: grain, Signature: flights}
	for _, text := range texts {
		var p *segment.Predicate
		if text != "" {
			if p, err = segment.Compile(text, columns); err != nil {
				c.t.Fatal(err)
			}
		}
		q.Segments = append(q.Segments, CubeSegment{p, kept})
	}
	cells, err := c.s.Cube(c.t.Context(), q)
	if err != nil {
		c.t.Fatal(err)
	}
	want := map[cubeKey][]realised.Outcome{}
	for _, r := range c.rows {
		for i, x := range q.Segments {
			if x.Predicate == nil || x.Predicate.Match(func(col segment.Column) any {
				return map[string]any{"distance": r.distance, "event_time": r.at}[col.Name]
			}) {
				k := cubeKey{i, grain.Start(r.at)}
				want[k] = append(want[k], r.outcome)
			}
		}
	}
	if len(cells) != len(want) {
		c.t.Errorf("%s: %d cells, want %d", what, len(cells), len(want))
	}
	for _, cell := range cells {
		whole := realised.Compute(fairlead.TaskBinary, []string{"on_time", "late"}, realised.Threshold, want[cubeKey{cell.Segment, cell.Start}])
		if cell.Totals.N != uint64(whole.N) || cell.Totals.Labelled != uint64(whole.Labelled) {
			c.t.Errorf("%s: %s %s has %d rows, %d labelled; want %d, %d", what, texts[cell.Segment], cell.Start, cell.Totals.N, cell.Totals.Labelled, whole.N, whole.Labelled)
		}
		for name, m := range cell.Totals.Metrics(fairlead.TaskBinary) {
			within := 1e-9
			if name == "auroc" {
				within = 0.02 // its ties are the scores of one bin
			}
			if v := whole.Values[name]; math.IsNaN(v) != math.IsNaN(m.Value) || math.Abs(v-m.Value) > within {
				c.t.Errorf("%s: %s of %q at %s is %g, want %g", what, name, texts[cell.Segment], cell.Start, m.Value, v)
			}
		}
	}
}

// Whatever comes in whichever order, the cube says what the rows say.
func TestCube(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's chance
	s := open(t, t.TempDir())
	c := &cubeRows{t: t, s: s, f: newFeed(t, s)}
	all := []string{"", "distance >= 500.0", "distance < 0.0", "event_time.getHours() < 3 && distance > 200.0"}
	for range 12 {
		c.more(rng, rng.IntN(60), 1+rng.IntN(25))
	}
	c.tell(rng, 60, 0)
	// What is asked beside them does not get into what is kept of all rows.
	if _, err := s.Cube(t.Context(), CubeQuery{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: watch.Day, Signature: flights,
		Segments: []CubeSegment{{Kept: true}}, By: "origin", Values: []string{"ATL"}}); err != nil {
		t.Fatal(err)
	}
	c.check("first, by hour", watch.Hour, true, all...)
	expect(t, "hours that were counted", table(t, s, `SELECT count(*) FROM (SELECT DISTINCT hour FROM cube_hours)`), table(t, s, `SELECT count(*) FROM hours WHERE rows > 0`))
	c.check("by day, from the hours", watch.Day, true, all...)
	c.check("not kept", watch.Day, false, all...)
	c.tell(rng, 40, 1000)
	c.more(rng, 70, 20)
	c.more(rng, 3, 20)
	expect(t, "hours to count again", table(t, s, `SELECT count(*) > 0 FROM hours h WHERE rows > 0 AND NOT EXISTS (
		SELECT 1 FROM cube_hours c WHERE c.hour = h.hour AND c.seq = h.seq AND segment = '')`), "true")
	c.check("after more rows, labels and corrections", watch.Day, true, all...)
	c.check("one of them twice", watch.Day, true, "distance >= 500.0", "distance >= 500.0")
	cells, err := s.Cube(t.Context(), CubeQuery{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: watch.Day, Signature: flights,
		Segments: []CubeSegment{{Kept: true}}, By: "origin", Values: []string{"ORD", "ATL"}})
	if err != nil {
		t.Fatal(err)
	}
	by := map[int]uint64{}
	for _, cell := range cells {
		by[cell.Segment] += cell.Totals.N
	}
	if n := uint64(len(c.rows)); by[0] != n || by[1] != 0 || by[2] != n { // all rows are from ATL
		t.Errorf("by origin: %v, want all %d rows in ATL", by, n)
	}
	c.check("another one", watch.Hour, true, "distance >= 500.0", "distance == 300.0")
}

func TestSavedSegments(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.rows(flights, flight("a", march, 10, 0.45))
	f.labels(label("a.7", "late", 1))
	columns, err := s.SegmentColumns(t.Context(), "flights")
	if err != nil {
		t.Fatal(err)
	}
	save := func(named map[string]string) {
		t.Helper()
		var saved []SavedSegment
		for name, predicate := range named {
			p, err := segment.Compile(predicate, columns)
			if err != nil {
				t.Fatal(err)
			}
			saved = append(saved, SavedSegment{name, p})
		}
		if err := s.PutSegments(t.Context(), "flights", saved); err != nil {
			t.Fatal(err)
		}
	}
	save(map[string]string{"far": `distance > 600.0`, "odd 'name'": `origin == "it's"`})
	expect(t, "rows of the view", table(t, s, `SELECT count(*), count(fairlead_label) FROM segments."flights/far"`), "3 1")
	expect(t, "an odd name", table(t, s, `SELECT count(*) FROM segments."flights/odd 'name'"`), "0")
	other := *flights // a version with another column: the views are made anew
	other.Inputs = append([]fairlead.TensorSpec{{Name: "carrier", Type: fairlead.Bytes, Shape: []int64{-1, 1}}}, other.Inputs...)
	p := flight("b", march, 10, 0.2)
	p.Version = 2
	p.Inputs = append([]fairlead.Tensor{{Name: "carrier", Type: fairlead.Bytes, Shape: []int64{10, 1}, Data: make([]string, 10)}}, p.Inputs...)
	f.rows(&other, p)
	expect(t, "rows of both versions", table(t, s, `SELECT version, count(carrier) FROM segments."flights/far" GROUP BY 1 ORDER BY 1`), "1 0\n2 3")
	if _, err := s.Cube(t.Context(), CubeQuery{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: watch.Day, Signature: flights,
		Segments: []CubeSegment{{nil, true}, {mustCompile(t, `distance > 600.0`, columns), true}}}); err != nil {
		t.Fatal(err)
	}
	save(map[string]string{"far": `distance > 700.0`})
	expect(t, "what is left of the cube", table(t, s, `SELECT DISTINCT segment FROM cube_hours`), "")
	expect(t, "rows of the new view", table(t, s, `SELECT count(*) FROM segments."flights/far" WHERE version = 1`), "2")
	if _, err := s.Query(t.Context(), `FROM segments."flights/odd 'name'"`, 1); err == nil {
		t.Error("a segment that was removed can still be asked")
	}
}

func mustCompile(t *testing.T, predicate string, columns map[string]segment.Kind) *segment.Predicate {
	t.Helper()
	p, err := segment.Compile(predicate, columns)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A regression and a task of three classes: the cube says what package realised says of the same rows.
func TestCubeOfOtherTasks(t *testing.T) {
	const seed = 9
	t.Logf("seed %d", seed)
	for _, task := range []fairlead.Task{fairlead.TaskRegression, fairlead.TaskMulticlass} {
		rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's chance
		s := open(t, t.TempDir())
		f := newFeed(t, s)
		sig := &fairlead.Signature{Task: task, Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
			Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP64, Shape: []int64{-1}, Role: fairlead.RoleValue}}}
		if task == fairlead.TaskMulticlass {
			sig.Outputs = []fairlead.TensorSpec{{Name: "y", Type: fairlead.Bytes, Shape: []int64{-1}, Role: fairlead.RoleLabel}}
		}
		var outcomes []realised.Outcome
		for i := range 60 {
			id := fmt.Sprintf("r%03d", i)
			o := realised.Outcome{Score: math.NaN()}
			out := fairlead.Tensor{Name: "y", Type: fairlead.FP64, Shape: []int64{1}}
			if task == fairlead.TaskRegression {
				o.Score = rng.NormFloat64() * 10
				out.Data, o.Label = []float64{o.Score}, []string{fmt.Sprint(o.Score + rng.NormFloat64()), "", "many", "NaN"}[rng.IntN(4)]
			} else {
				o.Predicted, o.Label = []string{"a", "b", "c"}[rng.IntN(3)], []string{"a", "b", "c", ""}[rng.IntN(4)]
				out.Type, out.Data = fairlead.Bytes, []string{o.Predicted}
			}
			f.rows(sig, &fairlead.Prediction{
				ID: id, Deployment: "other", Model: "other", Version: 1, Role: fairlead.RoleLive, Received: march,
				Rows:    []fairlead.RowMeta{{ID: id, Time: march.Add(time.Duration(i) * time.Minute)}},
				Inputs:  []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{1}}},
				Outputs: []fairlead.Tensor{out},
			})
			if o.Label != "" {
				l := label(id, o.Label, i)
				l.Deployment = "other"
				f.labels(l)
			}
			outcomes = append(outcomes, o)
		}
		want := realised.Compute(task, nil, realised.Threshold, outcomes)
		cells, err := s.Cube(t.Context(), CubeQuery{Deployment: "other", Version: 1, Role: fairlead.RoleLive, Grain: watch.Day, Signature: sig,
			Segments: []CubeSegment{{Kept: true}, {Kept: false}}})
		if err != nil || len(cells) != 2 {
			t.Fatalf("%s: %v, %v", task, cells, err)
		}
		for _, c := range cells {
			if c.Totals.N != uint64(want.N) || c.Totals.Labelled != uint64(want.Labelled) {
				t.Errorf("%s: %d rows, %d labelled; want %d, %d", task, c.Totals.N, c.Totals.Labelled, want.N, want.Labelled)
			}
			for name, m := range c.Totals.Metrics(task) {
				if !(math.Abs(m.Value-want.Values[name]) < 1e-9) {
					t.Errorf("%s: %s is %g, want %g", task, name, m.Value, want.Values[name])
				}
			}
		}
	}
}
