package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/fairlead-ml/fairlead/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func loadServe(t *testing.T, text string) (*serveFlags, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var f serveFlags
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(flags)
	f.file = file
	return &f, f.load(flags)
}

const notifyFile = `
external-url: https://fairlead.example.com
notify:
  wait: 30s
  receivers:
    - {name: oncall, type: slack, url: "https://hooks.slack.com/services/${SLACK_TOKEN}", min_harm: moves, repeat: 4h}
    - {name: hook, type: webhook, url: "https://hooks.example.com/x", secret: "${file:SECRET}", deployments: [flights, shop-*]}
    - {name: mail, type: email, url: "smtp://mail.example.com:587", user: fairlead, secret: "${SMTP_PASSWORD}", from: fairlead@example.com, to: [ops@example.com]}
    - {name: am, type: alertmanager, url: "http://alertmanager:9093"}
  downtime:
    - {deployment: flights, weekly: sat 22:00 - sun 06:00, zone: Europe/Berlin, reason: nightly maintenance}
    - {column: distance, from: 2026-03-05T22:00:00Z, until: 2026-03-06T02:00:00Z}
`

func TestNotifyInAFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLACK_TOKEN", "T1/very-secret")
	t.Setenv("SMTP_PASSWORD", "very-secret")
	text := strings.Replace(notifyFile, "file:SECRET", "file:"+secret, 1)
	f, err := loadServe(t, text)
	if err != nil {
		t.Fatal(err)
	}
	n := f.config.Notify
	if len(n.Receivers) != 4 || n.Wait != 30*time.Second || n.Receivers[0].Repeat != 4*time.Hour || n.Receivers[1].Deployments[1] != "shop-*" ||
		len(n.Downtime) != 2 || n.Downtime[1].Until.Hour() != 2 || f.config.ExternalURL != "https://fairlead.example.com" {
		t.Errorf("%+v", f.config)
	}
	for want, change := range map[string][2]string{
		`notify: key "recievers" is not known`:                         {"  receivers:", "  recievers:"},
		"notify: expected a time such as 100ms":                        {"repeat: 4h", "repeat: often"},
		"notify: expected a moment such as 2026-03-05T22:00:00Z":       {"from: 2026-03-05T22:00:00Z", "from: tomorrow"},
		"receiver oncall: url needs ${SLACK}, which is not set":        {"${SLACK_TOKEN}", "${SLACK}"},
		"needs ${file:/nowhere/x}, which is empty or cannot be read":   {secret, "/nowhere/x"},
		"receiver mail: an e-mail needs from and to":                   {", to: [ops@example.com]", ""},
		`downtime number 1: the time zone "Europe/Bonn" is not known`:  {"Europe/Berlin", "Europe/Bonn"},
		`downtime number 1: "sat 25:00 - sun 06:00" is no part of a w`: {"sat 22:00", "sat 25:00"},
		"downtime number 2: a silence needs an end":                    {", until: 2026-03-06T02:00:00Z", ""},
		"wait is 2h0m0s, between 0s and 1h":                            {"wait: 30s", "wait: 2h"},
		`min_harm "some" is not known`:                                 {"min_harm: moves", "min_harm: some"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("%q is not in the file", change[0])
		}
		_, err := loadServe(t, strings.Replace(text, change[0], change[1], 1))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := loadServe(t, "notify: {wait: 3s}"); err == nil || !strings.Contains(err.Error(), "it names no receivers") {
		t.Errorf("%v", err)
	}
}

// alertsServer answers what the commands ask, and writes down what they do.
func alertsServer(t *testing.T, did io.Writer) *httptest.Server {
	t.Helper()
	at := time.Date(2001, 4, 2, 11, 0, 0, 0, time.UTC)
	ack := &api.Acknowledgement{By: "ann", Note: "the feed sends kilometres", At: at}
	incidents := []api.Incident{
		{
			ID: "flights/distance/2001-04-02T11:00:00Z", Deployment: "flights", State: "firing", Columns: []string{"distance", "hour", "weekday", "origin", "late"}, Since: at,
			Acknowledged: ack, Told: []api.Told{{Receiver: "hook", Failed: 3, Next: at}, {Receiver: "oncall", State: "firing", At: at}},
		},
		{ID: "shop/price/2001-04-01T10:00:00Z", Deployment: "shop", State: "resolved", Columns: []string{"price"}, Since: at.Add(-25 * time.Hour), Until: at, Told: []api.Told{}},
	}
	silence := api.Silence{
		ID: "01M84RMGTCGR14WK8Z520J6PV2", Deployment: "flights", Column: "dist*", From: at, Created: at, Until: at.Add(4 * time.Hour), Reason: "backfill", By: "ann", State: "active",
		Alerts: []string{incidents[0].ID},
	}
	ended := silence
	ended.State, ended.EndedBy = "ended", "bob"
	answers := map[string]any{
		"GET /api/v1/alerts": []api.Alert{{
			ID: incidents[0].ID, Deployment: "flights", Column: "distance", State: "firing", Onset: at, Last: at.Add(3 * time.Hour), Acknowledged: ack,
			Silenced: &api.SilencedBy{ID: silence.ID, By: "bob"}, Message: "distance drifted",
		}},
		"GET /api/v1/alerts/incidents":            incidents,
		"POST /api/v1/alerts/ack":                 incidents[0],
		"POST /api/v1/alerts/unack":               incidents[0],
		"GET /api/v1/silences":                    []api.Silence{silence, ended},
		"POST /api/v1/silences":                   silence,
		"DELETE /api/v1/silences/" + silence.ID:   ended,
		"GET /api/v1/alerts/receivers":            []api.Receiver{{Name: "oncall", Type: "slack", Host: "hooks.slack.com", Deployments: []string{}, MinHarm: "moves", Sent: 2, Failed: 1, LastSent: at, LastFailed: at, LastError: "it did not answer within 10s"}},
		"POST /api/v1/alerts/receivers/hook/test": api.TestMessage{Receiver: "hook", OK: true, Answer: "200 OK", Seconds: 0.25},
		"POST /api/v1/alerts/receivers/mail/test": api.TestMessage{Receiver: "mail", Answer: "log in: 535 no"},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodGet {
			fmt.Fprintf(did, "  > %s %s %s\n", r.Method, r.URL, body)
		}
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// TestAlertsTranscript keeps what the commands ask of a server and what they print as text.
func TestAlertsTranscript(t *testing.T) {
	t.Setenv("FAIRLEAD_USER", "ann")
	var story bytes.Buffer
	server := alertsServer(t, &story)
	for _, args := range [][]string{
		{"alerts"}, {"alerts", "incidents"}, {"alerts", "incidents", "--state", "firing", "-o", "json"},
		{"alerts", "ack", "flights/distance/2001-04-02T11:00:00Z", "--note", "on it"}, {"alerts", "unack", "flights/distance/2001-04-02T11:00:00Z"},
		{"alerts", "silence", "flights", "dist*", "--from", "2001-04-02T11:00:00Z", "--for", "4h", "--reason", "backfill"},
		{"alerts", "silence", "flights", "--weekly", "sat 22:00 - sun 06:00", "--zone", "Europe/Berlin", "--reason", "maintenance"},
		{"alerts", "silences", "--ended"}, {"alerts", "unsilence", "01M84RMGTCGR14WK8Z520J6PV2"},
		{"alerts", "receivers"}, {"alerts", "notify-test", "hook"}, {"alerts", "notify-test", "mail"},
	} {
		fmt.Fprintf(&story, "$ fairlead %s\n", strings.Join(args, " "))
		root := rootCommand()
		root.SetArgs(append(args, "--server", server.URL))
		root.SetOut(&story)
		if err := root.ExecuteContext(t.Context()); err != nil {
			fmt.Fprintf(&story, "fairlead: %s\n", message(err))
		}
	}
	const path = "testdata/alerts.golden"
	if *update {
		if err := os.WriteFile(path, story.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if story.String() != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, story.String())
	}
}
