package profile

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var monday = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // 1 January 2001 was a Monday

// flightFields are the fields of a model like the flights example: a tensor of three numbers, a text, a score.
func flightFields() []fairlead.Field {
	return []fairlead.Field{
		{Name: "hour", Tensor: "x", Index: 0, Type: fairlead.FP32},
		{Name: "weekday", Tensor: "x", Index: 1, Type: fairlead.FP32},
		{Name: "distance", Tensor: "x", Index: 2, Type: fairlead.FP32},
		{Name: "origin", Tensor: "origin", Type: fairlead.Bytes},
		{Name: "probability", Tensor: "probability", Index: 1, Output: true, Type: fairlead.FP32, Role: fairlead.RoleScore},
	}
}

// flight draws one row at a time: a skewed distance with ties, one of forty airports, a score.
type flight struct {
	at       time.Time
	distance float64
	origin   string
	score    float32
}

var airports = func() []string {
	var out []string
	for i := range 40 {
		out = append(out, string([]byte{'A' + byte(i/26), 'A' + byte(i%26), 'X'}))
	}
	return out
}()

func drawFlight(rng *rand.Rand, at time.Time) flight {
	return flight{
		at:       at,
		distance: math.Round(math.Exp(6.3 + .7*rng.NormFloat64())),
		origin:   airports[int(float64(len(airports))*rng.Float64()*rng.Float64())],
		score:    float32(1 / (1 + math.Exp(-rng.NormFloat64()))),
	}
}

func flights(rng *rand.Rand, from time.Time, days, rows int) []flight {
	out := make([]flight, rows)
	for i := range out {
		minutes := i * days * 24 * 60 / rows
		at := from.Add(time.Duration(minutes) * time.Minute)
		out[i] = drawFlight(rng, at)
	}
	return out
}

func weekday(t time.Time) float64 { return float64((int(t.Weekday()) + 6) % 7) }

func flightTable(fs []flight) *fairlead.Table {
	n := len(fs)
	hour, week, dist, score := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	origin, times := make([]string, n), make([]time.Time, n)
	for i, f := range fs {
		hour[i], week[i], dist[i] = float64(f.at.Hour()), weekday(f.at), f.distance
		origin[i], score[i], times[i] = f.origin, float64(f.score), f.at
	}
	return &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{
		{Name: "time", Times: times},
		{Name: "hour", Floats: hour},
		{Name: "weekday", Floats: week},
		{Name: "distance", Floats: dist},
		{Name: "origin", Strings: origin},
		{Name: "probability", Floats: score},
	}}
}

// prediction packs flights into one request.
func prediction(fs []flight) *fairlead.Prediction {
	n := len(fs)
	x, origin, score := make([]float32, 0, 3*n), make([]string, 0, n), make([]float32, 0, 2*n)
	rows := make([]fairlead.RowMeta, 0, n)
	for _, f := range fs {
		x = append(x, float32(f.at.Hour()), float32(weekday(f.at)), float32(f.distance))
		origin = append(origin, f.origin)
		score = append(score, 1-f.score, f.score)
		rows = append(rows, fairlead.RowMeta{Time: f.at})
	}
	m := int64(n)
	return &fairlead.Prediction{
		Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Rows: rows,
		Inputs: []fairlead.Tensor{
			{Name: "x", Type: fairlead.FP32, Shape: []int64{m, 3}, Data: x},
			{Name: "origin", Type: fairlead.Bytes, Shape: []int64{m, 1}, Data: origin},
		},
		Outputs: []fairlead.Tensor{{Name: "probability", Type: fairlead.FP32, Shape: []int64{m, 2}, Data: score}},
	}
}

func learnFlights(t testing.TB, days, rows int) *Reference {
	t.Helper()
	rng := rand.New(rand.NewPCG(21, 22))
	r, err := Learn(flightFields(), flightTable(flights(rng, monday, days, rows)), Options{TimeColumn: "time"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// learnOne learns a single column.
func learnOne(t testing.TB, dt fairlead.DataType, values ...float64) *Reference {
	t.Helper()
	table := &fairlead.Table{Rows: len(values), Columns: []fairlead.TableColumn{{Name: "x", Floats: values}}}
	r, err := Learn([]fairlead.Field{{Name: "x", Tensor: "x", Type: dt}}, table, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func learnText1(t testing.TB, values ...string) *Reference {
	t.Helper()
	table := &fairlead.Table{Rows: len(values), Columns: []fairlead.TableColumn{{Name: "x", Strings: values}}}
	r, err := Learn([]fairlead.Field{{Name: "x", Tensor: "x", Type: fairlead.Bytes}}, table, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// countOne counts live values of a single column.
func countOne(r *Reference, tensor fairlead.Tensor) *Counts {
	n := tensor.Len()
	tensor.Name, tensor.Shape = "x", []int64{int64(n)}
	c := NewCounts(r.Layout)
	c.Add(r.Layout, &fairlead.Prediction{Rows: make([]fairlead.RowMeta, n), Inputs: []fairlead.Tensor{tensor}}, nil)
	return c
}

func countFloats(r *Reference, values ...float64) *Counts {
	return countOne(r, fairlead.Tensor{Type: fairlead.FP64, Data: values})
}

func marshal(t testing.TB, c *Counts) []byte {
	t.Helper()
	b, err := c.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sameBytes(t testing.TB, what string, a, b *Counts) {
	t.Helper()
	if !bytes.Equal(marshal(t, a), marshal(t, b)) {
		t.Fatalf("%s: the counts differ", what)
	}
}

func sum(counts []uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}
