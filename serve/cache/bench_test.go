package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/cache"
)

func BenchmarkKeyOf(b *testing.B) {
	for _, n := range []int{4, 256, 1024, 65536} {
		b.Run(fmt.Sprintf("%dB", 4*n), func(b *testing.B) {
			in := []fairlead.Tensor{floats("x", make([]float32, n)...)}
			b.SetBytes(int64(4 * n))
			b.ReportAllocs()
			for b.Loop() {
				cache.KeyOf("sha256:0123456789012345678901234567890123456789012345678901234567890123", in)
			}
		})
	}
}

// BenchmarkHit is the time from request to answer for 4 KiB, with the hash and without.
func BenchmarkHit(b *testing.B) {
	in := []fairlead.Tensor{floats("x", make([]float32, 1024)...)}
	key := cache.KeyOf("d", in)
	run := answerOf(make([]float32, 1024)...)
	for _, hash := range []bool{false, true} {
		b.Run(fmt.Sprintf("hash=%v", hash), func(b *testing.B) {
			c := open(b, cache.Options{})
			b.ReportAllocs()
			for b.Loop() {
				if hash {
					key = cache.KeyOf("d", in)
				}
				if _, _, err := c.Do(b.Context(), key, kept, run); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		c := open(b, cache.Options{})
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := c.Do(b.Context(), key, kept, run); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkMiss is what a request pays that finds nothing, the model's run excluded: of a cheap model, whose run is made in
// place, and of one of unknown cost.
func BenchmarkMiss(b *testing.B) {
	for _, cost := range []time.Duration{50 * time.Microsecond, 0} {
		for _, n := range []int{4, 1024} {
			b.Run(fmt.Sprintf("cost=%v/%dB", cost, 4*n), func(b *testing.B) {
				c := open(b, cache.Options{})
				data := make([]float32, n)
				in := []fairlead.Tensor{floats("x", data...)}
				run := answerOf(make([]float32, n)...)
				e := cache.Entry{Model: "m", TTL: time.Hour, Cost: cost}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					data[0] = float32(i)
					if _, _, err := c.Do(b.Context(), cache.KeyOf("d", in), e, run); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
