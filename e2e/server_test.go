package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBadInputGetsAClearErrorAndTheServerStaysUp is the list of issue 2: each error says what was expected and what came.
func TestBadInputGetsAClearErrorAndTheServerStaysUp(t *testing.T) {
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	infer := p.base + "/v2/models/flights/infer"
	row := `{"hour":17,"weekday":4,"distance":733,"departures":60,"origin":"ATL","destination":"ORD"}`
	cases := []struct {
		name, url, contentType string
		body                   io.Reader
		status                 int
		say                    []string // what the error must mention
	}{
		{"wrong JSON", infer, "application/json", strings.NewReader(`{"instances":[`), 400, []string{"JSON"}},
		{"unknown feature", infer, "application/json", strings.NewReader(strings.Replace(`{"instances":[`+row+`]}`, "distance", "distanse", 1)), 400, []string{"distanse", "distance"}},
		{"wrong shape", infer, "application/json", strings.NewReader(`{"inputs":[{"name":"features","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`), 400, []string{"features", "[1,2]"}},
		{"a string for a number", infer, "application/json", strings.NewReader(`{"instances":[` + strings.Replace(row, "733", `"far"`, 1) + `]}`), 400, []string{"distance", "far", "number"}},
		{"unknown model", p.base + "/v2/models/trains/infer", "application/json", strings.NewReader(`{"instances":[` + row + `]}`), 404, []string{"trains", "flights"}},
		{"100 MB body", infer, "application/json", io.LimitReader(spaces{}, 100<<20), 413, []string{"64"}},
		{"broken ONNX file", p.base + "/api/v1/models/broken/versions", "application/octet-stream", strings.NewReader("not a model"), 400, []string{"ONNX"}},
		{"a label without value", p.base + "/api/v1/deployments/flights/labels", "application/json", strings.NewReader(`{"labels":[{"prediction_id":"x"}]}`), 400, []string{"value"}},
		{"labels for nobody", p.base + "/api/v1/deployments/trains/labels", "application/json", strings.NewReader(`{"labels":[{"prediction_id":"x","value":1}]}`), 404, []string{"trains", "flights"}},
		{"SQL that writes", p.base + "/api/v1/sql", "application/json", strings.NewReader(`{"query":"DROP TABLE labels"}`), 400, []string{"SELECT"}},
		{"SQL that reads a file", p.base + "/api/v1/sql", "application/json", strings.NewReader(`{"query":"SELECT * FROM read_text('/etc/passwd')"}`), 400, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, body := post(t, c.url, c.contentType, c.body)
			t.Logf("%d %s", status, body)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			for _, word := range append(c.say, `"error":`) {
				if !strings.Contains(body, word) {
					t.Errorf("the error does not mention %q: %s", word, body)
				}
			}
		})
	}
	t.Run("reference without the model's columns", func(t *testing.T) {
		ref := filepath.Join(t.TempDir(), "ref.csv")
		if err := os.WriteFile(ref, []byte("hour,weekday,miles\n1,2,3\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := p.run("push", bundle, "--name", "noref", "--reference", ref)
		t.Log(out)
		if err == nil || !strings.Contains(out, "distance") || !strings.Contains(out, "miles") {
			t.Errorf("err %v: %s", err, out)
		}
	})
	status, body := post(t, infer, "application/json", strings.NewReader(`{"instances":[`+row+`]}`))
	if status != 200 {
		t.Errorf("after all that the server answers %d %s", status, body)
	}
	p.stop()
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{' '}, len(p)))
	return len(p), nil
}

// TestRestartFindsEverything stops the server cleanly right after traffic and looks at what the next one finds.
func TestRestartFindsEverything(t *testing.T) {
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", bundle, "--alias", "champion"); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	const rows = 500
	for i := range rows {
		body := fmt.Sprintf(`{"instances":[{"hour":17,"weekday":4,"distance":%d,"departures":60,"origin":"ATL","destination":"ORD"}],"rows":[{"id":"r%d"}]}`, 100+i, i)
		if status, out := post(t, p.base+"/v2/models/flights/infer", "application/json", strings.NewReader(body)); status != 200 {
			t.Fatalf("%d %s", status, out)
		}
	}
	p.stop() // at once: the queues must drain
	p = start(t, data, address, "serve")
	if n := p.number(`SELECT count(*) FROM rows."flights"`); n != rows {
		t.Errorf("%d rows after a clean restart, want %d", n, rows)
	}
	if out, err := p.run("models"); err != nil || !strings.Contains(out, "champion") {
		t.Errorf("models after a restart: %v\n%s", err, out)
	}
	p.stop()
}

// TestNoOutgoingConnection looks at the sockets of a server that has loaded a model and answered: it listens on its one
// address and is connected to nobody but us.
func TestNoOutgoingConnection(t *testing.T) {
	if _, err := os.Stat("/proc/self/net/tcp"); err != nil {
		t.Skip("needs /proc")
	}
	data, address := t.TempDir(), freePort(t)
	p := start(t, data, address, "serve")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	port := hexPort(t, address)
	for range 30 {
		http.DefaultClient.CloseIdleConnections()
		for _, s := range sockets(t, p.cmd.Process.Pid) {
			if s.local != port {
				t.Fatalf("the server holds a socket from port %04X to %s in state %s", s.local, s.remote, s.state)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.stop()
}
