package multivariate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/gbdt"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)+1e-12) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	type sample struct {
		X     []float64 `json:"x"`
		Y     []float64 `json:"y"`
		Sigma float64   `json:"sigma"`
		MMD   float64   `json:"mmd2"`
		Value float64   `json:"value"`
		SE    float64   `json:"se"`
	}
	var g struct {
		MMD struct {
			Unbiased []sample `json:"unbiased"`
			Linear   []sample `json:"linear_time"`
		} `json:"mmd_rbf"`
		PCA struct {
			Reference [][]float64 `json:"reference"`
			Explained float64     `json:"explained"`
			Errors    []float64   `json:"reference_errors"`
			Rows      [][]float64 `json:"rows"`
			Want      []float64   `json:"errors"`
		} `json:"pca_reconstruction"`
		Classifier struct {
			Labels []float64 `json:"labels"`
			Scores []float64 `json:"scores"`
			AUROC  float64   `json:"auroc"`
			Ties   struct {
				Labels []float64 `json:"labels"`
				Scores []float64 `json:"scores"`
				AUROC  float64   `json:"auroc"`
			} `json:"ties"`
		} `json:"domain_classifier"`
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	for _, s := range g.MMD.Unbiased {
		near(t, "MMD", MMD([][]float64{s.X}, [][]float64{s.Y}, s.Sigma), s.MMD)
	}
	for _, s := range g.MMD.Linear {
		l := LinearMMD([][]float64{s.X}, [][]float64{s.Y}, s.Sigma)
		near(t, "linear MMD", l.Value, s.Value)
		near(t, "its error", l.SE, s.SE)
	}
	p, err := FitPCA(columns(g.PCA.Reference), 0.65)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "explained", p.Explained, g.PCA.Explained)
	for i, e := range p.Errors(columns(g.PCA.Reference)) {
		near(t, "error of the reference", e, g.PCA.Errors[i])
	}
	for i, e := range p.Errors(columns(g.PCA.Rows)) {
		near(t, "error", e, g.PCA.Want[i])
	}
	near(t, "AUROC", AUROC(g.Classifier.Scores, g.Classifier.Labels), g.Classifier.AUROC)
	near(t, "AUROC with ties", AUROC(g.Classifier.Ties.Scores, g.Classifier.Ties.Labels), g.Classifier.Ties.AUROC)
}

func columns(rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows[0]))
	for _, r := range rows {
		for c, v := range r {
			out[c] = append(out[c], v)
		}
	}
	return out
}

// pairs draws rows of two columns, each standard normal alone, with a correlation.
func pairs(r *rand.Rand, n int, correlation float64) [][]float64 {
	out := [][]float64{make([]float64, n), make([]float64, n)}
	for i := range n {
		a, b := r.NormFloat64(), r.NormFloat64()
		out[0][i], out[1][i] = a, correlation*a+math.Sqrt(1-correlation*correlation)*b
	}
	return out
}

// TestBrokenCorrelation: columns that look the same one by one and belong together no longer; each method sees it, and none sees
// anything in windows of the same kind.
func TestBrokenCorrelation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	reference := pairs(r, 2000, 0.9)
	p, err := FitPCA(reference, 0.65)
	if err != nil || len(p.Axes) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	base := mean(p.Errors(reference))
	sigma := MedianDistance(reference, reference, 500, r.IntN)
	small := gbdt.Options{Trees: 40, Leaves: 8}
	for _, c := range []struct {
		name        string
		correlation float64
		broken      bool
	}{{"the same", 0.9, false}, {"broken", 0, true}} {
		window := pairs(r, 2000, c.correlation)
		ratio := mean(p.Errors(window)) / base
		l := LinearMMD(reference, window, sigma)
		d, err := Classify(reference, window, small, r.Perm)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: error × %.2f, linear MMD z = %.2f, AUROC %.3f ± %.3f", c.name, ratio, l.Z, d.AUROC, d.SE)
		if (ratio > 1.5) != c.broken || (l.P < 0.01) != c.broken || (d.AUROC > 0.5+5*d.SE) != c.broken {
			t.Errorf("%s: error × %.2f, linear MMD p = %v, AUROC %.3f", c.name, ratio, l.P, d.AUROC)
		}
		if c.broken && (d.Importance[0] < 0.05 || d.Importance[1] < 0.05) {
			t.Errorf("both columns carry it: importances %v", d.Importance)
		}
	}
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

// TestLinearMMDLevel: of windows without drift 5 % are below p = 0.05, and the exact value is 0 on average.
func TestLinearMMDLevel(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	const windows = 1000
	low, sum, squares := 0, 0.0, 0.0
	for i := range windows {
		x, y := pairs(r, 200, 0.5), pairs(r, 200, 0.5)
		if LinearMMD(x, y, 1).P < 0.05 {
			low++
		}
		if i < 100 {
			v := MMD(x, y, 1)
			sum, squares = sum+v, squares+v*v
		}
	}
	if share := float64(low) / windows; share < 0.03 || share > 0.07 {
		t.Errorf("%.3f of the windows without drift have p < 0.05", share)
	}
	if se := math.Sqrt(squares) / 100; math.Abs(sum/100) > 4*se {
		t.Errorf("the mean of MMD² without drift is %v ± %v", sum/100, se)
	}
}

// TestWeightsOfTheClassifier: where the window has more of one kind, the probabilities of reference rows rise there, to the
// share that Bayes gives.
func TestWeightsOfTheClassifier(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	draw := func(share float64) [][]float64 {
		x := [][]float64{make([]float64, 3000), make([]float64, 3000)}
		for i := range x[0] {
			if r.Float64() < share {
				x[0][i] = 1
			}
			x[1][i] = r.NormFloat64()
		}
		return x
	}
	reference := draw(0.1)
	d, err := Classify(reference, draw(0.6), gbdt.Options{Trees: 30, Leaves: 4}, r.Perm)
	if err != nil {
		t.Fatal(err)
	}
	var p, n [2]float64
	for i, v := range reference[0] {
		p[int(v)] += d.Window[i]
		n[int(v)]++
	}
	if a, b := p[0]/n[0], p[1]/n[1]; math.Abs(a-0.4/1.3) > 0.05 || math.Abs(b-0.6/0.7) > 0.05 {
		t.Errorf("probabilities %.3f and %.3f, want %.3f and %.3f", a, b, 0.4/1.3, 0.6/0.7)
	}
}

func TestOdd(t *testing.T) {
	holes := [][]float64{{1, 2, math.NaN(), 4, 5}, {2, math.Inf(1), 6, 8, 10}, {7, 7, 7, 7, 7}}
	p, err := FitPCA(holes, 0.65)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Errors(holes) {
		if !finite(e) {
			t.Errorf("errors with holes: %v", e)
		}
	}
	for name, bad := range map[string][][]float64{"nothing": nil, "one row": {{1}}, "constant": {{1, 1, 1}}, "uneven": {{1, 2}, {1}}} {
		if _, err := FitPCA(bad, 0.65); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if !math.IsNaN(MMD([][]float64{{1}}, [][]float64{{1, 2}}, 1)) || !math.IsNaN(LinearMMD([][]float64{{1, 2}}, [][]float64{{1, 2}}, 1).P) || !math.IsNaN(MedianDistance(nil, nil, 5, nil)) {
		t.Error("a number out of too few rows")
	}
	if _, err := Classify([][]float64{{1, 2}}, [][]float64{{1, 2}}, gbdt.Options{}, rand.Perm); err == nil {
		t.Error("two rows are enough for nothing")
	}
}
