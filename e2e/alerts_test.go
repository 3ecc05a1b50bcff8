package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// told is a webhook of incidents.
type told struct {
	mu  sync.Mutex
	got []string
}

func (w *told) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var message struct {
		Again    bool
		Incident struct {
			State   string
			Columns []string
		}
	}
	err := json.NewDecoder(r.Body).Decode(&message)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, fmt.Sprint(message.Incident.State, " ", slices.Contains(message.Incident.Columns, "distance"), " ", message.Again, " ", err))
}

func (w *told) messages() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

// wanderingFlights is a bundle whose features do not depend on time.
func wanderingFlights(t *testing.T, rng *rand.Rand) string {
	t.Helper()
	dir := t.TempDir()
	onnx, err := os.ReadFile("../examples/flights/bundle/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	var csv strings.Builder
	csv.WriteString("hour,weekday,distance,departures,origin,destination\n")
	for range 5000 {
		fmt.Fprintf(&csv, "%d,%d,%d,%d,ATL,ORD\n", rng.IntN(24), rng.IntN(7), 200+rng.IntN(800), 10+rng.IntN(60))
	}
	yaml := "name: flights\nmodel: model.onnx\nreference: reference.csv\ninputs:\n  - {name: features, features: [hour, weekday, distance, departures]}\n"
	for name, content := range map[string][]byte{"model.onnx": onnx, "reference.csv": []byte(csv.String()), "fairlead.yaml": []byte(yaml)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hourOfFlights asks for 500 predictions of one hour of event time.
func (p *process) hourOfFlights(rng *rand.Rand, at time.Time, far int) {
	p.t.Helper()
	var instances, rows []string
	for i := range 500 {
		instances = append(instances, fmt.Sprintf(`{"hour":%d,"weekday":%d,"distance":%d,"departures":%d,"origin":"ATL","destination":"ORD"}`,
			rng.IntN(24), rng.IntN(7), 200+far+rng.IntN(800), 10+rng.IntN(60)))
		rows = append(rows, fmt.Sprintf(`{"time":%q}`, at.Add(time.Duration(i)*7*time.Second).Format(time.RFC3339)))
	}
	body := `{"instances":[` + strings.Join(instances, ",") + `],"rows":[` + strings.Join(rows, ",") + `]}`
	if status, answer := post(p.t, p.base+"/v2/models/flights/infer", "application/json", strings.NewReader(body)); status != http.StatusOK {
		p.t.Fatalf("%d %s", status, answer)
	}
}

// TestTheNextLeaderKnowsWhatWasTold kills the server that told of an incident: the other one neither repeats it nor forgets its end.
func TestTheNextLeaderKnowsWhatWasTold(t *testing.T) {
	t.Parallel()
	hook := &told{}
	server := httptest.NewServer(hook)
	defer server.Close()
	config := filepath.Join(t.TempDir(), "fairlead.yaml")
	text := fmt.Sprintf("notify: {wait: 1s, receivers: [{name: hook, type: webhook, url: %q, repeat: 1h}]}\n", server.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nats := startNATS(t, 1)
	a, b := startTwo(t, nats.url(), "--nats-replicas", "1", "--config", config)
	leads := func(p *process) bool {
		resp, err := http.Get(p.base + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), "\nfairlead_leads 1\n")
	}
	a.waitFor(60*time.Second, "led", func() bool { return leads(a) || leads(b) })
	if leads(b) {
		a, b = b, a
	}
	rng := rand.New(rand.NewPCG(9, 10))
	if out, err := a.run("push", wanderingFlights(t, rng)); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	b.waitFor(60*time.Second, "deployed", func() bool { return b.live() == 1 })
	at := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	hours := func(p *process, n, far int) {
		for range n {
			p.hourOfFlights(rng, at, far)
			at = at.Add(time.Hour)
		}
	}
	hours(a, 1, 0)
	hours(b, 4, 1000)
	a.waitFor(60*time.Second, "telling", func() bool { return len(hook.messages()) > 0 })
	var known []api.Incident
	b.waitFor(60*time.Second, "knowing what the other told", func() bool {
		var err error
		known, err = b.client.Incidents(t.Context(), "firing", "flights")
		return err == nil && len(known) == 1 && len(known[0].Told) == 1 && known[0].Told[0].State == "firing"
	})
	if !leads(a) {
		t.Log("the lead changed by itself: the machine is busy")
	}
	a.kill()
	b.waitFor(60*time.Second, "leading", func() bool { return leads(b) })
	if out, err := b.run("alerts", "ack", known[0].Alerts[0], "--note", "on it"); err != nil || !strings.Contains(out, "is yours") {
		t.Errorf("%v: %s", err, out)
	}
	hours(b, 2, 1000)
	hours(b, 7, 0)
	b.waitFor(60*time.Second, "telling the end", func() bool { return len(hook.messages()) > 1 })
	if got := strings.Join(hook.messages(), ", "); got != "firing true false <nil>, resolved true false <nil>" {
		t.Errorf("told: %s", got)
	}
	out, err := b.run("alerts", "incidents")
	if err != nil || !strings.Contains(out, "resolved") || !strings.Contains(out, "acknowledged by ") || !strings.Contains(out, "hook ") {
		t.Errorf("%v: %s", err, out)
	}
	b.stop()
}
