package compare

import (
	"math"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/gbdt"
	"github.com/fairlead-ml/fairlead/watch/multivariate"
)

// Together is what looks at whole rows: whether the columns have parted company though each of them looks as before.
type Together struct {
	Rows struct {
		Reference int `json:"reference"`
		Current   int `json:"current"`
	} `json:"rows"` // of the sample
	AUROC   Number   `json:"auroc"` // of a classifier that tells current from reference rows; 0.5: it cannot
	SE      Number   `json:"se"`    // of it, where it cannot
	Z       Number   `json:"z"`
	Drivers []Driver `json:"drivers"` // columns by which it tells them apart, the strongest first

	PCARatio Number `json:"pca_ratio"` // mean reconstruction error of the current rows ÷ of the reference's
	PCAZ     Number `json:"pca_z"`
	MMDZ     Number `json:"mmd_z"` // linear-time MMD; standard normal without drift
	MMDP     Number `json:"mmd_p"`
	Drifted  bool   `json:"drifted"` // the classifier tells them apart: z above 4 and AUROC at least 0.55
}

// Driver is a column that gives the difference away.
type Driver struct {
	Column     string `json:"column"`
	Importance Number `json:"importance"` // loss of AUROC when it is shuffled
}

// draw keeps the sample's values of a column, categories as their share of the reference's sample.
func (c *comparison) draw(m *measured, ref, cur *fairlead.TableColumn) {
	if c.rows.reference == nil || ref.Name == c.o.Label {
		return
	}
	a, b := make([]float64, len(c.rows.reference)), make([]float64, len(c.rows.current))
	codes := map[string]float64{}
	if ref.Strings != nil {
		codes = frequencyCodes(ref, c.rows.reference)
	}
	fill := func(out []float64, from *fairlead.TableColumn, rows []int) {
		for i, row := range rows {
			switch {
			case from.IsNull(row):
				out[i] = math.NaN()
			case from.Strings != nil:
				code, ok := codes[from.Strings[row]]
				if !ok {
					code = -1
				}
				out[i] = code
			default:
				out[i] = from.Floats[row]
			}
		}
	}
	fill(a, ref, c.rows.reference)
	fill(b, cur, c.rows.current)
	m.reference, m.current = a, b
}

// frequencyCodes numbers categories by their share: as NannyML does, neighbours in number are alike in frequency.
func frequencyCodes(col *fairlead.TableColumn, rows []int) map[string]float64 {
	n := map[string]int{}
	for _, row := range rows {
		if !col.IsNull(row) {
			n[col.Strings[row]]++
		}
	}
	codes := make(map[string]float64, len(n))
	for s, k := range n {
		codes[s] = float64(k) / float64(len(rows))
	}
	return codes
}

// w1 is the Wasserstein distance of the sample's values, for people: in the unit of the column.
func (col *Column) w1(m *measured) {
	col.W1, col.W1Deviation = Number(math.NaN()), Number(math.NaN())
	if m.reference == nil || col.Kind != "numeric" {
		return
	}
	w := drift.W1(numbers(m.reference), numbers(m.current))
	col.W1 = Number(w)
	if s := float64(col.Reference.Std); s > 0 {
		col.W1Deviation = Number(w / s)
	}
}

// numbers are the finite ones.
func numbers(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if finite(v) {
			out = append(out, v)
		}
	}
	return out
}

// fewest rows of a side for a look at whole rows.
const fewest = 100

// together looks at the sample's rows as wholes.
func (c *comparison) together() error {
	if len(c.sample.names) < 2 || len(c.rows.reference) < fewest || len(c.rows.current) < fewest || c.o.Perm == nil {
		return nil
	}
	ref, cur := c.sample.reference, c.sample.current
	found, err := multivariate.Classify(ref, cur, gbdt.Options{Trees: 60}, c.o.Perm)
	if err != nil {
		return fairlead.Errorf(fairlead.CodeInternal, "domain classifier: %v", err)
	}
	t := &Together{AUROC: Number(found.AUROC), SE: Number(found.SE), Z: Number((found.AUROC - 0.5) / found.SE), Drivers: []Driver{}}
	t.Rows.Reference, t.Rows.Current = len(c.rows.reference), len(c.rows.current)
	t.Drifted = t.Z > 4 && t.AUROC >= 0.55
	for i, importance := range found.Importance {
		if importance > 2*found.SE {
			t.Drivers = append(t.Drivers, Driver{c.sample.names[i], Number(importance)})
		}
	}
	sortDrivers(t.Drivers)
	c.reconstruct(t, ref, cur)
	c.kernel(t, ref, cur)
	c.r.Together = t
	return nil
}

func (c *comparison) reconstruct(t *Together, ref, cur [][]float64) {
	t.PCARatio, t.PCAZ = Number(math.NaN()), Number(math.NaN())
	pca, err := multivariate.FitPCA(ref, 0.65)
	if err != nil {
		return // nothing varies
	}
	a, sa := meanAndError(pca.Errors(ref))
	b, sb := meanAndError(pca.Errors(cur))
	if a > 0 {
		t.PCARatio, t.PCAZ = Number(b/a), Number((b-a)/math.Hypot(sa, sb))
	}
}

func (c *comparison) kernel(t *Together, ref, cur [][]float64) {
	x, y := scaled(ref, ref), scaled(ref, cur)
	n := 0
	draws := c.o.Perm(min(len(c.rows.reference), len(c.rows.current)))
	pick := func(k int) int { n++; return (draws[n%len(draws)] + n/len(draws)) % k }
	sigma := multivariate.MedianDistance(x, y, 1000, pick)
	m := multivariate.LinearMMD(x, y, sigma)
	t.MMDZ, t.MMDP = Number(m.Z), Number(m.P)
}

// scaled gives columns mean 0 and deviation 1 of the reference; what is missing is 0.
func scaled(ref, columns [][]float64) [][]float64 {
	out := make([][]float64, len(columns))
	for i := range columns {
		mean, se := meanAndError(numbers(ref[i]))
		dev := se * math.Sqrt(float64(len(ref[i])))
		out[i] = make([]float64, len(columns[i]))
		for j, v := range columns[i] {
			if finite(v) && dev > 0 {
				out[i][j] = (v - mean) / dev
			}
		}
	}
	return out
}

func meanAndError(values []float64) (mean, se float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	for _, v := range values {
		se += (v - mean) * (v - mean) / n
	}
	return mean, math.Sqrt(se / n)
}
