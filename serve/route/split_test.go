package route_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

func split(t testing.TB, salt string, weights ...float64) *route.Split {
	t.Helper()
	o := route.SplitOptions{ID: "test", Salt: salt}
	for i, w := range weights {
		o.Arms = append(o.Arms, route.Arm{Name: fmt.Sprintf("arm-%d", i), Weight: w, Target: &route.Target{Version: fairlead.Version(i + 2)}})
	}
	s, err := route.NewSplit(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keys are such as clients have: numbers that count up, and ids drawn at random.
func keys(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]string, 0, n)
	for i := range n / 2 {
		all = append(all, fmt.Sprintf("user-%d", i), fmt.Sprintf("%016x", r.Uint64()))
	}
	return all
}

// TestAssignmentIsUniform checks by chi-square that arms get their shares: one key in a million would exceed the bound.
func TestAssignmentIsUniform(t *testing.T) {
	for _, weights := range [][]float64{{0.5}, {0.01}, {0.25, 0.25, 0.25}, {0.1, 0.2, 0.3}, {0.05, 0.95}} {
		for _, salt := range []string{"", "rollout-1", "rollout-2", "flights/7"} {
			s := split(t, salt, weights...)
			counts := make([]float64, len(weights)+1)
			all := keys(20_000)
			for _, k := range all {
				counts[s.Assign(k)]++
			}
			rest, chi2, cells := 1.0, 0.0, 0
			for i := range counts {
				share := rest
				if i < len(weights) {
					share = weights[i]
					rest -= share
				}
				if expected := share * float64(len(all)); expected > 1e-6 {
					chi2 += (counts[i] - expected) * (counts[i] - expected) / expected
					cells++
				} else if counts[i] > 0 {
					t.Errorf("weights %v: an arm with none of the traffic got %v keys", weights, counts[i])
				}
			}
			if p := 1 - (distuv.ChiSquared{K: float64(cells - 1)}).CDF(chi2); p < 1e-6 {
				t.Errorf("weights %v, salt %q: counts %v, chi² %.1f, p %.2g", weights, salt, counts, chi2, p)
			}
		}
	}
}

// TestRampIsMonotone raises a canary from nothing to all: a key that has once seen it goes on seeing it, and two servers
// that know the salt agree on every key.
func TestRampIsMonotone(t *testing.T) {
	all := keys(5_000)
	seen := map[string]bool{}
	for _, w := range []float64{0, 0.001, 0.01, 0.05, 0.25, 0.5, 0.9, 1} {
		s, other := split(t, "salt", w), split(t, "salt", w)
		n := 0
		for _, k := range all {
			arm := s.Assign(k)
			if arm != other.Assign(k) {
				t.Fatalf("weight %v: two servers differ on %q", w, k)
			}
			if arm == 0 {
				n++
				seen[k] = true
			} else if seen[k] {
				t.Fatalf("weight %v: %q went back to the live version", w, k)
			}
		}
		if w == 0 && n > 0 || w == 1 && n < len(all) {
			t.Errorf("weight %v: the canary got %d of %d keys", w, n, len(all))
		}
	}
}

// TestSaltsAreIndependent: who is in the canary of one rollout says nothing about the next one, and nothing about the bucket
// that requests are counted in.
func TestSaltsAreIndependent(t *testing.T) {
	a, b := split(t, "rollout-1", 0.3), split(t, "rollout-2", 0.3)
	var both, first, second float64
	var buckets [fairlead.TallyBuckets]float64
	all := keys(100_000)
	for _, k := range all {
		inA, inB := a.Assign(k) == 0, b.Assign(k) == 0
		if inA {
			first++
			buckets[route.Bucket(k)]++
		}
		if inB {
			second++
		}
		if inA && inB {
			both++
		}
	}
	n := float64(len(all))
	expected := first * second / n
	if z := (both - expected) / math.Sqrt(expected*(1-first/n)*(1-second/n)); math.Abs(z) > 5 {
		t.Errorf("%v keys are in both canaries, expected %v: z = %.1f", both, expected, z)
	}
	chi2 := 0.0
	for _, c := range buckets {
		e := first / fairlead.TallyBuckets
		chi2 += (c - e) * (c - e) / e
	}
	if p := 1 - (distuv.ChiSquared{K: fairlead.TallyBuckets - 1}).CDF(chi2); p < 1e-6 || p > 1-1e-6 {
		t.Errorf("the canary's keys are not spread over the buckets as chance would: chi² %.1f, p %.2g", chi2, p)
	}
}

// TestAssignmentIsTheFormula pins the formula for servers and devices of other versions: xxh64(salt ‖ key)/2^64 < weight.
func TestAssignmentIsTheFormula(t *testing.T) {
	// xxh64("abc", seed 0) = 0x44bc2cf5ad770999, the value of the algorithm's own tests; over 2^64 it is 0.26849633…
	for weight, canary := range map[float64]bool{0.2684: false, 0.2685: true} {
		if got := split(t, "a", weight).Assign("bc") == 0; got != canary {
			t.Errorf("weight %v: canary %v, want %v", weight, got, canary)
		}
	}
}

func TestSplitsThatCannotBe(t *testing.T) {
	target := &route.Target{Version: 2}
	arm := func(name string, w float64) route.Arm { return route.Arm{Name: name, Weight: w, Target: target} }
	for name, o := range map[string]route.SplitOptions{
		`the arm "canary" has the weight 1.5`:      {Arms: []route.Arm{arm("canary", 1.5)}},
		`the arm "canary" has the weight NaN`:      {Arms: []route.Arm{arm("canary", math.NaN())}},
		`the weights of the arms are 1.2 together`: {Arms: []route.Arm{arm("a", 0.6), arm("b", 0.6)}},
		`"live" cannot be the name of an arm`:      {Arms: []route.Arm{arm("live", 0.1)}},
		`"3" cannot be the name of an arm`:         {Arms: []route.Arm{arm("3", 0.1)}},
		`"a" cannot be the name of an arm`:         {Arms: []route.Arm{arm("a", 0.1), arm("a", 0.1)}},
		`the arm "canary" has no version`:          {Arms: []route.Arm{{Name: "canary", Weight: 0.1}}},
		`the share of requests to copy is -1`:      {Shadow: target, Copied: -1},
	} {
		if _, err := route.NewSplit(o); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

// TestPins: testers name the arm, the version or the alias that they want, and are told where there is no canary.
func TestPins(t *testing.T) {
	live, canary, old := &route.Target{Version: 3}, &route.Target{Version: 4}, &route.Target{Version: 2, Role: fairlead.RoleLive}
	s, err := route.NewSplit(route.SplitOptions{Arms: []route.Arm{{Name: "challenger", Weight: 0.1, Target: canary}}})
	if err != nil {
		t.Fatal(err)
	}
	table, err := route.NewTable([]route.Deployment{
		{Name: "divided", Live: live, Others: []*route.Target{old}, Split: s, Aliases: map[string]fairlead.Version{"old": 2}},
		{Name: "plain", Live: &route.Target{Version: 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for pin, want := range map[string]string{
		"divided live": "3 live live", "divided canary": "4 canary challenger", "divided challenger": "4 canary challenger",
		"divided 4": "4 canary challenger", "divided v3": "3 live ", "divided old": "2 live ", "divided 2": "2 live ",
		"plain live": "3 live ", "plain 3": "3 live ",
		"plain canary": "3 live  plain has no canary now: its live version answered",
		"divided 9":    `divided has no version or alias "9" loaded (there are 4, 3, 2, old)`,
		"plain x":      `plain has no version or alias "x" loaded (there is 3)`,
	} {
		name, pin, _ := strings.Cut(pin, " ")
		d, err := table.Deployment(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Pinned(pin)
		got := fmt.Sprint(err)
		if err == nil {
			got = strings.TrimSuffix(fmt.Sprintf("%d %s %s %s", c.Target.Version, c.Role, c.Arm, c.Note), " ")
		}
		if got != want {
			t.Errorf("%s pinned to %s: %q, want %q", name, pin, got, want)
		}
	}
	if target, err := table.Lookup("divided", "4"); err != nil || target != canary {
		t.Errorf("the canary by number: %v, %v", target, err)
	}
}

func BenchmarkAssign(b *testing.B) {
	s := split(b, "rollout-7", 0.05)
	b.ReportAllocs()
	for b.Loop() {
		s.Assign("customer-8412973")
	}
}
