package compat

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/drift"
)

func read(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}

// of picks a measure.
func of(t *testing.T, results []Result, measure string) float64 {
	t.Helper()
	for _, r := range results {
		if r.Measure == measure {
			return r.Value
		}
	}
	t.Fatalf("no %s in %+v", measure, results)
	return 0
}

func numbers(from, to int) []float64 {
	var out []float64
	for v := from; v <= to; v++ {
		out = append(out, float64(v))
	}
	return out
}

// The same two columns, and what each tool says of them.
func TestGolden(t *testing.T) {
	var g struct {
		Empty struct {
			Ref        []uint64 `json:"ref_counts"`
			Cur        []uint64 `json:"cur_counts"`
			Fiddler    float64  `json:"fiddler_plus_one"`
			Deepchecks float64  `json:"deepchecks_clip_0_01"`
			Evidently  float64  `json:"evidently_fill_1e_4"`
			KL         float64  `json:"kl_ref_cur_evidently"`
		} `json:"psi_empty_bin"`
		Binned struct {
			Deciles struct {
				PlusOne float64 `json:"psi_plus_one"`
			} `json:"deciles_of_reference"`
			Evidently struct {
				PSI       float64 `json:"psi"`
				KL        float64 `json:"kl"`
				JS        float64 `json:"js_dist"`
				Hellinger float64 `json:"hellinger"`
				W1        float64 `json:"w1_normed"`
			} `json:"evidently"`
			NannyML struct {
				JS        float64 `json:"js_dist_log2"`
				Hellinger float64 `json:"hellinger"`
				KS        float64 `json:"ks_d"`
				W1        float64 `json:"w1"`
			} `json:"nannyml"`
			Deepchecks struct {
				KS float64 `json:"ks_d"`
			} `json:"deepchecks"`
		} `json:"binned_numeric"`
		TFDV []struct {
			Ref    [][3]float64 `json:"ref_buckets"`
			Cur    [][3]float64 `json:"cur_buckets"`
			RefNaN float64      `json:"ref_nan"`
			JS     float64      `json:"js_div_log2"`
		} `json:"tfdv_js"`
		Cramer []struct {
			Ref []uint64 `json:"ref"`
			Cur []uint64 `json:"cur"`
			V   float64  `json:"v"`
		} `json:"cramers_v_bias_corrected"`
		Deequ []struct {
			LInf, N, M, Value float64
		} `json:"deequ_robust_linf"`
		Z struct {
			N1, N2    uint64
			P1, P2, Z float64
			P         float64 `json:"p"`
		} `json:"two_proportion_z"`
		Chi []struct {
			Ref []uint64 `json:"ref"`
			Cur []uint64 `json:"cur"`
			Fit struct {
				P float64 `json:"p"`
			} `json:"gof_reference_taken_as_exact"`
		} `json:"chi2_tests"`
		Samples []struct {
			X  []float64 `json:"x"`
			Y  []float64 `json:"y"`
			KS float64   `json:"ks_d"`
			P  float64   `json:"ks_p_exact"`
		} `json:"samples"`
	}
	read(t, "compat.json", &g)
	near(t, "fiddler", of(t, Categories(Fiddler, g.Empty.Ref, g.Empty.Cur), "psi_plus_one"), g.Empty.Fiddler)
	near(t, "deepchecks", of(t, Categories(Deepchecks, g.Empty.Ref, g.Empty.Cur), "psi_clipped"), g.Empty.Deepchecks)
	near(t, "evidently psi", of(t, Categories(Evidently, g.Empty.Ref, g.Empty.Cur), "psi"), g.Empty.Evidently)
	near(t, "evidently kl", of(t, Categories(Evidently, g.Empty.Ref, g.Empty.Cur), "kl_div"), g.Empty.KL)
	x, y := numbers(1, 100), numbers(11, 110)
	e, n := Numeric(Evidently, x, y), Numeric(NannyML, x, y)
	near(t, "evidently psi of numbers", of(t, e, "psi"), g.Binned.Evidently.PSI)
	near(t, "evidently kl of numbers", of(t, e, "kl_div"), g.Binned.Evidently.KL)
	near(t, "evidently js", of(t, e, "jensenshannon"), g.Binned.Evidently.JS)
	near(t, "evidently hellinger", of(t, e, "hellinger"), g.Binned.Evidently.Hellinger)
	near(t, "evidently w1", of(t, e, "wasserstein_normed"), g.Binned.Evidently.W1)
	near(t, "nannyml js", of(t, n, "jensen_shannon"), g.Binned.NannyML.JS)
	near(t, "nannyml hellinger", of(t, n, "hellinger"), g.Binned.NannyML.Hellinger)
	near(t, "nannyml ks", of(t, n, "kolmogorov_smirnov"), g.Binned.NannyML.KS)
	near(t, "nannyml w1", of(t, n, "wasserstein"), g.Binned.NannyML.W1)
	near(t, "deepchecks ks", of(t, Numeric(Deepchecks, x, y), "ks"), g.Binned.Deepchecks.KS)
	near(t, "fiddler of numbers", of(t, Numeric(Fiddler, x, y), "psi_plus_one"), g.Binned.Deciles.PlusOne)
	for i, c := range g.TFDV {
		buckets := func(all [][3]float64) (out []Bucket) {
			for _, b := range all {
				out = append(out, Bucket{b[0], b[1], b[2]})
			}
			return out
		}
		near(t, fmt.Sprint("tfdv ", i), TFDVJS(buckets(c.Ref), buckets(c.Cur), c.RefNaN, c.RefNaN), c.JS)
	}
	for i, c := range g.Cramer {
		near(t, fmt.Sprint("Cramér ", i), CramersV(c.Ref, c.Cur), c.V)
	}
	for i, c := range g.Deequ {
		near(t, fmt.Sprint("deequ ", i), robust(c.LInf, c.N, c.M), c.Value)
	}
	for i, c := range g.Chi {
		near(t, fmt.Sprint("chi² ", i), goodnessOfFit(c.Ref, c.Cur), c.Fit.P)
	}
	for i, c := range g.Samples {
		near(t, fmt.Sprint("ks p ", i), KSPExact(c.KS, len(c.X), len(c.Y)), c.P)
	}
	z, p := TwoProportions(uint64(math.Round(float64(g.Z.N1)*g.Z.P1)), g.Z.N1, uint64(math.Round(float64(g.Z.N2)*g.Z.P2)), g.Z.N2)
	near(t, "z", z, g.Z.Z)
	near(t, "p of z", p, g.Z.P)
}

// Random columns against SciPy and numpy (testdata/scipy.json holds what they gave).
func TestAgainstSciPy(t *testing.T) {
	var cases []struct {
		X       []float64 `json:"x"`
		Y       []float64 `json:"y"`
		KSP     float64   `json:"ks_p_exact"`
		W1      float64   `json:"w1_normed"`
		JS      float64   `json:"evidently_js"`
		NannyML float64   `json:"nannyml_js"`
		Sturges []float64 `json:"sturges"`
		Doane   []float64 `json:"doane"`
	}
	read(t, "scipy.json", &cases)
	if len(cases) < 10 {
		t.Fatalf("%d cases", len(cases))
	}
	for i, c := range cases {
		e := Numeric(Evidently, c.X, c.Y)
		if got := KSPExact(drift.KS(c.X, c.Y), len(c.X), len(c.Y)); math.Abs(got-c.KSP) > 1e-8*math.Max(c.KSP, 1e-3) {
			t.Errorf("case %d: p %.12g, want %.12g", i, got, c.KSP)
		}
		near(t, fmt.Sprint("w1 of case ", i), of(t, e, "wasserstein_normed"), c.W1)
		near(t, fmt.Sprint("js of case ", i), of(t, e, "jensenshannon"), c.JS)
		near(t, fmt.Sprint("nannyml js of case ", i), of(t, Numeric(NannyML, c.X, c.Y), "jensen_shannon"), c.NannyML)
		for what, pair := range map[string][2][]float64{"sturges": {sturges(append(append([]float64(nil), c.X...), c.Y...)), c.Sturges}, "doane": {doane(c.X), c.Doane}} {
			if len(pair[0]) != len(pair[1]) {
				t.Errorf("case %d: %d %s edges, want %d", i, len(pair[0]), what, len(pair[1]))
				continue
			}
			for k := range pair[0] {
				near(t, fmt.Sprintf("%s edge %d of case %d", what, k, i), pair[0][k], pair[1][k])
			}
		}
	}
}

func TestSpecial(t *testing.T) {
	for _, tool := range Tools() {
		if got := Numeric(tool, []float64{math.NaN()}, []float64{1}); got != nil {
			t.Errorf("%s of nothing: %+v", tool, got)
		}
		if got := Categories(tool, []uint64{0, 0}, []uint64{1, 2}); got != nil {
			t.Errorf("%s of no rows: %+v", tool, got)
		}
		constant := []float64{7, 7, 7, 7}
		for _, r := range Numeric(tool, constant, constant) {
			if math.IsNaN(r.Value) || r.Drifted() {
				t.Errorf("%s of a constant: %+v", tool, r)
			}
		}
		if got, err := ParseTool(string(tool)); err != nil || got != tool {
			t.Errorf("%s: %v", tool, err)
		}
	}
	if _, err := ParseTool("excel"); err == nil {
		t.Error("excel has no numbers")
	}
	if r := (Result{Measure: "p", Value: 0.01, Threshold: 0.05, Below: true}); !r.Drifted() {
		t.Error("a small p-value is drift")
	}
}
