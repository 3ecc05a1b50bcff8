package shape

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// TestGolden: five series of a portable stream, with the labels, places and margins of the reference.
func TestGolden(t *testing.T) {
	content, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		T    int `json:"T"`
		Rows []struct {
			Shape  string    `json:"shape"`
			Block  int       `json:"block"`
			First  []float64 `json:"y_first"`
			Label  Kind      `json:"label"`
			Period int       `json:"period"`
			A      int       `json:"a"`
			B      int       `json:"b"`
			Margin float64   `json:"bic_margin"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(content, &g); err != nil {
		t.Fatal(err)
	}
	z := make([]float64, 5*g.T)
	for i, x := 0, uint64(7); i < len(z); i++ {
		z[i] = -6
		for range 12 {
			x = (1103515245*x + 12345) % (1 << 31)
			z[i] += float64(x) / (1 << 31)
		}
	}
	shapes := map[string]func(t int) float64{
		"none": func(int) float64 { return 0 }, "instantaneous": func(t int) float64 { return indicator(t >= 80) },
		"gradual":   func(t int) float64 { return min(1, max(0, float64(t-60)/70)) },
		"temporary": func(t int) float64 { return indicator(t >= 70 && t < 85) },
		"periodic":  func(t int) float64 { return indicator(math.Sin(2*math.Pi*float64(t+5)/24) > 0.3) },
	}
	if len(g.Rows) != 5 {
		t.Fatalf("%d rows in the golden file", len(g.Rows))
	}
	for _, row := range g.Rows {
		y := make([]float64, g.T)
		for i := range y {
			y[i] = 0.06 + 0.012*z[row.Block*g.T+i] + 0.08*shapes[row.Shape](i)
		}
		for i, want := range row.First {
			if math.Abs(y[i]-want) > 1e-12 {
				t.Fatalf("%s: the stream begins with %v, want %v", row.Shape, y[:3], row.First)
			}
		}
		got := Label(y, nil, Options{Periods: []int{24}})
		if got.Kind != row.Label || got.Period != row.Period || math.Abs(got.Margin-row.Margin) > 1e-6 {
			t.Errorf("%s: %+v, want %s, period %d, margin %v", row.Shape, got, row.Label, row.Period, row.Margin)
		}
		if row.Label != Periodic && (got.Onset != row.A || got.End != row.B) {
			t.Errorf("%s: from %d to %d, want %d to %d", row.Shape, got.Onset, got.End, row.A, row.B)
		}
	}
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// family makes the ten bins of a window in which a drift is present to the given degree in [0,1].
type family struct {
	name   string
	rows   int
	degree func(z float64, degree float64, r *rand.Rand) float64 // a standard normal in, the drifted value out
	// categories, where the column is one: the probability of each at degree 0 and 1
	before, after []float64
}

// decile is the bin of a standard normal among its deciles.
func decile(z float64) int {
	edges := [...]float64{-1.2815515655446004, -0.8416212335729143, -0.5244005127080407, -0.2533471031357997, 0, 0.2533471031357997, 0.5244005127080407, 0.8416212335729143, 1.2815515655446004}
	for i, e := range edges {
		if z < e {
			return i
		}
	}
	return 9
}

// rootPSI draws a window and compares it with 10,000 rows of reference by the half rule.
func (f *family) rootPSI(degree float64, reference []float64, r *rand.Rand) float64 {
	counts := make([]float64, len(reference))
	for range f.rows {
		if f.before == nil {
			counts[decile(f.degree(r.NormFloat64(), degree, r))]++
			continue
		}
		u := r.Float64()
		for i := range f.before {
			u -= f.before[i] + degree*(f.after[i]-f.before[i])
			if u < 0 || i == len(f.before)-1 {
				counts[i]++
				break
			}
		}
	}
	var m, n float64
	for i := range counts {
		m += reference[i] + 0.5
		n += counts[i] + 0.5
	}
	psi := 0.0
	for i := range counts {
		p, q := (reference[i]+0.5)/m, (counts[i]+0.5)/n
		psi += (p - q) * math.Log(p/q)
	}
	return math.Sqrt(psi)
}

func (f *family) reference(r *rand.Rand) []float64 {
	g := *f
	g.rows = 10_000
	counts := make([]float64, max(10, len(f.before)))
	for range g.rows {
		if f.before == nil {
			counts[decile(f.degree(r.NormFloat64(), 0, r))]++
			continue
		}
		u := r.Float64()
		for i := range f.before {
			if u -= f.before[i]; u < 0 || i == len(f.before)-1 {
				counts[i]++
				break
			}
		}
	}
	return counts
}

// degrees draws a course of each kind over n windows, and says where it begins.
func degrees(k Kind, n int, r *rand.Rand) (degree func(t int) float64, onset int) {
	a := 40 + r.IntN(70)
	return degreesFrom(a, k, n, r), a
}

func degreesFrom(a int, k Kind, n int, r *rand.Rand) func(t int) float64 {
	switch k {
	case Instantaneous:
		return func(t int) float64 { return indicator(t >= a) }
	case Gradual:
		length := 48 + r.IntN(n-a-48)
		return func(t int) float64 { return min(1, max(0, float64(t-a)/float64(length))) }
	case Temporary:
		length := 6 + r.IntN(24)
		return func(t int) float64 { return indicator(t >= a && t < a+length) }
	case Periodic:
		phase := r.IntN(24)
		return func(t int) float64 { return indicator(math.Sin(2*math.Pi*float64(t+phase)/24) > 0.3) }
	}
	return func(int) float64 { return 0 }
}

func families() []family {
	shift := func(by float64) func(z, d float64, _ *rand.Rand) float64 {
		return func(z, d float64, _ *rand.Rand) float64 { return z + by*d }
	}
	even, swapped := make([]float64, 12), make([]float64, 12)
	for i := range even {
		even[i] = 1. / 12
		swapped[i] = even[i]
	}
	swapped[0], swapped[1] = swapped[0]+0.05, swapped[1]-0.05
	return []family{
		{name: "shift by 0.3 sd, 200 rows", rows: 200, degree: shift(0.3)},
		{name: "shift by 0.5 sd, 200 rows", rows: 200, degree: shift(0.5)},
		{name: "shift by 0.3 sd, 1,000 rows", rows: 1000, degree: shift(0.3)},
		{name: "variance × 1.5 (sd × 1.22), 500 rows", rows: 500, degree: func(z, d float64, _ *rand.Rand) float64 { return z * (1 + 0.22*d) }},
		{name: "5 points between two of 12 categories, 500 rows", rows: 500, before: even, after: swapped},
		{name: "a tenth from another population, 500 rows", rows: 500, degree: func(z, d float64, r *rand.Rand) float64 {
			if r.Float64() < 0.1*d {
				return 2.5 + z
			}
			return z
		}},
	}
}

// TestAccuracy: windows of real counts, five kinds, the families it was designed on and others. Seeds are fixed.
func TestAccuracy(t *testing.T) {
	const windows = 168
	each := 30
	if testing.Short() {
		each = 15
	}
	for fi, f := range families() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			right, confusion := 0, map[Kind]map[Kind]int{}
			var late []float64 // how far the onset lies from the truth, of what begins at once
			for ki, k := range Kinds {
				confusion[k] = map[Kind]int{}
				for i := range each {
					r := rand.New(rand.NewPCG(uint64(fi*1000+ki*100), uint64(i)))
					degree, onset := degrees(k, windows, r)
					reference := f.reference(r)
					y := make([]float64, windows)
					for w := range y {
						y[w] = f.rootPSI(degree(w), reference, r)
					}
					got := Label(y, nil, Options{Periods: []int{24}})
					confusion[k][got.Kind]++
					if got.Kind == k {
						right++
						if k == Instantaneous || k == Temporary {
							late = append(late, math.Abs(float64(got.Onset-onset)))
						}
					}
				}
			}
			accuracy := float64(right) / float64(each*len(Kinds))
			t.Logf("accuracy %.3f: %v", accuracy, confusion)
			slices.Sort(late)
			if len(late) == 0 || late[len(late)/2] > 1 {
				t.Errorf("the onset of a step or a pulse is off by %v windows (median)", late[len(late)/2])
			}
			if accuracy < 0.95 {
				t.Errorf("accuracy %.3f, want at least 0.95: %v", accuracy, confusion)
			}
		})
	}
}

// TestOddSeries: what is too short, constant or full of holes gets a name as well, and never a panic.
func TestOddSeries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	noise := make([]float64, 168)
	for i := range noise {
		noise[i] = 0.06 + 0.012*r.NormFloat64()
	}
	stepped, holes, weights := make([]float64, 168), make([]float64, 168), make([]float64, 168)
	for i := range noise {
		stepped[i] = noise[i] + 0.08*indicator(i >= 90)
		holes[i], weights[i] = stepped[i], 1
		if i%24 < 8 { // no traffic at night
			holes[i], weights[i] = math.NaN(), 0
		}
	}
	constant := make([]float64, 100)
	jump := make([]float64, 100)
	for i := 50; i < 100; i++ {
		jump[i] = 1
	}
	for _, c := range []struct {
		name      string
		y, weight []float64
		want      Kind
		onset     int
	}{
		{"nothing", nil, nil, None, 0},
		{"too short", stepped[:11], nil, None, 0},
		{"all missing", []float64{math.NaN(), math.NaN()}, nil, None, 0},
		{"constant", constant, nil, None, 0},
		{"a jump without noise", jump, nil, Instantaneous, 50},
		{"holes at night", holes, nil, Instantaneous, 90},
		{"holes at night, weighted", holes, weights, Instantaneous, 90},
		{"infinite values", append([]float64{math.Inf(1)}, stepped[1:]...), nil, Instantaneous, 90},
	} {
		got := Label(c.y, c.weight, Options{})
		if got.Kind != c.want || math.Abs(float64(got.Onset-c.onset)) > 8 {
			t.Errorf("%s: %+v, want %s at %d", c.name, got, c.want, c.onset)
		}
		if !(got.Confidence > 0 && got.Confidence <= 1) || math.IsNaN(got.Margin) || math.IsInf(got.Margin, 0) {
			t.Errorf("%s: %+v has no confidence or margin", c.name, got)
		}
	}
}

// TestProvisional: a name can change while the shape is still coming, and says so.
func TestProvisional(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	y := make([]float64, 168)
	for i := range y {
		y[i] = 0.06 + 0.012*r.NormFloat64() + 0.08*indicator(i >= 100 && i < 130)
	}
	var transcript []Drift
	for _, n := range []int{95, 104, 126, 134, 150} {
		transcript = append(transcript, Label(y[:n], nil, Options{Periods: []int{24}}))
	}
	for i, want := range []struct {
		kind        Kind
		provisional bool
	}{{None, false}, {Instantaneous, true}, {Instantaneous, true}, {Instantaneous, true}, {Temporary, false}} {
		if i == 3 { // four windows after the return it may be either
			continue
		}
		if got := transcript[i]; got.Kind != want.kind || got.Provisional != want.provisional {
			t.Errorf("look %d: %+v, want %+v", i, got, want)
		}
	}
}
