//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// diskMB is the size of the file system that the server is given. It keeps 64 MiB free.
const diskMB = 256

const flight = `{"hour":17,"weekday":4,"distance":600,"departures":60,"origin":"ATL","destination":"ORD"}`

// TestFullDisk fills the server's disk under it. Predictions go on, what cannot be kept is dropped and counted, a label is
// refused rather than acknowledged and lost, and when there is room again all of it recovers without a restart.
func TestFullDisk(t *testing.T) {
	wrap := []string{"unshare", "-Urm", "sh", "-c", `mkdir -p "$0" && mount -t tmpfs -o size=` + fmt.Sprint(diskMB) + `m none "$0" && exec "$@"`}
	data := filepath.Join(t.TempDir(), "data")
	if out, err := exec.Command(wrap[0], append(wrap[1:], data, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no file system of a limited size: unshare -Urm and mount: %v: %s", err, out)
	}
	p := startUnder(t, append(wrap, data), data, freePort(t), "serve")
	if out, err := p.run("push", bundle); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	durable := filepath.Join(t.TempDir(), "durable")
	if err := os.CopyFS(durable, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(durable, "fairlead.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte(strings.Replace(string(text), "name: flights", "name: durable", 1)), "\nrecord: {durable: true}\n"...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := p.run("push", durable); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	ask := func() (int, string) {
		return post(t, p.base+"/v1/models/durable:predict", "application/json", strings.NewReader(`{"instances":[`+flight+`]}`))
	}
	if code, body := ask(); code != http.StatusOK {
		t.Fatalf("a durable answer: %d %s", code, body)
	}
	answered := 0
	predict := func(n int) string {
		t.Helper()
		body := `{"instances":[` + strings.Repeat(flight+",", n-1) + flight + `]}`
		raw, err := p.client.Predict(t.Context(), "flights", []byte(body))
		if err != nil {
			t.Fatalf("a prediction failed after %d rows: %v", answered, err)
		}
		answered += n
		_, id, _ := strings.Cut(string(raw), `"ids":["`)
		id, _, _ = strings.Cut(id, `"`)
		return id
	}
	label := func(id string) error {
		_, err := p.client.Label(context.Background(), "flights", []api.Label{{PredictionID: id, Value: true}})
		return err
	}
	var acked []string
	first := predict(500)
	if err := label(first); err != nil {
		t.Fatal(err)
	}
	acked = append(acked, first)
	p.waitFor(30*time.Second, "stored", func() bool { return p.flights() == answered })

	fill := filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid), "root", data, "fill")
	fillUp(t, fill)
	refused := predict(1)
	if err := label(refused); err == nil {
		t.Error("a label was acknowledged on a full disk")
	} else {
		t.Log("a label on a full disk:", err)
	}
	if code, body := ask(); code != http.StatusServiceUnavailable || !strings.Contains(body, "not on disk") {
		t.Errorf("a deployment that answers only what is recorded, on a full disk: %d %s", code, body)
	}
	for p.dropped() == 0 { // the recorder's queue fills up
		if predict(4000); answered > 600_000 {
			t.Fatalf("%d rows answered on a full disk and none dropped", answered)
		}
	}
	if resp, err := http.Get(p.base + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("not healthy on a full disk: %v %v", resp, err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	p.waitFor(60*time.Second, "taking labels again", func() bool { return label(refused) == nil })
	acked = append(acked, refused)
	p.waitFor(60*time.Second, "answering durably again", func() bool { code, _ := ask(); return code == http.StatusOK })
	p.waitFor(60*time.Second, "all stored that was not dropped", func() bool { return p.flights() == answered-p.dropped() })
	before := p.dropped()
	last := predict(500)
	if err := label(last); err != nil {
		t.Fatal(err)
	}
	acked = append(acked, last)
	p.waitFor(60*time.Second, "recording again", func() bool { return p.flights() == answered-before })
	if p.dropped() != before {
		t.Errorf("%d rows were dropped after there was room again", p.dropped()-before)
	}
	p.settled()
	if n := p.number(`SELECT count(*) - count(DISTINCT prediction_id) FROM rows."flights"`); n != 0 {
		t.Errorf("%d rows are stored twice", n)
	}
	for _, id := range acked {
		if n := p.number(`SELECT count(*) FROM labels WHERE prediction_id = '` + id + `'`); n != 1 {
			t.Errorf("the acknowledged label of %s is there %d times", id, n)
		}
	}
	t.Logf("%d rows answered, %d dropped and counted, the rest stored", answered, before)
	p.stop()
}

// flights are the stored rows of that deployment.
func (p *process) flights() int {
	return p.number(`SELECT count(*) FROM predictions WHERE deployment = 'flights'`)
}

// dropped is the server's counter.
func (p *process) dropped() int {
	s, err := p.client.Status(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return int(s.Dropped)
}

// fillUp writes a file until the disk is full.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zeros := make([]byte, 1<<20)
	for range diskMB {
		if _, err := f.Write(zeros); err != nil {
			return
		}
	}
	t.Fatal("the disk does not become full")
}
