package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// split is two servers on three NATS nodes, of which the first server and the first node can be cut off from the rest.
type split struct {
	nats    *natsCluster
	servers [2]*process
	cut     func()
	heal    func()
}

// TestAPartitionLosesNothing cuts one server and one NATS node off from the others by taking a network link down, and puts
// it up again.
func TestAPartitionLosesNothing(t *testing.T) {
	t.Parallel()
	throughPartition(t, inNamespaces(t))
}

// TestASilentNetworkLosesNothing is the same without any right of its own: one server's connections to NATS go through
// proxies that fall silent, and one NATS node stands still, to believe afterwards that it leads what it led before.
func TestASilentNetworkLosesNothing(t *testing.T) {
	if os.Getenv("FAIRLEAD_CLUSTER_ROUNDS") == "" && namespaces() == nil {
		t.Skip("FAIRLEAD_CLUSTER_ROUNDS is not set: this machine permits network namespaces, which TestAPartitionLosesNothing uses")
	}
	t.Parallel()
	throughPartition(t, behindProxies(t))
}

func throughPartition(t *testing.T, s *split) {
	a, b := s.servers[0], s.servers[1]
	if out, err := a.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	b.waitFor(60*time.Second, "serving", func() bool { return b.serves("") })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var done sync.WaitGroup
	loads := [2]*load{{base: a.base, acked: map[string]bool{}}, {base: b.base, acked: map[string]bool{}}}
	for i, p := range s.servers {
		done.Go(func() { loads[i].work(ctx, t, p, 10*i) })
	}
	quick := &load{base: a.base} // predicts on the server that is cut off, and labels nothing
	done.Go(func() { quick.predict(ctx, t, a, 5) })
	aliases := &aliasing{}
	done.Go(func() { aliases.work(ctx, a.client, b.client) })

	for round := range roundsFrom(t, 1) {
		for i, p := range s.servers {
			p.waitFor(60*time.Second, "labelling", func() bool { return loads[i].labelled() > 100*(round+1) })
		}
		s.cut()
		labelled, answered := loads[1].labelled(), quick.answered.Load()
		b.waitFor(90*time.Second, "labelling on the side with most nodes", func() bool { return loads[1].labelled() > labelled+100 })
		a.waitFor(60*time.Second, "predicting on the other side", func() bool { return quick.answered.Load() > answered+500 })
		resp, err := http.Post(a.base+"/api/v1/deployments/flights/labels", "application/json", strings.NewReader(`{"labels":[{"prediction_id":"x","value":1}]}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a label on the side without a quorum is answered with %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		b.waitFor(60*time.Second, "changing the state", func() bool {
			_, err := b.client.SetAlias(ctx, "flights", fmt.Sprint("apart-", round), api.AliasRequest{Version: "1"}, nil)
			return err == nil
		})
		s.heal()
		before := loads[0].labelled()
		a.waitFor(90*time.Second, "labelling again", func() bool { return loads[0].labelled() > before+40 })
		a.waitFor(60*time.Second, "told what changed meanwhile", func() bool { return a.serves(fmt.Sprint("/labels/apart-", round)) })
	}
	stop()
	done.Wait()
	loads[0].answered.Add(quick.answered.Load())
	loads[0].sent.Add(quick.sent.Load())
	checkBoth(t, s.servers, loads, [2]int{}, aliases)
	a.stop()
	b.stop()
}

// predict asks for single predictions, a hundred a second.
func (l *load) predict(ctx context.Context, t *testing.T, p *process, worker int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		id := fmt.Sprintf("w%d-%d", worker, l.next.Add(1))
		l.sent.Add(1)
		body := strings.TrimSuffix(oneFlight, "}") + `,"rows":[{"id":"` + id + `"}]}`
		if _, err := p.client.Predict(ctx, "flights", []byte(body)); err == nil {
			l.answered.Add(1)
		} else if ctx.Err() == nil {
			t.Errorf("a prediction failed: %v", err)
			return
		}
		<-tick.C
	}
}

// behindProxies puts proxies between the first server and the nodes.
func behindProxies(t *testing.T) *split {
	t.Helper()
	nats := startNATS(t, 3)
	var proxies []*stallingProxy
	var urls []string
	for _, n := range nats.nodes {
		p := startProxy(t, n.client)
		proxies = append(proxies, p)
		urls = append(urls, "nats://"+p.listener.Addr().String())
	}
	s := &split{nats: nats}
	for i, url := range []string{strings.Join(urls, ","), nats.url()} {
		s.servers[i] = start(t, t.TempDir(), freePort(t), "serve", "--nats", url, "--nats-stream-mb", "256")
	}
	signal := func(sig syscall.Signal) {
		if err := nats.nodes[0].cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	s.cut = func() {
		for _, p := range proxies {
			p.stall(true)
		}
		signal(syscall.SIGSTOP)
	}
	s.heal = func() {
		signal(syscall.SIGCONT)
		for _, p := range proxies {
			p.stall(false)
		}
	}
	return s
}

// stallingProxy passes TCP connections on, or, told to stall, keeps them open and passes nothing.
type stallingProxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	going   *sync.Cond
	stalled bool
	closed  bool
	open    map[net.Conn]bool
	work    sync.WaitGroup
}

func startProxy(t *testing.T, target string) *stallingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &stallingProxy{listener: l, target: target, open: map[net.Conn]bool{}}
	p.going = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.closed = true
		for c := range p.open {
			c.Close()
		}
		p.mu.Unlock()
		p.going.Broadcast()
		p.work.Wait()
	})
	return p
}

func (p *stallingProxy) stall(on bool) {
	p.mu.Lock()
	p.stalled = on
	p.mu.Unlock()
	p.going.Broadcast()
}

// wait is until the proxy passes on; false: it is closed.
func (p *stallingProxy) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed {
		p.going.Wait()
	}
	return !p.closed
}

func (p *stallingProxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *stallingProxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() {
			if !p.keep(in) || !p.wait() {
				return
			}
			out, err := net.Dial("tcp", p.target)
			if err != nil || !p.keep(out) {
				in.Close()
				return
			}
			p.work.Go(func() { p.copy(out, in) })
			p.copy(in, out)
		})
	}
}

func (p *stallingProxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.wait() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func ip(line string) error {
	out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}

// namespaces says why this machine permits no bridges in network namespaces; nil: it does.
var namespaces = sync.OnceValue(func() error {
	if os.Getuid() != 0 {
		return errors.New("they need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("there is no ip command (iproute2)")
	}
	try := fmt.Sprintf("fl%dt", os.Getpid()%100000)
	if err := ip("netns add " + try); err != nil {
		return err
	}
	return errors.Join(ip("-n "+try+" link add br0 type bridge"), ip("netns del "+try))
})

// inNamespaces puts the nodes in network namespaces on a bridge, the servers beside the first two of them, and skips the
// test where that is not permitted.
func inNamespaces(t *testing.T) *split {
	t.Helper()
	if err := namespaces(); err != nil {
		t.Skipf("no network namespaces here, TestASilentNetworkLosesNothing runs instead: %v", err)
	}
	tag := fmt.Sprintf("fl%d", os.Getpid()%100000)
	hub := tag + "h"
	must := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			if err := ip(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	must("netns add " + hub)
	t.Cleanup(func() { _ = ip("netns del " + hub) })
	must("-n "+hub+" link add br0 type bridge", "-n "+hub+" link set br0 up")
	var nodes []*natsNode
	for i := range 3 {
		ns, addr := fmt.Sprint(tag, i), fmt.Sprintf("10.231.77.%d", 10+i)
		must("netns add " + ns)
		t.Cleanup(func() { _ = ip("netns del " + ns) })
		must(
			fmt.Sprintf("link add v0 netns %s type veth peer name p%d netns %s", ns, i, hub),
			fmt.Sprintf("-n %s link set p%d master br0", hub, i), fmt.Sprintf("-n %s link set p%d up", hub, i),
			fmt.Sprintf("-n %s addr add %s/24 dev v0", ns, addr), "-n "+ns+" link set v0 up", "-n "+ns+" link set lo up",
		)
		nodes = append(nodes, &natsNode{client: addr + ":4222", route: addr + ":6222", wrap: []string{"ip", "netns", "exec", ns}})
	}
	s := &split{nats: startNodes(t, nodes)}
	for i := range s.servers {
		// The test reaches each server by a link of its own.
		ns, link := fmt.Sprint(tag, i), fmt.Sprintf("%sm%d", tag, i)
		must(
			fmt.Sprintf("link add m0 netns %s type veth peer name %s", ns, link),
			fmt.Sprintf("addr add 10.232.77.%d/30 dev %s", 4*i+1, link), "link set "+link+" up",
			fmt.Sprintf("-n %s addr add 10.232.77.%d/30 dev m0", ns, 4*i+2), "-n "+ns+" link set m0 up",
		)
		address := fmt.Sprintf("10.232.77.%d:8080", 4*i+2)
		s.servers[i] = startUnder(t, []string{"ip", "netns", "exec", ns}, t.TempDir(), address, "serve", "--nats", s.nats.url(), "--nats-stream-mb", "256")
	}
	s.cut = func() { must("-n " + hub + " link set p0 down") }
	s.heal = func() { must("-n " + hub + " link set p0 up") }
	return s
}
