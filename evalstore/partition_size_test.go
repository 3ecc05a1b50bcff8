package evalstore

import (
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

const flightsFile = "../bin/flights-3m.parquet"

var realFlights = &fairlead.Signature{
	Task: fairlead.TaskBinary,
	Inputs: []fairlead.TensorSpec{
		{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 3}, Features: []string{"hour", "weekday", "distance"}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}}, {Name: "destination", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
	},
	Outputs: []fairlead.TensorSpec{{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore}},
}

// ingestFlights sends the first n flights of the file, each a request of its own with a label, the way a server gets them: rows
// in the order of their time, labels behind them. care is called now and then.
func ingestFlights(t testing.TB, s *Store, n int, care func()) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT date, delay, distance, origin, destination FROM read_parquet('`+flightsFile+`') ORDER BY date LIMIT ?`, n)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	f, rng := newFeed(t, s), rand.New(rand.NewPCG(1, 2))
	var preds []*fairlead.Prediction
	var labels []fairlead.Label
	flush := func() {
		f.send(eventlog.Predictions, encode(t, realFlights, preds...))
		f.labels(labels...)
		preds, labels = nil, nil
	}
	for i := 0; rows.Next(); i++ {
		var at time.Time
		var delay, distance float64
		var from, to string
		if err := rows.Scan(&at, &delay, &distance, &from, &to); err != nil {
			t.Fatal(err)
		}
		id := ulidOf(i)
		preds = append(preds, &fairlead.Prediction{
			ID: id, Deployment: "flights", Model: "flights", Version: 1, Role: fairlead.RoleLive, Received: at.Add(time.Duration(rng.IntN(1000)) * time.Microsecond),
			Rows:    []fairlead.RowMeta{{ID: id, Time: at}},
			Latency: fairlead.Anatomy{Run: time.Duration(200+rng.IntN(300)) * time.Microsecond},
			Inputs: []fairlead.Tensor{
				{Name: "features", Type: fairlead.FP32, Shape: []int64{1, 3}, Data: []float32{float32(at.Hour()), float32(at.Weekday()), float32(distance)}},
				{Name: "origin", Type: fairlead.Bytes, Shape: []int64{1, 1}, Data: []string{from}},
				{Name: "destination", Type: fairlead.Bytes, Shape: []int64{1, 1}, Data: []string{to}},
			},
			Outputs: []fairlead.Tensor{{Name: "probability", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{rng.Float32()}}},
		})
		value := "0"
		if delay > 15 {
			value = "1"
		}
		labels = append(labels, fairlead.Label{Deployment: "flights", PredictionID: id, Value: value, Time: at.Add(2 * time.Hour), Received: at.Add(2*time.Hour + time.Second)})
		if len(preds) == 10_000 {
			flush()
		}
		if i%250_000 == 249_999 {
			care()
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(preds) > 0 {
		flush()
	}
}

// fixedSize is what two dozen tables take whatever is in them: a block of 256 kB has no other table's columns.
const fixedSize = 2 << 20

// TestStoreSize: on disk, the store is at most one and a half times the same rows as one zstd Parquet file, and fixedSize besides. With
// FAIRLEAD_FLIGHTS=3000000 it is measured on all flights; without, on the first days.
func TestStoreSize(t *testing.T) {
	if _, err := os.Stat(flightsFile); err != nil {
		t.Skip("`make runtime` brings the flights")
	}
	n := 60_000
	if v, err := strconv.Atoi(os.Getenv("FAIRLEAD_FLIGHTS")); err == nil {
		n = v
	}
	dir := t.TempDir()
	s := open(t, dir)
	start := time.Now()
	moved := Moved{}
	care := func() {
		m := moveAll(t, s)
		moved.Rows, moved.Files = moved.Rows+m.Rows, moved.Files+m.Files
		if _, err := s.Compact(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d rows in %d files after %s, resident %s", moved.Rows, moved.Files, time.Since(start).Round(time.Second), memoryUsed())
	}
	ingestFlights(t, s, n, care)
	care()
	if _, err := s.Compact(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.giveBack(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // what is free in the middle of its file is given back by the next start
		t.Fatal(err)
	}
	s = open(t, dir)
	files, all := folderSize(t, s.rowsDir()), folderSize(t, dir) // before the queries below, which may spill into the folder
	one := func(query string) int64 {
		file := filepath.Join(s.rowsDir(), "all.parquet") // where DuckDB may write
		if _, err := s.db.ExecContext(t.Context(), `COPY (`+query+`) TO '`+file+`' (FORMAT parquet, COMPRESSION zstd)`); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	rows, labels, outcomes := one(`FROM rows.flights`), one(`FROM labels`), one(`FROM outcomes`)
	t.Logf("%d rows: one Parquet file %d bytes, partitions %d (%.2f), labels %d, outcomes %d, the store's folder %d: %.2f of the rows, %.2f of rows, labels and outcomes",
		n, rows, files, float64(files)/float64(rows), labels, outcomes, all, float64(all)/float64(rows), float64(all)/float64(rows+labels+outcomes))
	if (all-fixedSize)*2 > (rows+labels+outcomes)*3 {
		t.Errorf("the store takes %.2f times one file of the same, and %d bytes besides", float64(all-fixedSize)/float64(rows+labels+outcomes), fixedSize)
	}
}

func folderSize(t testing.TB, dir string) (size int64) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return size
}

// memoryUsed is the memory of this process, and the most it had, as Linux tells.
func memoryUsed() string {
	status, _ := os.ReadFile("/proc/self/status")
	var out []string
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(out, ", ")
}
