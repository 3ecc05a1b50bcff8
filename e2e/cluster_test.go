package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

// roundsFrom is how often the tests of a cluster break something; FAIRLEAD_CLUSTER_ROUNDS asks for more.
func roundsFrom(t *testing.T, short int) int {
	text := os.Getenv("FAIRLEAD_CLUSTER_ROUNDS")
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKilledNATSNodesLoseNothing kills one NATS node after the other under one server's load: nothing that was answered is
// lost, rows included, as the server itself lives on.
func TestKilledNATSNodesLoseNothing(t *testing.T) {
	if os.Getenv("FAIRLEAD_CLUSTER_ROUNDS") == "" {
		t.Skip("FAIRLEAD_CLUSTER_ROUNDS is not set: the test of two servers kills nodes too")
	}
	nats := startNATS(t, 3)
	p := start(t, t.TempDir(), freePort(t), "serve", "--nats", nats.url(), "--nats-stream-mb", "256")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	rng := rand.New(rand.NewPCG(20010308, 2))
	l := &load{base: p.base, acked: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	for worker := range 2 {
		done.Go(func() { l.work(ctx, t, p, worker) })
	}
	for round := range roundsFrom(t, 3) {
		victim := rng.IntN(3)
		time.Sleep(time.Duration(500+rng.IntN(1000)) * time.Millisecond)
		before := l.labelled()
		nats.kill(victim)
		p.waitFor(60*time.Second, fmt.Sprintf("labelling without NATS node %d in round %d", victim, round), func() bool { return l.labelled() > before+40 })
		nats.start(victim)
		nats.reachable(victim)
	}
	stop()
	done.Wait()
	s := p.settled()
	rows, distinct := p.number(`SELECT count(*) FROM rows."flights"`), p.number(`SELECT count(DISTINCT prediction_id) FROM rows."flights"`)
	t.Logf("%d rows answered, %d stored, %d labels acknowledged, %d stored", l.answered.Load(), rows, len(l.acked), s.Labels)
	if rows != distinct {
		t.Errorf("%d rows are stored twice", rows-distinct)
	}
	if rows < int(l.answered.Load()) || rows > int(l.sent.Load()) {
		t.Errorf("%d rows are stored of %d answered and %d sent", rows, l.answered.Load(), l.sent.Load())
	}
	if gone := l.missing(t, p); len(gone) > 0 {
		t.Errorf("%d acknowledged labels are gone, for example %s", len(gone), gone[0])
	}
	p.stop()
}

// labelled is how many labels were acknowledged.
func (l *load) labelled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// TestWithoutAQuorumServingGoesOn takes two of three NATS nodes away: predictions are answered, a label and a state change
// are refused with a reason and a time to come back, and the rows are stored when the nodes are back.
func TestWithoutAQuorumServingGoesOn(t *testing.T) {
	t.Parallel() // it waits most of the time
	nats := startNATS(t, 3)
	p := start(t, t.TempDir(), freePort(t), "serve", "--nats", nats.url(), "--nats-stream-mb", "256")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	predict := func(id string) {
		t.Helper()
		code, body := post(t, p.base+"/v1/models/flights:predict", "application/json", strings.NewReader(fmt.Sprintf(
			`{"instances":[{"hour":17,"weekday":4,"distance":733,"departures":60,"origin":"ATL","destination":"ORD"}],"rows":[{"id":%q}]}`, id)))
		if code != http.StatusOK {
			t.Errorf("a prediction is answered with %d: %s", code, body)
		}
	}
	predict("before")
	nats.kill(0)
	nats.kill(1)
	for i := range 20 {
		predict(fmt.Sprint("alone-", i))
	}
	var asked sync.WaitGroup
	for _, write := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/v1/deployments/flights/labels", `{"labels":[{"prediction_id":"alone-1","value":1}]}`},
		{http.MethodPut, "/api/v1/models/flights/aliases/champion", `{"version":"1"}`},
	} {
		asked.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), write.method, p.base+write.path, strings.NewReader(write.body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "NATS servers do not answer") {
				t.Errorf("%s is answered with %d, Retry-After %q: %s", write.path, resp.StatusCode, resp.Header.Get("Retry-After"), text)
			}
		})
	}
	asked.Wait()
	nats.start(0)
	nats.start(1)
	p.waitFor(60*time.Second, "labelled", func() bool {
		_, err := p.client.Label(context.Background(), "flights", []api.Label{{PredictionID: "alone-1", Value: true}})
		return err == nil
	})
	p.waitFor(60*time.Second, "storing rows", func() bool { return p.rows() >= 21 })
	p.settled()
	if n := p.number(`SELECT count(*) FROM rows."flights"`); n != 21 {
		t.Errorf("%d rows are stored, want 21", n)
	}
	if n := p.number(`SELECT count(*) FROM outcomes WHERE prediction_id = 'alone-1'`); n != 1 {
		t.Errorf("%d outcomes of the labelled row", n)
	}
	p.stop()
}

// TestADataFolderBelongsToOneLog refuses a folder that was filled from another log: rows would be passed over.
func TestADataFolderBelongsToOneLog(t *testing.T) {
	nats := startNATS(t, 1)
	data, address := t.TempDir(), freePort(t)
	args := []string{"serve", "--nats", nats.url(), "--nats-replicas", "1", "--nats-stream-mb", "64"}
	p := start(t, data, address, args...)
	p.stop()
	t.Setenv("FAIRLEAD_ORT_LIBRARY", library(t))
	try := func(args ...string) string {
		t.Helper()
		out, err := (&process{base: ""}).run(append(args, "--data", data, "--http", address, "--grpc", "")...)
		if err == nil {
			t.Fatalf("it started:\n%s", out)
		}
		return out
	}
	if out := try("serve"); !strings.Contains(out, "filled from another event log") {
		t.Errorf("without --nats: %s", out)
	}
	if out := try(append(args, "--nats-prefix", "other")...); !strings.Contains(out, "filled from another event log") {
		t.Errorf("with another prefix: %s", out)
	}
	p = start(t, data, address, args...)
	p.stop()
	if _, err := os.Stat(filepath.Join(data, "eventlog")); !os.IsNotExist(err) {
		t.Errorf("a folder for a log of its own: %v", err)
	}
}

// two servers on one log.
func startTwo(t *testing.T, url string, extra ...string) (a, b *process) {
	t.Helper()
	args := append([]string{"serve", "--nats", url, "--nats-stream-mb", "256"}, extra...)
	return start(t, t.TempDir(), freePort(t), args...), start(t, t.TempDir(), freePort(t), args...)
}

const oneFlight = `{"instances":[{"hour":17,"weekday":4,"distance":733,"departures":60,"origin":"ATL","destination":"ORD"}]}`

// serves says whether a server answers by an alias or a version of the flights.
func (p *process) serves(path string) bool {
	resp, err := http.Post(p.base+"/v1/models/flights"+path+":predict", "application/json", strings.NewReader(oneFlight))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// live is the version that a server answers with.
func (p *process) live() int {
	all, err := p.client.Deployments(context.Background())
	if err != nil || len(all) == 0 {
		return 0
	}
	return all[0].Version
}

func TestTwoServersAreOne(t *testing.T) {
	t.Parallel()
	nats := startNATS(t, 1)
	a, b := startTwo(t, nats.url(), "--nats-replicas", "1")
	if out, err := a.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	b.waitFor(30*time.Second, "serving what was pushed to the other server", func() bool { return b.serves("") })
	// Another version: the same graph, another card.
	second := t.TempDir()
	if err := os.CopyFS(second, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(second, "fairlead.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(second, "fairlead.yaml"), append(text, "\ncache: {ttl: 1s}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := b.run("push", second); err != nil {
		t.Fatalf("push to the other server: %v\n%s", err, out)
	}
	a.waitFor(30*time.Second, "serving version 2", func() bool { return a.live() == 2 && a.serves("") })
	if _, err := a.client.SetAlias(t.Context(), "flights", "stable", api.AliasRequest{Version: "1"}, nil); err != nil {
		t.Fatal(err)
	}
	b.waitFor(30*time.Second, "answering to the alias", func() bool { return b.serves("/labels/stable") })
	if out, err := b.run("rollback", "flights"); err != nil {
		t.Fatalf("rollback: %v\n%s", err, out)
	}
	a.waitFor(30*time.Second, "rolled back", func() bool { return a.live() == 1 && a.serves("") })

	// Each server's store has the rows and the labels of both.
	answer := func(p *process, id string) {
		t.Helper()
		code, body := post(t, p.base+"/v1/models/flights:predict", "application/json", strings.NewReader(strings.TrimSuffix(oneFlight, "}")+`,"rows":[{"id":"`+id+`"}]}`))
		if code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	answer(a, "from-a")
	answer(b, "from-b")
	if _, err := b.client.Label(t.Context(), "flights", []api.Label{{PredictionID: "from-a", Value: true}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{a, b} {
		p.waitFor(60*time.Second, "storing what both answered", func() bool {
			got, err := p.client.SQL(context.Background(), `SELECT count(*) FROM rows."flights" WHERE prediction_id LIKE 'from-_'`, 1)
			labelled, err2 := p.client.SQL(context.Background(), `SELECT count(*) FROM outcomes WHERE prediction_id = 'from-a'`, 1)
			return err == nil && err2 == nil && got.Rows[0][0] == 2.0 && labelled.Rows[0][0] == 1.0
		})
	}
	a.kill()
	if !b.serves("") {
		t.Error("the other server does not serve alone")
	}
	if out, err := b.run("push", bundle); err != nil {
		t.Errorf("push to the one that is left: %v\n%s", err, out)
	}
	b.stop()
}

// TestTwoServersOnThreeNodesLoseNothingAcknowledged kills one process after the other under load, of three NATS nodes and two
// servers: every label and every state change that was acknowledged is there afterwards on both servers, no row is there
// twice, and the rows that are missing are no more than a killed server had answered within its loss window.
func TestTwoServersOnThreeNodesLoseNothingAcknowledged(t *testing.T) {
	nats := startNATS(t, 3)
	args := []string{"serve", "--nats", nats.url(), "--nats-stream-mb", "256"}
	var servers [2]*process
	var data, address [2]string
	for i := range servers {
		data[i], address[i] = t.TempDir(), freePort(t)
		servers[i] = start(t, data[i], address[i], args...)
	}
	if out, err := servers[0].run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	servers[1].waitFor(60*time.Second, "serving", func() bool { return servers[1].serves("") })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var done sync.WaitGroup
	var loads [2]*load
	for i, p := range servers {
		loads[i] = &load{base: p.base, acked: map[string]bool{}}
		done.Go(func() { loads[i].work(ctx, t, p, 10*i) })
	}
	aliases := &aliasing{}
	done.Go(func() { aliases.work(ctx, servers[0].client, servers[1].client) })

	rng := rand.New(rand.NewPCG(20010308, 3))
	mayLose := [2]int{}
	alive := func(what string) {
		t.Helper()
		before := [2]int{loads[0].labelled(), loads[1].labelled()}
		for i, p := range servers {
			p.waitFor(90*time.Second, "labelling "+what, func() bool { return loads[i].labelled() > before[i]+20 })
		}
	}
	order := []int{rng.IntN(3), 3, 4, rng.IntN(3), rng.IntN(3)} // nodes, and each of the servers
	for round := range roundsFrom(t, 3) {
		time.Sleep(time.Duration(200+rng.IntN(800)) * time.Millisecond)
		switch victim := order[round%5]; {
		case victim < 3:
			nats.kill(victim)
			alive(fmt.Sprintf("in round %d without NATS node %d", round, victim))
			nats.start(victim)
			nats.reachable(victim)
		default:
			i := victim - 3
			servers[i].kill()
			mayLose[i] += loads[i].answeredSince(time.Now().Add(-lossWindow))
			servers[i] = start(t, data[i], address[i], args...)
		}
		alive(fmt.Sprintf("after round %d", round))
	}
	stop()
	done.Wait()
	checkBoth(t, servers, loads, mayLose, aliases)
	for _, p := range servers {
		p.stop()
	}
}

// checkBoth holds what two servers have in store against what they acknowledged.
func checkBoth(t *testing.T, servers [2]*process, loads [2]*load, mayLose [2]int, aliases *aliasing) {
	t.Helper()
	answered, sent := int(loads[0].answered.Load()+loads[1].answered.Load()), int(loads[0].sent.Load()+loads[1].sent.Load())
	var stored [2]int
	const count = `SELECT count(*) FROM rows."flights" WHERE prediction_id LIKE 'w%'`
	// A node that was away learns what the others have in its own time.
	began := time.Now()
	servers[0].waitFor(2*time.Minute, "storing what the other server has", func() bool {
		for _, p := range servers {
			p.settled()
		}
		return servers[0].number(count) == servers[1].number(count)
	})
	t.Logf("the stores agree after %s", time.Since(began).Round(100*time.Millisecond))
	for i, p := range servers {
		s := p.settled()
		stored[i] = p.number(`SELECT count(*) FROM rows."flights" WHERE prediction_id LIKE 'w%'`)
		distinct := p.number(`SELECT count(DISTINCT prediction_id) FROM rows."flights" WHERE prediction_id LIKE 'w%'`)
		t.Logf("server %d: %d rows answered by both, %d stored, %d labels acknowledged, %d stored, %d aliases",
			i, answered, stored[i], len(loads[0].acked)+len(loads[1].acked), s.Labels, len(aliases.acked))
		if stored[i] != distinct {
			t.Errorf("server %d: %d rows are stored twice", i, stored[i]-distinct)
		}
		if lost := answered - stored[i]; lost > mayLose[0]+mayLose[1] || stored[i] > sent {
			t.Errorf("server %d: %d rows are missing, %d may be; %d stored, %d sent", i, lost, mayLose[0]+mayLose[1], stored[i], sent)
		}
		for _, l := range loads {
			if gone := l.missing(t, p); len(gone) > 0 {
				t.Errorf("server %d: %d acknowledged labels are gone, for example %s", i, len(gone), gone[0])
			}
		}
		models, err := p.client.Models(t.Context())
		if err != nil || len(models) != 1 {
			t.Fatalf("models: %v, %v", models, err)
		}
		for _, alias := range aliases.acked {
			if models[0].Aliases[alias] != 1 {
				t.Errorf("server %d: the alias %s, which was acknowledged, is gone", i, alias)
			}
			if !p.serves("/labels/" + alias) {
				t.Errorf("server %d does not answer to the alias %s", i, alias)
			}
		}
	}
	if stored[0] != stored[1] {
		t.Errorf("the servers have %d and %d rows", stored[0], stored[1])
	}
	if len(loads[0].acked) == 0 || len(loads[1].acked) == 0 || len(aliases.acked) == 0 {
		t.Fatal("nothing was acknowledged: the test shows nothing")
	}
}

// aliasing changes the state again and again, by one server and the other, and remembers what was acknowledged.
type aliasing struct{ acked []string }

func (a *aliasing) work(ctx context.Context, by ...*client.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprint("alias-", i)
		if _, err := by[i%len(by)].SetAlias(ctx, "flights", name, api.AliasRequest{Version: "1"}, nil); err == nil {
			a.acked = append(a.acked, name)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
