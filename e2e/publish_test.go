package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestASignedVersionTravels follows a version: imported and signed on one server, published to a registry (CNCF's own,
// pinned in registry/go.mod), pulled into another server that takes only what is signed.
func TestASignedVersionTravels(t *testing.T) {
	registry := startRegistry(t)
	dir := t.TempDir()
	key, public := filepath.Join(dir, "release.key"), filepath.Join(dir, "release.pub")
	config := filepath.Join(dir, "strict.yaml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("require_signed: {keys: [%q]}\n", public)), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(server *process, args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+dir, "DOCKER_CONFIG="+dir)
		if server != nil {
			cmd.Env = append(cmd.Env, "FAIRLEAD_SERVER="+server.base)
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out)
	}
	says := func(got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("it says\n%s\nand not %q", got, w)
			}
		}
	}
	says(run(nil, "keys", "new", key), "release.pub the public one")
	says(run(nil, "keys", "new", key), "is there already")

	first := start(t, filepath.Join(dir, "first"), freePort(t), "serve", "--log", "warn")
	says(run(first, "import", "../ship/importer/testdata/mlflow_columns", "--name", "flights"), "MLflow model", "flights@1 pushed", "distance hour weekday")
	reference := "oci://" + registry + "/models/flights"
	says(run(first, "publish", "flights@1", reference), "is "+reference+":v1", "no signature")

	strict := start(t, filepath.Join(dir, "strict"), freePort(t), "serve", "--log", "error", "--config", config)
	says(run(strict, "pull", reference+":v1"), "flights@1", "is here")
	says(run(strict, "import", "../ship/importer/testdata/mlflow_columns", "--name", "flights"), "not taken into service: it is not signed")

	says(run(first, "sign", "flights@1", "--key", key), "is signed")
	says(run(first, "publish", "flights@1", reference), "one attachment")
	says(run(strict, "pull", reference+":v1"), "was here already", "one attachment")
	says(run(strict, "sign", "flights@1", "--check"), "release.pub", "yes")
	says(run(strict, "sign", "flights@1", "--check", "--key", public), "is signed with release.pub")
	says(run(strict, "import", "../ship/importer/testdata/mlflow_columns", "--name", "flights"), "was there already", "live as")
	says(run(strict, "predict", "flights", `{"instances":[{"distance":1,"hour":0.5,"weekday":-1}]}`), "predictions")
	says(run(first, "pull", reference+":v9"), "there is no "+reference+":v9", "its tags are v1")
}

// startRegistry starts an empty OCI registry and gives its address.
func startRegistry(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "-C", "registry", "tool", "-n", "registry").Output()
	if err != nil {
		t.Fatalf("build the registry: %v", err)
	}
	addr, dir := freePort(t), t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strings.TrimSpace(string(out)), "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return addr
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the registry does not start: %v", err)
		}
	}
}
