//go:build unix

package evalstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// processCPU is the processor time that this process has used, DuckDB's threads included.
func processCPU(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// wide is a model of 28 features that have columns of their own.
var wide = &fairlead.Signature{
	Inputs: []fairlead.TensorSpec{{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 28}, Features: strings.Fields(
		"a b c d e f g h i j k l m n o p q r s t u v w x y z aa ab")}},
	Outputs: []fairlead.TensorSpec{
		{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}, Role: fairlead.RoleLabel},
		{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore},
	},
}

// widePrediction is one request of one row of 28 features.
func widePrediction(rng *rand.Rand, i int) *fairlead.Prediction {
	x := make([]float32, 28)
	for j := range x {
		x[j] = float32(rng.NormFloat64())
	}
	at := march.Add(time.Duration(i) * 200 * time.Microsecond)
	id := ulidOf(i)
	return &fairlead.Prediction{
		ID: id, Deployment: "wide", Model: "wide", Version: 1, Digest: "sha256:00", Role: fairlead.RoleLive, Received: at,
		Rows:   []fairlead.RowMeta{{ID: id, Time: at}},
		Inputs: []fairlead.Tensor{{Name: "features", Type: fairlead.FP32, Shape: []int64{1, 28}, Data: x}},
		Outputs: []fairlead.Tensor{
			{Name: "label", Type: fairlead.Int64, Shape: []int64{1}, Data: []int64{int64(i % 2)}},
			{Name: "probability", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{rng.Float32()}},
		},
		Latency: fairlead.Anatomy{Run: time.Millisecond},
	}
}

// BenchmarkIngest is the processor time of one row on its way from an encoded message into the committed store, in
// messages of the size that the recorder writes at some thousand rows a second.
func BenchmarkIngest(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 8))
	for name, shape := range map[string]struct {
		sig *fairlead.Signature
		row func(i int) *fairlead.Prediction
	}{
		"wide": {wide, func(i int) *fairlead.Prediction { return widePrediction(rng, i) }},
		"flights": {flights, func(i int) *fairlead.Prediction {
			return flight(ulidOf(i), march.Add(time.Duration(i)*200*time.Microsecond), 1, rng.Float32())
		}},
	} {
		for _, rows := range []int{500, 2500, 20_000} {
			b.Run(fmt.Sprint(name, "-", rows), func(b *testing.B) {
				s := open(b, b.TempDir())
				f := newFeed(b, s)
				made := 0
				var spent, decoding time.Duration
				for b.Loop() {
					preds := make([]*fairlead.Prediction, rows)
					for i := range preds {
						preds[i] = shape.row(made)
						made++
					}
					msg := encode(b, shape.sig, preds...)
					before := processCPU(b)
					if _, err := eventlog.DecodePredictions(msg); err != nil {
						b.Fatal(err)
					}
					decoded := processCPU(b)
					f.send(eventlog.Predictions, msg)
					spent += processCPU(b) - decoded
					decoding += decoded - before
				}
				before := processCPU(b)
				if _, err := s.db.ExecContext(context.Background(), `CHECKPOINT`); err != nil {
					b.Fatal(err)
				}
				spent += processCPU(b) - before
				per := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(made) }
				b.ReportMetric(per(spent), "cpu-µs/row")
				b.ReportMetric(per(decoding), "decode-cpu-µs/row")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
