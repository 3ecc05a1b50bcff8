package evalstore

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// While a store is written anew, another process that opens it is refused, and the file being written stays.
func TestRenewingKeepsOthersOut(t *testing.T) {
	dir, before, _, _ := swollen(t)
	path := filepath.Join(dir, "store.duckdb")
	opt := open(t, t.TempDir()).opt
	opt.Dir = dir
	said := ""
	if err := renew(t.Context(), path, opt, func(name string) error {
		if name == "written anew" {
			said = secondProcess(t, dir)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "another fairlead") {
		t.Errorf("the second process said %q", said)
	}
	expect(t, "written anew", logical(t, open(t, dir)), before)
}

// TestKilledWhileRenewing kills processes that open a store with much to give back: it is whole after each.
func TestKilledWhileRenewing(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	dir, before, _, _ := swollen(t)
	rng := rand.New(rand.NewPCG(5, 6))
	halfway := 0
	for range rounds {
		parent := t.TempDir()
		if err := os.CopyFS(filepath.Join(parent, "store"), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDirEnv+"="+parent, secondEnv+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		made := filepath.Join(parent, "store", "store.duckdb"+newFile)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }() // killed
		for waiting := true; waiting; {
			select {
			case <-done:
				waiting = false
			case <-time.After(time.Millisecond):
				_, err := os.Stat(made)
				waiting = err != nil
			}
		}
		time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		<-done
		if _, err := os.Stat(made); err == nil {
			halfway++
		}
		s := open(t, filepath.Join(parent, "store"))
		moved := logical(t, s)
		expect(t, "after the kill", strings.ReplaceAll(moved, parent, dir), before)
		if _, err := os.Stat(made); err == nil {
			t.Error("the half-written file was left behind")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d processes were killed with the new file half written", halfway, rounds)
}
