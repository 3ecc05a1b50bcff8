package batch

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// TestTranscripts plays testdata/*.txt: lines that start at the margin are what happens, indented ones what is decided.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want) {
				t.Errorf("the decisions are not those of %s; run go test -update and look at the difference. Now:\n%s", file, got)
			}
		})
	}
}

// stage plays one transcript.
type stage struct {
	t       *testing.T
	core    core
	queues  map[string]*queue
	tickets map[string]*ticket
	names   map[*ticket]string
	runs    map[string]*run // by the first member's name
	out     strings.Builder
	now     time.Duration
}

func play(t *testing.T, script string) string {
	s := &stage{t: t, queues: map[string]*queue{}, tickets: map[string]*ticket{}, names: map[*ticket]string{}, runs: map[string]*run{}}
	s.core = core{slots: 1, patience: time.Second, aging: 2 * time.Second}
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		s.out.WriteString(line)
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		s.line(fields)
	}
	return s.out.String()
}

func (s *stage) say(format string, args ...any) { fmt.Fprintf(&s.out, "    "+format+"\n", args...) }

// options reads key=value fields.
func options(fields []string) map[string]string {
	o := map[string]string{}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		o[k] = v
	}
	return o
}

func (s *stage) duration(text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *stage) number(text string, or int) int {
	if text == "" {
		return or
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *stage) line(f []string) {
	switch f[0] {
	case "cores":
		s.core.slots = s.number(f[1], 0)
		return
	case "model":
		o := options(f[2:])
		q := &queue{
			name: f[1], weight: s.number(o["threads"], 1), largest: s.number(o["max"], 1), most: s.number(o["queue"], 1024),
			delay: s.duration(o["delay"]), lanes: map[string]*lane{},
		}
		q.cost.seed(route.Cost{Fixed: s.duration(o["fixed"]), PerRow: s.duration(o["row"]), Residual: s.duration(o["residual"])}, q.largest)
		q.limit = q.cost.limit(q.largest)
		s.queues[f[1]] = q
		s.say("up to %d rows together", q.limit)
		return
	}
	s.now = s.duration(f[0])
	switch f[1] {
	case "ask":
		s.ask(f[2], f[3], options(f[4:]))
	case "end":
		r := s.runs[f[2]]
		if r == nil {
			s.t.Errorf("%s has no run at %v", f[2], s.now)
			return
		}
		delete(s.runs, f[2])
		s.core.finish(r, s.now-r.started, true)
	case "leave":
		s.core.remove(s.tickets[f[2]])
	case "look":
	default:
		s.t.Fatalf("what is %q?", f[1])
	}
	s.decide()
}

func (s *stage) ask(name, model string, o map[string]string) {
	q := s.queues[model]
	t := &ticket{queue: q, rows: s.number(o["rows"], 1), shape: o["shape"], priority: s.number(o["priority"], 0), deadline: never}
	if q.largest <= 1 {
		t.setAlone()
	} else if t.shape == "" {
		t.shape = "usual"
	}
	if r := s.core.begin(q, t.rows, s.now); r != nil {
		s.runs[name] = r
		s.say("%s runs at once, %v", name, r.expected.Round(time.Microsecond))
		return
	}
	if d := o["deadline"]; d != "" {
		t.deadline = s.now + s.duration(d)
	}
	s.tickets[name], s.names[t] = t, name
	if err := s.core.admit(t, s.now); err != nil {
		var e *fairlead.Error
		if !errors.As(err, &e) {
			s.t.Fatal(err)
		}
		s.say("refused with %s, %s, again in %v: %s", e.Code, e.Reason, e.Retry, e.Message)
		return
	}
	s.say("%s waits", name)
}

func (s *stage) decide() {
	for {
		r, dropped := s.core.next(s.now)
		for _, t := range dropped {
			s.say("%s is dropped", s.names[t])
		}
		if r == nil {
			break
		}
		var names []string
		for _, t := range r.members {
			names = append(names, s.names[t])
		}
		s.runs[names[0]] = r
		s.say("%s: %d rows run, %v", strings.Join(names, " "), r.rows, r.expected.Round(time.Microsecond))
	}
	if at := s.core.wake(s.now); at != never {
		s.say("looks again at %v", at.Round(time.Microsecond))
	}
}
