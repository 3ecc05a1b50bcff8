package check

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// shop is a model of two numbers and a text: the probability that a customer buys. Its faults are those of the planted
// bad models.
type shop struct {
	calls    int
	shift    float64 // added to every score
	mean     float64 // weight of a constant 0.5: 1 knows nothing
	blind    string  // city for which it answers 0.5
	sign     float64 // of the price's effect
	age      float64 // added to the age's effect, twice
	nan      func(age float64) bool
	refuses  string         // city that it fails on
	together float64        // added to rows that are not alone
	drunk    bool           // two answers to the same row
	slow     func(rows int) // is told how many rows a call has
}

func good() *shop { return &shop{sign: -1} }

var shopSignature = fairlead.Signature{
	Task:    fairlead.TaskBinary,
	Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"age", "price"}}, {Name: "city", Type: fairlead.Bytes, Shape: []int64{-1, 1}}},
	Outputs: []fairlead.TensorSpec{{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore, Classes: []string{"leaves", "buys"}}},
	Label:   fairlead.LabelSpec{Name: "bought"},
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func (s *shop) Run(_ context.Context, in []fairlead.Tensor, _ []string) ([]fairlead.Tensor, error) {
	s.calls++
	x, city := fairlead.Find(in, "x").Data.([]float32), fairlead.Find(in, "city").Data.([]string)
	out := make([]float32, len(city))
	if s.slow != nil {
		s.slow(len(city))
	}
	for i, c := range city {
		if s.refuses != "" && c == s.refuses {
			return nil, fmt.Errorf("no embedding for %q", c)
		}
		age, price := float64(x[2*i]), float64(x[2*i+1])
		if math.IsNaN(age) {
			age = 40
		}
		if math.IsNaN(price) {
			price = 50
		}
		p := sigmoid((1+2*s.age)*(age-40)/10 + s.sign*(price-50)/25)
		if c == s.blind {
			p = 0.5
		}
		p = (1-s.mean)*p + s.mean*0.5 + s.shift
		if len(city) > 1 {
			p += s.together
		}
		if s.drunk && s.calls%2 == 0 {
			p += 0.001
		}
		if s.nan != nil && s.nan(age) {
			p = math.NaN()
		}
		out[i] = float32(p)
	}
	return []fairlead.Tensor{{Name: "p", Type: fairlead.FP32, Shape: []int64{int64(len(out)), 1}, Data: out}}, nil
}

// customers are rows whose outcomes follow the good model.
func customers(n int) *fairlead.Table {
	c := chance{42}
	cities := []string{"Oslo", "Lima", "Rome"}
	t := &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{
		{Name: "age", Floats: make([]float64, n)}, {Name: "price", Floats: make([]float64, n)}, {Name: "city", Strings: make([]string, n)},
		{Name: "bought", Strings: make([]string, n)}, {Name: "time", Times: make([]time.Time, n)},
	}}
	for i := range n {
		age, price := math.Round(20+40*c.float()), math.Round(100*c.float())
		city := cities[c.below(3)]
		if i < 7 {
			city = "Nuuk"
		}
		t.Columns[0].Floats[i], t.Columns[1].Floats[i], t.Columns[2].Strings[i] = age, price, city
		t.Columns[3].Strings[i] = "leaves"
		if c.float() < sigmoid((age-40)/10-(price-50)/25) {
			t.Columns[3].Strings[i] = "buys"
		}
		t.Columns[4].Times[i] = time.Date(2026, 3, 2, 0, i, 0, 0, time.UTC)
	}
	return t
}

// ask runs one test, as an author writes it, against a model.
func ask(t *testing.T, yaml string, m Runner, more ...func(*Subject)) Result {
	t.Helper()
	suite, err := ParseFile([]byte("name: shop\ntests:\n  - " + yaml + "\n"))
	if err != nil {
		t.Fatalf("%s: %v", yaml, err)
	}
	if err := suite.Fits(shopSignature); err != nil {
		t.Fatalf("%s: %v", yaml, err)
	}
	s := Subject{Signature: shopSignature, Model: m, Rows: customers(4000), ModelBytes: 4000, BundleBytes: 90_000, Memory: 1 << 20}
	for _, f := range more {
		f(&s)
	}
	report, err := Run(t.Context(), suite, s, Options{Now: stopped})
	if err != nil {
		t.Fatalf("%s: %v", yaml, err)
	}
	return report.Results[0]
}

func stopped() time.Time { return time.Time{} }
