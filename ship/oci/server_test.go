package oci

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// binary builds CNCF distribution's registry, pinned in e2e/registry, and keeps it in Go's build cache. Debian's package
// docker-registry, which is the same program, does where there is no network.
var binary = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "-C", "../../e2e/registry", "tool", "-n", "registry").CombinedOutput()
	lines := strings.Fields(string(out))
	if err == nil && len(lines) > 0 {
		return lines[len(lines)-1], nil
	}
	if path, missing := exec.LookPath("docker-registry"); missing == nil {
		return path, nil
	}
	return "", fmt.Errorf("build the registry: %v: %s", err, out)
})

// server is a registry in a process of its own.
type server struct {
	addr, storage string
}

// htpasswd is the user release with the password "correct horse", hashed by bcrypt.
const htpasswd = "release:$2a$05$rDmZyvxI0AK9a7IgXo0vZeCqKVhppJ8hLMRGj8XQpi/cZudgcKzU6\n"

// serve starts a registry with empty storage; closed asks for credentials.
func serve(t *testing.T, closed bool) *server {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), storage: filepath.Join(dir, "storage")}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q, secret: fairlead}\n", s.storage, s.addr)
	if closed {
		users := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(users, []byte(htpasswd), 0o600); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("auth: {htpasswd: {realm: models, path: %s}}\n", users)
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", file)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log := &strings.Builder{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			said := log.String()
			t.Logf("the registry said last: %s", said[max(0, len(said)-2000):])
		}
		http.DefaultClient.CloseIdleConnections()
	})
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + s.addr + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return s
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the registry ended: %v", err)
		default:
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the registry does not start: %v", err)
		}
	}
}

// ref is a reference into the server.
func (s *server) ref(t *testing.T, rest string) Reference {
	t.Helper()
	ref, err := ParseReference(Scheme + s.addr + "/" + rest)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// blob is the file in which the server keeps a blob.
func (s *server) blob(hex string) string {
	return filepath.Join(s.storage, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
}

// once does not wait between attempts.
func once(ctx context.Context, _ int) error { return ctx.Err() }
