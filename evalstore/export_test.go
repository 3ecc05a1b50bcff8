package evalstore

import (
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch"
)

// lines are a query's rows as text.
func lines(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Join(names, " ") + "\n"
	for rows.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintln(values...)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// memoryDB is a DuckDB that knows nothing of any store.
func memoryDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// everyTable is a store that has something in every table.
func everyTable(t *testing.T) (*Store, *feed) {
	t.Helper()
	s := open(t, t.TempDir())
	f := days(t, s, 3)
	f.send(eventlog.Profiles, eventlog.EncodeProfiles([]eventlog.ProfileDelta{minuteCounts(1, "abc"), minuteCounts(2, "de")}))
	w := window(watch.Hour, 3)
	if err := s.Save(t.Context(), watch.Result{
		Windows: []watch.Window{w}, Findings: []watch.Finding{finding(w, "hour", 0.25)},
		Metrics: []watch.MetricsRow{{Window: w, N: 2, Labelled: 1, Values: map[string]float64{"accuracy": 0.5, "auroc": 0.75}}},
	}); err != nil {
		t.Fatal(err)
	}
	return s, f
}

// saveDay puts a day's file where an export would.
func saveDay(t *testing.T, s *Store, dir, table string, f DayFile) string {
	t.Helper()
	r, got, size, err := s.OpenDay(t.Context(), "flights", table, f.Date)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got.Name != f.Name || got.Rows != f.Rows {
		t.Errorf("%s: listed as %+v, given as %+v", table, f, got)
	}
	path := filepath.Join(dir, table, PartFolder("flights", f.Date), got.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil || int64(len(content)) != size {
		t.Fatalf("%d bytes of %d: %v", len(content), size, err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDaysOfTablesAreFiles reads every day of every table back with a DuckDB that knows nothing of the store.
func TestDaysOfTablesAreFiles(t *testing.T) {
	s, _ := everyTable(t)
	other := memoryDB(t)
	dir := t.TempDir()
	for _, table := range dayTables {
		files, err := s.DayFiles(t.Context(), "flights", table.name, time.Time{}, time.Time{})
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", table.name, files, err)
		}
		for _, f := range files {
			saveDay(t, s, dir, table.name, f)
		}
		want := lines(t, s.db, `SELECT * EXCLUDE (`+table.without+`), deployment, strftime(`+table.day+`, '%Y-%m-%d') AS date FROM `+table.name+` WHERE deployment = 'flights' ORDER BY `+table.order)
		got := lines(t, other, `SELECT * EXCLUDE (deployment, date), deployment, date::VARCHAR AS date
			FROM read_parquet('`+dir+"/"+table.name+`/**/*.parquet', hive_partitioning = true) ORDER BY `+table.order)
		expect(t, table.name, got, want)
	}
}

// TestNamesOfDaysFollowTheirRows is what lets an export leave alone what it has already.
func TestNamesOfDaysFollowTheirRows(t *testing.T) {
	s, f := everyTable(t)
	all := func() map[string]string {
		names := map[string]string{}
		for _, table := range DayTables() {
			files, err := s.DayFiles(t.Context(), "flights", table, time.Time{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				names[table+" "+f.Date.Format(time.DateOnly)] = f.Name
			}
		}
		return names
	}
	changed := func(before map[string]string) (keys string) {
		for _, key := range []string{"labels 2001-03-01", "outcomes 2001-03-01", "outcomes 2001-03-02", "outcomes 2001-03-03", "events 2001-03-01"} {
			if all()[key] != before[key] {
				keys += key + "\n"
			}
		}
		return keys
	}
	before := all()
	moveAll(t, s)
	if _, err := s.Compact(t.Context(), march.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	expect(t, "after the rows have moved", changed(before), "")
	f.labels(label("d01.2", "on_time", 50))
	expect(t, "after a correction", changed(before), "labels 2001-03-01\noutcomes 2001-03-02\n")
	before = all()
	f.labels(label("d01.2", "", 51), label("d01.5", "", 51))
	expect(t, "after two labels were taken back", changed(before), "labels 2001-03-01\noutcomes 2001-03-02\n")
	files, err := s.DayFiles(t.Context(), "flights", "outcomes", march.AddDate(0, 0, 1), march.AddDate(0, 0, 1))
	if err != nil || len(files) != 1 || files[0].Name != "" || files[0].Rows != 0 {
		t.Errorf("a day without outcomes is listed as %+v: %v", files, err)
	}
	if _, _, _, err := s.OpenDay(t.Context(), "flights", "outcomes", march.AddDate(0, 0, 1)); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Errorf("and opened: %v", err)
	}
	if _, err := s.Retain(t.Context(), Keep{Age: 24 * time.Hour}, march.AddDate(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	files, err = s.DayFiles(t.Context(), "flights", "outcomes", time.Time{}, time.Time{})
	if err != nil || len(files) != 1 || !files[0].Date.Equal(march.AddDate(0, 0, 2).Truncate(24*time.Hour)) {
		t.Errorf("days that retention dropped are not listed: %+v %v", files, err)
	}
}

func TestDaysThatAreNot(t *testing.T) {
	s, _ := everyTable(t)
	if _, err := s.DayFiles(t.Context(), "flights", "partitions", time.Time{}, time.Time{}); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Error(err)
	}
	if _, _, _, err := s.OpenDay(t.Context(), "flights", "positions; DROP TABLE labels", march); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Error(err)
	}
	if _, _, _, err := s.OpenDay(t.Context(), "x' OR true --", "labels", march); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Error(err)
	}
	for name, want := range map[fairlead.Name]bool{"flights": true, "nobody": false} {
		if got, err := s.Holds(t.Context(), name); err != nil || got != want {
			t.Errorf("holds %s: %v %v", name, got, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(s.rowsDir(), "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}
