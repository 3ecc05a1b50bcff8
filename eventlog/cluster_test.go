package eventlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fairlead-ml/fairlead"
)

// natsServers are servers of a user's own, in this process but over TCP.
type natsServers struct {
	t       testing.TB
	options []*server.Options
	running []*server.Server
}

// startServers starts n of them as one cluster; change may alter their options.
func startServers(t testing.TB, n int, change ...func(*server.Options)) *natsServers {
	t.Helper()
	c := &natsServers{t: t, options: make([]*server.Options, n), running: make([]*server.Server, n)}
	ports := freePorts(t, 2*n)
	var routes []*url.URL
	for i := range n {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[n+i])})
	}
	for i := range n {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: ports[i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 64 << 20,
			DisableJetStreamBanner: true,
		}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[n+i]}
			o.Routes = routes
		}
		for _, f := range change {
			f(o)
		}
		c.options[i] = o
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range n {
			c.stop(i)
		}
	})
	return c
}

func (c *natsServers) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i])
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		c.t.Fatalf("server %d is not ready", i)
	}
	c.running[i] = s
}

func (c *natsServers) stop(i int) {
	if s := c.running[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.running[i] = nil
	}
}

func (c *natsServers) url() string {
	var all []string
	for _, o := range c.options {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(all, ",")
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func openOn(t testing.TB, c *natsServers, server string, opts ...func(*Options)) *Log {
	t.Helper()
	return open(t, "", append([]func(*Options){func(o *Options) {
		o.MaxBytes, o.StartTimeout = 64<<20, time.Minute
		o.Cluster = &Cluster{URL: c.url(), Replicas: len(c.options), Server: server}
	}}, opts...)...)
}

func TestTheLogOfAClusterIsTheLogOfAFolder(t *testing.T) {
	c := startServers(t, 1)
	a, b := openOn(t, c, "a"), openOn(t, c, "b")
	appendText(t, a, Labels, "1", "one")
	appendText(t, b, Labels, "1", "another server's first")
	appendText(t, a, Labels, "1", "one again")
	appendText(t, b, Predictions, "1", "another stream")
	if got := strings.Join(read(t, b, Labels, 0), ","); got != "1 one,2 another server's first" {
		t.Errorf("labels: %s", got)
	}
	other := openOn(t, c, "a", func(o *Options) { o.Cluster.Prefix = "second-installation" })
	if got := read(t, other, Labels, 0); len(got) != 0 {
		t.Errorf("an installation with another prefix reads %s", got)
	}
	kv, err := a.KV(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	revision, err := kv.Put(t.Context(), "x/y", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	shared, err := b.KV(ctx, "state")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		if err := shared.Changes(ctx, func(c Change) { seen <- fmt.Sprintf("%s=%s@%d", c.Key, c.Value, c.Revision) }); err != nil {
			t.Errorf("changes: %v", err)
		}
	})
	if got := <-seen; got != "x/y=1@1" {
		t.Errorf("first change %s", got)
	}
	if _, err := shared.Put(ctx, "x/y", []byte("2"), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, "x/y", []byte("3"), revision); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("a write behind another server's: %v", err)
	}
	if err := kv.Delete(ctx, "x/y", 0); err != nil {
		t.Fatal(err)
	}
	if got := <-seen + " " + <-seen; got != "x/y=2@2 x/y=@3" {
		t.Errorf("changes %s", got)
	}
	cancel()
	done.Wait()
}

func TestNothingAcknowledgedIsLostWithAServer(t *testing.T) {
	c := startServers(t, 3)
	l := openOn(t, c, "a")
	kv, err := l.KV(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	var acked, followed []string
	revision := uint64(0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var done sync.WaitGroup
	done.Go(func() {
		after := uint64(0)
		for ctx.Err() == nil {
			err := l.Follow(ctx, Labels, after, 64, func(msgs []Message) error {
				mu.Lock()
				defer mu.Unlock()
				for _, m := range msgs {
					if m.Seq != after+1 {
						t.Errorf("message %d follows %d", m.Seq, after)
					}
					after = m.Seq
					followed = append(followed, string(m.Data))
				}
				return nil
			})
			if err != nil {
				t.Logf("follow again: %v", err)
			}
		}
	})
	for round := range 3 {
		c.stop(round % 3)
		for i := range 20 {
			text := fmt.Sprintf("%d-%d", round, i)
			appendAgain(t, l, text)
			acked = append(acked, text)
			if revision, err = putAgain(t, kv, text, revision); err != nil {
				t.Fatalf("state %s: %v", text, err)
			}
		}
		c.start(round % 3)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		mu.Lock()
		n := len(followed)
		mu.Unlock()
		if n >= len(acked) || time.Now().After(deadline) {
			break
		}
	}
	cancel()
	done.Wait()
	want := strings.Join(acked, " ")
	if got := strings.Join(followed, " "); got != want {
		t.Errorf("followed\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(readAgain(t, l, len(acked)), " "); got != want {
		t.Errorf("read\n%s\nwant\n%s", got, want)
	}
	if v, _, err := kv.Get(t.Context(), "k"); err != nil || string(v) != acked[len(acked)-1] {
		t.Errorf("the state is %s, %v", v, err)
	}
}

// appendAgain does what a client does who is told to try again.
func appendAgain(t *testing.T, l *Log, text string) {
	t.Helper()
	for {
		_, err := l.Append(t.Context(), Labels, text, []byte(text))
		if err == nil {
			return
		}
		if fairlead.CodeOf(err) != fairlead.CodeUnavailable {
			t.Fatalf("append %s: %v", text, err)
		}
	}
}

// readAgain reads the first n labels through elections.
func readAgain(t *testing.T, l *Log, n int) []string {
	t.Helper()
	var got []string
	done := errors.New("done")
	for after := uint64(0); ; {
		err := l.Follow(t.Context(), Labels, after, 10, func(msgs []Message) error {
			for _, m := range msgs {
				got, after = append(got, string(m.Data)), m.Seq
			}
			if len(got) >= n {
				return done
			}
			return nil
		})
		if errors.Is(err, done) {
			return got
		}
		if fairlead.CodeOf(err) != fairlead.CodeUnavailable {
			t.Fatalf("follow ended with %v", err)
		}
	}
}

func putAgain(t *testing.T, kv *KV, text string, revision uint64) (uint64, error) {
	t.Helper()
	for {
		next, err := kv.Put(t.Context(), "k", []byte(text), revision)
		if fairlead.CodeOf(err) != fairlead.CodeUnavailable {
			return next, err
		}
		// The write may have been made all the same.
		if v, at, err := kv.Get(t.Context(), "k"); err == nil && string(v) == text {
			return at, nil
		}
	}
}

func TestWritesSayWhyTheyAreRefusedWithoutAQuorum(t *testing.T) {
	c := startServers(t, 3)
	l := openOn(t, c, "a", func(o *Options) { o.Cluster.Attempt, o.Cluster.Patience = 300*time.Millisecond, time.Second })
	kv, err := l.KV(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	appendText(t, l, Labels, "a", "before")
	c.stop(0)
	c.stop(1)
	check := func(what string, err error) {
		t.Helper()
		var e *fairlead.Error
		if !errors.As(err, &e) || e.Code != fairlead.CodeUnavailable || e.Reason != ReasonNoQuorum || e.Retry <= 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = l.Append(t.Context(), Labels, "b", []byte("without a quorum"))
	check("a label", err)
	_, err = kv.Put(t.Context(), "k", []byte("v"), 0)
	check("a state", err)
	c.start(0)
	c.start(1)
	appendAgain(t, l, "after")
	for {
		if _, err := l.Append(t.Context(), Labels, "b", []byte("without a quorum")); err == nil {
			break
		}
	}
	text := strings.Join(readAgain(t, l, 3), ",")
	if strings.Count(text, "before") != 1 || strings.Count(text, "without a quorum") != 1 || strings.Count(text, "after") != 1 {
		t.Errorf("after the servers came back: %s", text)
	}
}

// TestADoubtfulWriteIsNotRepeated lets the servers forget message ids faster than a writer gives up.
func TestADoubtfulWriteIsNotRepeated(t *testing.T) {
	c := startServers(t, 1)
	l := openOn(t, c, "a", func(o *Options) { o.Duplicates = 100 * time.Millisecond })
	appendText(t, l, Predictions, "x", "noise")
	appendText(t, l, Predictions, "m", "rows")
	// The answer to that was lost, says the writer, and a while passes.
	l.doubts.add("a/m", time.Now())
	for i := 0; ; i++ { // the server forgets when it looks, some time after the window
		time.Sleep(150 * time.Millisecond)
		id := fmt.Sprint("probe", i)
		appendText(t, l, Events, id, "p")
		time.Sleep(150 * time.Millisecond)
		if appendText(t, l, Events, id, "p") != uint64(i+1) {
			break // stored twice: forgotten
		}
		if i > 100 {
			t.Skip("this server remembers ids for longer than it was asked to")
		}
	}
	if got := appendText(t, l, Predictions, "m", "rows"); got != 2 {
		t.Errorf("the second try is message %d, want the first one's 2", got)
	}
	if got := read(t, l, Predictions, 0); len(got) != 2 {
		t.Errorf("stored %s", got)
	}
	l.doubts.add("a/n", time.Now().Add(-time.Second))
	if got := appendText(t, l, Predictions, "n", "never came"); got != 3 {
		t.Errorf("a message that is not there got number %d, want 3", got)
	}
}

func TestAStartThatCannotWorkSaysWhy(t *testing.T) {
	single := startServers(t, 1)
	off := startServers(t, 1, func(o *server.Options) { o.JetStream = false })
	guarded := startServers(t, 1, func(o *server.Options) { o.Username, o.Password = "u", "secret" })
	small := startServers(t, 1, func(o *server.Options) { o.JetStreamMaxStore = 1 << 20 })
	lost := startServers(t, 3)
	lost.stop(0)
	lost.stop(1)
	free := freePorts(t, 1)[0]
	for name, bad := range map[string]struct {
		cluster Cluster
		code    fairlead.Code
		says    []string
	}{
		"nobody":         {Cluster{URL: fmt.Sprintf("nats://u:secret@127.0.0.1:%d", free)}, fairlead.CodeUnavailable, []string{"no NATS server answers", fmt.Sprint(free)}},
		"jetstream off":  {Cluster{URL: off.url(), Replicas: 1}, fairlead.CodeUnavailable, []string{"JetStream is off"}},
		"no password":    {Cluster{URL: guarded.url(), Replicas: 1}, fairlead.CodeUnavailable, []string{"refuse this user", "--nats-creds"}},
		"no cluster":     {Cluster{URL: single.url(), Replicas: 3}, fairlead.CodeUnavailable, []string{"cannot keep 3 replicas", "--nats-replicas 1"}},
		"account limits": {Cluster{URL: small.url(), Replicas: 1}, fairlead.CodeUnavailable, []string{"no room", "--nats-stream-mb"}},
		"no quorum":      {Cluster{URL: lost.url(), Replicas: 3}, fairlead.CodeUnavailable, []string{"do not agree on a leader"}},
		"no address":     {Cluster{URL: "h1 4222"}, fairlead.CodeInvalid, []string{"not the address"}},
		"prefix":         {Cluster{URL: single.url(), Prefix: "a.b"}, fairlead.CodeInvalid, []string{"prefix", `'.'`}},
		"replicas":       {Cluster{URL: single.url(), Replicas: 7}, fairlead.CodeInvalid, []string{"1 to 5"}},
		"creds":          {Cluster{URL: single.url(), Creds: "/no/such/file"}, fairlead.CodeInvalid, []string{"/no/such/file"}},
		"half a pair":    {Cluster{URL: single.url(), Cert: "cluster_test.go"}, fairlead.CodeInvalid, []string{"needs its key"}},
	} {
		l, err := Open(t.Context(), Options{Cluster: &bad.cluster, StartTimeout: 2 * time.Second, MaxBytes: 64 << 20})
		if err == nil {
			l.conn.Close()
			t.Errorf("%s: it started", name)
			continue
		}
		if fairlead.CodeOf(err) != bad.code || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: code %s: %v", name, fairlead.CodeOf(err), err)
		}
		for _, part := range bad.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in: %v", name, part, err)
			}
		}
	}
	if l, err := Open(t.Context(), Options{MaxBytes: 64 << 20, Cluster: &Cluster{URL: strings.Replace(guarded.url(), "//", "//u:secret@", 1), Replicas: 1}}); err != nil {
		t.Errorf("with user and password: %v", err)
	} else if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestServersWithASmallMaxPayloadTakeSmallMessages(t *testing.T) {
	c := startServers(t, 1, func(o *server.Options) { o.MaxPayload = 1 << 20 })
	l := openOn(t, c, "a")
	if l.Largest() >= 1<<20 || l.Largest() < 1<<19 {
		t.Errorf("the largest message has %d bytes", l.Largest())
	}
	if _, err := l.Append(t.Context(), Labels, "a", make([]byte, l.Largest())); err != nil {
		t.Errorf("a message of the largest size: %v", err)
	}
	_, err := l.Append(t.Context(), Labels, "b", make([]byte, l.Largest()+1))
	if fairlead.CodeOf(err) != fairlead.CodeTooLarge || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("a larger one: %v", err)
	}
}
