package drift

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// golden is the part of testdata/drift.json that this package computes.
type golden struct {
	Tolerance struct {
		ClosedForm tolerance `json:"closed_form"`
		PValues    tolerance `json:"p_values_and_quantiles"`
	} `json:"tolerance"`
	Discrete []struct {
		P          []float64 `json:"p"`
		Q          []float64 `json:"q"`
		D1         number    `json:"d1"`
		TVD        number    `json:"tvd"`
		LInf       number    `json:"linf"`
		KLPQ       number    `json:"kl_pq"`
		KLQP       number    `json:"kl_qp"`
		PSI        number    `json:"psi"`
		JS         number    `json:"js_div"`
		JSDistance number    `json:"js_dist"`
		Hellinger  number    `json:"hellinger"`
	} `json:"discrete"`
	PSIEmptyBin struct {
		Ref     []uint64 `json:"ref_counts"`
		Cur     []uint64 `json:"cur_counts"`
		Default number   `json:"default_half"`
	} `json:"psi_empty_bin"`
	PSIHalfRule []struct {
		Ref       []uint64 `json:"ref"`
		Cur       []uint64 `json:"cur"`
		PSI       number   `json:"psi"`
		DF        int      `json:"df"`
		NullScale *number  `json:"null_scale"`
		Expected  *number  `json:"expected_under_null"`
		P99       *number  `json:"p99"`
		P999      *number  `json:"p999"`
		Debiased  *number  `json:"debiased"`
		PValue    *number  `json:"p_value"`
	} `json:"psi_half_rule"`
	Samples []struct {
		X      []float64 `json:"x"`
		Y      []float64 `json:"y"`
		KS     number    `json:"ks_d"`
		W1     number    `json:"w1"`
		Energy number    `json:"energy"`
	} `json:"samples"`
	KolmogorovQ []struct {
		Lambda float64 `json:"lambda_"`
		Q      number  `json:"q"`
	} `json:"kolmogorov_q"`
	KSP []struct {
		D     float64 `json:"d"`
		N     uint64  `json:"n"`
		M     uint64  `json:"m"`
		Limit number  `json:"limit"`
	} `json:"ks_p"`
	KSCritical []struct {
		Alpha float64 `json:"alpha"`
		C     number  `json:"c"`
	} `json:"ks_critical"`
	ChiSquareSF []struct {
		X  float64 `json:"x"`
		DF int     `json:"df"`
		SF number  `json:"sf"`
	} `json:"chi2_sf"`
	ChiSquareQuantile []struct {
		P  float64 `json:"p"`
		DF int     `json:"df"`
		X  number  `json:"x"`
	} `json:"chi2_quantile"`
	NoiseFloor struct {
		RefN uint64 `json:"ref_n"`
		Bins int    `json:"bins"`
		Rows []struct {
			N     uint64 `json:"n"`
			Mean  number `json:"psi_mean"`
			P99   number `json:"psi_p99"`
			P999  number `json:"psi_p999"`
			KS05  number `json:"ks_alpha_05"`
			KS001 number `json:"ks_alpha_001"`
		} `json:"rows"`
	} `json:"noise_floor_psi_and_ks"`
	ChiSquareTests []struct {
		Ref       []uint64 `json:"ref"`
		Cur       []uint64 `json:"cur"`
		TwoSample struct {
			Stat number `json:"stat"`
			P    number `json:"p"`
			DF   int    `json:"df"`
		} `json:"two_sample"`
	} `json:"chi2_tests"`
	BenjaminiHochberg []struct {
		P        []float64 `json:"p"`
		Q        float64   `json:"q"`
		Rejected int       `json:"rejected"`
	} `json:"benjamini_hochberg"`
	BinnedNumeric struct {
		Deciles struct {
			Ref []uint64 `json:"ref_counts"`
			Cur []uint64 `json:"cur_counts"`
			PSI number   `json:"psi_default_half"`
		} `json:"deciles_of_reference"`
		DeepChecks struct {
			KS number `json:"ks_d"`
		} `json:"deepchecks"`
	} `json:"binned_numeric"`
	KSFromBins struct {
		Ref   []float64 `json:"ref_share"`
		Cur   []float64 `json:"cur_share"`
		Grid  number    `json:"d_grid"`
		Bound number    `json:"upper_bound"`
	} `json:"ks_from_bins"`
}

type tolerance struct {
	Rel float64 `json:"rel"`
	Abs float64 `json:"abs"`
}

// number is a float or one of the strings "+Inf", "-Inf".
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"+Inf"`:
		*n = number(math.Inf(1))
		return nil
	case `"-Inf"`:
		*n = number(math.Inf(-1))
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

func load(t *testing.T) *golden {
	t.Helper()
	b, err := os.ReadFile("testdata/drift.json")
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{}
	if err := json.Unmarshal(b, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (tol tolerance) check(t *testing.T, what string, got float64, want number) {
	t.Helper()
	w := float64(want)
	if got == w {
		return
	}
	if !(math.Abs(got-w) <= tol.Abs+tol.Rel*math.Abs(w)) {
		t.Errorf("%s = %.17g, want %.17g", what, got, w)
	}
}

func TestGoldenDiscrete(t *testing.T) {
	g := load(t)
	if len(g.Discrete) == 0 {
		t.Fatal("no golden values")
	}
	tol := g.Tolerance.ClosedForm
	for _, c := range g.Discrete {
		tol.check(t, "D1", D1(c.P, c.Q), c.D1)
		tol.check(t, "TVD", TVD(c.P, c.Q), c.TVD)
		tol.check(t, "LInf", LInf(c.P, c.Q), c.LInf)
		tol.check(t, "KL", KL(c.P, c.Q), c.KLPQ)
		tol.check(t, "KL reversed", KL(c.Q, c.P), c.KLQP)
		tol.check(t, "PSIShares", PSIShares(c.P, c.Q), c.PSI)
		tol.check(t, "JS", JS(c.P, c.Q), c.JS)
		tol.check(t, "JSDistance", JSDistance(c.P, c.Q), c.JSDistance)
		tol.check(t, "Hellinger", Hellinger(c.P, c.Q), c.Hellinger)
	}
}

func TestGoldenPSI(t *testing.T) {
	g := load(t)
	tol, ptol := g.Tolerance.ClosedForm, g.Tolerance.PValues
	psi, _ := PSI(g.PSIEmptyBin.Ref, g.PSIEmptyBin.Cur)
	tol.check(t, "PSI with an empty bin", psi, g.PSIEmptyBin.Default)
	psi, _ = PSI(g.BinnedNumeric.Deciles.Ref, g.BinnedNumeric.Deciles.Cur)
	tol.check(t, "PSI over deciles", psi, g.BinnedNumeric.Deciles.PSI)
	for _, c := range g.PSIHalfRule {
		psi, kept := PSI(c.Ref, c.Cur)
		tol.check(t, "PSI", psi, c.PSI)
		if kept-1 != c.DF {
			t.Errorf("df = %d, want %d", kept-1, c.DF)
		}
		n, m := total(c.Cur), total(c.Ref)
		for _, v := range []struct {
			what string
			got  float64
			want *number
			tol  tolerance
		}{
			{"null scale", nullScale(n, m), c.NullScale, tol},
			{"PSIExpected", PSIExpected(n, m, kept), c.Expected, tol},
			{"PSIDebiased", PSIDebiased(psi, n, m, kept), c.Debiased, tol},
			{"PSIFloor .01", PSIFloor(n, m, kept, .01), c.P99, ptol},
			{"PSIFloor .001", PSIFloor(n, m, kept, .001), c.P999, ptol},
			{"PSIP", PSIP(psi, n, m, kept), c.PValue, ptol},
		} {
			if v.want != nil {
				v.tol.check(t, v.what, v.got, *v.want)
			}
		}
	}
	if len(g.NoiseFloor.Rows) == 0 {
		t.Fatal("no golden noise floors")
	}
	for _, c := range g.NoiseFloor.Rows {
		m, bins := g.NoiseFloor.RefN, g.NoiseFloor.Bins
		tol.check(t, "PSIExpected", PSIExpected(c.N, m, bins), c.Mean)
		ptol.check(t, "PSIFloor .01", PSIFloor(c.N, m, bins, .01), c.P99)
		ptol.check(t, "PSIFloor .001", PSIFloor(c.N, m, bins, .001), c.P999)
		ptol.check(t, "KSFloor .05", KSFloor(c.N, m, .05), c.KS05)
		ptol.check(t, "KSFloor .001", KSFloor(c.N, m, .001), c.KS001)
	}
}

func TestGoldenSamples(t *testing.T) {
	g := load(t)
	tol := g.Tolerance.ClosedForm
	for _, c := range g.Samples {
		tol.check(t, "KS", KS(c.X, c.Y), c.KS)
		tol.check(t, "W1", W1(c.X, c.Y), c.W1)
		tol.check(t, "Energy", Energy(c.X, c.Y), c.Energy)
	}
	var ref, cur []float64
	for i := range 100 {
		ref, cur = append(ref, float64(i+1)), append(cur, float64(i+11))
	}
	tol.check(t, "KS of 1..100 and 11..110", KS(ref, cur), g.BinnedNumeric.DeepChecks.KS)
	f := g.KSFromBins
	p, q := make([]uint64, len(f.Ref)), make([]uint64, len(f.Cur))
	for i := range p {
		p[i], q[i] = uint64(math.Round(100*f.Ref[i])), uint64(math.Round(100*f.Cur[i]))
	}
	tol.check(t, "KSBins", KSBins(p, q), f.Grid)
	tol.check(t, "KSBinsBound", KSBinsBound(p, q), f.Bound)
}

func TestGoldenTests(t *testing.T) {
	g := load(t)
	tol, ptol := g.Tolerance.ClosedForm, g.Tolerance.PValues
	for _, c := range g.KolmogorovQ {
		ptol.check(t, "KolmogorovQ", KolmogorovQ(c.Lambda), c.Q)
	}
	for _, c := range g.KSP {
		ptol.check(t, "KSP", KSP(c.D, c.N, c.M), c.Limit)
	}
	for _, c := range g.KSCritical {
		ptol.check(t, "KSCritical", KSCritical(c.Alpha), c.C)
	}
	for _, c := range g.ChiSquareSF {
		ptol.check(t, "ChiSquareSF", ChiSquareSF(c.X, c.DF), c.SF)
	}
	for _, c := range g.ChiSquareQuantile {
		ptol.check(t, "ChiSquareQuantile", ChiSquareQuantile(c.P, c.DF), c.X)
	}
	for _, c := range g.ChiSquareTests {
		stat, df := ChiSquare(c.Ref, c.Cur)
		tol.check(t, "ChiSquare", stat, c.TwoSample.Stat)
		ptol.check(t, "ChiSquareP", ChiSquareP(c.Ref, c.Cur), c.TwoSample.P)
		if df != c.TwoSample.DF {
			t.Errorf("df = %d, want %d", df, c.TwoSample.DF)
		}
	}
	for _, c := range g.BenjaminiHochberg {
		rejected := 0
		for _, r := range BenjaminiHochberg(c.P, c.Q) {
			if r {
				rejected++
			}
		}
		if rejected != c.Rejected {
			t.Errorf("BenjaminiHochberg at %g rejects %d, want %d", c.Q, rejected, c.Rejected)
		}
	}
}
