package evalstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// swollen is a closed store with three days in it, and much free space in the middle of its file.
func swollen(t *testing.T) (dir, before string, size int64, f *feed) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir)
	f = days(t, s, 3)
	moveAll(t, s)
	if err := s.write(t.Context(), func(x *tx) error {
		_, err := x.exec(`CREATE TABLE junk AS SELECT range AS i, hash(range) AS h, md5(range::VARCHAR) AS m FROM range(400000)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.rows(flights, flight("late", march, 3, 0.2)) // after the junk: what is behind it keeps the file's end
	if err := s.write(t.Context(), func(x *tx) error {
		_, err := x.exec(`CREATE TABLE keeper AS SELECT range AS i FROM range(100)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), func(x *tx) error { _, err := x.exec(`DROP TABLE junk`); return err }); err != nil {
		t.Fatal(err)
	}
	before = logical(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, "store.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() < 2*renewLeast {
		t.Fatalf("the store has only %d bytes", st.Size())
	}
	return dir, before, st.Size(), f
}

// A start gives back what is free in the store's file, and all that was in it is there and goes on.
func TestRenewed(t *testing.T) {
	dir, before, size, f := swollen(t)
	s := open(t, dir)
	expect(t, "written anew", logical(t, s), before)
	st, err := os.Stat(filepath.Join(dir, "store.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > size/2 {
		t.Errorf("%d of %d bytes are left", st.Size(), size)
	}
	f.s = s
	rows := table(t, s, `SELECT count(*) FROM predictions`)
	f.rows(flights, flight("after", march, 3, 0.1))
	if now := table(t, s, `SELECT count(*) FROM predictions`); now == rows {
		t.Error("it does not go on")
	}
	if _, err := os.Stat(filepath.Join(dir, "store.duckdb"+newFile)); !os.IsNotExist(err) {
		t.Error("the new file was left behind")
	}
}

// A stop at any point leaves the old file or the new one, whole.
func TestStoppedWhileRenewing(t *testing.T) {
	for _, at := range []string{"written anew", "renamed"} {
		t.Run(at, func(t *testing.T) {
			dir, before, _, _ := swollen(t)
			crashed := filepath.Join(t.TempDir(), "crashed")
			path := filepath.Join(dir, "store.duckdb")
			s := open(t, t.TempDir()) // for its options
			err := renew(t.Context(), path, s.opt, func(name string) error {
				if name != at {
					return nil
				}
				if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
					t.Error(err)
				}
				return errStopped
			})
			if !errors.Is(err, errStopped) {
				t.Fatalf("stopped: %v", err)
			}
			for what, d := range map[string]string{"after the failure": dir, "after the crash": crashed} {
				s := open(t, d)
				expect(t, what, logical(t, s), before)
			}
		})
	}
}

// A file that is no store, or half of one written anew, keeps nobody from starting with what is whole.
func TestNothingToRenew(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store.duckdb"+newFile), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	days(t, s, 1)
	before := logical(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, "again", logical(t, open(t, dir)), before)
}
