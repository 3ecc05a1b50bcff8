package evalstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// crowded fills a day with files: rows of it come late, again and again.
func crowded(t testing.TB, s *Store, files int) *feed {
	t.Helper()
	f := days(t, s, 3)
	moveAll(t, s)
	for i := range files - 1 {
		f.rows(flights, flight(fmt.Sprint("late", i), march.Add(time.Duration(i)*time.Hour), 4, 0.2))
		moveAll(t, s)
	}
	return f
}

func TestManyFilesOfADayAreMerged(t *testing.T) {
	s := open(t, t.TempDir())
	crowded(t, s, 4)
	before := logical(t, s)
	files := `SELECT date::VARCHAR, count(*), sum(rows) FROM partitions WHERE gone IS NULL GROUP BY ALL ORDER BY ALL`
	expect(t, "files", table(t, s, files), "2001-03-01 4 55\n2001-03-02 1 43")
	now := march.AddDate(1, 0, 0)
	m, err := s.Compact(t.Context(), now)
	if err != nil || m.Files != 1 || m.Freed != 4 {
		t.Errorf("merged: %+v %v", m, err)
	}
	expect(t, "files", table(t, s, files), "2001-03-01 1 55\n2001-03-02 1 43")
	expect(t, "after", logical(t, s), before)
	on := func() int {
		found, _ := filepath.Glob(filepath.Join(s.rowsDir(), "*", "*", "*"))
		return len(found)
	}
	if n := on(); n != 6 {
		t.Errorf("%d files; the old ones stay for the queries that read them", n)
	}
	if m, err := s.Compact(t.Context(), now.Add(graceOfFiles+time.Second)); err != nil || m != (Moved{}) {
		t.Errorf("again: %+v %v", m, err)
	}
	if n := on(); n != 2 {
		t.Errorf("%d files in the end", n)
	}
	noOrphans(t, s, true)
}

func TestStoppedWhileMerging(t *testing.T) {
	for _, at := range []string{"written", "renamed", "before the commit", "committed"} {
		t.Run(at, func(t *testing.T) {
			dir, crashed := t.TempDir(), filepath.Join(t.TempDir(), "crashed")
			s := open(t, dir)
			crowded(t, s, 4)
			before := logical(t, s)
			s.atStep = func(name string) error {
				if name != at {
					return nil
				}
				if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
					t.Error(err)
				}
				return errStopped
			}
			if _, err := s.Compact(t.Context(), march); err == nil {
				t.Fatal("not stopped")
			}
			s.atStep = nil
			expect(t, "after the failure", logical(t, s), before)
			c := open(t, crashed)
			expect(t, "after the crash", logical(t, c), before)
			noOrphans(t, c, true)
			if _, err := c.Compact(t.Context(), march); err != nil {
				t.Fatal(err)
			}
			expect(t, "merged at last", logical(t, c), before)
		})
	}
}

// TestFreeSpaceIsGivenBack: what moved into files leaves no hole in the store's own file.
func TestFreeSpaceIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	tr := &traffic{feed: newFeed(t, s), rng: rand.New(rand.NewPCG(5, 6)), id: uuidOf}
	for range 3 {
		tr.send(eventlog.Predictions, tr.rowMessages(40_000)...)
		tr.send(eventlog.Labels, tr.labelMessages(tr.n-40_000, 40_000)...)
	}
	size := func() int64 {
		st, err := os.Stat(filepath.Join(dir, "store.duckdb"))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	if err := s.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	full, counts := size(), `SELECT (SELECT count(*) FROM predictions), (SELECT count(*) FROM outcomes), (SELECT sum(seq) FROM labels)`
	before := table(t, s, counts)
	moveAll(t, s)
	if err := s.giveBack(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	expect(t, "rows, outcomes, labels", table(t, s, counts), before)
	t.Logf("%d MB, after the move %d MB", full>>20, size()>>20)
	tr.send(eventlog.Predictions, tr.rowMessages(1000)...)
	tr.send(eventlog.Labels, tr.labelMessages(tr.n-1000, 1000)...)
	expect(t, "and it goes on", table(t, s, `SELECT count(*) FROM outcomes`), "121000")
}

func TestRetention(t *testing.T) {
	s := open(t, t.TempDir())
	f := days(t, s, 5)
	f.labels(fairlead.Label{Deployment: "flights", Key: "N1", Value: "late", Time: march.Add(8 * time.Hour), Received: march.Add(200 * time.Hour)})
	f.send(eventlog.Profiles, eventlog.EncodeProfiles([]eventlog.ProfileDelta{{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Minute: march, Counts: []byte{1}}}))
	moveAll(t, s)
	counts := func() string {
		return table(t, s, `SELECT (SELECT count(*) FROM predictions), (SELECT count(*) FROM outcomes), (SELECT count(*) FROM labels),
			(SELECT count(*) FROM events), (SELECT count(*) FROM partitions WHERE gone IS NULL), (SELECT count(*) FROM profiles)`)
	}
	expect(t, "at first", counts(), "215 11 11 5 4 1")
	retain := func(k Keep, now time.Time) []Dropped {
		t.Helper()
		d, err := s.Retain(t.Context(), k, now)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := retain(Keep{}, march.AddDate(100, 0, 0)); d != nil {
		t.Errorf("without limits: %+v", d)
	}
	if d := retain(Keep{Age: 24 * time.Hour, Each: map[fairlead.Name]KeepRows{"flights": {Age: 7 * 24 * time.Hour}}}, march.AddDate(0, 0, 7)); d != nil {
		t.Errorf("a deployment's own age: %+v", d)
	}
	d := retain(Keep{Age: 7 * 24 * time.Hour, Profiles: 30 * 24 * time.Hour}, march.AddDate(0, 0, 8).Add(5*time.Hour))
	if len(d) != 1 || d[0].Rows != 43 || d[0].Labels != 3 || d[0].Events != 1 || d[0].Files != 1 || d[0].Why != "age" || !d[0].Before.Equal(march.AddDate(0, 0, 1)) {
		t.Errorf("by age: %+v", d)
	}
	expect(t, "a day less", counts(), "172 8 8 4 3 1")
	var sizes [2]uint64
	if err := s.db.QueryRowContext(t.Context(), `SELECT sum(bytes), max(bytes) FROM partitions WHERE gone IS NULL`).Scan(&sizes[0], &sizes[1]); err != nil {
		t.Fatal(err)
	}
	d = retain(Keep{Bytes: sizes[0] - sizes[1] - 1}, march)
	if len(d) != 1 || d[0].Why != "bytes" || d[0].Files != 2 || d[0].Rows != 86 || d[0].Bytes == 0 {
		t.Errorf("by bytes: %+v", d)
	}
	d = retain(Keep{Age: time.Hour, Profiles: time.Hour}, march.AddDate(0, 0, 100))
	if len(d) != 1 || d[0].Rows != 86 || d[0].Files != 1 {
		t.Errorf("hot rows too: %+v", d)
	}
	expect(t, "all gone", counts(), "0 0 0 0 0 0")
	expect(t, "lines of what went", table(t, s, `SELECT deployment, before, why, rows, labels, events, files FROM dropped ORDER BY before`),
		"flights 03-02 00:00 age 43 3 1 1\nflights 03-04 00:00 bytes 86 4 2 2\nflights 06-08 00:00 age 86 4 2 1")
	if c, err := s.Changes(t.Context()); err != nil || len(c) != 0 {
		t.Errorf("hours without rows are to be evaluated: %v %v", c, err)
	}
	if _, err := s.Compact(t.Context(), march.AddDate(0, 0, 101)); err != nil {
		t.Fatal(err)
	}
	noOrphans(t, s, true)
	f.rows(flights, flight("new", march.AddDate(0, 0, 200), 1, 0.5))
	expect(t, "and it goes on", counts(), "1 0 0 0 0 0")
}
