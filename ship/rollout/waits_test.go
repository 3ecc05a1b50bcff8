package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// A hold is decided once, but what it waits for is said with the numbers of the moment.
func TestWaitsWithTheNumbersOfNow(t *testing.T) {
	p, err := Parse([]byte("stages: [{traffic: 10%, requests: 200, time: 1s}, 100%]"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	s, _ := Start(p, now, "ada", "")
	s, _ = Step(p, s, Observation{Now: now})
	counted := func(n uint64) *fairlead.Tally {
		var c fairlead.Tally
		for i := range c.Buckets {
			c.Buckets[i].Requests = n / uint64(len(c.Buckets))
		}
		c.Buckets[0].Requests += n % uint64(len(c.Buckets))
		return &c
	}
	at := func(seconds int, canary uint64) Observation {
		return Observation{Now: now.Add(time.Duration(seconds) * time.Second), Live: counted(9 * canary), Canary: counted(canary)}
	}
	if text := Waits(p, s, at(2, 50)); text != "" {
		t.Errorf("before anything was held: %q", text)
	}
	held, decisions := Step(p, s, at(2, 50))
	if len(decisions) != 1 || decisions[0].Action != ActHold {
		t.Fatalf("%+v", decisions)
	}
	if again, more := Step(p, held, at(3, 120)); len(more) != 0 || again.Sequence != held.Sequence {
		t.Errorf("said twice: %+v", more)
	}
	for n, want := range map[uint64]string{50: "50 of the 200 requests", 120: "120 of the 200 requests"} {
		if text := Waits(p, held, at(3, n)); !strings.Contains(text, want) {
			t.Errorf("%q, want %q in it", text, want)
		}
	}
}
