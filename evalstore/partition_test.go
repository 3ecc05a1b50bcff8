package evalstore

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch"
)

// logical is everything that people and the monitor can see of a store, in one order. Where the rows lie is not part of it.
func logical(t testing.TB, s *Store) string {
	t.Helper()
	var b strings.Builder
	names, err := hotTables(t.Context(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	queries := []string{`SELECT * FROM predictions ORDER BY seq`, `SELECT * FROM labels ORDER BY seq`, `SELECT * FROM outcomes ORDER BY seq`,
		`SELECT * FROM retracted ORDER BY seq`, `SELECT * FROM events ORDER BY seq`, `SELECT * FROM fields ORDER BY ALL`,
		`SELECT deployment, version, role, hour, rows, labelled, first_time, last_time FROM hours ORDER BY ALL`,
		`SELECT deployment, version, role, minute, hex(counts), seq FROM profiles ORDER BY ALL`,
		`SELECT * FROM positions ORDER BY ALL`, `SELECT * FROM rejected ORDER BY ALL`, `SELECT * FROM bulk ORDER BY ALL`}
	for _, n := range names {
		queries = append(queries, `SELECT * FROM rows.`+quote(n)+` ORDER BY seq`)
	}
	for _, q := range queries {
		fmt.Fprintf(&b, "%s\n%s\n", q, table(t, s, q))
	}
	return b.String()
}

// days fills a store with rows of some days and what came of them.
func days(t testing.TB, s *Store, n int) *feed {
	t.Helper()
	f := newFeed(t, s)
	for i := range n {
		at := march.Add(time.Duration(i) * 24 * time.Hour)
		id := fmt.Sprintf("d%02d", i)
		p := flight(id, at.Add(3*time.Hour), 40, 0.1)
		p.Rows[3].Key, p.Rows[3].Tags = "N1", map[string]string{"gate": "é4", "x": ""}
		p.Inputs[0].Data.([]float32)[6] = float32(math.NaN())
		p.Inputs[0].Data.([]float32)[8] = float32(math.Inf(-1))
		f.rows(flights, p, flight("o"+id, at.Add(23*time.Hour), 3, 0.7))
		f.labels(label(id+".2", "late", i), label(id+".5", "on_time", i))
		f.send(eventlog.Events, eventlog.EncodeEvents([]fairlead.BusinessEvent{revenue(id+".4", 2, i)}))
	}
	return f
}

func moveAll(t testing.TB, s *Store) Moved {
	t.Helper()
	m, err := s.MoveClosed(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClosedDaysMoveIntoFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f := days(t, s, 4)
	before := logical(t, s)
	if m, err := s.MoveClosed(t.Context(), 24*time.Hour); err != nil || m.Files != 2 || m.Rows != 86 {
		t.Errorf("days that are closed for a day: %+v %v", m, err)
	}
	if m := moveAll(t, s); m.Files != 1 || m.Rows != 43 || m.Bytes == 0 {
		t.Errorf("then those that are just closed: %+v", m)
	}
	if m := moveAll(t, s); m != (Moved{}) {
		t.Errorf("once more: %+v", m)
	}
	expect(t, "after the move", logical(t, s), before)
	expect(t, "hot", table(t, s, `SELECT count(*), min(event_time)::DATE::VARCHAR FROM hot.flights`), "43 2001-03-04")
	expect(t, "files", table(t, s, `SELECT regexp_replace(file, '[0-9a-f]{16}', 'X', 'g'), rows, bytes > 1000, length(digest), first_id, last_id
		FROM partitions ORDER BY date`), strings.Join([]string{
		"deployment=flights/date=2001-03-01/part-X-X-43.parquet 43 true 64 d00.0 od00.2",
		"deployment=flights/date=2001-03-02/part-X-X-43.parquet 43 true 64 d01.0 od01.2",
		"deployment=flights/date=2001-03-03/part-X-X-43.parquet 43 true 64 d02.0 od02.2"}, "\n"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "else'where")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	s = open(t, moved)
	expect(t, "in another folder", logical(t, s), before)
	f.s = s
	f.rows(flights, flight("late rows of the first day", march.Add(time.Hour), 2, 0.3))
	moveAll(t, s)
	expect(t, "a day of two files", table(t, s, `SELECT count(*), (SELECT count(*) FROM partitions) FROM predictions WHERE event_time < '2001-03-02'`), "45 4")
	w := watch.Window{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: watch.Day, Start: march}
	if n, _, err := s.Outcomes(t.Context(), w); err != nil || n != 45 {
		t.Errorf("outcomes of a moved day stand for %d predictions, %v", n, err)
	}
}

// TestLateNewsOfMovedRows: labels, corrections, labels by key and events find rows in files as they find hot ones.
func TestLateNewsOfMovedRows(t *testing.T) {
	news := func(move bool) string {
		s := open(t, t.TempDir())
		f := days(t, s, 4)
		if move {
			moveAll(t, s)
		}
		byKey := fairlead.Label{Deployment: "flights", Key: "N1", Value: "late", Time: march.Add(30 * time.Hour), Received: march.Add(100 * time.Hour)}
		f.labels(label("d00.7", "late", 9), label("d00.2", "on_time", 9), label("od01.1", "late", 9), byKey)
		f.labels(fairlead.Label{Deployment: "flights", PredictionID: "d01.5", Received: march.Add(101 * time.Hour)})
		f.send(eventlog.Events, eventlog.EncodeEvents([]fairlead.BusinessEvent{revenue("d02.1", 7, 8),
			{Deployment: "flights", Name: "refund", Key: "N1", Value: 3, Time: march.Add(60 * time.Hour), Received: march.Add(90 * time.Hour)}}))
		if move {
			moveAll(t, s)
		}
		totals, err := s.EventTotals(t.Context(), "flights", 1<<seqBits, march.Add(1000*time.Hour), []EventQuestion{{Name: "revenue"}})
		if err != nil {
			t.Fatal(err)
		}
		return logical(t, s) + fmt.Sprint(totals)
	}
	expect(t, "with rows in files", news(true), news(false))
}

// TestVersionsAcrossPartitions: a file has the columns that there were when it was written; columns that come later are
// NULL in it, one that changed its type is kept, and features may be named like the folders.
func TestVersionsAcrossPartitions(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	v1 := &fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{spec("zone", fairlead.Int64, "", 1), spec("date", fairlead.FP64, "", 1), spec("_Date", fairlead.Int8, "", 1), spec(`we"ird, name`, fairlead.Bool, "", 1)},
		Outputs: []fairlead.TensorSpec{spec("y", fairlead.FP32, fairlead.RoleValue, 1)},
	}
	v2 := &fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{spec("zone", fairlead.Bytes, "", 1), spec("image", fairlead.Uint8, "", 3), spec("vec", fairlead.FP16, "", 2), spec("deployment", fairlead.Uint64, "", 1)},
		Outputs: []fairlead.TensorSpec{spec("y", fairlead.FP32, fairlead.RoleValue, 1)},
	}
	on := func(day int, p *fairlead.Prediction) *fairlead.Prediction {
		p.Rows[0].Time = p.Rows[0].Time.AddDate(0, 0, day)
		return p
	}
	f.rows(v1, on(0, one(v1, 1, []int64{7}, []float64{math.NaN()}, []int8{-1}, []bool{true}, []float32{2.5})))
	f.rows(v1, on(1, one(v1, 1, []int64{8}, []float64{1e300}, []int8{-2}, []bool{false}, []float32{float32(math.Inf(1))})))
	moveAll(t, s)
	f.rows(v2, on(1, one(v2, 2, []string{"north"}, []uint8{1, 2, 255}, []uint16{0x3c00, 0xc000}, []uint64{math.MaxUint64}, []float32{1})))
	f.rows(v2, on(2, one(v2, 2, []string{""}, []uint8{0, 0, 0}, []uint16{0x7c00, 0}, []uint64{0}, []float32{-1})))
	all := `SELECT version, zone, date, "_Date", "we""ird, name", y, zone_varchar, image, vec, deployment FROM rows."m.1" ORDER BY seq`
	want := strings.Join([]string{
		"1 7 <nil> -1 true 2.5 <nil> <nil> <nil> <nil>",
		"1 8 1e+300 -2 false Infinity <nil> <nil> <nil> <nil>",
		"2 <nil> <nil> <nil> <nil> 1 north [1 2 255] [1 -2] 18446744073709551615",
		"2 <nil> <nil> <nil> <nil> -1  [0 0 0] [Infinity 0] 0"}, "\n")
	expect(t, "half moved", table(t, s, all), want)
	moveAll(t, s)
	expect(t, "hot", table(t, s, `SELECT count(*) FROM hot."m.1"`), "1")
	expect(t, "moved", table(t, s, all), want)
	expect(t, "NaN is no NULL", table(t, s, `SELECT isnan(date), date IS NULL FROM rows."m.1" ORDER BY seq`), "true false\nfalse false\n<nil> true\n<nil> true")
}

var errStopped = errors.New("stopped")

// TestStoppedAtEachStep copies the store's folder at each step of a move, as a crash there would leave it, and stops: the
// copies and what goes on have each row once, and no file that nothing refers to stays.
func TestStoppedAtEachStep(t *testing.T) {
	for _, at := range []string{"written", "renamed", "rows deleted", "before the commit", "committed"} {
		t.Run(at, func(t *testing.T) {
			dir, crashed := t.TempDir(), filepath.Join(t.TempDir(), "crashed")
			s := open(t, dir)
			days(t, s, 3)
			before := logical(t, s)
			stops := 1
			s.atStep = func(name string) error {
				if name != at || stops == 0 {
					return nil
				}
				stops--
				if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
					t.Error(err)
				}
				return errStopped
			}
			if _, err := s.MoveClosed(t.Context(), 0); !errors.Is(err, errStopped) {
				t.Fatalf("stopped: %v", err)
			}
			expect(t, "after the failure", logical(t, s), before)
			c := open(t, crashed)
			expect(t, "after the crash", logical(t, c), before)
			for _, s := range []*Store{s, c} {
				noOrphans(t, s, s == c)
				moveAll(t, s)
				expect(t, "moved at last", logical(t, s), before)
				expect(t, "days in files", table(t, s, `SELECT count(DISTINCT date), sum(rows) FROM partitions`), "2 86")
				noOrphans(t, s, true)
			}
		})
	}
}

// noOrphans compares the files with the table partitions.
func noOrphans(t *testing.T, s *Store, strict bool) {
	t.Helper()
	var files []string
	if err := filepath.WalkDir(s.rowsDir(), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			file, _ := filepath.Rel(s.rowsDir(), path)
			files = append(files, filepath.ToSlash(file))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	if known := table(t, s, `SELECT file FROM partitions WHERE gone IS NULL ORDER BY file`); strict && strings.Join(files, "\n") != known {
		t.Errorf("files:\n%s\nknown:\n%s", strings.Join(files, "\n"), known)
	}
}

// TestAFileOfRowsIsGone: the store says so and gives what it has.
func TestAFileOfRowsIsGone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	days(t, s, 3)
	moveAll(t, s)
	gone := filepath.Join(s.rowsDir(), table(t, s, `SELECT file FROM partitions ORDER BY date LIMIT 1`))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(gone, gone+".away"); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	expect(t, "without it", table(t, s, `SELECT count(*) FROM predictions`), "86")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(gone+".away", gone); err != nil {
		t.Fatal(err)
	}
	expect(t, "with it again", table(t, open(t, dir), `SELECT count(*) FROM predictions`), "129")
}

// TestOldTablesAreTaken opens a store as it was before there were partitions, made by hand.
func TestOldTablesAreTaken(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	days(t, s, 3)
	before := logical(t, s)
	for _, stmt := range []string{`DROP VIEW labelled.flights`, `DROP VIEW predictions`, `DROP VIEW rows.flights`,
		`CREATE TABLE rows.flights AS FROM hot.flights`, `DROP TABLE hot.flights`, `DROP SCHEMA hot`, `DROP TABLE partitions`, `CREATE VIEW predictions AS SELECT 'flights' AS deployment, * FROM rows.flights`} {
		if _, err := s.conn.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(stmt, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	expect(t, "taken", logical(t, s), before)
	moveAll(t, s)
	expect(t, "moved", logical(t, s), before)
}

// TestNobodyReadsFiles: the store's own files are as closed to people as all others.
func TestNobodyReadsFiles(t *testing.T) {
	s := open(t, t.TempDir())
	days(t, s, 3)
	moveAll(t, s)
	file := filepath.Join(s.rowsDir(), table(t, s, `SELECT file FROM partitions ORDER BY date LIMIT 1`))
	for _, query := range []string{
		`FROM '` + file + `'`, `FROM "` + file + `"`, `FROM read_parquet('` + file + `')`, `FROM parquet_scan('` + file + `')`, `FROM parquet_metadata('` + file + `')`,
		`FROM parquet_schema('` + file + `')`, `FROM read_blob('` + file + `')`, `FROM read_blob('` + filepath.Join(s.opt.Dir, "store.duckdb") + `')`,
		`FROM glob('` + s.rowsDir() + `/**')`, `FROM read_text('` + s.rowsDir() + `/../store.duckdb')`, `FROM '` + s.rowsDir() + `/*/*/*.parquet'`,
		`FROM read_csv('` + s.rowsDir() + `/../../../../etc/passwd')`, `FROM '` + s.rowsDir() + `/../../../../../../etc/passwd.csv'`,
		`COPY (SELECT 1) TO '` + s.rowsDir() + `/x.parquet'`, `COPY predictions TO '` + file + `'`, `ATTACH '` + s.rowsDir() + `/x.db' AS x`,
		`CREATE VIEW rows.x AS FROM '` + file + `'`, `SELECT (SELECT count(*) FROM '` + file + `')`, `SUMMARIZE '` + file + `'`, `DESCRIBE '` + file + `'`,
		`SELECT * FROM predictions WHERE seq IN (SELECT seq FROM '` + file + `')`, `FROM query_table(['` + file + `'])`,
	} {
		if a, err := s.Query(t.Context(), query, 10); err == nil {
			t.Errorf("%s: gave %v", query, a.Rows)
		}
	}
	expect(t, "what is in them", table(t, s, `SELECT count(*) FROM predictions`), "129")
	// A link in the folder leads nowhere either.
	if err := os.Symlink("/etc", filepath.Join(s.rowsDir(), "etc")); err != nil {
		t.Fatal(err)
	}
	if a, err := s.Query(t.Context(), `FROM read_text('`+s.rowsDir()+`/etc/passwd')`, 10); err == nil {
		t.Errorf("through a link: %v", a.Rows)
	}
}

// TestReplayOverMoves ingests a seeded log twice, straight and with restarts and moves between, and compares everything.
func TestReplayOverMoves(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	type message struct {
		stream eventlog.Stream
		data   []byte
	}
	var log []message
	for i := range 120 {
		day := rng.IntN(1 + i/12)
		id := fmt.Sprintf("p%03d", i)
		switch p := flight(id, march.Add(time.Duration(day*24)*time.Hour+time.Duration(rng.IntN(86400))*time.Second), 1+rng.IntN(5), rng.Float32()/2); rng.IntN(3) {
		case 0:
			log = append(log, message{eventlog.Labels, eventlog.EncodeLabels([]fairlead.Label{
				label(fmt.Sprintf("p%03d.%d", rng.IntN(i+5), rng.IntN(3)), []string{"late", "on_time", ""}[rng.IntN(3)], rng.IntN(20)),
				{Deployment: "flights", Key: fmt.Sprint("N", rng.IntN(3)), Value: "late", Time: march.Add(time.Duration(rng.IntN(240)) * time.Hour), Received: march.Add(time.Duration(rng.IntN(300)) * time.Hour)},
			})})
		case 1:
			log = append(log, message{eventlog.Events, eventlog.EncodeEvents([]fairlead.BusinessEvent{revenue(fmt.Sprintf("p%03d.0", rng.IntN(i+5)), float64(i), i),
				{Deployment: "flights", Name: "refund", ID: fmt.Sprint("e", rng.IntN(9)), Key: fmt.Sprint("N", rng.IntN(3)), Value: 1, Time: march.Add(time.Duration(rng.IntN(240)) * time.Hour), Received: march.Add(time.Duration(i) * time.Hour)}})})
		default:
			for r := range p.Rows {
				p.Rows[r].Key = fmt.Sprint("N", rng.IntN(3))
			}
			log = append(log, message{eventlog.Predictions, encode(t, flights, p)})
		}
	}
	ingest := func(dir string, disturbed bool) string {
		s := open(t, dir)
		f := newFeed(t, s)
		rng := rand.New(rand.NewPCG(seed, 2))
		for _, m := range log {
			f.send(m.stream, m.data)
			if !disturbed {
				continue
			}
			switch rng.IntN(12) {
			case 0:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir)
				f.s = s
			case 1, 2:
				moveAll(t, s)
			case 3:
				step := []string{"written", "renamed", "rows deleted", "before the commit", "committed"}[rng.IntN(5)]
				s.atStep = func(name string) error {
					if name == step {
						return errStopped
					}
					return nil
				}
				if _, err := s.MoveClosed(t.Context(), 0); err != nil && !errors.Is(err, errStopped) {
					t.Fatal(err)
				}
				s.atStep = nil
			}
		}
		if disturbed {
			if n := table(t, s, `SELECT count(*) FROM partitions`); n == "0" {
				t.Error("nothing was moved")
			}
		}
		return logical(t, s)
	}
	expect(t, "with moves and restarts", ingest(t.TempDir(), true), ingest(t.TempDir(), false))
}
