package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

// exporter copies the files of a deployment's days to a target.
type exporter struct {
	deployment, from, until string
	tables                  []string
	server                  *client.Client
	to                      exportTarget
	bar                     *dataBar

	manifest exportManifest   // of the run before
	there    map[string]int64 // sizes of the target's files of the tables
	rows     uint64           // done, for the bar
	now      []exportFile     // of the days of this run
	covered  map[string]bool  // these days, "table date"
	done     *exported
}

// exportManifest lists the files of an export: docs/format/partitions.md.
type exportManifest struct {
	Format     int          `json:"format"` // 1
	Deployment string       `json:"deployment"`
	Exported   time.Time    `json:"exported"`
	Files      []exportFile `json:"files"`
}

type exportFile struct {
	Path   string `json:"path"` // below the manifest's folder
	Table  string `json:"table"`
	Date   string `json:"date"`
	Rows   uint64 `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// relists is how often a day is listed again that changes while it is copied.
const relists = 20

// partName is the name of a file that a server made; others in the folders are left alone.
var partName = regexp.MustCompile(`^part-[0-9a-f]{16}-([0-9a-f]{16}-)?\d+\.parquet$`)

func pathOf(f api.ExportFile) string { return f.Table + "/" + f.Folder + "/" + f.File }

// run copies what is not there yet. What it gives says what was done, also when it fails.
func (e *exporter) run(ctx context.Context) (*exported, error) {
	name := "manifest." + e.deployment + ".json"
	e.done = &exported{To: e.to.String(), Manifest: name}
	files, err := e.server.ExportFiles(ctx, e.deployment, e.tables, e.from, e.until)
	if err != nil {
		return e.done, err
	}
	if err := e.look(ctx, name, files); err != nil {
		return e.done, err
	}
	var total uint64
	for _, f := range files {
		total += f.Rows
	}
	e.bar.reach(0, total)
	for len(files) > 0 {
		n := 1
		for n < len(files) && files[n].Table == files[0].Table && files[n].Date == files[0].Date {
			n++
		}
		if err := e.day(ctx, files[:n]); err != nil {
			return e.done, err
		}
		for _, f := range files[:n] {
			e.rows += f.Rows
		}
		e.bar.reach(e.rows, total)
		files = files[n:]
	}
	return e.done, e.finish(ctx, name)
}

// look sees what the target has.
func (e *exporter) look(ctx context.Context, manifest string, files []api.ExportFile) error {
	b, err := e.to.read(ctx, manifest)
	if err != nil {
		return err
	}
	if b != nil {
		if err := json.Unmarshal(b, &e.manifest); err != nil {
			return fairlead.Invalid("%s in %s is not the manifest of an export", manifest, e.to).Hintf("export to another folder, or remove it: the files are then compared one by one").Cause(err)
		}
		if e.manifest.Format != 1 || e.manifest.Deployment != e.deployment {
			return fairlead.Invalid("%s in %s has format %d and is of %q; expected 1 and %q", manifest, e.to, e.manifest.Format, e.manifest.Deployment, e.deployment).
				Hintf("it was written by a newer fairlead, or is none of its manifests: export to another folder")
		}
	}
	e.there, e.covered = make(map[string]int64), make(map[string]bool)
	tables := make(map[string]bool)
	for _, f := range append(slices.Clone(e.manifest.Files), listedFiles(files)...) {
		if tables[f.Table] {
			continue
		}
		tables[f.Table] = true
		there, err := e.to.list(ctx, f.Table+"/deployment="+e.deployment)
		if err != nil {
			return err
		}
		for path, size := range there {
			e.there[path] = size
		}
	}
	return nil
}

func listedFiles(files []api.ExportFile) []exportFile {
	out := make([]exportFile, len(files))
	for i, f := range files {
		out[i] = exportFile{Table: f.Table, Date: f.Date}
	}
	return out
}

// day makes the target's folder of a table's day hold what the server has of it: new files first come whole to where the target
// collects them, then they get their names, then those go that they take the place of.
func (e *exporter) day(ctx context.Context, listed []api.ExportFile) error {
	table, folder, date := listed[0].Table, listed[0].Folder, listed[0].Date
	if e.richer(listed) {
		return nil
	}
	var same []exportFile
	var fetched []fetchedFile
	defer func() {
		for _, f := range fetched {
			f.content.drop()
		}
	}()
	for try := 0; ; try++ {
		var err error
		if same, fetched, err = e.fetch(ctx, listed, fetched); err == nil {
			break
		}
		if fairlead.CodeOf(err) != fairlead.CodeNotFound || try == relists {
			return err
		}
		if listed, err = e.server.ExportFiles(ctx, e.deployment, []string{table}, date, date); err != nil {
			return err
		}
		if len(listed) == 0 { // dropped meanwhile
			return nil
		}
	}
	sum := e.done.of(table)
	keep := make(map[string]bool)
	files := same
	for _, f := range fetched {
		if err := e.to.put(ctx, f.content, f.Path); err != nil {
			return err
		}
		files = append(files, f.exportFile)
		sum.Written++
	}
	for _, f := range files {
		keep[f.Path] = true
	}
	for at := range e.there {
		if path.Dir(at) == table+"/"+folder && !keep[at] && partName.MatchString(path.Base(at)) {
			if err := e.to.remove(ctx, at); err != nil {
				return err
			}
			sum.Removed++
		}
	}
	sum.add(files)
	e.now = append(e.now, files...)
	e.covered[table+" "+date] = true
	return nil
}

// richer says that the target has more of a day than the server, which has dropped some of it since: that stays.
func (e *exporter) richer(listed []api.ExportFile) bool {
	var here, there uint64
	var kept []exportFile
	for _, f := range listed {
		here += f.Rows
	}
	for _, f := range e.manifest.Files {
		if _, ok := e.there[f.Path]; ok && f.Table == listed[0].Table && f.Date == listed[0].Date {
			there, kept = there+f.Rows, append(kept, f)
		}
	}
	if !listed[0].Grows || here >= there {
		return false
	}
	e.done.of(listed[0].Table).add(kept)
	return true
}

// fetchedFile is a file that the target has not named yet.
type fetchedFile struct {
	exportFile
	content *spooled
}

// fetch gets those of a day's files that the target has not. have were fetched before, for a list that is out of date; they are
// used where they are still listed.
func (e *exporter) fetch(ctx context.Context, listed []api.ExportFile, have []fetchedFile) (same []exportFile, fetched []fetchedFile, err error) {
	fetched = have
	listed = slices.DeleteFunc(slices.Clone(listed), func(f api.ExportFile) bool { return f.File == "" })
	wanted := func(at string) bool {
		return slices.ContainsFunc(listed, func(f api.ExportFile) bool { return pathOf(f) == at })
	}
	fetched = slices.DeleteFunc(fetched, func(f fetchedFile) bool {
		stale := !wanted(f.Path)
		if stale {
			f.content.drop()
		}
		return stale
	})
	for _, f := range listed {
		if slices.ContainsFunc(fetched, func(h fetchedFile) bool { return h.Path == pathOf(f) }) {
			continue
		}
		known, err := e.known(ctx, f)
		if err != nil {
			return nil, fetched, err
		}
		if known != nil {
			same = append(same, *known)
			continue
		}
		got, err := e.fetchOne(ctx, f)
		if err != nil {
			return nil, fetched, err
		}
		fetched = append(fetched, got)
	}
	return same, fetched, nil
}

// known is a listed file as the target has it; nil if it has not, or cannot say that the content is the same.
func (e *exporter) known(ctx context.Context, f api.ExportFile) (*exportFile, error) {
	at := pathOf(f)
	size, ok := e.there[at]
	if !ok {
		return nil, nil
	}
	has, err := e.to.digest(ctx, at)
	if err != nil || has == "" {
		return nil, err
	}
	want := f.SHA256
	if i := slices.IndexFunc(e.manifest.Files, func(m exportFile) bool { return m.Path == at }); want == "" && i >= 0 {
		want = e.manifest.Files[i].SHA256
	}
	// What the server makes on demand has no digest before. Its name says which rows it has, and it got that when it was whole: one
	// of a run that did not come to its manifest is good.
	if want != "" && has != want {
		return nil, nil
	}
	return &exportFile{Path: at, Table: f.Table, Date: f.Date, Rows: f.Rows, Bytes: size, SHA256: has}, nil
}

func (e *exporter) fetchOne(ctx context.Context, f api.ExportFile) (fetchedFile, error) {
	content, err := e.to.spool()
	if err != nil {
		return fetchedFile{}, err
	}
	got, err := e.server.ExportFile(ctx, f, content)
	if err == nil {
		err = content.check(f, got)
	}
	if err != nil {
		content.drop()
		return fetchedFile{}, err
	}
	return fetchedFile{exportFile{pathOf(got), f.Table, f.Date, got.Rows, content.size, content.digest()}, content}, nil
}

// check looks whether what came is what the server listed.
func (s *spooled) check(listed, got api.ExportFile) error {
	mark := []byte("PAR1")
	switch {
	case s.size < 12 || !bytes.Equal(s.head[:], mark) || !bytes.Equal(s.tail[:], mark):
		return fairlead.Errorf(fairlead.CodeUnavailable, "what came for %s is no Parquet file (%d bytes)", listed.Path, s.size).
			Hintf("does something between here and the server change answers? The address is --server")
	case listed.SHA256 != "" && listed.SHA256 != s.digest():
		return fairlead.Errorf(fairlead.CodeUnavailable, "%s came with SHA-256 %s, expected %s", listed.Path, s.digest(), listed.SHA256).
			Hintf("run the command again; if it stays so, the file is damaged on the server's disk")
	case !partName.MatchString(got.File):
		return fairlead.Errorf(fairlead.CodeUnavailable, "the server calls a file %q", got.File).Hintf("is it the same version of fairlead?")
	}
	return nil
}

// finish writes the manifest, unless it says the same already.
func (e *exporter) finish(ctx context.Context, name string) error {
	m := exportManifest{Format: 1, Deployment: e.deployment, Exported: time.Now().UTC().Truncate(time.Second), Files: append([]exportFile{}, e.now...)}
	for _, f := range e.manifest.Files { // other tables, other days, days that the server has dropped
		if _, ok := e.there[f.Path]; ok && !e.covered[f.Table+" "+f.Date] {
			m.Files = append(m.Files, f)
		}
	}
	slices.SortFunc(m.Files, func(a, b exportFile) int { return cmp.Compare(a.Path, b.Path) })
	if e.manifest.Format == 1 && slices.Equal(m.Files, e.manifest.Files) {
		return nil
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	f, err := e.to.spool()
	if err != nil {
		return err
	}
	defer f.drop()
	if _, err := f.Write(append(b, '\n')); err != nil {
		return err
	}
	if err := e.to.put(ctx, f, name); err != nil {
		return errors.Join(fmt.Errorf("write %s", name), err)
	}
	return nil
}

// reach shows how many rows of all are done.
func (b *dataBar) reach(done, all uint64) {
	if b.bar == nil {
		return
	}
	b.bar.ChangeMax64(int64(max(all, 1))) //nolint:gosec // a number of rows
	_ = b.bar.Set64(int64(done))          //nolint:gosec // as above; a bar that cannot be drawn stops nothing
}
