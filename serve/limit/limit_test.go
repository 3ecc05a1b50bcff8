package limit_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/limit"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// TestTranscripts plays the stories of testdata: each line of the form "@12.5s ann flights" is a request at that time, "end
// ann" ends that client's oldest one, "limits NAME" changes the limits. What happens is written behind "→".
func TestTranscripts(t *testing.T) {
	configs := map[string]limit.Config{
		"none": {},
		"rate": {Clients: []limit.Rule{
			{Match: "batch-*", Rate: 0.5},
			{Match: "ann", Rate: 2, Burst: 3},
			{Match: "operator"}, // before "*": not limited
			{Match: "*", Rate: 1},
		}},
		"concurrency": {
			Clients: []limit.Rule{{Match: "*", Concurrency: 2}},
			Models:  []limit.Rule{{Match: "flights", Concurrency: 3}},
		},
		"both": {
			Clients: []limit.Rule{{Match: "*", Rate: 10, Burst: 2}},
			Models:  []limit.Rule{{Match: "flights", Rate: 1}},
		},
		"three": {Clients: []limit.Rule{{Match: "*", Rate: 1, Concurrency: 1}}, Tracked: 3},
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want), configs)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), got); diff != "" && !*update {
				t.Error(diff)
			}
		})
	}
}

func play(t *testing.T, story string, configs map[string]limit.Config) string {
	start := time.Unix(1_000_000_000, 0)
	now := start
	l, err := limit.New(limit.Config{}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	underWay := map[string][]func(){}
	var out strings.Builder
	for line := range strings.Lines(story) {
		text, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "→")
		text = strings.TrimRight(text, " ")
		words := strings.Fields(text)
		result := ""
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "limits":
			if err := l.Set(configs[words[1]]); err != nil {
				t.Fatal(err)
			}
		case words[0] == "end":
			ends := underWay[words[1]]
			ends[0]()
			ends[0]() // again, without effect
			underWay[words[1]] = ends[1:]
		default:
			at, err := time.ParseDuration(strings.TrimPrefix(words[0], "@"))
			if err != nil {
				t.Fatal(err)
			}
			now = start.Add(at)
			release, err := l.Acquire(strings.Trim(words[1], `"`), words[2])
			result = "begins"
			if err == nil {
				underWay[words[1]] = append(underWay[words[1]], release)
			} else {
				var e *fairlead.Error
				if !errors.As(err, &e) || e.Code != fairlead.CodeExhausted {
					t.Fatal(err)
				}
				result = fmt.Sprintf("%s, retry in %v: %v", e.Reason, e.Retry, err)
			}
		}
		if result != "" {
			text = fmt.Sprintf("%-26s → %s", text, result)
		}
		out.WriteString(text + "\n")
	}
	return out.String()
}

func TestBadConfig(t *testing.T) {
	for want, r := range map[string]limit.Rule{
		`pattern "[a" cannot be read`:      {Match: "[a", Rate: 1},
		`pattern "" cannot be read`:        {Rate: 1},
		`"*" has a rate of -1`:             {Match: "*", Rate: -1},
		`"*" has a rate of NaN`:            {Match: "*", Rate: math.NaN()},
		`"*" has a rate of +Inf`:           {Match: "*", Rate: math.Inf(1)},
		`"x" has a negative burst`:         {Match: "x", Burst: -1},
		`"y" has a negative burst or conc`: {Match: "y", Concurrency: -1},
	} {
		for _, c := range []limit.Config{{Clients: []limit.Rule{r}}, {Models: []limit.Rule{r}}} {
			_, err := limit.New(c, time.Now)
			if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", r, err, want)
			}
		}
	}
	l, err := limit.New(limit.Config{Clients: []limit.Rule{{Match: "*", Concurrency: 1}}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Set(limit.Config{Clients: []limit.Rule{{Match: "*", Rate: -1}}}); err == nil {
		t.Error("a wrong change was taken")
	}
	if _, err := l.Acquire("a", "m"); err != nil {
		t.Error(err)
	}
	if _, err := l.Acquire("a", "m"); err == nil {
		t.Error("the limits did not stay as they were")
	}
}

// TestConcurrent: however many ask at once and while limits change, never more are under way than allowed, the rate holds,
// and in the end nothing is left counted.
func TestConcurrent(t *testing.T) {
	const most = 5
	var clock, underWay, peak, begun, refused atomic.Int64
	start := time.Unix(1_000_000_000, 0)
	now := func() time.Time { return start.Add(time.Duration(clock.Add(int64(10 * time.Microsecond)))) }
	l, err := limit.New(limit.Config{Models: []limit.Rule{{Match: "m", Concurrency: most, Rate: 50_000, Burst: 1}}}, now)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				if g == 0 && i%100 == 0 { // the model's limits stay, the clients' come and go
					if err := l.Set(limit.Config{Models: []limit.Rule{{Match: "m", Concurrency: most, Rate: 50_000, Burst: 1}},
						Clients: []limit.Rule{{Match: fmt.Sprint(i % 3), Rate: 1e9, Concurrency: 100}}}); err != nil {
						t.Error(err)
					}
				}
				release, err := l.Acquire(fmt.Sprint(i%7), "m")
				if err != nil {
					refused.Add(1)
					continue
				}
				begun.Add(1)
				n := underWay.Add(1)
				for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
				}
				if i%3 == 0 {
					time.Sleep(time.Microsecond)
				}
				underWay.Add(-1)
				release()
			}
		})
	}
	wg.Wait()
	allowed := int64(time.Duration(clock.Load()).Seconds()*50_000) + 1
	t.Logf("%d began, %d refused, %d at once at most, %d allowed by the rate", begun.Load(), refused.Load(), peak.Load(), allowed)
	if peak.Load() > most || begun.Load() > allowed || begun.Load() < 100 || refused.Load() < 100 {
		t.Error("the limits did not hold, or nothing happened")
	}
	clock.Add(int64(time.Hour))
	for range most { // all places are free again
		clock.Add(int64(time.Second))
		if _, err := l.Acquire("x", "m"); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkAcquire(b *testing.B) {
	for name, c := range map[string]limit.Config{
		"off":  {},
		"rate": {Clients: []limit.Rule{{Match: "*", Rate: 1e9}}},
		"all": {Clients: []limit.Rule{{Match: "*", Rate: 1e9, Concurrency: 100}},
			Models: []limit.Rule{{Match: "*", Rate: 1e9, Concurrency: 100}}},
	} {
		b.Run(name, func(b *testing.B) {
			l, err := limit.New(c, time.Now)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				release, err := l.Acquire("ann", "flights")
				if err != nil {
					b.Fatal(err)
				}
				release()
			}
		})
	}
}
