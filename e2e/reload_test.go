package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReloadsUnderLoadFailNobody loads the live version again, a thousand times, while clients ask without a pause: not
// one request fails, and the memory that the reloads took is given back.
func TestReloadsUnderLoadFailNobody(t *testing.T) {
	reloads := 1000
	if testing.Short() {
		reloads = 100
	}
	p := start(t, t.TempDir(), freePort(t), "serve", "--record", "none")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	var answered, failed atomic.Int64
	var first atomic.Pointer[string]
	body := []byte(`{"instances":[` + flightRow + `]}`)
	for range 3 {
		done.Go(func() {
			for ctx.Err() == nil {
				if err := ask(p.base+"/v2/models/flights/infer", body); err != nil {
					text := err.Error()
					first.CompareAndSwap(nil, &text)
					failed.Add(1)
				}
				answered.Add(1)
			}
		})
	}
	var memory []int // resident MiB after every twentieth of the reloads
	for i := range reloads {
		if err := ask(p.base+"/v2/repository/models/flights/load", nil); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
		if (i+1)%(reloads/20) == 0 {
			memory = append(memory, p.resident(t))
		}
	}
	stop()
	done.Wait()
	t.Logf("%d requests answered during %d reloads; resident MiB: %v", answered.Load(), reloads, memory)
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first with: %s", n, answered.Load(), *first.Load())
	}
	if answered.Load() < int64(reloads) {
		t.Errorf("only %d requests during %d reloads: there was no load", answered.Load(), reloads)
	}
	// The heap settles in the first quarter. A model of this size takes megabytes: kept, a thousand would be gigabytes.
	early, late := median(memory[3:9]), median(memory[14:])
	if late > early+early/4+16 {
		t.Errorf("resident memory grew from %d to %d MiB", early, late)
	}
	p.stop()
}

// flightRow is one row of the flights model.
const flightRow = `{"hour":14.5,"weekday":2,"distance":733,"departures":12,"origin":"ATL","destination":"ORD"}`

// ask posts and reads the answer; whatever is not 200 is an error.
func ask(url string, body []byte) error {
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

func median(values []int) int {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// resident is the process's memory in MiB, as the kernel counts it.
func (p *process) resident(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("the memory of a process is read from /proc: %v", err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatal("no VmRSS in /proc")
	return 0
}
