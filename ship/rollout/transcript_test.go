package rollout

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// stories are rollouts as they happen, told by their decisions.
var stories = map[string]func() *world{
	"happy_path": func() *world {
		w := newWorld(mustParse(`{}`), 1)
		w.run(2000)
		return w
	},
	"nan_in_shadow": func() *world {
		w := newWorld(mustParse(`{}`), 2)
		w.canary.invalid = 0.02
		w.run(600)
		return w
	},
	"errors_doubled_at_5": func() *world {
		w := newWorld(mustParse(`stages: [5%, 50%, 100%]`), 3)
		w.canary.errors = 0.02
		w.run(600)
		return w
	},
	"latency_tripled": func() *world {
		w := newWorld(mustParse(`stages: [1%, 10%, 100%]`), 4)
		w.canary.latency = 0.030
		w.run(600)
		return w
	},
	"sample_ratio": func() *world {
		w := newWorld(mustParse(`stages: [50%, 100%]`), 5)
		w.skew = 0.05
		w.run(30)
		w.skew = 0
		_ = w.command(DoAbort, "ada", "the proxy dropped keys with a plus sign")
		return w
	},
	"one_segment": func() *world {
		w := newWorld(mustParse(`stages: [10%, 100%]`), 6)
		w.canary.badSegment = 0.2
		w.run(600)
		return w
	},
	"scores_shifted": func() *world {
		w := newWorld(mustParse(`stages: [10%, 100%]`), 7)
		w.canary.score = 0.1
		w.run(600)
		return w
	},
	"freeze_window": func() *world {
		w := newWorld(mustParse(`
stages: [shadow, 10%, 50%, 100%]
zone: Europe/Berlin
bake: 30m
freeze: [{weekly: mon 11:20 - mon 13:00, why: month-end closing}]
`), 8)
		w.obs.Zone = time.FixedZone("CET", 3600)
		w.run(600)
		return w
	},
	"approval": func() *world {
		w := newWorld(mustParse(`
stages: [10%, {traffic: 50%, approve: true}, {traffic: 100%, approve: true}]
bake: 20m
`), 9)
		w.until(func() bool { return w.state.Held == ReasonApproval })
		w.run(15)
		_ = w.command(DoApprove, "grace", "numbers look fine")
		_ = w.command(DoApprove, "grace", "and for the rest too")
		w.run(300)
		return w
	},
	"low_traffic": func() *world {
		w := newWorld(mustParse(`stages: [{traffic: 5%, max: 4h}, 100%]`), 10)
		w.perMinute = 20
		w.run(300)
		return w
	},
	"undecided_hold":    func() *world { return undecided("hold", 11) },
	"undecided_promote": func() *world { return undecided("promote", 12) },
	"undecided_abort":   func() *world { return undecided("abort", 13) },
	"manual_abort": func() *world {
		w := newWorld(mustParse(`stages: [5%, 100%]`), 14)
		w.run(4)
		_ = w.command(DoPause, "ada", "on the phone with the customer")
		w.run(20)
		_ = w.command(DoResume, "ada", "")
		w.run(2)
		_ = w.command(DoAbort, "ada", "the customer does not want it this week")
		return w
	},
	"promoted_by_hand": func() *world {
		w := newWorld(mustParse(`{stages: [5%, 50%, 100%], bake: 1h}`), 15)
		w.run(3)
		_ = w.command(DoPromote, "ada", "a fix that cannot wait")
		w.run(2)
		_ = w.command(DoPromote, "ada", "")
		w.run(2)
		_ = w.command(DoPromote, "ada", "")
		return w
	},
	"rollback_in_bake": func() *world {
		w := newWorld(mustParse(`{stages: [25%, 100%], bake: 2h}`), 16)
		w.until(func() bool { return w.state.Phase == Baking })
		w.run(30)
		w.canary.errors = 0.08
		w.run(200)
		return w
	},
	"restarted": func() *world {
		w := newWorld(mustParse(`{stages: [shadow, 10%, 100%], bake: 30m}`), 17)
		phase, stage := w.state.Phase, w.state.Stage
		for i := 0; !w.state.Phase.Over(); i++ {
			w.step()
			if w.state.Phase != phase || w.state.Stage != stage { // once in each stage, two minutes into it
				phase, stage = w.state.Phase, w.state.Stage
				w.run(2)
				w.reset()
				w.obs.Epoch += "'"
			}
		}
		return w
	},
	"canary_gone": func() *world {
		w := newWorld(mustParse(`stages: [10%, 100%]`), 18)
		w.run(2)
		w.obs.Unavailable = "its golden vectors differ on this host: output probability by 0.02 where 0.0001 is tolerated"
		w.run(1)
		return w
	},
}

func undecided(verdict string, seed uint64) *world {
	w := newWorld(mustParse(`stages: [{traffic: 10%, max: 2h, slack: 1, undecided: `+verdict+`}, 100%]`), seed)
	w.perMinute = 300
	w.run(150)
	return w
}

func TestTranscripts(t *testing.T) {
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			w := story()
			got := []byte(Explain(w.decisions))
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the story has changed; go test -update rewrites it.\ngot:\n%s\nwant:\n%s", got, want)
			}
			for i, d := range w.decisions {
				if d.Sequence != i+1 {
					t.Errorf("decision %d has the sequence %d", i+1, d.Sequence)
				}
			}
			if _, err := json.Marshal(w.decisions); err != nil {
				t.Errorf("decisions are stored as JSON: %v", err)
			}
		})
	}
}
