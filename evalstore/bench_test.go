package evalstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch"
)

// traffic makes flights at one row every three seconds of event time, labelled some hours later.
type traffic struct {
	*feed
	rng *rand.Rand
	n   int
	id  func(i int) string
}

func (tr *traffic) rowMessages(n int) [][]byte {
	var msgs [][]byte
	for range n / 1000 {
		var preds []*fairlead.Prediction
		for range 1000 {
			p := flight(tr.id(tr.n), march.Add(time.Duration(tr.n)*3*time.Second), 1, tr.rng.Float32())
			p.Inputs[1].Data.([]string)[0] = "AP" + strconv.Itoa(tr.rng.IntN(300))
			tr.n++
			preds = append(preds, p)
		}
		msgs = append(msgs, encode(tr.t, flights, preds...))
	}
	return msgs
}

// labelMessages labels the n rows from first on, in an order disturbed by some thousands.
func (tr *traffic) labelMessages(first, n int) [][]byte {
	var msgs [][]byte
	for k := range n / 1000 {
		labels := make([]fairlead.Label, 1000)
		for i := range labels {
			labels[i] = label(tr.id(first+k*1000+i), []string{"late", "on_time"}[tr.rng.IntN(2)], first/1000)
		}
		tr.rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
		msgs = append(msgs, eventlog.EncodeLabels(labels))
	}
	return msgs
}

func ulidOf(i int) string {
	var u ulid.ULID
	_ = u.SetTime(uint64(march.UnixMilli()) + uint64(i)/10) // ten rows a millisecond, as a replay sends them
	r := rand.New(rand.NewPCG(uint64(i), 1))
	for b := 6; b < 16; b++ {
		u[b] = byte(r.Uint32())
	}
	return u.String()
}

// uuidOf is an id without any order, as clients make them.
func uuidOf(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 2))
	return fmt.Sprintf("%016x-%016x", r.Uint64(), r.Uint64())
}

// BenchmarkStore measures ingestion and reading on a store of FAIRLEAD_BENCH_ROWS rows (200,000 if not set), nine in
// ten of them labelled.
func BenchmarkStore(b *testing.B) {
	rows := 200_000
	if n, err := strconv.Atoi(os.Getenv("FAIRLEAD_BENCH_ROWS")); err == nil {
		rows = n
	}
	for name, id := range map[string]func(int) string{"ulid": ulidOf, "uuid": uuidOf} {
		b.Run(name, func(b *testing.B) { benchStore(b, rows, id) })
	}
}

func benchStore(b *testing.B, rows int, id func(int) string) {
	dir := b.TempDir()
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	tr := &traffic{feed: newFeed(b, s), rng: rand.New(rand.NewPCG(5, 6)), id: id}
	start := time.Now()
	for tr.n < rows {
		tr.send(eventlog.Predictions, tr.rowMessages(20_000)...)
		if behind := tr.n - rows/10; behind > 0 {
			tr.send(eventlog.Labels, tr.labelMessages(behind-20_000+20_000, 20_000)...)
		}
	}
	b.Logf("%s: filled with %d rows in %s", b.Name(), tr.n, time.Since(start))
	labelled := tr.n - rows/10 + 20_000
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			msgs := tr.rowMessages(10_000)
			b.StartTimer()
			tr.send(eventlog.Predictions, msgs...)
		}
		b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("labels", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			msgs := tr.labelMessages(labelled, 10_000)
			labelled += 10_000
			b.StartTimer()
			tr.send(eventlog.Labels, msgs...)
		}
		b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "labels/s")
	})
	b.Run("corrections", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			msgs := tr.labelMessages(labelled-20_000, 1000)
			b.StartTimer()
			tr.send(eventlog.Labels, msgs...)
		}
	})
	w := watch.Window{Deployment: "flights", Version: 1, Role: fairlead.RoleLive}
	for _, w.Grain = range []watch.Grain{watch.Hour, watch.Day} {
		b.Run("outcomes-"+string(w.Grain), func(b *testing.B) {
			n := 0
			for b.Loop() {
				w.Start = w.Grain.Start(march.Add(time.Duration(tr.rng.IntN(rows)) * 3 * time.Second))
				got, outcomes, err := s.Outcomes(context.Background(), w)
				if err != nil || len(outcomes) == 0 {
					b.Fatal(got, err)
				}
				n = len(outcomes)
			}
			b.ReportMetric(float64(n), "outcomes")
		})
	}
	b.Run("changes", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Changes(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sql", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Query(context.Background(), `SELECT origin, date_trunc('day', flights.event_time), count(*), avg((outcomes.label = 'late')::INT)
				FROM rows.flights JOIN outcomes USING (seq) GROUP BY ALL`, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "store.duckdb")); err == nil {
		b.Logf("%s: %.0f bytes on disk per row with its label", b.Name(), float64(st.Size())/float64(tr.n))
	}
}
