package app

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
	"github.com/fairlead-ml/fairlead/watch/alert"
)

// leaseBucket is a bucket that can be out of reach.
type leaseBucket struct {
	registrytest.KV
	lost bool
}

var errLost = errors.New("no quorum")

// seat is one server's view of the shared bucket.
type seat struct {
	*leaseBucket
	cut bool // this server does not reach it
}

func (s *seat) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if s.cut || s.lost {
		return nil, 0, errLost
	}
	return s.leaseBucket.Get(ctx, key)
}

func (s *seat) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if s.cut || s.lost {
		return 0, errLost
	}
	return s.leaseBucket.Put(ctx, key, value, revision)
}

type bench struct {
	at      time.Time
	bucket  *leaseBucket
	seats   []*seat
	leaders []*leader
}

func newBench(n int) *bench {
	b := &bench{at: noon, bucket: &leaseBucket{}}
	for i := range n {
		b.seats = append(b.seats, &seat{leaseBucket: b.bucket})
		b.leaders = append(b.leaders, b.server(i))
	}
	return b
}

func (b *bench) server(i int) *leader {
	return &leader{kv: b.seats[i], id: string(rune('a' + i)), now: func() time.Time { return b.at }, log: slog.New(slog.DiscardHandler)}
}

func (b *bench) leading(t *testing.T) string {
	t.Helper()
	found := ""
	for _, l := range b.leaders {
		if l.leads() {
			found += l.id
		}
	}
	if len(found) > 1 {
		t.Errorf("%s lead at once at %s", found, b.at)
	}
	return found
}

func TestTheLeaseOfADeadServerIsTakenOver(t *testing.T) {
	b := newBench(2)
	turn := func(after time.Duration, who ...int) {
		b.at = b.at.Add(after)
		for _, i := range who {
			_ = b.leaders[i].step(t.Context()) // what a cut server says of it is seen in who leads
		}
	}
	gained := 0
	b.leaders[1].gained = func(context.Context) { gained++ }
	turn(0, 0, 1)
	if got := b.leading(t); got != "a" {
		t.Fatalf("%q leads, want a", got)
	}
	for range 10 {
		turn(renewEvery, 0, 1)
	}
	if got := b.leading(t); got != "a" {
		t.Errorf("after renewals %q leads, want a", got)
	}
	// The leader dies. Nobody leads for a while, then the other one does, once.
	for range 4 {
		turn(renewEvery, 1)
	}
	if got := b.leading(t); got != "" {
		t.Errorf("%q leads before the lease is over", got)
	}
	turn(renewEvery, 1)
	if got := b.leading(t); got != "b" || gained != 1 {
		t.Errorf("%q leads (gained %d times), want b", got, gained)
	}
	// It comes back, with the same id, and waits its turn.
	b.leaders[0] = b.server(0)
	turn(0, 0, 1)
	if got := b.leading(t); got != "b" {
		t.Errorf("after a comes back %q leads, want b", got)
	}
	// A clean stop hands over at once.
	b.leaders[1].giveBack(t.Context())
	turn(renewEvery, 0, 1)
	if got := b.leading(t); got != "b" && got != "a" {
		t.Errorf("after a clean stop %q leads", got)
	}
	// A leader that does not reach the bucket stops by itself before anybody else may begin.
	who := b.leading(t)
	i := int(who[0] - 'a')
	b.seats[i].cut = true
	for range 20 {
		turn(renewEvery/2, 0, 1)
		b.leading(t)
	}
	if got := b.leading(t); got == who || got == "" {
		t.Errorf("with %s cut off %q leads", who, got)
	}
}

// TestNeverTwoLeaders lets servers step at random times with clocks that go on while they stand still, and cuts them off at
// random.
func TestNeverTwoLeaders(t *testing.T) {
	led := map[string]bool{}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		b := newBench(3)
		for range 2000 {
			b.at = b.at.Add(time.Duration(rng.IntN(1500)) * time.Millisecond)
			i := rng.IntN(3)
			switch rng.IntN(40) {
			case 0:
				b.seats[i].cut = !b.seats[i].cut
			case 1:
				b.bucket.lost = !b.bucket.lost
			case 2:
				b.leaders[i] = b.server(i) // a crash and a start
			default:
				_ = b.leaders[i].step(t.Context()) // cut off
			}
			led[b.leading(t)] = true
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if len(led) != 4 {
		t.Errorf("led by %v, want everybody and nobody at times", led)
	}
}

// TestAlertsOutliveTheServerThatKeptThem lets a server that followed store the books it kept for itself.
func TestAlertsOutliveTheServerThatKeptThem(t *testing.T) {
	ctx, kv := t.Context(), &registrytest.KV{}
	leads := map[string]bool{"a": true}
	server := func(id string) *books { return &books{kv: kv, leads: func() bool { return leads[id] }} }
	a, b := server("a"), server("b")
	window := alert.Book{Deployment: "d", Dropped: 1}
	for _, s := range []*books{b, a} { // both judge the same window; only one stores it
		if err := s.Save(ctx, "d", window); err != nil {
			t.Fatal(err)
		}
	}
	window.Dropped = 2
	if err := b.Save(ctx, "d", window); err != nil { // the other one dies before it does
		t.Fatal(err)
	}
	if got, err := server("c").Load(ctx, "d"); err != nil || got.Dropped != 1 {
		t.Errorf("stored: %+v, %v", got, err)
	}
	leads["a"], leads["b"] = false, true
	if err := b.flush(ctx); err != nil {
		t.Fatal(err)
	}
	window.Dropped = 3
	if err := b.Save(ctx, "d", window); err != nil {
		t.Fatal(err)
	}
	if got, err := server("c").Load(ctx, "d"); err != nil || got.Dropped != 3 {
		t.Errorf("after the take-over: %+v, %v", got, err)
	}
}
