package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// blocks are the examples of a page in one language.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no example in %s", page, language)
	}
	return all
}

// TestExamplesOfTheEventLogPage runs what docs/eventlog.md shows: its bundle is pushed, its commands are typed in, and its
// query counts every answer from the tenth of them that is stored.
func TestExamplesOfTheEventLogPage(t *testing.T) {
	const page = "../docs/eventlog.md"
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the page uses curl, which is not here")
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "bundle")
	if err := os.CopyFS(folder, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "fairlead.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "\n"+blocks(t, page, "yaml")[0]+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	p := start(t, t.TempDir(), address, "serve", "--redact-key", key)
	if out, err := p.run("push", folder); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}

	const requests, each = 20, 200
	for i := range requests {
		var rows []string
		for k := range each {
			rows = append(rows, fmt.Sprintf(`{"id":"r%d","time":"2001-03-08T17:05:00Z","tags":{"passenger_id":"77","email":"ada@example.org","note":"%s"}}`,
				i*each+k, strings.Repeat("n", 60)))
		}
		body := `{"instances":[` + strings.Repeat(flight+",", each-1) + flight + `],"rows":[` + strings.Join(rows, ",") + `]}`
		if _, err := p.client.Predict(t.Context(), "flights", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	p.settled()
	stored := p.number(`SELECT count(*) FROM predictions`)
	said, err := scrapeOf(p.base)
	if err != nil {
		t.Fatal(err)
	}
	if stored+said.sampled != requests*each || stored == 0 || said.pending != 0 {
		t.Errorf("%d rows answered, %d stored, the server says %+v", requests*each, stored, said)
	}
	tags := p.sql(`SELECT DISTINCT map_keys(tags)::VARCHAR, length(tags['email']), length(tags['note']), tags['email'] = 'ada@example.org' FROM predictions`)
	if got := fmt.Sprint(tags); got != "[[email, note] 32 40 false]" {
		t.Errorf("what was redacted is stored as %s", got)
	}

	for _, query := range blocks(t, page, "sql") {
		answer, err := p.client.SQL(t.Context(), query, 100)
		if err != nil || len(answer.Rows) != 1 || answer.Rows[0][0] != "2001-03-08T17:00:00Z" {
			t.Fatalf("%s\n%v %v", query, answer, err)
		}
		// 4,000 draws with probability 0.1: six standard deviations are 1,140 answers.
		if n := answer.Rows[0][1].(float64); math.Abs(n-requests*each) > 1140 {
			t.Errorf("the page's query makes %v answers of %d", n, requests*each)
		}
	}

	bin := t.TempDir()
	if path, err := filepath.Abs(binary); err != nil || os.Symlink(path, filepath.Join(bin, "fairlead")) != nil {
		t.Fatal(err)
	}
	for _, block := range blocks(t, page, "sh") {
		for line := range strings.SplitSeq(block, "\n") {
			out := typed(t, bin, address, line)
			t.Logf("$ %s\n%s", line, out)
			switch {
			case strings.Contains(line, "/metrics"):
				for _, name := range []string{"pending", "dropped_total", "sampled_out_total", "recorded_total"} {
					if !strings.Contains(out, "fairlead_rows_"+name+" ") {
						t.Errorf("%s does not print fairlead_rows_%s", line, name)
					}
				}
			case strings.Contains(line, "/status"):
				var s map[string]any
				if err := json.Unmarshal([]byte(out), &s); err != nil || s["recorded"] != float64(requests*each) || s["dropped"] != 0.0 {
					t.Errorf("%s prints %s: %v", line, out, err)
				}
			case !strings.Contains(out, fmt.Sprint(stored)):
				t.Errorf("%s does not print %d:\n%s", line, stored, out)
			}
		}
	}
	p.stop()
}

// typed runs a line of a page in a shell, against a server at another address.
func typed(t *testing.T, bin, address, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(line, "localhost:8080", address))
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "FAIRLEAD_SERVER=http://"+address)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}
