package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// rolloutBundle is a folder with one of the models of testdata/rollout.
func rolloutBundle(t *testing.T, model string) string {
	t.Helper()
	dir := t.TempDir()
	graph, err := os.ReadFile(filepath.Join("testdata/rollout", model+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	const yml = `name: risk
model: model.onnx
inputs: [{name: features, features: [x, segment]}]
outputs: [{name: probability, role: score, classes: [low, high]}]
task: binary
label: {name: outcome}
segments: [segment]
`
	for name, content := range map[string][]byte{"model.onnx": graph, "fairlead.yaml": []byte(yml)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func policyAt(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// answered is one answered request as its client saw it.
type answered struct {
	at      time.Time
	version string
}

// crowd asks for predictions without a pause, as different users, until its context ends.
type crowd struct {
	base string

	mu      sync.Mutex
	answers []answered
	failed  []string
}

func (c *crowd) ask(ctx context.Context, workers int) *sync.WaitGroup {
	var done sync.WaitGroup
	for worker := range workers {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(worker)))
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				c.one(ctx, client, rng)
			}
		})
	}
	return &done
}

func (c *crowd) one(ctx context.Context, client *http.Client, rng *rand.Rand) {
	body := fmt.Sprintf(`{"inputs":[{"name":"features","shape":[1,2],"datatype":"FP32","data":[%.6f,%d]}]}`, rng.Float64(), rng.IntN(4))
	req, err := http.NewRequest(http.MethodPost, c.base+"/v2/models/risk/infer", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Fairlead-Routing-Key", fmt.Sprint("user ", rng.IntN(100000)))
	resp, err := client.Do(req)
	var text []byte
	if err == nil {
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	a := answered{at: time.Now()}
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", resp.Status, text)
	default: // not as JSON, which has no NaN
		_, after, found := strings.Cut(string(text), `"model_version":"`)
		if a.version, _, _ = strings.Cut(after, `"`); !found {
			err = fmt.Errorf("no version in %s", text)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			c.failed = append(c.failed, err.Error())
		}
		return
	}
	c.answers = append(c.answers, a)
}

// of lists the times of the answers of a version.
func (c *crowd) of(version int) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var times []time.Time
	for _, a := range c.answers {
		if a.version == fmt.Sprint(version) {
			times = append(times, a.at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

func (p *process) rollout() api.Rollout {
	p.t.Helper()
	r, err := p.client.Rollout(p.t.Context(), "risk")
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// stalled is how late an answer of a bad version may come where the machine itself stands still for moments.
const stalled = 2 * time.Second

// Stages that are short, for tests. What runs on a busy machine is not held to its slowest hundredth.
const (
	gatesForTests = `
gates: {latency_p50: {required: false, relative: 0.6}, latency_p95: off, latency_p99: off}
undecided: hold
`
	shadowFirst = `stages: [{traffic: shadow, requests: 200, time: 1s}, {traffic: 30%, requests: 200, time: 1s}, {traffic: 100%, requests: 100, max: 1h}]
bake: 3s` + gatesForTests
	clientsFirst = `stages: [{traffic: 30%, requests: 200, time: 1s}, {traffic: 100%, requests: 100, max: 1h}]
bake: 3s` + gatesForTests
)

// TestBadVersionsAreRolledBack rolls out versions that are bad in different ways, under load: once with a shadow stage, once
// to clients at once. Each is rolled back by itself, no request fails, and the test says how long it takes from the decision
// to the last answer of the bad version: 2 to 30 ms, and under 100 on a busy machine.
func TestBadVersionsAreRolledBack(t *testing.T) {
	p := start(t, t.TempDir(), freePort(t), "serve")
	if out, err := p.run("push", rolloutBundle(t, "good")); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	c := &crowd{base: p.base}
	ctx, stop := context.WithCancel(t.Context())
	done := c.ask(ctx, 4)
	for _, way := range []struct{ name, policy string }{{"shadow", shadowFirst}, {"canary", clientsFirst}} {
		for _, bad := range []string{"nan", "slow", "segment", "shifted"} {
			began := time.Now()
			out, err := p.run("push", rolloutBundle(t, bad), "--rollout", "--policy", policyAt(t, way.policy))
			if err != nil {
				t.Fatalf("%s: push: %v\n%s", bad, err, out)
			}
			p.waitFor(2*time.Minute, "rolled back: "+bad, func() bool { return p.rollout().Phase == "rolled_back" })
			time.Sleep(300 * time.Millisecond) // for answers that come too late
			e, err := p.client.ExplainRollout(t.Context(), "risk", "")
			if err != nil {
				t.Fatal(err)
			}
			last := e.History[len(e.History)-1]
			answers := c.of(e.To)
			late := time.Duration(0)
			if n := len(answers); n > 0 {
				late = answers[n-1].Sub(last.Time)
			}
			t.Logf("%-7s %-7s %s after %.1fs, %d answers to clients, the last one %s after the decision: %s",
				way.name, bad, last.Reason, last.Time.Sub(began).Seconds(), len(answers), late, last.Text)
			if !strings.HasPrefix(last.Reason, "harm_") || last.Actor != "fairlead" || len(last.Evidence) == 0 {
				t.Errorf("%s: the last decision is %+v", bad, last)
			}
			if late > stalled {
				t.Errorf("%s: the last answer came %s after the decision", bad, late)
			}
			// Only failures keep the answers of a version from clients.
			if way.name == "canary" && len(answers) == 0 {
				t.Errorf("%s: no client was answered by it: the test shows nothing", bad)
			}
			if way.name == "shadow" && last.Stage == "shadow" && len(answers) > 0 {
				t.Errorf("%s: a shadow answered %d clients", bad, len(answers))
			}
			p.waitFor(10*time.Second, "settled", func() bool { return p.deployment().Rollout == nil })
		}
	}
	stop()
	done.Wait()
	t.Logf("%d requests answered, %d failed", len(c.answers), len(c.failed))
	if len(c.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first with: %s", len(c.failed), len(c.answers), c.failed[0])
	}
	p.stop()
}

func (p *process) deployment() api.Deployment {
	p.t.Helper()
	all, err := p.client.Deployments(p.t.Context())
	if err != nil || len(all) != 1 {
		p.t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// TestKilledInEveryStage kills the server in each stage of a rollout. After the restart it stands at the stage that was
// stored, which is the one it was in, or one that it had decided to enter before the kill; clients are answered as that
// stage says. In the end the new version is live.
func TestKilledInEveryStage(t *testing.T) {
	const policy = `stages: [{traffic: shadow, requests: 50, time: 1s}, {traffic: 20%, requests: 50, time: 1s}, {traffic: 60%, requests: 50, time: 1s}, {traffic: 100%, requests: 50, max: 1h}]
bake: 2s
gates: {errors: {absolute: 10%}, invalid: {absolute: 10%}, drift: {absolute: 30%}, flips: {absolute: 20%}, mismatch: {absolute: 10%}, latency_p50: off, latency_p95: off, latency_p99: off}
`
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", rolloutBundle(t, "good")); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	if out, err := p.run("push", rolloutBundle(t, "again"), "--rollout", "--policy", policyAt(t, policy)); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	order := []string{"shadow", "20%", "60%", "bake", "completed"}
	for _, stage := range order {
		ctx, stop := context.WithCancel(t.Context())
		c := &crowd{base: p.base}
		done := c.ask(ctx, 2)
		p.waitFor(60*time.Second, "at "+stage, func() bool { return slices.Index(order, p.rollout().Stage) >= slices.Index(order, stage) })
		stop() // the kill is no fault of the rollout's
		done.Wait()
		if len(c.failed) > 0 {
			t.Errorf("%d requests failed before %s, the first with: %s", len(c.failed), stage, c.failed[0])
		}
		before := p.rollout().Stage
		p.kill()
		killed := time.Now()
		p = start(t, data, address, "serve")
		r := p.rollout()
		t.Logf("killed at %s, stands at %s after the restart", before, r.Stage)
		if slices.Index(order, r.Stage) > slices.Index(order, before) && r.Entered.After(killed) {
			t.Errorf("killed at %s, after the restart it stands at %s", before, r.Stage)
		}
		p.expectShare(r)
	}
	p.waitFor(10*time.Second, "settled", func() bool { return p.deployment().Rollout == nil })
	if d := p.deployment(); d.Version != 2 {
		t.Errorf("version %d is live", d.Version)
	}
	out, err := p.run("rollout", "explain", "risk")
	if err != nil || !strings.Contains(string(out), "Counting began anew") {
		t.Errorf("explain: %v\n%s", err, out)
	}
	t.Logf("\n%s", out)
	p.stop()
}

// expectShare asks as many users and counts who answers them.
func (p *process) expectShare(r api.Rollout) {
	p.t.Helper()
	const users = 400
	n := 0
	for user := range users {
		req, err := http.NewRequest(http.MethodPost, p.base+"/v2/models/risk/infer",
			bytes.NewReader([]byte(`{"inputs":[{"name":"features","shape":[1,2],"datatype":"FP32","data":[0.5,1]}]}`)))
		if err != nil {
			p.t.Fatal(err)
		}
		req.Header.Set("Fairlead-Routing-Key", fmt.Sprint("user ", user))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			p.t.Fatal(err)
		}
		var said struct {
			Version string `json:"model_version"`
		}
		err = json.NewDecoder(resp.Body).Decode(&said)
		resp.Body.Close()
		if err != nil {
			p.t.Fatal(err)
		}
		if said.Version == "2" {
			n++
		}
	}
	want := users * r.Canary
	if now := p.rollout(); now.Stage != r.Stage {
		return // it went on meanwhile
	}
	if float64(n) < want-60 || float64(n) > want+60 {
		p.t.Errorf("at %s %d of %d users are answered by the new version", r.Stage, n, users)
	}
}

// TestLabelsPerVersion labels the predictions of both versions; the gate of the policy's metric sees both.
func TestLabelsPerVersion(t *testing.T) {
	const policy = `stages: [50%, 100%]
metrics: [{name: accuracy, better: higher, required: true, least: 20}, {name: brier, better: lower}]
`
	p := start(t, t.TempDir(), freePort(t), "serve")
	if out, err := p.run("push", rolloutBundle(t, "good")); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	if out, err := p.run("push", rolloutBundle(t, "again"), "--rollout", "--policy", policyAt(t, policy)); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	var labels []api.Label
	for i := range 200 {
		id := fmt.Sprint("p", i)
		body := fmt.Sprintf(`{"id":%q,"inputs":[{"name":"features","shape":[1,2],"datatype":"FP32","data":[%g,1]}]}`, id, float64(i%10)/10)
		if status, answer := post(t, p.base+"/v2/models/risk/infer", "application/json", strings.NewReader(body)); status != http.StatusOK {
			t.Fatalf("%d: %s", status, answer)
		}
		value := "low"
		if i%10 >= 5 { // the model says so of x ≥ 0.5; of every twentieth it is not true
			value = "high"
		}
		if i%20 == 0 {
			value = "high"
		}
		labels = append(labels, api.Label{PredictionID: id, Value: value})
	}
	if _, err := p.client.Label(t.Context(), "risk", labels); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			out, _ := p.run("rollout", "explain", "risk")
			t.Log(out)
		}
	}()
	p.waitFor(40*time.Second, "judged by its labels", func() bool {
		e, err := p.client.ExplainRollout(t.Context(), "risk", "")
		if err != nil {
			t.Fatal(err)
		}
		n, wrong := 0.0, false
		for _, g := range e.Now {
			if g.Gate == "accuracy" || g.Gate == "brier" {
				n += g.Live.N + g.Canary.N
			}
			if right := (g.Live.Value*g.Live.N + g.Canary.Value*g.Canary.N) / (g.Live.N + g.Canary.N); g.Gate == "accuracy" {
				wrong = right < 0.94 || right > 0.96
			}
		}
		return n == 400 && !wrong
	})
	p.stop()
}
