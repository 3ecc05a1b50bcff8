package profile

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// Whatever way rows are split over requests, goroutines and minutes, and in whatever order the parts are merged, the
// sum is the whole, byte for byte. The values include ones whose float sum would depend on the order.
func TestMergeIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	r := learnFlights(t, 7, 3000)
	live := flights(rng, monday, 3, 800)
	for i := range live {
		switch rng.IntN(20) {
		case 0:
			live[i].distance = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e30, -1e-30, 0.1}[rng.IntN(6)]
		case 1:
			live[i].origin = []string{"", "new", "ZZZ"}[rng.IntN(3)]
		case 2:
			live[i].score = rng.Float32() * 1e20
		}
	}
	whole := NewCounts(r.Layout)
	whole.Add(r.Layout, prediction(live), nil)
	for range 30 {
		rng.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
		var parts []*Counts
		for rest := live; len(rest) > 0; {
			n := min(1+rng.IntN(200), len(rest))
			c := NewCounts(r.Layout)
			c.Add(r.Layout, prediction(rest[:n]), nil)
			parts = append(parts, c)
			rest = rest[n:]
		}
		for len(parts) > 1 { // merge two at random until one is left
			i := rng.IntN(len(parts))
			a := parts[i]
			parts = slices.Delete(parts, i, i+1)
			if err := parts[rng.IntN(len(parts))].Merge(a); err != nil {
				t.Fatal(err)
			}
		}
		sameBytes(t, "merged", parts[0], whole)
	}
}

func TestMergeRefusesAnotherLayout(t *testing.T) {
	a, b := learnOne(t, fairlead.FP32, 1, 2, 3), learnOne(t, fairlead.FP32, 1, 2, 4)
	c := NewCounts(a.Layout)
	if err := c.Merge(NewCounts(b.Layout)); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("merging counts over other bins: %v", err)
	}
	if err := c.Merge(NewCounts(&Layout{})); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("merging counts without columns: %v", err)
	}
}

// The rows argument counts just these rows, in any tensor.
func TestAddRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(33, 34))
	r := learnFlights(t, 7, 2000)
	live := flights(rng, monday, 1, 50)
	p := prediction(live)
	odd, even := NewCounts(r.Layout), NewCounts(r.Layout)
	for i := range live {
		if i%2 == 1 {
			odd.Add(r.Layout, p, []int{i})
		}
	}
	var rows []int
	for i := 0; i < len(live); i += 2 {
		rows = append(rows, i)
	}
	even.Add(r.Layout, p, rows)
	if odd.N != 25 || even.N != 25 {
		t.Fatalf("%d and %d rows", odd.N, even.N)
	}
	if err := odd.Merge(even); err != nil {
		t.Fatal(err)
	}
	all := NewCounts(r.Layout)
	all.Add(r.Layout, p, nil)
	sameBytes(t, "odd and even rows", odd, all)
	// The same rows as a table give the same counts.
	table := NewCounts(r.Layout)
	table.AddTable(r.Layout, flightTable(live), 0, 20)
	table.AddTable(r.Layout, flightTable(live), 20, len(live))
	sameBytes(t, "as a table", table, all)
}

// Every type of tensor counts like the float64 of its values.
func TestTensorTypes(t *testing.T) {
	var values []float64
	for i := range 60 {
		values = append(values, float64(i), float64(i))
	}
	half := []uint16{0x3c00, 0x4000, 0x4500} // 1, 2, 5
	brain := []uint16{0x3f80, 0x4000, 0x40a0}
	for _, c := range []fairlead.Tensor{
		{Type: fairlead.FP64, Data: []float64{1, 2, 5}},
		{Type: fairlead.FP32, Data: []float32{1, 2, 5}},
		{Type: fairlead.FP16, Data: half},
		{Type: fairlead.BF16, Data: brain},
		{Type: fairlead.Int64, Data: []int64{1, 2, 5}},
		{Type: fairlead.Int32, Data: []int32{1, 2, 5}},
		{Type: fairlead.Int16, Data: []int16{1, 2, 5}},
		{Type: fairlead.Int8, Data: []int8{1, 2, 5}},
		{Type: fairlead.Uint64, Data: []uint64{1, 2, 5}},
		{Type: fairlead.Uint32, Data: []uint32{1, 2, 5}},
		{Type: fairlead.Uint16, Data: []uint16{1, 2, 5}},
		{Type: fairlead.Uint8, Data: []uint8{1, 2, 5}},
	} {
		r := learnOne(t, c.Type, values...)
		got := countOne(r, c)
		fine := got.FineBins(r.Layout, 0)
		c1, _ := r.Layout.Columns[0].ranker().rank(1)
		c2, _ := r.Layout.Columns[0].ranker().rank(2)
		c5, _ := r.Layout.Columns[0].ranker().rank(5)
		if sum(fine) != 3 || fine[c1] != 1 || fine[c2] != 1 || fine[c5] != 1 {
			t.Errorf("%s: %v", c.Type, fine)
		}
		if m, _ := got.Mean(0); math.Abs(m-8.0/3) > 1e-6 {
			t.Errorf("%s: mean %g", c.Type, m)
		}
	}
	bools := learnOne(t, fairlead.Bool, 0, 1, 1)
	if got := countOne(bools, fairlead.Tensor{Type: fairlead.Bool, Data: []bool{true, false, true}}).Columns[0].Slots; !slices.Equal(got, []uint64{1, 2, 0, 0}) {
		t.Errorf("booleans: %v", got)
	}
}

// A prediction that lacks a column, or has it in another shape or kind, counts as null and breaks no other column.
func TestBrokenTensors(t *testing.T) {
	r := learnFlights(t, 7, 2000)
	rng := rand.New(rand.NewPCG(35, 36))
	whole := prediction(flights(rng, monday, 1, 10))
	for name, spoil := range map[string]func(p *fairlead.Prediction){
		"absent":     func(p *fairlead.Prediction) { p.Inputs = p.Inputs[1:] },
		"too narrow": func(p *fairlead.Prediction) { p.Inputs[0].Shape = []int64{30, 1} },
		"too short":  func(p *fairlead.Prediction) { p.Inputs[0].Data = []float32{1} },
		"text":       func(p *fairlead.Prediction) { p.Inputs[0].Data = make([]string, 30) },
		"no data":    func(p *fairlead.Prediction) { p.Inputs[0].Data = nil },
		"other numbers": func(p *fairlead.Prediction) {
			p.Inputs[1] = fairlead.Tensor{Name: "origin", Type: fairlead.FP32, Shape: []int64{10, 1}, Data: make([]float32, 10)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := *whole
			p.Inputs = slices.Clone(whole.Inputs)
			spoil(&p)
			c := NewCounts(r.Layout)
			c.Add(r.Layout, &p, nil)
			nulls := 0
			for i := range r.Layout.Columns {
				if got := c.Columns[i].rows(); got != 10 {
					t.Errorf("%s counts %d of 10 rows", r.Layout.Columns[i].Name, got)
				}
				if c.Missing(r.Layout, i) == 1 {
					nulls++
				}
			}
			if nulls == 0 || nulls == len(r.Layout.Columns) {
				t.Errorf("%d columns are null", nulls)
			}
		})
	}
}

// Specials are bins of their own in the score; under and over join its ends.
func TestSpecials(t *testing.T) {
	rng := rand.New(rand.NewPCG(37, 38))
	r := learnOne(t, fairlead.FP32, normals(rng, 1000)...)
	inf, nan := math.Inf(1), math.NaN()
	c := countFloats(r, nan, nan, inf, -inf, -100, 100, 200, 0)
	got := c.AlertBins(r.Layout, 0)
	if len(got) != 14 || got[0] != 1 || got[9] != 2 || !slices.Equal(got[10:], []uint64{0, 2, 1, 1}) {
		t.Errorf("alert bins %v", got)
	}
	fine := c.FineBins(r.Layout, 0)
	if sum(fine) != 4 || fine[0] != 1 || fine[len(fine)-1] != 2 {
		t.Errorf("fine bins %v", fine)
	}
	if m, u := c.Missing(r.Layout, 0), c.Unseen(r.Layout, 0); m != .25 || u != 5.0/8 {
		t.Errorf("missing %g, unseen %g", m, u)
	}
	kinds := map[string]uint64{}
	for i, b := range r.Layout.Bins(0) {
		kinds[b.Kind] += c.BinCounts(r.Layout, 0)[i]
	}
	want := map[string]uint64{"range": 1, "under": 1, "over": 2, "null": 0, "nan": 2, "inf": 2}
	for k, n := range want {
		if kinds[k] != n {
			t.Errorf("%s: %d rows, want %d", k, kinds[k], n)
		}
	}
	if len(kinds) != len(want) {
		t.Errorf("kinds %v", kinds)
	}
	if low, high, ok := c.Range(0); low != -100 || high != 200 || !ok {
		t.Errorf("range %g to %g, %v", low, high, ok)
	}
	if m, ok := c.Mean(0); math.Abs(m-50) > 1e-3 || !ok {
		t.Errorf("mean %g, %v", m, ok)
	}
	empty := NewCounts(r.Layout)
	if _, ok := empty.Mean(0); ok || empty.Missing(r.Layout, 0) != 0 || empty.Unseen(r.Layout, 0) != 0 {
		t.Error("an empty window has a mean, or something missing")
	}
}

// The moments agree with the textbook to the resolution they promise, over twelve orders of magnitude.
func TestMoments(t *testing.T) {
	rng := rand.New(rand.NewPCG(39, 40))
	for _, scale := range []float64{1e-6, 1, 1e6} {
		values := normals(rng, 5000)
		var sum, squares float64
		for i := range values {
			values[i] = 3*scale + values[i]*scale
			sum += values[i]
		}
		mean := sum / 5000
		for _, v := range values {
			squares += (v - mean) * (v - mean)
		}
		r := learnOne(t, fairlead.FP64, values...)
		gotMean, _ := r.Total.Mean(0)
		gotStd, _ := r.Total.Std(0)
		if math.Abs(gotMean-mean) > 1e-7*scale || math.Abs(gotStd-math.Sqrt(squares/5000)) > 1e-7*scale {
			t.Errorf("scale %g: mean %g and std %g, want %g and %g", scale, gotMean, gotStd, mean, math.Sqrt(squares/5000))
		}
	}
}

func TestDisplayBins(t *testing.T) {
	var values []float64
	for i := range 1000 {
		values = append(values, float64(i)*2.5)
	}
	r := learnOne(t, fairlead.FP32, values...)
	bins := r.Layout.Bins(0)
	if bins[0].Label != "0 … 235" || bins[0].Low != 0 || bins[9].High != 2497.5 || bins[10].Label != "< 0" || bins[11].Label != "> 2497.5" {
		t.Errorf("bins %+v", bins)
	}
	text := learnText1(t, "b", "a", "b", "c")
	var labels []string
	for _, b := range text.Layout.Bins(0) {
		labels = append(labels, b.Label)
	}
	if want := []string{"b", "a", "c", "unseen", "null"}; !slices.Equal(labels, want) {
		t.Errorf("labels %v, want %v", labels, want)
	}
	c := &Column{}
	for v, want := range map[float64]string{0.123456: "0.12346", 1234.5678: "1234.6", -0.5: "-0.5", 12: "12", 1e20: "1e+20", 0.00001234: "1.234e-05", 0: "0"} {
		if got := c.format(v); got != want {
			t.Errorf("format(%g) = %q, want %q", v, got, want)
		}
	}
}

// A model without a reference counts its rows and nothing else.
func TestNoColumns(t *testing.T) {
	l := &Layout{}
	c := NewCounts(l)
	c.Add(l, &fairlead.Prediction{Rows: make([]fairlead.RowMeta, 3)}, nil)
	if err := c.Merge(c); err != nil || c.N != 6 {
		t.Fatalf("N %d, %v", c.N, err)
	}
	back, err := ParseCounts(&Layout{}, marshal(t, c))
	if err != nil || back.N != 6 {
		t.Fatalf("%+v, %v", back, err)
	}
}
