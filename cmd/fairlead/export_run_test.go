package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

// shelf is a server that has files to export, and the faults of a test.
type shelf struct {
	files []shelved
	lists int
	onGet func(w http.ResponseWriter, f shelved) bool // whether it answered
	then  []shelved                                   // what is listed from the second time on
}

type shelved struct {
	table, date, name string
	rows              uint64
	content           string
	undigested, grows bool
}

// part is a file of the rows first to last.
func part(first, last int, content string) shelved {
	n := last - first + 1
	return shelved{"rows", "2001-03-01", fmt.Sprintf("part-%016x-%016x-%d.parquet", first, last, n), uint64(n), "PAR1" + content + "....PAR1", false, true} //nolint:gosec // small
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/export") {
		if s.lists++; s.lists > 1 && s.then != nil {
			s.files = s.then
		}
		list := []api.ExportFile{}
		for _, f := range s.files {
			e := api.ExportFile{Table: f.table, Grows: f.grows, Path: "/file/" + f.name,
				RowFile: api.RowFile{Folder: "deployment=flights/date=" + f.date, Date: f.date, File: f.name, Rows: f.rows}}
			if digest := sha256.Sum256([]byte(f.content)); !f.undigested {
				e.SHA256 = hex.EncodeToString(digest[:])
			}
			list = append(list, e)
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	i := slices.IndexFunc(s.files, func(f shelved) bool { return "/file/"+f.name == r.URL.Path })
	if i < 0 {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":"no such file","code":"not_found"}`)
		return
	}
	if s.onGet != nil && s.onGet(w, s.files[i]) {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.files[i].content)))
	fmt.Fprint(w, s.files[i].content)
}

// exportTo runs an export and gives the files of the folder after it.
func exportTo(t *testing.T, s *shelf, dir string) (*exported, map[string]string, error) {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := client.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	to, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	s.lists = 0
	e := &exporter{deployment: "flights", server: c, to: to, bar: &dataBar{}}
	done, err := e.run(t.Context())
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			content, err := os.ReadFile(path)
			files[e.Name()] = string(content)
			return err
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return done, files, err
}

func names(files map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(files)), " ")
}

// TestExportBrokenOff: what did not come whole has no name in the folder, what came before stays, and the next run goes on.
func TestExportBrokenOff(t *testing.T) {
	a, b := part(1, 5, "a"), part(6, 9, "b")
	b.date = "2001-03-02"
	a.undigested = true // made on demand
	for name, fault := range map[string]struct {
		onGet func(w http.ResponseWriter, f shelved) bool
		says  string
	}{
		"the connection breaks": {func(w http.ResponseWriter, f shelved) bool {
			w.Header().Set("Content-Length", strconv.Itoa(len(f.content)))
			fmt.Fprint(w, f.content[:7])
			return true
		}, "rows of 2001-03-02 broke off after 7 bytes"},
		"the file is damaged": {func(w http.ResponseWriter, f shelved) bool {
			fmt.Fprint(w, strings.Replace(f.content, "b", "c", 1))
			return true
		}, "came with SHA-256"},
		"a proxy answers": {func(w http.ResponseWriter, _ shelved) bool {
			fmt.Fprint(w, "<html>please log in</html>")
			return true
		}, "is no Parquet file"},
		"the server fails": {func(w http.ResponseWriter, _ shelved) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := &shelf{files: []shelved{a, b}, onGet: func(w http.ResponseWriter, f shelved) bool { return f.name == b.name && fault.onGet(w, f) }}
			done, files, err := exportTo(t, s, dir)
			if err == nil || !strings.Contains(err.Error(), fault.says) {
				t.Errorf("error %v, expected one with %q", err, fault.says)
			}
			if got := names(files); got != a.name || done.written() != 1 {
				t.Errorf("the folder has %s, %d were written", got, done.written())
			}
			s.onGet = nil
			done, files, err = exportTo(t, s, dir)
			if got := names(files); err != nil || got != "manifest.flights.json "+a.name+" "+b.name || done.written() != 1 {
				t.Errorf("after the next run the folder has %s, %d were written: %v", got, done.written(), err)
			}
		})
	}
}

// TestExportOfADayThatChanges: files are merged between the list and the copy, and once more after it.
func TestExportOfADayThatChanges(t *testing.T) {
	dir := t.TempDir()
	s := &shelf{files: []shelved{part(1, 5, "a"), part(6, 9, "b")}, then: []shelved{part(1, 5, "a"), part(6, 12, "bc")}}
	s.onGet = func(w http.ResponseWriter, f shelved) bool {
		if f.name == part(6, 9, "").name {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"rows were added","code":"not_found"}`)
			return true
		}
		return false
	}
	done, files, err := exportTo(t, s, dir)
	if got := names(files); err != nil || got != "manifest.flights.json "+s.then[0].name+" "+s.then[1].name || done.of("rows").Rows != 12 {
		t.Fatalf("%s %+v %v", got, done.of("rows"), err)
	}
	merged := part(1, 12, "abc")
	s = &shelf{files: []shelved{merged}}
	done, files, err = exportTo(t, s, dir)
	if got := names(files); err != nil || got != "manifest.flights.json "+merged.name || done.of("rows").Removed != 2 {
		t.Fatalf("%s %+v %v", got, done.of("rows"), err)
	}

	// Retention took most of the day, and rows came late: the copy has more than the server.
	s = &shelf{files: []shelved{part(20, 21, "late")}}
	done, files, err = exportTo(t, s, dir)
	if got := names(files); err != nil || got != "manifest.flights.json "+merged.name || done.of("rows").Rows != 12 {
		t.Fatalf("%s %+v %v", got, done.of("rows"), err)
	}
	// The whole day went.
	if _, files, err = exportTo(t, &shelf{}, dir); err != nil || names(files) != "manifest.flights.json "+merged.name {
		t.Fatal(files, err)
	}
	// Of what may lose rows, an empty day is one.
	outcome := shelved{"outcomes", "2001-03-01", "part-00000000000000ff-3.parquet", 3, "PAR1xxxxPAR1", true, false}
	if _, files, err = exportTo(t, &shelf{files: []shelved{outcome}}, dir); err != nil || !strings.Contains(files["manifest.flights.json"], outcome.name) {
		t.Fatal(files, err)
	}
	taken := shelved{table: "outcomes", date: outcome.date}
	if _, files, err = exportTo(t, &shelf{files: []shelved{taken}}, dir); err != nil || names(files) != "manifest.flights.json "+merged.name || strings.Contains(files["manifest.flights.json"], outcome.name) {
		t.Fatal(files, err)
	}
}

// TestExportStopped: who stops it finds no half file and nothing left over.
func TestExportStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &shelf{files: []shelved{part(1, 5, "a")}}
	s.onGet = func(w http.ResponseWriter, _ shelved) bool {
		fmt.Fprint(w, "PAR1")
		w.(http.Flusher).Flush()
		cancel()
		return true
	}
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := client.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	to, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	if _, err := (&exporter{deployment: "flights", server: c, to: to, bar: &dataBar{}}).run(ctx); err == nil {
		t.Error("it went on")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// TestExportIntoAForeignManifest does not overwrite what it does not know.
func TestExportIntoAForeignManifest(t *testing.T) {
	for content, says := range map[string]string{
		"{": "is not the manifest of an export", `{"format":2,"deployment":"flights"}`: "has format 2", `{"format":1,"deployment":"loans"}`: `is of "loans"`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "manifest.flights.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, files, err := exportTo(t, &shelf{files: []shelved{part(1, 5, "a")}}, dir)
		if err == nil || !strings.Contains(err.Error(), says) || len(files) != 1 {
			t.Errorf("%s: %v %v", content, err, files)
		}
	}
}

func TestExportToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	s := &spooled{file: full, hash: sha256.New()}
	if _, err = s.Write([]byte("PAR1")); fairlead.CodeOf(err) != fairlead.CodeExhausted || !strings.Contains(err.Error(), "is full") {
		t.Error(err)
	}
}

// TestExportAfterAKill removes what a killed export left, not what another one is writing.
func TestExportAfterAKill(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{spoolPrefix + "old": 2 * staleSpool, spoolPrefix + "new": 0, "mine": 2 * staleSpool} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	_, files, err := exportTo(t, &shelf{}, dir)
	if got := names(files); err != nil || got != spoolPrefix+"new manifest.flights.json mine" {
		t.Errorf("%s %v", got, err)
	}
}
