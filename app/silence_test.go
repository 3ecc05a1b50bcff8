package app

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// In a downtime and under a silence nobody is told; what still fires afterwards is told then.
func TestSilencesAndDowntimes(t *testing.T) {
	o, b := newOffice(t), newInbox(t)
	n := o.server(nil, notify.Receiver{Name: "team", Type: "webhook", URL: b.URL})
	fixed, err := Notify{Downtime: []Downtime{{Deployment: "fl*", From: noon.Add(-time.Hour), Until: noon.Add(time.Hour)}}}.silences()
	if err != nil {
		t.Fatal(err)
	}
	n.desk.fixed = fixed
	o.alerts = []alert.Alert{drifts("distance", noon), drifts("origin", noon)}
	o.step(n, 0)
	o.step(n, 30*time.Minute)
	o.expect(b, "in the downtime")
	if _, err := n.desk.unsilence(t.Context(), "downtime-1", "ann"); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("a downtime of the configuration was ended: %v", err)
	}
	s, err := n.desk.silence(t.Context(), api.SilenceRequest{Deployment: "flights", Column: "dist*", Until: noon.Add(48 * time.Hour), Reason: "storm", By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	o.step(n, time.Hour)
	o.expect(b, "one column is silenced", "firing origin again=false")
	o.alerts[1].State, o.alerts[1].Resolved = alert.Resolved, noon.Add(6*time.Hour)
	o.step(n, time.Hour) // what is left is silenced: the incident goes on and nobody hears of it
	o.expect(b, "the other one is over", "firing origin again=false")
	if _, err := n.desk.unsilence(t.Context(), s.ID, "ann"); err != nil {
		t.Fatal(err)
	}
	o.over()
	o.step(n, time.Hour)
	o.expect(b, "over", "firing origin again=false", "resolved distance+origin again=false")
}

// Silences have an end, a month later they are forgotten, and their number is bounded.
func TestDesk(t *testing.T) {
	kv := &registrytest.KV{}
	now := noon
	d := &desk{kv: kv, now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	ask := api.SilenceRequest{Deployment: " flights ", Until: noon.Add(time.Hour), Reason: "storm"}
	s, err := d.silence(t.Context(), ask)
	if err != nil || s.Column != "*" || s.By != somebody || s.From != noon || s.Deployment != "flights" {
		t.Fatalf("%+v, %v", s, err)
	}
	for want, in := range map[string]api.SilenceRequest{
		"needs an end":                  {Deployment: "a", Reason: "b"},
		`zone "Mars/Olympus" is not`:    {Deployment: "a", Reason: "b", Weekly: "sat 1:00 - sat 2:00", Zone: "Mars/Olympus"},
		`zone "Local" is not known`:     {Deployment: "a", Reason: "b", Weekly: "sat 1:00 - sat 2:00", Zone: "Local"},
		"needs a deployment and a colu": {Reason: "b", Until: noon.Add(time.Hour)},
	} {
		if _, err := d.silence(t.Context(), in); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if ended, err := d.unsilence(t.Context(), s.ID, "bob"); err != nil || ended.EndedBy != "bob" || !ended.Until.Equal(noon) {
		t.Errorf("%+v, %v", ended, err)
	}
	if _, err := d.unsilence(t.Context(), s.ID, "bob"); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("ended twice: %v", err)
	}
	if _, err := d.unsilence(t.Context(), "x", "bob"); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Errorf("%v", err)
	}
	for now = noon; err == nil; now = now.Add(time.Second) {
		_, err = d.silence(t.Context(), api.SilenceRequest{Deployment: "a", Until: noon.Add(24 * time.Hour), Reason: "b"})
	}
	if all, e := d.silences(t.Context()); fairlead.CodeOf(err) != fairlead.CodeExhausted || len(all) != maxSilences+1 || e != nil {
		t.Errorf("%d silences, %v, %v", len(all), err, e)
	}
	now = noon.Add(60 * 24 * time.Hour)
	if _, err := d.silence(t.Context(), api.SilenceRequest{Deployment: "a", Until: now.Add(time.Hour), Reason: "b"}); err != nil {
		t.Fatal(err)
	}
	if all, _ := d.silences(t.Context()); len(all) != 1 {
		t.Errorf("%d silences after two months", len(all))
	}
	kv.Fail = errors.New("disk full")
	if active, err := d.active(t.Context()); err != nil || len(active) != 1 {
		t.Errorf("what was read last: %v, %v", active, err)
	}
}
