package compare_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

// shop makes n rows of a shop: prices, regions, a score that is calibrated, and whether it was bought. change spoils a row.
func shop(n int, seed uint64, change func(i int, row *row)) compare.Side {
	rng := rand.New(rand.NewPCG(seed, 7))
	t := &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{
		{Name: "time", Times: make([]time.Time, n)}, {Name: "price", Floats: make([]float64, n), Null: make([]bool, n)}, {Name: "weight", Floats: make([]float64, n)},
		{Name: "region", Strings: make([]string, n)}, {Name: "score", Floats: make([]float64, n)}, {Name: "bought", Floats: make([]float64, n), Null: make([]bool, n)},
	}}
	regions := []string{"north", "north", "north", "south", "south", "east"}
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range n {
		price := math.Exp(3 + 0.5*rng.NormFloat64())
		r := row{price: price, weight: price/10 + 0.3*rng.NormFloat64(), region: regions[rng.IntN(len(regions))]}
		r.score = 1 / (1 + math.Exp(0.08*(price-22)))
		r.truth = r.score
		r.time = start.Add(time.Duration(i) * (40 * 24 * time.Hour / time.Duration(n)))
		if change != nil {
			change(i, &r)
		}
		t.Columns[0].Times[i], t.Columns[1].Floats[i], t.Columns[2].Floats[i], t.Columns[3].Strings[i] = r.time, r.price, r.weight, r.region
		t.Columns[1].Null[i] = math.IsNaN(r.price)
		t.Columns[4].Floats[i] = r.score
		if rng.Float64() < r.truth {
			t.Columns[5].Floats[i] = 1
		}
	}
	return compare.Side{Name: fmt.Sprintf("shop %d", seed), Rows: n, Source: compare.Table{Table: t}}
}

type row struct {
	time          time.Time
	price, weight float64
	region        string
	score, truth  float64 // truth: how probable the sale is in fact
}

var told = compare.Options{Score: "score", Label: "bought", Sample: 500}

func run(t *testing.T, ref, cur compare.Side, o compare.Options, seed uint64) *compare.Report {
	t.Helper()
	r, err := compare.Compare(ref, cur, chance(o, seed))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func column(t *testing.T, r *compare.Report, name string) compare.Column {
	t.Helper()
	for _, c := range r.Columns {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no column %s", name)
	return compare.Column{}
}

// Pairs of the same shop: nothing drifted, no cause, the classifier guesses.
func TestNothingChanged(t *testing.T) {
	drifted, together, causes, rules := 0, 0, 0, 0
	const pairs = 12
	for seed := uint64(1); seed <= pairs; seed++ {
		r := run(t, shop(3000, 2*seed, nil), shop(2000, 2*seed+1, nil), told, seed)
		drifted += r.Drifted
		rules += len(r.Quality)
		if r.Together.Drifted {
			together++
		}
		if r.Performance.Cause == estimate.ConceptDrift {
			causes++
		}
	}
	t.Logf("of %d pairs: %d columns drifted, %d rules broken, %d told apart, %d concept drifts", pairs, drifted, rules, together, causes)
	if drifted > 0 || together > 0 || causes > 3 || rules > 1 { // 5 % of the causes are expected, more than 3 of 12 with probability 0.002
		t.Errorf("too many false alarms in %d pairs: %d columns, %d together, %d causes, %d rules (seeds from 1)", pairs, drifted, together, causes, rules)
	}
}

// Every planted change is found, and named.
func TestPlanted(t *testing.T) {
	half := func(i int) bool { return i >= 5000 }
	ref := shop(10000, 100, nil)
	t.Run("prices rise in the middle", func(t *testing.T) {
		r := run(t, ref, shop(10000, 101, func(i int, r *row) {
			if half(i) {
				r.price *= 1.5
			}
		}), told, 1)
		c := column(t, r, "price")
		if !c.Drifted || c.Shape == nil || c.Shape.Kind != shape.Instantaneous || !strings.HasPrefix(c.Since, "2026-03-22") {
			t.Errorf("price: drifted %v, %+v since %s", c.Drifted, c.Shape, c.Since)
		}
		if column(t, r, "region").Drifted || column(t, r, "weight").Drifted {
			t.Error("a column that was left alone drifted")
		}
	})
	t.Run("a region nobody knows, for five days", func(t *testing.T) {
		r := run(t, ref, shop(10000, 102, func(i int, r *row) {
			if i >= 5000 && i < 6250 && i%2 == 0 {
				r.region = "moon"
			}
		}), told, 1)
		c := column(t, r, "region")
		if !c.Drifted || c.Shape.Kind != shape.Temporary || float64(c.Current.Unseen) < 0.05 {
			t.Errorf("region: drifted %v, %+v, unseen %v", c.Drifted, c.Shape, c.Current.Unseen)
		}
		if len(r.Quality) != 1 || r.Quality[0].Rule.Column != "region" {
			t.Errorf("rules: %+v", r.Quality)
		}
	})
	t.Run("values go missing", func(t *testing.T) {
		r := run(t, ref, shop(10000, 103, func(i int, r *row) {
			if i%20 == 0 {
				r.price = math.NaN()
			}
		}), told, 1)
		if c := column(t, r, "price"); !c.Drifted || math.Abs(float64(c.Current.Missing)-0.05) > 0.001 {
			t.Errorf("price: drifted %v, missing %v", c.Drifted, c.Current.Missing)
		}
	})
	t.Run("weight has nothing to do with price any more", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		r := run(t, ref, shop(10000, 104, func(_ int, r *row) { r.weight = math.Exp(3+0.5*rng.NormFloat64())/10 + 0.3*rng.NormFloat64() }), compare.Options{Sample: 1500}, 1)
		if r.Drifted > 0 {
			t.Errorf("%d columns drifted though each looks as before", r.Drifted)
		}
		if !r.Together.Drifted || r.Together.PCAZ < 4 {
			t.Errorf("together: %+v", r.Together)
		}
	})
	t.Run("people buy for other reasons", func(t *testing.T) {
		r := run(t, ref, shop(10000, 105, func(_ int, r *row) { r.truth = 1 - r.score }), told, 1)
		if r.Performance.Cause != estimate.ConceptDrift {
			t.Errorf("cause: %s", r.Performance.Cause)
		}
	})
	t.Run("other customers come", func(t *testing.T) {
		r := run(t, ref, shop(10000, 106, func(_ int, r *row) {
			r.price *= 2
			r.score = 1 / (1 + math.Exp(0.08*(r.price-22)))
			r.truth = r.score
		}), told, 1)
		if r.Performance.Cause != estimate.CovariateShift {
			t.Errorf("cause: %s of %+v", r.Performance.Cause, r.Performance.Metrics)
		}
	})
}

// Schema changes and columns that make no sense stop nothing, and the report is JSON whatever is in it.
func TestBrokenColumns(t *testing.T) {
	ref := &fairlead.Table{Rows: 4, Columns: []fairlead.TableColumn{
		{Name: "a", Floats: []float64{1, 2, 3, 4}}, {Name: "gone", Floats: []float64{1, 2, 3, 4}}, {Name: "code", Floats: []float64{1, 2, 1, 2}},
		{Name: "empty", Floats: []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()}, Null: []bool{true, true, true, true}}, {Name: "__index_level_0__", Floats: []float64{0, 1, 2, 3}},
	}}
	cur := &fairlead.Table{Rows: 2, Columns: []fairlead.TableColumn{
		{Name: "a", Floats: []float64{math.Inf(1), math.NaN()}}, {Name: "code", Strings: []string{"1", "x"}}, {Name: "empty", Floats: []float64{1, 2}}, {Name: "new", Floats: []float64{1, 2}},
	}}
	r := run(t, compare.Side{Name: "ref", Rows: 4, Source: compare.Table{Table: ref}}, compare.Side{Name: "cur", Rows: 2, Source: compare.Table{Table: cur}}, compare.Options{}, 1)
	if len(r.Missing) != 1 || r.Missing[0] != "gone" || len(r.Added) != 1 || r.Added[0] != "new" || len(r.Columns) != 3 || len(r.Notes) != 2 {
		t.Errorf("missing %v, added %v, columns %d, notes %q", r.Missing, r.Added, len(r.Columns), r.Notes)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	side := shop(50, 1, nil)
	empty := compare.Side{Name: "nothing", Source: compare.Table{Table: &fairlead.Table{}}}
	other := compare.Side{Name: "other", Rows: 1, Source: compare.Table{Table: &fairlead.Table{Rows: 1, Columns: []fairlead.TableColumn{{Name: "z", Floats: []float64{1}}}}}}
	for want, try := range map[string]func() (*compare.Report, error){
		"nothing to compare":  func() (*compare.Report, error) { return compare.Compare(side, empty, compare.Options{}) },
		"no column in common": func() (*compare.Report, error) { return compare.Compare(side, other, compare.Options{}) },
		`has a column "prize"`: func() (*compare.Report, error) {
			return compare.Compare(side, side, compare.Options{Columns: []string{"prize"}})
		},
		`"price" of shop 1 holds no`: func() (*compare.Report, error) { return compare.Compare(side, side, compare.Options{Time: "price"}) },
		`"region" of shop 1 should`:  func() (*compare.Report, error) { return compare.Compare(side, side, compare.Options{Score: "region"}) },
	} {
		if _, err := try(); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
