package notify

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Whatever lies in the bucket, and whatever a part of a week is called, nothing panics, and a pattern means what its regular
// expression does.
func FuzzLedger(f *testing.F) {
	l := &Ledger{}
	in := incident(Firing)
	l.Adopt(noon, []Incident{in})
	l.Sent(Delivery{Receiver: "a", Incident: in}, noon, Result{Failed: true}, 0.5)
	raw, err := json.Marshal(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	for _, seed := range []string{`{}`, `null`, `{"incidents":{"a":null}}`, `{"incidents":{"a":{"told":{"a":{"tries":-3,"state":"firing"}}}}}`} {
		f.Add([]byte(seed))
	}
	receivers := []Receiver{{Name: "a", Type: "webhook"}, {Name: "b", Type: "alertmanager"}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var l Ledger
		if json.Unmarshal(raw, &l) != nil {
			return
		}
		for i, listed := range [][]Incident{{incident(Firing)}, nil, {incident(Resolved)}} {
			now := noon.Add(time.Duration(i) * time.Hour)
			all := l.Adopt(now, listed)
			for _, d := range l.Due(now, all, receivers, 0) {
				l.Sent(d, now, Result{Failed: i == 1}, 0.5)
			}
			for _, in := range all {
				l.Tellings(in.ID)
			}
			l.Retrying("a")
			l.Forget(now, receivers)
		}
		again, err := json.Marshal(&l)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &Ledger{}); err != nil {
			t.Errorf("%v in %s", err, again)
		}
	})
}

func FuzzWeek(f *testing.F) {
	for _, seed := range []string{"sat 22:00 - sun 06:00", "fri 18:00-mon 08:00", "sat 25:00 - sun 1:00", "-", "mon 1:1 - tue 2:2", "sun 0:00 - sat 23:59"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		from, to, err := week(text)
		if err != nil {
			return
		}
		if from < 0 || to < 0 || from >= 7*24*60 || to >= 7*24*60 || from == to {
			t.Fatalf("%q is %d to %d", text, from, to)
		}
		s := Silence{Deployment: "*", Column: "*", Weekly: text}
		active := 0
		for m := range 7 * 24 * 60 {
			if s.State(noon.Add(time.Duration(m)*time.Minute), nil) == "active" {
				active++
			}
		}
		if want := (to - from + 7*24*60) % (7 * 24 * 60); active != want {
			t.Errorf("%q holds for %d minutes of a week, want %d", text, active, want)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"shop-*", "shop-eu"}, {"a*b*c", "a-b-b-c"}, {"?", "é"}, {"**", ""}, {"[", "["}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 50 || len(text) > 200 {
			return
		}
		pattern, text = strings.ToValidUTF8(pattern, ""), strings.ToValidUTF8(text, "")
		var want strings.Builder
		for _, r := range pattern {
			switch r {
			case '*':
				want.WriteString(".*")
			case '?':
				want.WriteString(".")
			default:
				want.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
		if re := regexp.MustCompile("(?s)^" + want.String() + "$"); re.MatchString(text) != Match(pattern, text) {
			t.Errorf("%q fits %q: %v", text, pattern, Match(pattern, text))
		}
	})
}
