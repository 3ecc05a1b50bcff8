package evalstore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

const (
	crashDirEnv = "FAIRLEAD_EVALSTORE_CRASH_DIR"
	secondEnv   = "FAIRLEAD_EVALSTORE_SECOND"
)

var crashStreams = []eventlog.Stream{eventlog.Predictions, eventlog.Labels, eventlog.Events}

// crashChild opens the log and the store in dir, ingests rows, labels and events, moves closed days into files and appends
// more all the while, until it is killed.
// With secondEnv it only tries to open the store.
func crashChild(dir string) {
	ctx := context.Background()
	if err := ingestForever(ctx, dir); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

func ingestForever(ctx context.Context, dir string) error {
	s, err := Open(ctx, Options{Dir: filepath.Join(dir, "store"), MemoryMB: 300})
	if err != nil {
		return err
	}
	if os.Getenv(secondEnv) != "" {
		return nil
	}
	log, err := eventlog.Open(ctx, eventlog.Options{Dir: filepath.Join(dir, "log")})
	if err != nil {
		return err
	}
	for _, stream := range crashStreams {
		at, err := s.Position(ctx, string(stream))
		if err != nil {
			return err
		}
		go func() {
			err := log.Follow(ctx, stream, at, 3, func(msgs []eventlog.Message) error {
				return s.Ingest(ctx, string(stream), msgs)
			})
			fmt.Println("error", err)
			os.Exit(1)
		}()
	}
	go func() {
		for {
			if _, err := s.MoveClosed(ctx, 0); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
		}
	}()
	fmt.Println("ready")
	for i := 0; ; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		p := flight(id, march.Add(time.Duration(i)*2*time.Hour), 3, 0.3)
		row, err := eventlog.EncodePredictions([]*fairlead.Prediction{p}, flights)
		if err != nil {
			return err
		}
		labels := eventlog.EncodeLabels([]fairlead.Label{label(id+".0", "late", i), label(id+".2", "late", 0)})
		// One event for each of two rows, and one that corrects another of the message before.
		events := []fairlead.BusinessEvent{revenue(id+".0", 1, i), revenue(id+".1", 2, i), revenue(id+".2", float64(i), i)}
		events[2].ID = fmt.Sprintf("%d-%d", os.Getpid(), i/2)
		first, second := func() error {
			_, err := log.Append(ctx, eventlog.Predictions, id, row)
			return err
		}, func() error {
			if _, err := log.Append(ctx, eventlog.Labels, id, labels); err != nil {
				return err
			}
			_, err := log.Append(ctx, eventlog.Events, id, eventlog.EncodeEvents(events))
			return err
		}
		if i%2 == 1 { // labels before rows
			first, second = second, first
		}
		if err := first(); err != nil {
			return err
		}
		if err := second(); err != nil {
			return err
		}
	}
}

func secondProcess(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	parent := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(parent, "store")); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), crashDirEnv+"="+parent, secondEnv+"=1")
	out, _ := cmd.CombinedOutput() // it is expected to fail
	return string(out)
}

// TestKilledWhileIngesting kills a process that ingests, some times over, then ingests the rest, and counts: every
// row and every label of the log is in the store exactly once, and each outcome is there.
func TestKilledWhileIngesting(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	for range rounds {
		killedIngest(t, dir, time.Duration(300+rng.IntN(900))*time.Millisecond)
	}
	s := open(t, filepath.Join(dir, "store"))
	log, err := eventlog.Open(t.Context(), eventlog.Options{Dir: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ahead := make(map[eventlog.Stream]uint64)
	logged := make(map[eventlog.Stream]uint64)
	for _, stream := range crashStreams {
		at, err := s.Position(t.Context(), string(stream))
		if err != nil {
			t.Fatal(err)
		}
		last, err := log.Last(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if at > last {
			t.Fatalf("%s: the store is at %d, the log ends at %d", stream, at, last)
		}
		ahead[stream], logged[stream] = last-at, last
		catchUp(t, log, s, stream, at, last)
	}
	t.Logf("messages %v, left to ingest after the last kill %v", logged, ahead)
	expect(t, "rows", table(t, s, `SELECT count(*), count(DISTINCT prediction_id) FROM predictions`),
		fmt.Sprintf("%d %d", 3*logged[eventlog.Predictions], 3*logged[eventlog.Predictions]))
	expect(t, "labels", table(t, s, `SELECT count(*), count(DISTINCT prediction_id) FROM labels`),
		fmt.Sprintf("%d %d", 2*logged[eventlog.Labels], 2*logged[eventlog.Labels]))
	expect(t, "outcomes against a join of their parts", table(t, s, `
		SELECT (SELECT count(*) FROM outcomes) - (SELECT count(*) FROM predictions JOIN labels USING (deployment, prediction_id)),
			(SELECT count(*) - count(DISTINCT seq) FROM outcomes)`), "0 0")
	killed := table(t, s, `SELECT count(DISTINCT id) FROM events`)
	expect(t, "events", table(t, s, `SELECT count(*) - count(id), count(DISTINCT seq) - count(*), count(id), count(*) - count(row_seq) FROM events`),
		fmt.Sprintf("%d 0 %s %s", 2*logged[eventlog.Events], killed,
			table(t, s, `SELECT count(*) FROM events WHERE prediction_id NOT IN (SELECT prediction_id FROM predictions)`)))
	expect(t, "events against their predictions", table(t, s, `SELECT count(*) FROM events e JOIN predictions p ON e.row_seq = p.seq
		WHERE e.prediction_id <> p.prediction_id OR e.version <> p.version`), "0")
	expect(t, "hours", table(t, s, `SELECT sum(rows), sum(labelled) FROM hours`),
		table(t, s, `SELECT (SELECT count(*) FROM predictions), (SELECT count(*) FROM outcomes)`))
	noOrphans(t, s, true)
	expect(t, "rows in files", table(t, s, `SELECT sum(rows) > 0 FROM partitions`), "true")
	t.Log("files, rows in them, rows:", table(t, s, `SELECT count(*), sum(rows), (SELECT count(*) FROM predictions) FROM partitions`))
	if logged[eventlog.Predictions] < uint64(rounds) {
		t.Errorf("only %v messages in %d rounds", logged, rounds)
	}
}

func catchUp(t *testing.T, log *eventlog.Log, s *Store, stream eventlog.Stream, at, last uint64) {
	t.Helper()
	if at == last {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := log.Follow(ctx, stream, at, 1000, func(msgs []eventlog.Message) error {
		if msgs[len(msgs)-1].Seq >= last {
			cancel()
		}
		return s.Ingest(t.Context(), string(stream), msgs)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func killedIngest(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() != "ready" {
			t.Errorf("child: %s", strings.TrimSpace(lines.Text()))
			continue
		}
		timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	_ = cmd.Wait() // killed
}
