// Package compat computes drift as other tools do, so that whoever comes from one of them finds its numbers again: the same
// bins, the same filling of empty ones, the same logarithm, the same default threshold. They are for comparison: their bins
// move with the current data, and none of them knows how much is noise. Versions and sources are those of
// reference/monitoring.md, sections 4 and 19; what a tool has not published is not guessed.
package compat

import (
	"cmp"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
)

// Tool is whose numbers are computed.
type Tool string

// Tools.
const (
	Evidently  Tool = "evidently"
	NannyML    Tool = "nannyml"
	Deepchecks Tool = "deepchecks"
	TFDV       Tool = "tfdv"
	Fiddler    Tool = "fiddler"
	Deequ      Tool = "deequ"
)

// Tools lists all of them.
func Tools() []Tool { return []Tool{Evidently, NannyML, Deepchecks, TFDV, Fiddler, Deequ} }

// ParseTool reads a name; the error is CodeInvalid.
func ParseTool(s string) (Tool, error) {
	if slices.Contains(Tools(), Tool(s)) {
		return Tool(s), nil
	}
	return "", fairlead.Invalid("the numbers of %q are not known", s).Hintf("evidently, nannyml, deepchecks, tfdv, fiddler or deequ")
}

// Result is one number of a tool.
type Result struct {
	Measure   string  `json:"measure"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold,omitempty"` // the tool's default; 0: it has none, or takes it from reference chunks
	Below     bool    `json:"below,omitempty"`     // a value below the threshold is drift, as of p-values
	Default   bool    `json:"default,omitempty"`   // the tool asks this one if nobody says which
}

// Drifted is what the tool would say.
func (r Result) Drifted() bool {
	switch {
	case r.Threshold == 0:
		return false
	case r.Below:
		return r.Value <= r.Threshold
	}
	return r.Value >= r.Threshold
}

// fewValues is how many distinct reference values Evidently takes as categories at most; smallSample up to how many
// reference rows it tests.
const (
	fewValues   = 20
	smallSample = 1000
)

// Numeric gives a tool's numbers of a numeric column. Values that are no finite numbers are left out, as the tools do. nil
// where one side has none.
func Numeric(tool Tool, ref, cur []float64) []Result {
	x, y := finite(ref), finite(cur)
	if len(x) == 0 || len(y) == 0 {
		return nil
	}
	switch tool {
	case Evidently:
		return evidentlyNumeric(x, y)
	case NannyML:
		return nannyNumeric(x, y)
	case Deepchecks:
		return []Result{{Measure: "ks", Value: drift.KS(x, y), Threshold: 0.2, Default: true}}
	case TFDV:
		return tfdvNumeric(x, y, len(ref)-len(x), len(cur)-len(y))
	case Fiddler:
		a, b := deciles(x, y)
		return []Result{{Measure: "psi_plus_one", Value: psiPlus(a, b), Default: true}}
	case Deequ:
		return []Result{{Measure: "linf_robust", Value: robust(drift.KS(x, y), float64(len(x)), float64(len(y))), Default: true}}
	}
	return nil
}

// Categories gives a tool's numbers of a column of categories, from the rows of each; keys are the same on both sides.
func Categories(tool Tool, ref, cur []uint64) []Result {
	n, m := sum(ref), sum(cur)
	if n == 0 || m == 0 || len(ref) != len(cur) {
		return nil
	}
	p, q := drift.Shares(ref), drift.Shares(cur)
	switch tool {
	case Evidently:
		return evidentlyCategories(ref, cur, p, q)
	case NannyML:
		return []Result{
			{Measure: "jensen_shannon", Value: drift.JSDistance(p, q) / math.Sqrt(math.Ln2), Default: true},
			{Measure: "hellinger", Value: drift.Hellinger(p, q)}, {Measure: "l_infinity", Value: drift.LInf(p, q)},
			{Measure: "chi2_p", Value: drift.ChiSquareP(ref, cur), Threshold: 0.05, Below: true},
		}
	case Deepchecks:
		return []Result{
			{Measure: "cramers_v", Value: CramersV(ref, cur), Threshold: 0.2, Default: true},
			{Measure: "psi_clipped", Value: psiClipped(p, q), Threshold: 0.2},
		}
	case TFDV:
		return []Result{{Measure: "linf", Value: drift.LInf(p, q), Default: true}, {Measure: "js_log2", Value: drift.JS(p, q) / math.Ln2}}
	case Fiddler:
		return []Result{{Measure: "psi_plus_one", Value: psiPlus(ref, cur), Default: true}}
	case Deequ:
		return []Result{{Measure: "linf_robust", Value: robust(drift.LInf(p, q), float64(n), float64(m)), Default: true}}
	}
	return nil
}

func evidentlyNumeric(x, y []float64) []Result {
	if values, ref, cur := categories(x, y); values <= fewValues {
		return Categories(Evidently, ref, cur)
	}
	edges := sturges(append(slices.Clone(x), y...))
	p, q := drift.Shares(histogram(x, edges)), drift.Shares(histogram(y, edges))
	a, b := filled(p), filled(q)
	distinct := slices.Concat(x, y)
	slices.Sort(distinct)
	narrow := sturges(slices.Compact(distinct))
	small := len(x) <= smallSample
	return []Result{
		{Measure: "wasserstein_normed", Value: drift.W1(x, y) / math.Max(deviation(x), 0.001), Threshold: 0.1, Default: !small},
		{Measure: "ks_p", Value: KSPExact(drift.KS(x, y), len(x), len(y)), Threshold: 0.05, Below: true, Default: small},
		{Measure: "psi", Value: drift.PSIShares(a, b), Threshold: 0.1},
		{Measure: "kl_div", Value: drift.KL(normalised(a), normalised(b)), Threshold: 0.1},
		{Measure: "jensenshannon", Value: drift.JSDistance(p, q), Threshold: 0.1},
		{Measure: "hellinger", Value: drift.Hellinger(drift.Shares(histogram(x, narrow)), drift.Shares(histogram(y, narrow))), Threshold: 0.1},
	}
}

func evidentlyCategories(ref, cur []uint64, p, q []float64) []Result {
	small := sum(ref) <= smallSample
	a, b := filled(p), filled(q)
	out := []Result{
		{Measure: "jensenshannon", Value: drift.JSDistance(p, q), Threshold: 0.1, Default: !small},
		{Measure: "psi", Value: drift.PSIShares(a, b), Threshold: 0.1},
		{Measure: "kl_div", Value: drift.KL(normalised(a), normalised(b)), Threshold: 0.1},
		{Measure: "hellinger", Value: drift.Hellinger(p, q), Threshold: 0.1},
	}
	if len(ref) == 2 {
		_, pz := TwoProportions(ref[1], sum(ref), cur[1], sum(cur))
		return append(out, Result{Measure: "z_p", Value: pz, Threshold: 0.05, Below: true, Default: small})
	}
	return append(out, Result{Measure: "chi2_p", Value: goodnessOfFit(ref, cur), Threshold: 0.05, Below: true, Default: small})
}

func nannyNumeric(x, y []float64) []Result {
	edges := doane(x)
	p, q := outside(x, edges), outside(y, edges)
	return []Result{
		{Measure: "jensen_shannon", Value: drift.JSDistance(p, q) / math.Sqrt(math.Ln2), Default: true},
		{Measure: "kolmogorov_smirnov", Value: drift.KS(x, y)}, {Measure: "wasserstein", Value: drift.W1(x, y)}, {Measure: "hellinger", Value: drift.Hellinger(p, q)},
	}
}

// categories counts the values of both sides; n is the number of those that the reference has.
func categories(x, y []float64) (n int, ref, cur []uint64) {
	counts := map[float64][2]uint64{}
	for _, v := range x {
		c := counts[v]
		c[0]++
		counts[v] = c
	}
	if n = len(counts); n > fewValues {
		return n, nil, nil
	}
	for _, v := range y {
		c := counts[v]
		c[1]++
		counts[v] = c
	}
	keys := make([]float64, 0, len(counts))
	for v := range counts {
		keys = append(keys, v)
	}
	slices.SortFunc(keys, cmp.Compare)
	for _, v := range keys {
		ref, cur = append(ref, counts[v][0]), append(cur, counts[v][1])
	}
	return n, ref, cur
}

func finite(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, v)
		}
	}
	return out
}

func sum(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}
