package drift

import "math"

// FloorAlpha is the chance at which Measure states its floors: one clean window in a thousand lies above.
const FloorAlpha = 0.001

// Measures is everything computed for one column in one window. A value that does not apply is NaN.
type Measures struct {
	PSI, PSIDebiased, PSIFloor float64 // half rule; see PSI
	KS, KSFloor                float64 // from ordered bins; NaN for categories
	D1, D1Floor                float64
	JS, JSFloor                float64 // divergence in nats
	Bins                       int     // bins not empty on both sides
	P                          float64 // chance of at least this PSI without drift
}

// Measure compares one column of a window with its reference. The alert bins (unordered, specials included) give PSI,
// D1 and JS; the fine bins (ordered, finite values only) give KS and are nil for categories. n and m are the rows
// of the window and of the reference; without rows on one side everything is NaN. Floors are at FloorAlpha; that of
// KS counts the rows in its bins, which are fewer than n and m when values are missing. Rare categories are pooled
// first, see Pool.
func Measure(refAlert, curAlert, refFine, curFine []uint64, n, m uint64) Measures {
	nan := math.NaN()
	out := Measures{nan, nan, nan, nan, nan, nan, nan, nan, nan, 0, nan}
	if n == 0 || m == 0 {
		return out
	}
	if len(refFine) == 0 {
		refAlert, curAlert = Pool(refAlert, curAlert, n, m)
	}
	out.PSI, out.Bins = PSI(refAlert, curAlert)
	out.PSIDebiased = PSIDebiased(out.PSI, n, m, out.Bins)
	out.PSIFloor = PSIFloor(n, m, out.Bins, FloorAlpha)
	out.P = PSIP(out.PSI, n, m, out.Bins)
	p, q := Shares(refAlert), Shares(curAlert)
	out.D1, out.D1Floor = D1(p, q), D1Floor(refAlert, curAlert, FloorAlpha)
	out.JS, out.JSFloor = JS(p, q), JSFloor(refAlert, curAlert, FloorAlpha)
	if len(refFine) > 0 {
		out.KS = KSBins(refFine, curFine)
		out.KSFloor = KSFloor(total(curFine), total(refFine), FloorAlpha)
	}
	return out
}
