package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// natsBinary builds the NATS server of the pinned module, once.
var natsBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fairlead-nats")
	if err != nil {
		return "", err
	}
	natsDir = dir
	path := filepath.Join(dir, "nats-server")
	out, err := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	return path, nil
})

// natsDir is where it was built, for TestMain to remove.
var natsDir string

// natsCluster is NATS servers as processes, each with a folder of its own.
type natsCluster struct {
	t     testing.TB
	bin   string
	nodes []*natsNode
}

type natsNode struct {
	client, route string // addresses
	config        string
	wrap          []string // command that the process runs under, such as ip netns exec
	cmd           *exec.Cmd
	output        *output
	done          chan struct{}
}

// startNATS starts n servers on loopback.
func startNATS(t testing.TB, n int) *natsCluster {
	t.Helper()
	var nodes []*natsNode
	for range n {
		nodes = append(nodes, &natsNode{client: freePort(t), route: freePort(t)})
	}
	return startNodes(t, nodes)
}

func startNodes(t testing.TB, nodes []*natsNode) *natsCluster {
	t.Helper()
	bin, err := natsBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := &natsCluster{t: t, bin: bin, nodes: nodes}
	dir := t.TempDir()
	for i, node := range nodes {
		var routes []string
		for j, other := range nodes {
			if i != j {
				routes = append(routes, "nats://"+other.route)
			}
		}
		node.config = filepath.Join(dir, fmt.Sprintf("n%d.conf", i))
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\nmax_payload: 8MB\njetstream { store_dir: %q, max_file_store: 64GB, max_memory_store: 64MB }\n",
			i, node.client, filepath.Join(dir, fmt.Sprint("n", i)))
		if len(routes) > 0 {
			text += fmt.Sprintf("cluster { name: c, listen: %q, no_advertise: true, routes: [%s] }\n", node.route, strings.Join(routes, ", "))
		}
		if err := os.WriteFile(node.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range nodes {
			c.kill(i)
		}
	})
	return c
}

func (c *natsCluster) start(i int) {
	c.t.Helper()
	node := c.nodes[i]
	args := append(append([]string{}, node.wrap...), c.bin, "-c", node.config)
	node.cmd = exec.Command(args[0], args[1:]...)
	node.output, node.done = &output{}, make(chan struct{})
	node.cmd.Stdout, node.cmd.Stderr = node.output, node.output
	if err := node.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	cmd, done := node.cmd, node.done
	go func() {
		_ = cmd.Wait() // it is killed
		close(done)
	}()
}

// kill ends a node as a crash does; it does nothing where that has happened.
func (c *natsCluster) kill(i int) {
	node := c.nodes[i]
	_ = node.cmd.Process.Signal(syscall.SIGKILL)
	<-node.done
}

// reachable waits until a node takes clients.
func (c *natsCluster) reachable(i int) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", c.nodes[i].client, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("NATS node %d is not reachable: %v\n%s", i, err, tail(c.nodes[i].output.String()))
		}
	}
}

func (c *natsCluster) url() string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, "nats://"+n.client)
	}
	return strings.Join(all, ",")
}
