//go:build unix

package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// wideVersion knows one version of 28 features, two outputs and their reference.
type wideVersion struct {
	sig    fairlead.Signature
	layout *profile.Layout
}

func (w *wideVersion) Info(fairlead.Name, fairlead.Version) (fairlead.Signature, *profile.Layout, bool) {
	return w.sig, w.layout, true
}

func newWideVersion(b *testing.B, rng *rand.Rand) *wideVersion {
	names := make([]string, 28)
	table := &fairlead.Table{Rows: 2000}
	column := func(name string) {
		c := fairlead.TableColumn{Name: name}
		for range table.Rows {
			c.Floats = append(c.Floats, float64(float32(rng.NormFloat64())))
		}
		table.Columns = append(table.Columns, c)
	}
	for i := range names {
		names[i] = fmt.Sprint("f", i)
		column(names[i])
	}
	column("label")
	column("probability")
	w := &wideVersion{sig: fairlead.Signature{
		Inputs: []fairlead.TensorSpec{{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 28}, Features: names}},
		Outputs: []fairlead.TensorSpec{
			{Name: "label", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleLabel},
			{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore},
		},
	}}
	ref, err := profile.Learn(w.sig.Fields(), table, profile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	w.layout = ref.Layout
	return w
}

// discard is an event log that keeps nothing.
type discard struct{ bytes int }

func (d *discard) Append(_ context.Context, _ eventlog.Stream, _ string, data []byte) (uint64, error) {
	d.bytes += len(data)
	return 1, nil
}

// BenchmarkRecorder is the cost of one row of one-row requests, from the queue to what the event log is given.
func BenchmarkRecorder(b *testing.B) {
	const rows = 2500 // what gathers within half a second at 5,000 requests a second
	rng := rand.New(rand.NewPCG(1, 2))
	version := newWideVersion(b, rng)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	preds := make([]waiting, rows)
	for i := range preds {
		x := make([]float32, 28)
		for j := range x {
			x[j] = float32(rng.NormFloat64())
		}
		at, id := at.Add(time.Duration(i)*200*time.Microsecond), ulid.Make().String()
		preds[i].p = &fairlead.Prediction{
			ID: id, Deployment: "wide", Model: "wide", Version: 1, Role: fairlead.RoleLive, Received: at,
			Rows:   []fairlead.RowMeta{{ID: id, Time: at}},
			Inputs: []fairlead.Tensor{{Name: "features", Type: fairlead.FP32, Shape: []int64{1, 28}, Data: x}},
			Outputs: []fairlead.Tensor{
				{Name: "label", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{float32(i % 2)}},
				{Name: "probability", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{rng.Float32()}},
			},
			Latency: fairlead.Anatomy{Run: time.Millisecond},
		}
	}
	log := &discard{}
	r := newRecorder(log, version, time.Hour, slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	done := 0
	before := processCPU(b)
	for b.Loop() {
		r.flush(b.Context(), r.gather(b.Context(), &batch{}, preds))
		done += rows
	}
	b.ReportMetric(float64((processCPU(b)-before).Nanoseconds())/float64(done), "cpu-ns/row")
	b.ReportMetric(float64(log.bytes)/float64(done), "bytes/row")
	b.ReportMetric(0, "ns/op")
}

// processCPU is the processor time that this process has used.
func processCPU(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
