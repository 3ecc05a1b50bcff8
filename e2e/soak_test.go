package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 0, "how long TestSoak loads the server; `make soak` gives an hour")

// TestSoak keeps a server under a steady mix for a long time: rows of many sizes, with recording, bad requests, clients
// that hang up, and a reload now and then. Its memory must not grow: the median of the last quarter stays within a
// tenth and 32 MiB of the second quarter's. The profiles fill up in the first, and the store's memory, which --store-mb
// bounds: with the default that would take many hours.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("takes as long as it is told: go test ./e2e -run TestSoak -timeout 2h -soak 1h")
	}
	p := start(t, t.TempDir(), freePort(t), "serve", "--store-mb", "256")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	ctx, stop := context.WithTimeout(t.Context(), *soak)
	defer stop()
	var done sync.WaitGroup
	var answered, refused, failed atomic.Int64
	for worker := range 4 {
		rng := rand.New(rand.NewPCG(1, uint64(worker)))
		done.Go(func() {
			for ctx.Err() == nil {
				good := rng.IntN(50) > 0
				err := ask(p.base+"/v2/models/flights/infer", soakBody(rng, good))
				switch {
				case err == nil:
					answered.Add(1)
				case !good && strings.Contains(err.Error(), "400"):
					refused.Add(1)
				case ctx.Err() == nil:
					if failed.Add(1) == 1 {
						t.Errorf("%v; the server wrote:\n%s", err, tail(p.output.String()))
					}
					stop()
				}
				time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
			}
		})
	}
	const samples = 60
	var memory []int
	tick := time.NewTicker(*soak / samples)
	defer tick.Stop()
	for len(memory) < samples-1 && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			continue
		}
		memory = append(memory, p.resident(t))
		if err := ask(p.base+"/v2/repository/models/flights/load", nil); err != nil {
			t.Errorf("reload: %v", err)
		}
	}
	stop()
	done.Wait()
	if len(memory) < samples-1 {
		t.Fatalf("ended after %d of %d samples; resident MiB: %v", len(memory), samples-1, memory)
	}
	early, late := median(memory[samples/4:samples/2]), median(memory[samples*3/4:])
	t.Logf("%s: %d answered, %d refused, %d failed; resident MiB: %v", *soak, answered.Load(), refused.Load(), failed.Load(), memory)
	if late > early+early/10+32 {
		t.Errorf("resident memory grew from %d to %d MiB", early, late)
	}
	p.stop()
}

// soakBody is 1 to 16 rows; a bad one has a word where a number belongs.
func soakBody(rng *rand.Rand, good bool) []byte {
	rows := make([]string, 1+rng.IntN(16))
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"hour":%.3f,"weekday":%d,"distance":%d,"departures":%d,"origin":"ATL","destination":"ORD"}`,
			rng.Float64()*24, rng.IntN(7), rng.IntN(3000), rng.IntN(60))
	}
	if !good {
		rows[0] = `{"hour":"noon"}`
	}
	return []byte(`{"instances":[` + strings.Join(rows, ",") + `]}`)
}
