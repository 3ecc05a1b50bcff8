package notify

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
		Columns: []string{"distance", "probability"}, Since: noon.Add(-8 * time.Hour), Link: "https://fairlead.example.com/d/flights",
		Alerts: []Member{
			{ID: "flights/distance/2026-03-05T04:00:00Z", Column: "distance", Onset: noon.Add(-8 * time.Hour), Last: noon.Add(-time.Hour), Firing: state == Firing},
			{ID: "flights/probability/2026-03-05T05:00:00Z", Column: "probability", Onset: noon.Add(-7 * time.Hour), Last: noon.Add(-time.Hour), Firing: state == Firing},
		},
	}
	if state == Resolved {
		i.Until = noon
	}
	return i
}

// One incident, from its beginning to its end, with a receiver that is out of reach, restarts, an acknowledgement, late rows, and
// harm that shows late.
func TestTranscript(t *testing.T) {
	receivers := []Receiver{
		{Name: "oncall", Type: "webhook", URL: "https://x", MinHarm: "hurts"}, {Name: "team", Type: "slack", URL: "https://y", Repeat: 4 * time.Hour},
		{Name: "other", Type: "slack", URL: "https://z", Deployments: []string{"shop-*"}}, {Name: "am", Type: "alertmanager", URL: "http://am", MinHarm: "moves"},
	}
	var out strings.Builder
	l := &Ledger{}
	now := noon
	broken := map[string]bool{"oncall": true}
	ids := map[string]string{} // of deliveries
	step := func(what string, after time.Duration, incidents ...Incident) {
		now = now.Add(after)
		fmt.Fprintf(&out, "%s  %s\n", now.Format("2 15:04:05"), what)
		incidents = l.Adopt(now, incidents)
		for _, d := range l.Due(now, incidents, receivers, 15*time.Second) {
			result := "ok"
			if broken[d.Receiver] {
				result = "failed"
			}
			again := ""
			if d.Again {
				again = ", again"
			}
			fmt.Fprintf(&out, "           → %s: %s %s (%s)%s: %s\n", d.Receiver, d.Incident.State, d.Incident.Title, d.Incident.Harm, again, result)
			key := fmt.Sprint(d.Receiver, d.Incident.ID, d.Incident.State)
			if was, known := ids[d.ID]; known && was != key {
				t.Errorf("%s and %s have one id", was, key)
			}
			ids[d.ID] = key
			l.Sent(d, now, Result{Failed: broken[d.Receiver]}, 0.5)
		}
		if lost := l.Forget(now, receivers); lost > 0 {
			fmt.Fprintf(&out, "           %d given up\n", lost)
		}
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
		fmt.Fprintln(&out, "           (restart)")
	}
	firing, resolved := incident(Firing), incident(Resolved)
	quiet := firing
	quiet.Harm = "quiet"
	old := resolved
	old.ID, old.Alerts = "flights/origin/2025-01-01T00:00:00Z", []Member{{ID: "flights/origin/2025-01-01T00:00:00Z", Column: "origin"}}
	step("an incident; another was over before anybody listened", 0, quiet, old)
	step("what belongs to it has gathered", 15*time.Second, quiet, old)
	step("it hurts", time.Minute, firing)
	step("a second later", time.Second, firing)
	step("the receiver is still down", 4*time.Second, firing)
	restart()
	step("and still", 6*time.Second, firing)
	step("too early", 3*time.Second, firing)
	broken["oncall"] = false
	step("it is back", 15*time.Second, firing)
	step("less harm is no news", 10*time.Second, quiet)
	step("and its return neither", time.Minute, firing)
	earlier := firing
	earlier.ID, earlier.Alerts = "flights/distance/2026-03-05T03:00:00Z", []Member{{
		ID: "flights/distance/2026-03-05T03:00:00Z", Column: "distance", Onset: noon.Add(-9 * time.Hour), Last: noon.Add(-time.Hour), Firing: true,
	}}
	step("late rows: it began an hour earlier, under another id", time.Second, earlier)
	step("four hours later", 4*time.Hour, earlier)
	muted := earlier
	muted.Muted = "acknowledged by ann"
	step("acknowledged", 4*time.Hour, muted)
	restart()
	step("over, with less harm than was told", time.Hour, func() Incident { r := resolved; r.Harm = "quiet"; return r }())
	step("nothing new", time.Minute, resolved)
	step("late rows: it goes on after all", time.Hour, firing)
	step("not listed", time.Hour)
	restart()
	step("it is withdrawn", 3*time.Minute)
	step("a week later", 7*24*time.Hour)
	step("the same again", time.Hour, firing)
	step("the same again", time.Minute, firing)
	broken["team"] = true
	step("over, and somebody cannot be told", time.Minute, resolved)
	step("for a week", 7*24*time.Hour, resolved)
	if len(l.Incidents) != 0 {
		t.Errorf("remembered: %v", l.Incidents)
	}
	golden(t, "transcript.txt", out.String())
}

// What each receiver gets.
func TestPayloads(t *testing.T) {
	evil := incident(Firing)
	evil.Title, evil.Text, evil.Harm = "<!channel>\r\nBcc: everybody@example.com", "a & b < c", "moves"
	var out strings.Builder
	for _, d := range []Delivery{{Incident: incident(Firing)}, {Incident: incident(Resolved)}, {Incident: evil, Again: true}, Test("https://fairlead.example.com", noon)} {
		d.ID, d.Receiver = "4b7c", "oncall"
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

// Slack refuses a section of more than 3,000 characters, and would for ever.
func TestSlackTakesLongMessages(t *testing.T) {
	in := incident(Firing)
	in.Text, in.Title = strings.Repeat("<é>", 4000), strings.Repeat("column, ", 200)
	b, err := (&Delivery{Incident: in}).Body("slack", noon)
	if err != nil {
		t.Fatal(err)
	}
	var message struct {
		Blocks []struct{ Text struct{ Text string } }
	}
	if err := json.Unmarshal(b, &message); err != nil {
		t.Fatal(err)
	}
	text := message.Blocks[0].Text.Text
	if len(text) > mostSlack || !strings.HasSuffix(text, "…\n<https://fairlead.example.com/d/flights|Look at it>") || !utf8.ValidString(text) {
		t.Errorf("%d bytes, the end is %q", len(text), text[len(text)-80:])
	}
	if rest := strings.NewReplacer("&lt;", "", "&gt;", "").Replace(text[:len(text)-60]); strings.ContainsAny(rest, "<>&") {
		t.Error("something is not escaped, or cut in two")
	}
}

// A ledger does not grow without end.
func TestLedgerIsBounded(t *testing.T) {
	l, now := &Ledger{}, noon
	receivers := []Receiver{{Name: "a", Type: "webhook"}}
	for i := range 3 * maxRecords {
		in := incident(Firing)
		in.ID = fmt.Sprint("flights/distance/", i)
		in.Alerts, in.Columns = nil, nil
		for c := range 500 { // a wide model
			column := fmt.Sprint("column", c)
			in.Columns = append(in.Columns, column)
			in.Alerts = append(in.Alerts, Member{ID: fmt.Sprint("flights/", column, "/", i), Column: column, Onset: now, Last: now, Firing: true})
		}
		for _, state := range []State{Firing, Resolved} {
			in.State, now = state, now.Add(time.Minute)
			listed := l.Adopt(now, []Incident{in})
			for _, d := range l.Due(now, listed, receivers, 0) {
				l.Sent(d, now, Result{}, 0)
			}
			l.Forget(now, receivers)
		}
	}
	if n := len(l.Incidents); n > maxRecords {
		t.Errorf("%d incidents are remembered", n)
	}
	b, err := json.Marshal(l)
	if err != nil || len(b) > 700<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestRetryAfter(t *testing.T) {
	l := &Ledger{}
	receivers := []Receiver{{Name: "a", Type: "slack"}}
	due := func(now time.Time) int {
		return len(l.Due(now, l.Adopt(now, []Incident{incident(Firing)}), receivers, 0))
	}
	if due(noon) != 1 {
		t.Fatal("not due")
	}
	l.Sent(Delivery{Receiver: "a", Incident: incident(Firing)}, noon, Result{Failed: true, After: time.Minute}, 0)
	if due(noon.Add(59*time.Second)) != 0 || due(noon.Add(time.Minute)) != 1 {
		t.Error("the receiver asked for a minute")
	}
	l.Sent(Delivery{Receiver: "a", Incident: incident(Firing)}, noon, Result{Failed: true, After: 1000 * time.Hour}, 0)
	if due(noon.Add(lastWait)) != 1 {
		t.Error("a receiver may not ask for more than the longest wait")
	}
}

func TestMatch(t *testing.T) {
	for _, x := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "km/h", true}, {"shop-*", "shop-eu", true}, {"shop-*", "shop", false}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-b-b", false},
		{"?", "é", true}, {"?", "", false}, {"", "", true}, {"", "a", false}, {"[", "[", true}, {"**a", "ba", true},
	} {
		if got := Match(x.pattern, x.text); got != x.want {
			t.Errorf("%q fits %q: %v", x.text, x.pattern, got)
		}
	}
}

func TestCheck(t *testing.T) {
	good := Receiver{Name: "a", Type: "webhook", URL: "https://x", Secret: "s"}
	mail := Receiver{Name: "b", Type: "email", URL: "smtp://x:587", From: "Fairlead <a@b.example>", To: []string{"c@d.example"}}
	if err := Check([]Receiver{good, mail, {Name: "c", Type: "alertmanager", URL: "http://me:pw@am:9093"}}); err != nil {
		t.Error(err)
	}
	with := func(r Receiver, change func(*Receiver)) []Receiver {
		change(&r)
		return []Receiver{r}
	}
	for want, receivers := range map[string][]Receiver{
		"receiver a: it has no name, or another one's": {good, good},
		`number 1: it has no name`:                     with(good, func(r *Receiver) { r.Name = "" }),
		"the name cannot be used":                      with(good, func(r *Receiver) { r.Name = "a b" }),
		`type "fax" is not known`:                      with(good, func(r *Receiver) { r.Type = "fax" }),
		"it has no url":                                with(good, func(r *Receiver) { r.URL = "" }),
		"the url of a webhook begins with https:// or http:// and a host": with(good, func(r *Receiver) { r.URL = "hooks.example.com" }),
		"the url of an email begins with smtp:// or smtps:// and a host":  with(mail, func(r *Receiver) { r.URL = "https://x" }),
		"an e-mail needs from and to":                                     with(mail, func(r *Receiver) { r.To = nil }),
		`"ops" is no address`:                                             with(mail, func(r *Receiver) { r.To = []string{"ops"} }),
		"a user needs a secret":                                           with(mail, func(r *Receiver) { r.User = "u" }),
		"a host and a port only":                                          with(mail, func(r *Receiver) { r.URL = "smtp://u:p@x" }),
		"user, from and to are those of an e-mail":                        with(good, func(r *Receiver) { r.To = []string{"a@b"} }),
		"a slack takes no secret":                                         with(good, func(r *Receiver) { r.Type = "slack" }),
		`min_harm "bad" is not known`:                                     with(good, func(r *Receiver) { r.MinHarm = "bad" }),
		`a pattern of deployments is empty`:                               with(good, func(r *Receiver) { r.Deployments = []string{""} }),
		"repeat is 1s":                                                    with(good, func(r *Receiver) { r.Repeat = time.Second }),
		"there are 33 receivers":                                          make([]Receiver, 33),
	} {
		err := Check(receivers)
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hooks.example.com\"") {
			t.Errorf("%v repeats a url", err)
		}
	}
}

func TestFill(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"TOKEN": "abc", "EMPTY": ""}[name]
		return v, ok
	}
	in := []Receiver{{Name: "a", URL: "https://x/${TOKEN}/y", Secret: "${TOKEN}", User: "$TOKEN"}}
	out, err := Fill(in, lookup)
	if err != nil || out[0].URL != "https://x/abc/y" || out[0].Secret != "abc" || out[0].User != "$TOKEN" || in[0].Secret != "${TOKEN}" {
		t.Errorf("%+v, %v", out, err)
	}
	for _, secret := range []string{"${NONE}", "${EMPTY}", "${}"} {
		if _, err := Fill([]Receiver{{Name: "a", Secret: secret}}, lookup); err == nil || !strings.Contains(err.Error(), "receiver a: secret needs "+secret) {
			t.Errorf("%s: %v", secret, err)
		}
	}
}
