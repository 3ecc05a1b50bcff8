package eventlog

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

const crashDirEnv = "FAIRLEAD_EVENTLOG_CRASH_DIR"

// crashChild appends labels without end and prints the id of each one after it was acknowledged.
func crashChild(dir string) {
	ctx := context.Background()
	l, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	kv, err := l.KV(ctx, "state")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	_, rev, err := kv.Get(ctx, "n")
	for i := 0; err == nil; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		label := fairlead.Label{Deployment: "flights", PredictionID: id, Value: "late"}
		if _, err = l.Append(ctx, Labels, id, EncodeLabels([]fairlead.Label{label})); err != nil {
			break
		}
		// Every third message is sent twice, as a client does that saw no answer.
		if i%3 == 0 {
			if _, err = l.Append(ctx, Labels, id, EncodeLabels([]fairlead.Label{label})); err != nil {
				break
			}
		}
		if rev, err = kv.Put(ctx, "n", []byte(id), rev); err == nil {
			fmt.Println("ack", id)
		}
	}
	fmt.Println("error", err)
	os.Exit(1)
}

// TestKilledAtRandomMoments kills a process that appends and checks afterwards that everything acknowledged is there
// exactly once.
func TestKilledAtRandomMoments(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	acked := make(map[string]bool)
	var lastAck string
	for range rounds {
		for _, id := range killedRound(t, dir, time.Duration(rng.IntN(250))*time.Millisecond) {
			acked[id] = true
			lastAck = id
		}
	}
	l := open(t, dir)
	times := make(map[string]int)
	for _, line := range read(t, l, Labels, 0) {
		_, data, _ := strings.Cut(line, " ")
		labels, err := DecodeLabels([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		times[labels[0].PredictionID]++
	}
	for id := range acked {
		if times[id] != 1 {
			t.Errorf("acknowledged label %s is there %d times", id, times[id])
		}
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("label %s is there %d times", id, n)
		}
	}
	// The state may be ahead by the one write whose acknowledgement was not printed any more.
	v, _, err := bucketNamed(t, l, "state").Get(t.Context(), "n")
	if err != nil || times[string(v)] != 1 || position(string(v)) < position(lastAck) {
		t.Errorf("state is at %s, acknowledged was %s (%v)", v, lastAck, err)
	}
	t.Logf("%d acknowledged, %d stored", len(acked), len(times))
	if len(acked) < rounds {
		t.Errorf("only %d labels were acknowledged", len(acked))
	}
}

func bucketNamed(t *testing.T, l *Log, name string) *KV {
	t.Helper()
	kv, err := l.KV(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func position(id string) int {
	var pid, n int
	_, _ = fmt.Sscanf(id, "%d-%d", &pid, &n)
	return n
}

// killedRound runs the child, kills it some time after its first acknowledgement, and gives what it acknowledged.
func killedRound(t *testing.T, dir string, after time.Duration) []string {
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
	var acked []string
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, id, _ := strings.Cut(lines.Text(), " ")
		if word != "ack" {
			t.Errorf("child: %s", lines.Text())
			break
		}
		acked = append(acked, id)
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if timer == nil {
		_ = cmd.Process.Kill()
	} else {
		defer timer.Stop()
	}
	_ = cmd.Wait() // killed
	return acked
}
