package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

const bundle = "../examples/flights/bundle"

// TestKilledServerLosesNothingAcknowledged kills the server at random moments under load: at the start, between two writes, in
// the middle of one. Afterwards
//   - every acknowledged label, business event, alias, deployment and step of a rollout is there, each once;
//   - no row is there twice, and the profiles count exactly the rows that are there;
//   - the rows that are missing were answered within the loss window of a kill, plus the write that it interrupted, and are no
//     more than the server's last word about rows_pending and what was answered after that;
//   - where nothing is killed, the store has as many rows as the counter recorded_total says.
//
// FAIRLEAD_CRASH_ROUNDS says how often for each seed, FAIRLEAD_CRASH_SEED the first seed, FAIRLEAD_CRASH_SEEDS how many.
func TestKilledServerLosesNothingAcknowledged(t *testing.T) {
	rounds := number(t, "FAIRLEAD_CRASH_ROUNDS", 3)
	if testing.Short() {
		rounds = 2
	}
	first := number(t, "FAIRLEAD_CRASH_SEED", 20010308)
	for seed := first; seed < first+number(t, "FAIRLEAD_CRASH_SEEDS", 2); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { killAtRandom(t, rounds, uint64(seed)) })
	}
}

// number reads an environment variable.
func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, expected a number from 1", name, text)
	}
	return n
}

// killWindow is shorter than the server's default, so that most rounds are longer than it. A write that a kill interrupts takes
// killSlack at most, and on a busy machine as long as others took in its round.
const (
	killWindow = 200 * time.Millisecond
	killSlack  = 500 * time.Millisecond
)

// kill is one of the test's.
type kill struct {
	at    time.Time
	write time.Duration // the slowest label of the round
	said  scrape
}

func killAtRandom(t *testing.T, rounds int, seed uint64) {
	data, address := t.TempDir(), freePort(t)
	again := func() *process { return start(t, data, address, "serve", "--loss-window", killWindow.String()) }
	p := again()
	for _, folder := range []string{bundle, rolloutBundle(t, "good"), rolloutBundle(t, "again")} {
		if out, err := p.run("push", folder); err != nil {
			t.Fatalf("push: %v\n%s", err, out)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	l := &load{base: p.base, acked: map[string]bool{}}
	c := newChanges()
	var kills []kill
	var starting time.Duration
	for round := range rounds {
		kills = append(kills, killOnce(t, p, l, c, rng, round))
		began := time.Now()
		p = again()
		starting += time.Since(began)
		c.check(t, p)
	}
	unharmed(t, p, l, rounds)
	t.Logf("a start took %s", (starting / time.Duration(rounds)).Round(time.Millisecond))
	s := p.settled()
	rows := l.checkRows(t, p, kills)
	if last := requestRows * l.answersOf(rounds); int(s.Recorded) < last || s.Dropped != 0 || rows.last != int(s.Recorded) {
		t.Errorf("since its last start the server answered %d rows and recorded %d, dropped %d; the store has %d of them", last, s.Recorded, s.Dropped, rows.last)
	}
	l.checkLabels(t, p)
	c.checkMoves(t, p)
	c.checkLive(t, p)
	t.Logf("state: acknowledged %v", c.acked)
	if c.acked["alias"] == 0 || rounds >= 20 && (c.acked["deployment"] == 0 || c.acked["rollout"] == 0) {
		t.Error("a kind of change was never acknowledged: the test shows nothing of it")
	}
	counted := func() int {
		return p.number(`SELECT coalesce(sum(n), 0)::BIGINT FROM findings WHERE deployment = 'flights' AND grain = 'hour' AND "column" = 'distance'`)
	}
	p.waitFor(60*time.Second, fmt.Sprintf("counting the %d rows that are stored", rows.all), func() bool { return counted() == rows.all })
	p.stop()
}

// killOnce kills the server at a random moment of a round.
func killOnce(t *testing.T, p *process, l *load, c *changes, rng *rand.Rand, round int) kill {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l.begin(round)
	// In every second round the load leaves room for changes of the state, of which some need a second under it.
	odd := round % 2
	l.pause = time.Duration(odd) * 30 * time.Millisecond
	var done sync.WaitGroup
	for worker := range 2 {
		done.Go(func() { l.work(ctx, t, p, worker) })
	}
	if odd == 0 {
		done.Go(func() { l.quick(ctx, t, p, 2) })
	}
	aliases, deploys := rand.New(rand.NewPCG(rng.Uint64(), 2)), rand.New(rand.NewPCG(rng.Uint64(), 3))
	done.Go(func() { c.alias(ctx, p.client, aliases) })
	done.Go(func() { c.deploy(ctx, t, p.client, deploys) })
	var said scrape
	done.Go(func() { said = lastWord(ctx, p.base) })
	time.Sleep(time.Duration(rng.IntN(1500*(1+odd))) * time.Millisecond)
	k := kill{at: time.Now()}
	p.kill()
	k.write = l.slowestWrite(round, k.at)
	stop()
	done.Wait()
	k.said = said
	return k
}

// unharmed is a round in which nothing happens to the server.
func unharmed(t *testing.T, p *process, l *load, round int) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l.begin(round)
	before := l.answered.Load()
	var done sync.WaitGroup
	done.Go(func() { l.work(ctx, t, p, 0) })
	p.waitFor(60*time.Second, "answering", func() bool { return l.answered.Load() >= before+10*requestRows })
	stop()
	done.Wait()
}

// TestDurableAnswerIsStored kills a server whose deployment asks for durable: true. Every row that was answered is there
// afterwards: there is no loss window.
func TestDurableAnswerIsStored(t *testing.T) {
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "fairlead.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "\nrecord: {durable: true}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", folder); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	rng := rand.New(rand.NewPCG(20010309, 1))
	l := &load{base: p.base, acked: map[string]bool{}}
	for range 5 {
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for worker := range 3 {
			done.Go(func() { l.work(ctx, t, p, worker) })
		}
		time.Sleep(time.Duration(300+rng.IntN(700)) * time.Millisecond)
		p.kill()
		stop()
		done.Wait()
		p = start(t, data, address, "serve")
	}
	p.settled()
	answered := int(l.answered.Load())
	rows, distinct := p.number(`SELECT count(*) FROM rows."flights"`), p.number(`SELECT count(DISTINCT prediction_id) FROM rows."flights"`)
	t.Logf("%d rows answered, %d stored", answered, rows)
	if answered == 0 || distinct < answered || rows != distinct {
		t.Errorf("%d rows answered, %d stored, %d of them once", answered, rows, distinct)
	}
	p.stop()
}

// TestLostRowsAreThosePending kills a server at rest whose rows wait for a late write: exactly as many are missing afterwards
// as rows_pending said, neither stored nor counted, and their labels are there.
func TestLostRowsAreThosePending(t *testing.T) {
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve", "--loss-window", "1h")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	l := &load{base: p.base, acked: map[string]bool{}}
	for n := range 20 {
		l.request(t.Context(), t, p, 0, n)
	}
	s, err := p.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said, err := scrapeOf(p.base)
	if err != nil {
		t.Fatal(err)
	}
	if said.pending != int(s.Recorded) || said.pending != int(l.answered.Load()) || said.dropped != 0 {
		t.Fatalf("%d rows answered, the server says %+v and %d recorded", l.answered.Load(), said, s.Recorded)
	}
	p.kill()
	p = start(t, data, address, "serve", "--loss-window", killWindow.String())
	p.settled()
	stored := p.number(`SELECT (SELECT count(*) FROM predictions) + (SELECT count(*) FROM profiles)`)
	if lost := int(s.Recorded) - stored; lost != said.pending {
		t.Errorf("%d rows are lost, pending were %d", lost, said.pending)
	}
	l.checkLabels(t, p)
	p.stop()
}
