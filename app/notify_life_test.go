package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// flightsIn makes rows whose features do not depend on time; far makes the distances those of another airline.
func flightsIn(rng *rand.Rand, n int, far bool) (rows [][4]int) {
	for range n {
		distance := 200 + rng.IntN(800)
		if far {
			distance += 1000
		}
		rows = append(rows, [4]int{rng.IntN(24), rng.IntN(7), distance, 10 + rng.IntN(60)})
	}
	return rows
}

// hourOf sends an hour of event time.
func hourOf(t *testing.T, base string, rng *rand.Rand, at time.Time, n int, far bool) {
	t.Helper()
	type meta struct {
		Time time.Time `json:"time"`
	}
	var body struct {
		Instances []map[string]any `json:"instances"`
		Rows      []meta           `json:"rows"`
	}
	for i, r := range flightsIn(rng, n, far) {
		body.Instances = append(body.Instances, map[string]any{"hour": r[0], "weekday": r[1], "distance": r[2], "departures": r[3], "origin": "ATL", "destination": "ORD"})
		body.Rows = append(body.Rows, meta{at.Add(time.Duration(i) * time.Hour / time.Duration(n))})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	call(t, base+"/v2/models/flights/infer", "application/json", raw, &map[string]any{})
}

// pushFlights pushes the flights model with a reference of its own.
func pushFlights(t *testing.T, base string, rng *rand.Rand) {
	t.Helper()
	onnx, err := os.ReadFile("../examples/flights/bundle/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	var csv strings.Builder
	csv.WriteString("hour,weekday,distance,departures,origin,destination\n")
	for _, r := range flightsIn(rng, 5000, false) {
		fmt.Fprintf(&csv, "%d,%d,%d,%d,ATL,ORD\n", r[0], r[1], r[2], r[3])
	}
	raw, err := bundle.Tar(fstest.MapFS{
		"model.onnx": &fstest.MapFile{Data: onnx}, "reference.csv": &fstest.MapFile{Data: []byte(csv.String())},
		"fairlead.yaml": &fstest.MapFile{Data: []byte("name: flights\nmodel: model.onnx\nreference: reference.csv\ninputs:\n" +
			"  - {name: features, features: [hour, weekday, distance, departures]}\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	call(t, base+"/api/v1/models/flights/versions", "application/x-tar", raw, &map[string]any{})
}

// TestLifeOfAnAlert plants drift and follows it: every kind of receiver hears of it once; somebody acknowledges it, and nobody
// hears of it again; it is over, and everybody hears that; a new process does not repeat anything.
func TestLifeOfAnAlert(t *testing.T) {
	hook, slack, am := newInbox(t), newInbox(t), newInbox(t)
	post := newMailServer(t, func(s *mailServer) { s.tls = false })
	const secret = "the-secret-of-the-hook"
	path := t.TempDir() + "/secret"
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLACK_PATH", "T000/"+secret)
	var log bytes.Buffer
	data := t.TempDir()
	start := func() (*App, func()) {
		c := Defaults()
		c.Data, c.HTTP, c.GRPC, c.Library, c.Version = data, "127.0.0.1:0", "", library(t), "test"
		c.LossWindow, c.MaxLag, c.ExternalURL = 100*time.Millisecond, 0, "https://fairlead.example.com/"
		c.Notify = Notify{Wait: 10 * time.Millisecond, Receivers: []notify.Receiver{
			{Name: "hook", Type: "webhook", URL: hook.URL + "/in", Secret: "${file:" + path + "}"},
			{Name: "slack", Type: "slack", URL: slack.URL + "/${SLACK_PATH}"},
			{Name: "am", Type: "alertmanager", URL: am.URL},
			{Name: "mail", Type: "email", URL: post.url(), From: "fairlead@example.com", To: []string{"oncall@example.com"}},
			{Name: "other", Type: "webhook", URL: hook.URL + "/other", Deployments: []string{"shop-*"}},
		}}
		a, err := Start(t.Context(), c, slog.New(slog.NewTextHandler(io.MultiWriter(&log, testWriter{t}), nil)))
		if err != nil {
			t.Fatal(err)
		}
		return a, func() {
			http.DefaultClient.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := a.Stop(ctx); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	}
	a, stop := start()
	base := "http://" + a.Address()
	c, err := client.New(base)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	at := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	hour := func(far bool) {
		hourOf(t, base, rng, at, 500, far)
		at = at.Add(time.Hour)
	}

	pushFlights(t, base, rng)
	for range 2 {
		hour(false)
	}
	for range 4 {
		hour(true)
	}
	told := func(n int) func() bool {
		return func() bool {
			return len(hook.letters()) >= n && len(slack.letters()) >= n && len(am.letters()) >= n && len(post.got()) >= n
		}
	}
	wait(t, "the first messages", told(1))
	var incidents []api.Incident
	wait(t, "four entries in the ledger", func() bool {
		if incidents, err = c.Incidents(t.Context(), "firing", "flights"); err != nil {
			t.Fatal(err)
		}
		return len(incidents) == 1 && len(incidents[0].Told) == 4
	})
	id := incidents[0].ID
	for _, x := range incidents[0].Told {
		if x.State != "firing" || x.Failed > 0 {
			t.Errorf("told: %+v", x)
		}
	}
	checkFirst(t, hook, slack, am, post, id, secret)

	ack, err := c.Acknowledge(t.Context(), api.AckRequest{ID: incidents[0].Alerts[0], By: "ann", Note: "on it"})
	if err != nil || ack.Acknowledged == nil || ack.Acknowledged.By != "ann" {
		t.Fatalf("%+v, %v", ack, err)
	}
	alerts, err := c.Alerts(t.Context(), "firing")
	if err != nil || len(alerts) == 0 || alerts[0].Incident != id || alerts[0].Acknowledged == nil || alerts[0].Acknowledged.Note != "on it" {
		t.Errorf("listed: %+v, %v", alerts, err)
	}
	stop()
	a, stop = start()
	defer func() { stop() }()
	base = "http://" + a.Address()
	if c, err = client.New(base); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it goes on
		hour(true)
	}
	last := at.Add(-2 * time.Hour)
	wait(t, "the monitor to see that", func() bool {
		alerts, err := c.Alerts(t.Context(), "firing")
		if err != nil {
			t.Fatal(err)
		}
		return len(alerts) > 0 && !alerts[0].Last.Before(last)
	})
	for range 6 {
		hour(false)
	}
	wait(t, "the ends", told(2))
	wait(t, "the ledger", func() bool {
		if incidents, err = c.Incidents(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		return len(incidents) == 1 && len(incidents[0].Told) == 4 && incidents[0].Told[3].State == "resolved"
	})
	for name, b := range map[string]*inbox{"hook": hook, "slack": slack, "am": am} {
		if n := len(b.letters()); n != 2 {
			t.Errorf("%s got %d messages", name, n)
		}
	}
	if n := len(post.got()); n != 2 {
		t.Errorf("%d mails", n)
	}
	if in := hook.letters()[1].message.Incident; in.State != notify.Resolved || in.ID != id || in.Until.IsZero() {
		t.Errorf("the end: %+v", in)
	}
	if _, err := c.Acknowledge(t.Context(), api.AckRequest{ID: id}); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("acknowledged what is over: %v", err)
	}
	checkFaces(t, base, c)
	stop()
	stop = func() {}
	if text := log.String(); strings.Contains(text, secret) || !strings.Contains(text, `msg="incident acknowledged" audit=true deployment=flights`) {
		t.Error("the log has a secret, or has not who acknowledged")
	}
}

// checkFirst looks at what each kind of receiver got.
func checkFirst(t *testing.T, hook, slack, am *inbox, post *mailServer, id, secret string) {
	t.Helper()
	l := hook.letters()[0]
	in := l.message.Incident
	if l.signature != notify.Sign(secret, l.body) || l.path != "/in" || in.ID != id || in.State != notify.Firing || in.Columns[0] != "distance" ||
		!strings.HasPrefix(in.Link, "https://fairlead.example.com/d/flights?alert=flights%2Fdistance%2F2026-03-04") || !strings.Contains(in.Text, "distance has drifted") {
		t.Errorf("%s: %+v", l.path, in)
	}
	if l := slack.letters()[0]; l.path != "/T000/"+secret || !strings.Contains(string(l.body), `"text":"[flights] drift`) {
		t.Errorf("slack: %s %s", l.path, l.body)
	}
	var alerts []struct {
		Labels, Annotations            map[string]string
		StartsAt, EndsAt, GeneratorURL string
	}
	l = am.letters()[0]
	if err := json.Unmarshal(l.body, &alerts); err != nil || l.path != "/api/v2/alerts" || len(alerts) != 1 {
		t.Fatalf("alertmanager: %s %s, %v", l.path, l.body, err)
	}
	if x := alerts[0]; x.Labels["alertname"] != "FairleadDrift" || x.Labels["deployment"] != "flights" || x.Labels["incident"] != id ||
		x.Annotations["summary"] == "" || !strings.HasPrefix(x.StartsAt, "2026-03-04T02:00:00") || x.EndsAt != "" {
		t.Errorf("alertmanager: %+v", x)
	}
	if m := post.got()[0]; !strings.Contains(m, "Subject: [flights] drift") || !strings.Contains(m, "To: oncall@example.com") {
		t.Errorf("mail: %s", m)
	}
}

// checkFaces looks at receivers, silences and metrics of a server that told four receivers of an end.
func checkFaces(t *testing.T, base string, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	receivers, err := c.Receivers(ctx)
	if err != nil || len(receivers) != 5 || receivers[0].Sent != 1 || strings.Contains(fmt.Sprint(receivers), "the-secret") || strings.Contains(receivers[1].Host, "/") {
		t.Errorf("%+v, %v", receivers, err)
	}
	m, err := c.TestReceiver(ctx, "hook", "ann")
	if err != nil || !m.OK || m.Answer != "200 OK" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := c.TestReceiver(ctx, "pager", "ann"); fairlead.CodeOf(err) != fairlead.CodeNotFound || !strings.Contains(fmt.Sprint(err), `no receiver "pager"`) {
		t.Errorf("%v", err)
	}
	s, err := c.Silence(ctx, api.SilenceRequest{Deployment: "flights", Reason: "storm", Weekly: "mon 00:00 - sun 23:59", By: "ann"})
	if err != nil || s.Column != "*" || !s.Until.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	if all, err := c.Silences(ctx, false); err != nil || len(all) != 1 || all[0].ID != s.ID {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err = c.Unsilence(ctx, s.ID, "bob"); err != nil || s.State != "ended" || s.EndedBy != "bob" {
		t.Errorf("%+v, %v", s, err)
	}
	if all, err := c.Silences(ctx, true); err != nil || len(all) != 1 || all[0].State != "ended" {
		t.Errorf("%+v, %v", all, err)
	}
	resp, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`fairlead_notifications_total{receiver="slack",result="sent"} 1`, `fairlead_notifications_waiting{receiver="mail"} 0`,
		"fairlead_notifications_given_up_total 0", `fairlead_alerts_firing{deployment="flights"} 0`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics have not %s", want)
		}
	}
}
