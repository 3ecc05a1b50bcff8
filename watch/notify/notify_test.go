package notify

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

func incident(state State) Incident {
	i := Incident{
		ID: "flights/distance/2026-03-05T04:00:00Z", Deployment: "flights", State: state, Harm: "hurts", Title: "distance, probability",
		Text:    "distance has drifted (instantaneous) since 5 March 2026 04:00: over 2,475 makes 20.0% of the rows, 0.1% before. The accuracy went from 82.0% to 77.0%.",
		Advice:  []string{"version 4 went live in place of 3 at that time: compare the two, and roll back if the new one is the cause"},
		Columns: []string{"distance", "probability"}, Since: noon.Add(-8 * time.Hour), Link: "https://fairlead.example.com/#/flights",
	}
	if state == Resolved {
		i.Until = noon
	}
	return i
}

// One incident, from its beginning to its end, with a receiver that is out of reach, a restart, and a silence.
func TestTranscript(t *testing.T) {
	receivers := []Receiver{
		{Name: "oncall", Type: "webhook", URL: "https://x", MinHarm: "hurts"}, {Name: "team", Type: "slack", URL: "https://y", Repeat: 4 * time.Hour},
		{Name: "other", Type: "slack", URL: "https://z", Deployments: []string{"shop-*"}},
	}
	var out strings.Builder
	l := &Ledger{}
	now := noon
	broken := map[string]bool{"oncall": true}
	step := func(what string, after time.Duration, incidents ...Incident) {
		now = now.Add(after)
		fmt.Fprintf(&out, "%s  %s\n", now.Format("15:04:05"), what)
		for _, d := range l.Due(now, incidents, receivers) {
			result := "ok"
			if broken[d.Receiver] {
				result = "failed"
			}
			again := ""
			if d.Again {
				again = ", again"
			}
			fmt.Fprintf(&out, "          → %s: %s%s: %s\n", d.Receiver, d.Incident.State, again, result)
			l.Sent(d, now, broken[d.Receiver], 0.5)
		}
		l.Forget(incidents)
	}
	restart := func() {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		l = &Ledger{}
		if err := json.Unmarshal(b, l); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, "          (restart)")
	}
	firing, resolved := incident(Firing), incident(Resolved)
	old := resolved
	old.ID = "flights/origin/2025-01-01T00:00:00Z"
	step("an incident; another was over before anybody listened", 0, firing, old)
	step("a second later", time.Second, firing)
	step("the receiver is still down", 4*time.Second, firing)
	restart()
	step("and still", 6*time.Second, firing)
	step("too early", 9*time.Second, firing)
	broken["oncall"] = false
	step("it is back", 15*time.Second, firing)
	step("nothing new", time.Minute, firing)
	step("four hours later", 4*time.Hour, firing)
	muted := firing
	muted.Muted = "acknowledged by ann"
	step("acknowledged", 4*time.Hour, muted)
	restart()
	step("over", time.Hour, resolved)
	step("nothing new", time.Minute, resolved)
	step("late rows: it goes on after all", time.Hour, firing)
	step("forgotten", time.Hour)
	step("the same would be new", time.Hour, firing)
	golden(t, "transcript.txt", out.String())
}

// What each receiver gets.
func TestPayloads(t *testing.T) {
	evil := incident(Firing)
	evil.Title, evil.Text, evil.Harm = "<!channel>\r\nBcc: everybody@example.com", "a & b < c", "moves"
	var out strings.Builder
	for _, in := range []Incident{incident(Firing), incident(Resolved), evil} {
		d := Delivery{Receiver: "oncall", Incident: in}
		for _, kind := range []string{"webhook", "slack", "alertmanager"} {
			b, err := d.Body(kind, noon)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s: %s\n", kind, b)
		}
		b, err := d.Mail("fairlead@example.com", []string{"oncall@example.com"}, noon)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(b), "\r\n\r\n")
		if strings.Contains(head, "\r\nBcc") {
			t.Error("a title can add headers")
		}
		fmt.Fprintf(&out, "mail:\n%s\n\n", strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	golden(t, "payloads.txt", out.String())
	// openssl dgst -sha256 -hmac key
	if got := Sign("key", []byte("The quick brown fox jumps over the lazy dog")); got != "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8" {
		t.Errorf("signature %s", got)
	}
}

func TestCheck(t *testing.T) {
	good := Receiver{Name: "a", Type: "webhook", URL: "https://x"}
	if err := Check([]Receiver{good, {Name: "b", Type: "email", URL: "smtp://x", From: "a@b", To: []string{"c@d"}}}); err != nil {
		t.Error(err)
	}
	with := func(change func(*Receiver)) []Receiver {
		r := good
		change(&r)
		return []Receiver{r}
	}
	for want, receivers := range map[string][]Receiver{
		"another one's":               {good, good},
		`number 1: it has no name`:    with(func(r *Receiver) { r.Name = "" }),
		`type "fax" is not known`:     with(func(r *Receiver) { r.Type = "fax" }),
		"it has no url":               with(func(r *Receiver) { r.URL = "" }),
		"needs from and to":           with(func(r *Receiver) { r.Type = "email" }),
		`min_harm "bad" is not known`: with(func(r *Receiver) { r.MinHarm = "bad" }),
		`pattern "[" is broken`:       with(func(r *Receiver) { r.Deployments = []string{"["} }),
		"repeat is negative":          with(func(r *Receiver) { r.Repeat = -1 }),
	} {
		if err := Check(receivers); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
