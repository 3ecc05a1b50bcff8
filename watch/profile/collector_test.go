package profile

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

func TestCollector(t *testing.T) {
	r := learnFlights(t, 7, 2000)
	rng := rand.New(rand.NewPCG(51, 52))
	c := NewCollector()
	all := flights(rng, monday, 1, 400)
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for from := 0; from < len(all); from += 7 {
		p := prediction(all[from:min(from+7, len(all))])
		if from%3 == 0 {
			p.Role = fairlead.RoleShadow
		}
		p.Version = fairlead.Version(1 + from%2)
		c.Add(r.Layout, p)
	}
	held := c.Len()
	deltas := c.Drain()
	if len(deltas) != held || c.Len() != 0 || len(c.Drain()) != 0 {
		t.Fatalf("%d windows held, %d drained, %d left", held, len(deltas), c.Len())
	}
	whole := NewCounts(r.Layout)
	for i, d := range deltas {
		if d.Minute.Location() != time.UTC || !d.Minute.Equal(d.Minute.Truncate(time.Minute)) {
			t.Errorf("minute %v", d.Minute)
		}
		if i > 0 && !before(deltas[i-1], d) {
			t.Errorf("%+v comes before %+v", deltas[i-1], d)
		}
		if err := whole.Merge(d.Counts); err != nil {
			t.Fatal(err)
		}
	}
	once := NewCounts(r.Layout)
	once.Add(r.Layout, prediction(all), nil)
	sameBytes(t, "all deltas", whole, once)
}

func before(a, b Delta) bool {
	if a.Version != b.Version {
		return a.Version < b.Version
	}
	if a.Role != b.Role {
		return a.Role < b.Role
	}
	return a.Minute.Before(b.Minute)
}

// Rows of one prediction go to the minutes of their own event times; a row without one to that of arrival.
func TestCollectorSplitsRows(t *testing.T) {
	l := &Layout{}
	arrival := time.Date(2026, 1, 1, 12, 0, 30, 0, time.UTC)
	p := &fairlead.Prediction{Deployment: "d", Version: 1, Role: fairlead.RoleLive, Received: arrival, Rows: []fairlead.RowMeta{
		{Time: time.Date(2001, 3, 1, 8, 0, 59, 999, time.UTC)},
		{Time: time.Date(2001, 3, 1, 8, 1, 0, 0, time.UTC)},
		{},
		{Time: time.Date(2001, 3, 1, 9, 0, 1, 0, time.FixedZone("", 3600))},
		{Time: time.Date(1969, 12, 31, 23, 59, 30, 0, time.UTC)},
	}}
	c := NewCollector()
	c.Add(l, p)
	c.Add(l, &fairlead.Prediction{Deployment: "d"})
	var got []string
	for _, d := range c.Drain() {
		got = append(got, fmt.Sprintf("%s %d", d.Minute.Format(time.RFC3339), d.Counts.N))
	}
	want := "[1969-12-31T23:59:00Z 1 2001-03-01T08:00:00Z 2 2001-03-01T08:01:00Z 1 2026-01-01T12:00:00Z 1]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// BenchmarkAdd measures the cost of one value, column by column over requests of different sizes.
func BenchmarkAdd(b *testing.B) {
	rng := rand.New(rand.NewPCG(61, 62))
	for _, columns := range []int{1, 28, 200} {
		table := &fairlead.Table{Rows: 2000}
		var fields []fairlead.Field
		for i := range columns {
			name := fmt.Sprintf("c%d", i)
			table.Columns = append(table.Columns, fairlead.TableColumn{Name: name, Floats: normals(rng, 2000)})
			fields = append(fields, fairlead.Field{Name: name, Tensor: "x", Index: i, Type: fairlead.FP32})
		}
		r, err := Learn(fields, table, Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, rows := range []int{1, 1024} {
			data := make([]float32, rows*columns)
			for i := range data {
				data[i] = float32(rng.NormFloat64())
			}
			p := &fairlead.Prediction{Rows: make([]fairlead.RowMeta, rows), Inputs: []fairlead.Tensor{
				{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(rows), int64(columns)}, Data: data}}}
			b.Run(fmt.Sprintf("columns=%d/rows=%d", columns, rows), func(b *testing.B) {
				c := NewCounts(r.Layout)
				for b.Loop() {
					c.Add(r.Layout, p, nil)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows*columns), "ns/value")
			})
		}
	}
}

func BenchmarkAddText(b *testing.B) {
	r := learnFlights(b, 7, 3000)
	rng := rand.New(rand.NewPCG(63, 64))
	l := &Layout{Columns: r.Layout.Columns[3:4]}
	p := prediction(flights(rng, monday, 1, 1024))
	c := NewCounts(l)
	for b.Loop() {
		c.Add(l, p, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1024), "ns/value")
}

func BenchmarkCollector(b *testing.B) {
	r := learnFlights(b, 7, 3000)
	p := prediction(flights(rand.New(rand.NewPCG(65, 66)), monday, 1, 1))
	c := NewCollector()
	for b.Loop() {
		c.Add(r.Layout, p)
	}
}

func BenchmarkLearn(b *testing.B) {
	table := flightTable(flights(rand.New(rand.NewPCG(67, 68)), monday, 56, 500_000))
	for b.Loop() {
		if _, err := Learn(flightFields(), table, Options{TimeColumn: "time"}); err != nil {
			b.Fatal(err)
		}
	}
}
