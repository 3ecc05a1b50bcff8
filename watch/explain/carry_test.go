package explain

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/profile"
)

// world makes rows of a column of numbers, ten bins wide, whose place depends on an airport; hours and a tag have nothing to do
// with it.
type world struct {
	r        *rand.Rand
	airports []float64 // shares
	moves    func(airport, hour int) bool
}

func tenBins() []profile.Bin {
	var bins []profile.Bin
	for i := range 10 {
		bins = append(bins, profile.Bin{Label: fmt.Sprintf("%d to %d", i, i+1), Kind: "range", Low: float64(i), High: float64(i + 1)})
	}
	return bins
}

func facets() []Facet {
	airport := Facet{Name: "origin", Label: "origin"}
	for _, code := range []string{"ATL", "JFK", "ORD", "SFO", "LAX", "DFW", "DEN", "SEA"} {
		airport.Parts = append(airport.Parts, profile.Bin{Label: code, Kind: "category"})
	}
	hour := Facet{Name: "hour", Label: "hour", Ordered: 10}
	for i := range 10 {
		hour.Parts = append(hour.Parts, profile.Bin{Label: fmt.Sprint(i), Kind: "value", Low: float64(i), High: float64(i)})
	}
	return []Facet{airport, hour}
}

func (w *world) rows(n int, later bool) *Rows {
	rows := &Rows{Parts: make([][]int, 2), Saved: [][]bool{nil}}
	for range n {
		airport, x := 0, w.r.Float64()
		for a, share := range w.airports {
			if airport = a; x < share {
				break
			}
			x -= share
		}
		hour := w.r.IntN(10)
		place := min(9, max(0, int(float64(airport)/2+3+1.5*w.r.NormFloat64())))
		if later && w.moves != nil && w.moves(airport, hour) {
			place = min(9, place+4)
		}
		rows.Target = append(rows.Target, place)
		rows.Parts[0], rows.Parts[1] = append(rows.Parts[0], airport), append(rows.Parts[1], hour)
		rows.Saved[0] = append(rows.Saved[0], airport == 3 || airport == 4)
	}
	return rows
}

var even = []float64{0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125}

func TestSegmentsThatCarryAChange(t *testing.T) {
	for _, c := range []struct {
		name  string
		moves func(airport, hour int) bool
		now   []float64 // airports, where there are more of some
		want  []string  // predicates or names
	}{
		{"one airport", func(a, _ int) bool { return a == 2 }, nil, []string{`origin == "ORD"`}},
		{"two airports that have a name", func(a, _ int) bool { return a == 3 || a == 4 }, nil, []string{"the coast"}},
		{"three airports", func(a, _ int) bool { return a < 3 }, nil, []string{`origin in ["ATL", "JFK", "ORD"]`}},
		{"evenings", func(_, h int) bool { return h >= 7 }, nil, []string{`hour >= 7 && hour <= 9`}},
		{"evenings of one airport", func(a, h int) bool { return a == 1 && h >= 4 }, nil, []string{`JFK`}},
		{"all alike", func(_, _ int) bool { return true }, nil, nil},
		{"many more of one airport", nil, []float64{0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.65}, []string{`origin == "SEA"`}},
	} {
		w := &world{r: rand.New(rand.NewPCG(7, 8)), airports: even, moves: c.moves}
		before := w.rows(4000, false)
		if c.now != nil {
			w.airports = c.now
		}
		got := Concentrate(tenBins(), facets(), []string{"the coast"}, before, w.rows(4000, true))
		var said []string
		for _, x := range got.Carriers {
			name := x.Where
			if x.Saved >= 0 {
				name = x.Label
			}
			said = append(said, name)
			if x.Part.Value < 0.6 || x.Part.Low > x.Part.Value || x.Part.High < x.Part.Value || x.Values != (c.now == nil) {
				t.Errorf("%s: %+v", c.name, x.Part)
			}
		}
		ok := len(said) == len(c.want) && got.Even == (c.want == nil) && got.Reason == ""
		for i := range said {
			ok = ok && strings.Contains(said[i], c.want[i])
		}
		if !ok {
			t.Errorf("%s: %q, want %q (%s)", c.name, said, c.want, got.Says())
		}
		t.Logf("%s: %s", c.name, got.Says())
	}
}

// Where nothing is, nothing is said: neither of rows that have not changed, nor of a change that is everywhere.
func TestNoSegmentByChance(t *testing.T) {
	named, said := 0, 0
	const n = 150
	for seed := range uint64(n) {
		w := &world{r: rand.New(rand.NewPCG(seed, 9)), airports: even}
		if c := Concentrate(tenBins(), facets(), []string{"the coast"}, w.rows(1000, false), w.rows(1000, true)); c.Reason == "" {
			said++
		}
		w.moves = func(_, _ int) bool { return w.r.IntN(4) == 0 }
		c := Concentrate(tenBins(), facets(), []string{"the coast"}, w.rows(1000, false), w.rows(1000, true))
		if len(c.Carriers) > 0 {
			named++
			t.Log(seed, c.Says())
		}
	}
	if named > 3 || said > 3 {
		t.Errorf("of %d: a segment %d times where all move alike, something %d times where nothing has changed", n, named, said)
	}
	few := &world{r: rand.New(rand.NewPCG(1, 1)), airports: even}
	if c := Concentrate(tenBins(), facets(), nil, few.rows(50, false), few.rows(5000, true)); c.Reason == "" || len(c.Carriers) > 0 {
		t.Errorf("50 rows of before: %+v", c)
	}
}

// When a value is gone, what mostly went with it is no cause of that.
func TestAValueThatIsGone(t *testing.T) {
	w := &world{r: rand.New(rand.NewPCG(5, 5)), airports: even}
	belongs := func(rows *Rows, gone bool) *Rows { // place 9 is nearly always evening
		out := &Rows{Parts: make([][]int, 2), Saved: [][]bool{nil}}
		for i, place := range rows.Target {
			hour := rows.Parts[1][i]
			if place >= 6 {
				hour = 6 + i%4
			}
			if gone && place >= 6 {
				continue
			}
			out.Target = append(out.Target, place)
			out.Parts[0], out.Parts[1] = append(out.Parts[0], rows.Parts[0][i]), append(out.Parts[1], hour)
			out.Saved[0] = append(out.Saved[0], false)
		}
		return out
	}
	c := Concentrate(tenBins(), facets(), []string{"the coast"}, belongs(w.rows(4000, false), false), belongs(w.rows(4000, true), true))
	if !c.Even || len(c.Carriers) > 0 {
		t.Errorf("%+v: %s", c.Carriers, c.Says())
	}
}

// The values of a column are those of before, and only as many change as must.
func TestPuttingBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	const n = 4000
	now, weight := make([]any, n), make([]float64, n)
	pool := &Pool{Rows: n}
	for i := range n {
		x := 100 + 20*r.NormFloat64()
		now[i], weight[i] = 1.6*x, 1
		if i%5 == 0 {
			now[i] = nil
		}
		pool.Values, pool.Weight = append(pool.Values, 100+20*r.NormFloat64()), append(pool.Weight, 1)
	}
	back := Quantiles(now, weight, pool, false, r.Float64)
	sum, missed, worst := 0.0, 0, 0.0
	for i, v := range back {
		if missing(v) {
			missed++
			continue
		}
		sum += v.(float64)
		if now[i] != nil { // the order of the rows is kept: kilometres become miles
			worst = math.Max(worst, math.Abs(v.(float64)-now[i].(float64)/1.6))
		}
	}
	if mean := sum / n; missed != 0 || math.Abs(mean-100) > 1.5 || worst > 15 {
		t.Errorf("mean %.2f, %d missing, worst %.1f", mean, missed, worst)
	}
	texts, old := []any{}, &Pool{Rows: 10}
	for i := range 1000 {
		texts = append(texts, []any{"a", "a", "a", "b", nil}[i%5])
	}
	for i := range 1000 {
		old.Values, old.Weight = append(old.Values, []any{"a", "b", "b", "c", "a"}[i%5]), append(old.Weight, 1)
	}
	share, changed := map[any]int{}, 0
	for i, v := range Resample(texts, weight[:1000], old, false, r.Float64) {
		share[v]++
		if v != texts[i] {
			changed++
			if texts[i] == "b" {
				t.Error("b was replaced, of which there were too few")
			}
		}
	}
	if math.Abs(float64(share["a"])-400) > 60 || math.Abs(float64(share["b"])-400) > 60 || math.Abs(float64(share["c"])-200) > 60 || share[nil] != 0 || changed > 450 {
		t.Errorf("%v, %d changed", share, changed)
	}
	if got := Quantiles(now, weight, &Pool{}, false, r.Float64); len(got) != n || got[1] != now[1] {
		t.Error("a pool without values changed something")
	}
}

// Intervals of the mean score hold the truth in about 95 % of samples, whether something has moved or not.
func TestIntervalsOfTheImpact(t *testing.T) {
	model := func(x float64) Answer {
		p := 1 / (1 + math.Exp(-(x-100)/15))
		if p >= 0.5 {
			return Answer{p, "late"}
		}
		return Answer{p, "on time"}
	}
	place := func(x float64) int { return min(9, max(0, int((x-50)/10))) }
	for _, moved := range []float64{0, 8} {
		inside, clear := 0, 0
		const n = 400
		expected := 0.0
		for i := range 200_000 {
			z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/200_000-1)
			expected += (model(100+moved+20*z).Score - model(100+20*z).Score) / 200_000
		}
		for seed := range uint64(n) {
			r := rand.New(rand.NewPCG(seed, 4))
			sample := func(rows int, shift float64) (values []any, weight []float64) {
				for range rows {
					values, weight = append(values, 100+shift+20*r.NormFloat64()), append(weight, 1)
				}
				return values, weight
			}
			now, weight := sample(500, moved)
			pool := &Pool{Rows: 800}
			pool.Values, pool.Weight = sample(800, 0)
			pairs := func(back []any) (out []Pair) {
				for i := range now {
					a, b := now[i].(float64), back[i].(float64)
					out = append(out, Pair{1, place(a), place(b), model(a), model(b)})
				}
				return out
			}
			m := Summarise(pairs(Quantiles(now, weight, pool, false, r.Float64)), nil, pool.Rows,
				Scale{Classes: []string{"on time", "late"}, Positive: "late", Right: func(s float64) float64 { return s }})
			if m.Score.Change.Low <= expected && expected <= m.Score.Change.High {
				inside++
			}
			if m.Score.Change.beyond(leastShare) {
				clear++
			}
		}
		t.Logf("shift %v: %d of %d intervals hold %.4f; %d say that it moved", moved, inside, n, expected, clear)
		if inside < n*92/100 || moved == 0 && clear > n*7/100 || moved > 0 && clear < n*95/100 {
			t.Errorf("shift %v: %d of %d intervals hold %.4f; %d say that it moved", moved, inside, n, expected, clear)
		}
	}
}
