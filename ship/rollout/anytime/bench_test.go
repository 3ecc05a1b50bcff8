package anytime

import "testing"

func BenchmarkRates(b *testing.B) {
	q := Question{Alpha: 0.001, Tolerance: Limit{0.25, 0.002}, Margin: Limit{0.25, 0.002}}
	live, canary := Cell{N: 54000, Sum: 540}, Cell{N: 6000, Sum: 60}
	b.Run("verdict", func(b *testing.B) {
		for b.Loop() {
			RatesOf(live, canary, 1, q)
		}
	})
	q.Interval = true
	b.Run("interval", func(b *testing.B) {
		for b.Loop() {
			RatesOf(live, canary, 1, q)
		}
	})
}

func BenchmarkQuantiles(b *testing.B) {
	bounds, live := latencies(1, 100000)
	_, canary := latencies(1, 5000)
	for b.Loop() {
		Quantiles(bounds, live, canary, 0.99, 1, Question{Alpha: 0.001, Margin: Limit{Relative: 0.25}})
	}
}
