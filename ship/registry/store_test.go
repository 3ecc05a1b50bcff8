package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

// files lists the plain files under dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A store with two models, a version of two variants, a signature on one of them and a blob nobody needs.
func stocked(t *testing.T) (dir string, r *registry.Registry, kv *registrytest.KV) {
	t.Helper()
	dir, kv = t.TempDir(), &registrytest.KV{}
	r = open(t, dir, kv)
	for seed := range 2 {
		if _, _, err := r.Add(t.Context(), "flights", registrytest.Bundle(t, "flights", seed), now, "champion"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.Add(t.Context(), "other", twoVariants(t, "other"), now, ""); err != nil {
		t.Fatal(err)
	}
	signature := attachment(t, "signature", registrytest.Bundle(t, "flights", 1).Digest)
	if err := r.Attach(t.Context(), "flights", 2, signature); err != nil {
		t.Fatal(err)
	}
	orphan := []byte("nobody needs this")
	if err := os.WriteFile(blobPath(dir, bundle.DigestOf(orphan)), orphan, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, r, kv
}

func blobPath(dir string, d fairlead.Digest) string {
	return filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(string(d), "sha256:"))
}

func twoVariants(t *testing.T, name fairlead.Name) *bundle.Bundle {
	t.Helper()
	src := bundle.FromModel(name, []byte("graph in full"))
	src.File.Variants = []bundle.VariantFile{
		{Name: "int8", Model: "small.onnx", Requires: bundle.Requires{ISA: []string{"avx512_vnni"}}}, {Name: "fp32", Model: "model.onnx"},
	}
	src.Models = map[string][]byte{"small.onnx": []byte("graph in small")}
	b, err := bundle.Seal(src, fairlead.Signature{Task: fairlead.TaskNone}, []byte("profile"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attachment(t *testing.T, content string, subject fairlead.Digest) registry.Attachment {
	t.Helper()
	blob := bundle.DigestOf([]byte(content))
	return registry.Attachment{
		Manifest: fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
			`"layers":[{"mediaType":"text/plain","digest":"%s","size":%d}],"subject":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"%s","size":1}}`,
			blob, len(content), subject),
		Blobs: map[fairlead.Digest][]byte{blob: []byte(content)},
	}
}

// A flipped bit, anywhere in any file of the store, is found, and the file is named. Nothing else is.
func TestCheckFindsEveryFlippedBit(t *testing.T) {
	dir, r, kv := stocked(t)
	if found, err := r.Check(t.Context()); err != nil || len(found) != 0 {
		t.Fatalf("a sound store: %+v, %v", found, err)
	}
	all := files(t, dir)
	seed := uint64(20010301)
	random := rand.New(rand.NewPCG(seed, 1))
	t.Log("seed", seed)
	opened := 0
	for _, path := range all {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		positions := []int{0, 8*len(content) - 1}
		for range 6 {
			positions = append(positions, random.IntN(8*len(content)))
		}
		for _, bit := range positions {
			bad := slices.Clone(content)
			bad[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := r.Check(t.Context())
			if err != nil || len(found) != 1 || found[0].File != path || found[0].What == "" || found[0].Mend == "" {
				t.Errorf("bit %d of %s: %+v, %v", bit, path, found, err)
			}
			// A version that needs the file does not open, and the error names it.
			for _, needs := range found[0].Versions {
				name, v, _ := strings.Cut(needs, "@")
				e, err := r.Resolve(t.Context(), fairlead.Name(name), v)
				if err != nil {
					t.Fatal(err)
				}
				_, err = r.Open(t.Context(), e.Digest)
				_, attached := r.Attachments(t.Context(), e)
				if both := fmt.Sprint(err, attached); !strings.Contains(both, path) {
					t.Errorf("bit %d of %s: %s opens: %v", bit, path, needs, both)
				}
				opened++
			}
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(all) < 20 || opened < 8*15 {
		t.Errorf("%d files, %d damaged versions: too few to mean anything", len(all), opened)
	}
	stray := filepath.Join(dir, "blobs", "sha256", "notes.txt")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blobPath(dir, registrytest.Bundle(t, "flights", 0).Digest)); err != nil {
		t.Fatal(err)
	}
	found, err := r.Check(t.Context())
	var where []string
	for _, d := range found {
		where = append(where, filepath.Base(d.File))
	}
	if want := []string{"notes.txt", "index.json"}; err != nil || len(where) != 3 || !slices.Equal(where[1:], want) {
		t.Errorf("a missing index, a stray file: %q, %v", where, err)
	}
	if _, err := registry.Open(dir, kv); err != nil {
		t.Error(err)
	}
}

// An alias moves only from where it is expected, and every move stays in the history.
func TestAliasHistory(t *testing.T) {
	_, r, _ := stocked(t)
	expect := func(v fairlead.Version) *fairlead.Version { return &v }
	at := func(minute int) time.Time { return now.Add(time.Duration(minute) * time.Minute) }
	for i, c := range []struct {
		p    registry.Pointing
		want string
	}{
		{registry.Pointing{Alias: "beta", To: 1, Expect: expect(0), By: "ann", At: at(1)}, "0 → 1"},
		{registry.Pointing{Alias: "beta", To: 2, Expect: expect(0), By: "bob", At: at(2)}, "moved: the alias beta of flights points at version 1, expected nowhere"},
		{registry.Pointing{Alias: "beta", To: 2, Expect: expect(2), By: "bob", At: at(3)}, "moved: the alias beta of flights points at version 1, expected version 2"},
		{registry.Pointing{Alias: "beta", To: 2, Expect: expect(1), By: "bob", At: at(4)}, "1 → 2"},
		{registry.Pointing{Alias: "beta", To: 2, By: "bob", At: at(5)}, "2 → 2"},
		{registry.Pointing{Alias: "beta", To: 9, By: "bob", At: at(6)}, `: model flights has no version "9"`},
		{registry.Pointing{Alias: "beta", To: 0, Expect: expect(1), At: at(7)}, "moved: the alias beta of flights points at version 2, expected version 1"},
		{registry.Pointing{Alias: "beta", To: 0, Expect: expect(2), By: "cid", At: at(8)}, "2 → 0"},
		{registry.Pointing{Alias: "beta", To: 1, Expect: expect(2), At: at(9)}, "moved: the alias beta of flights does not exist, expected version 2"},
		{registry.Pointing{Alias: "v3", To: 1}, `: "v3" is not an alias`},
	} {
		m, err := r.Point(t.Context(), "flights", c.p)
		got := fmt.Sprintf("%d → %d", m.From, m.To)
		var e *fairlead.Error
		if errors.As(err, &e) {
			got = e.Reason + ": " + e.Message
		}
		if got != c.want {
			t.Errorf("%d: %s; want %s", i, got, c.want)
		}
	}
	var got []string
	moves, err := r.History(t.Context(), "flights", "beta")
	for _, m := range moves {
		got = append(got, fmt.Sprintf("%s %d→%d %s", m.At.Format("15:04"), m.From, m.To, m.By))
	}
	if want := []string{"12:01 0→1 ann", "12:04 1→2 bob", "12:08 2→0 cid"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("history %q, %v; want %q", got, err, want)
	}
	if _, err := r.History(t.Context(), "nothing", ""); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Error(err)
	}
}

// Seven hundred moves: the record stays small and the history whole, though a crash falls between block and record.
func TestHistoryIsNeverForgotten(t *testing.T) {
	_, r, kv := stocked(t)
	for i := range 700 {
		kv.Fail = nil
		if i%97 == 0 {
			kv.FailKey = "flights" // the block is written, the record is not
			if _, err := r.Point(t.Context(), "flights", registry.Pointing{Alias: "beta", To: fairlead.Version(1 + i%2), At: now}); err == nil {
				t.Fatal("no error")
			}
			kv.FailKey = ""
		}
		if _, err := r.Point(t.Context(), "flights", registry.Pointing{Alias: "beta", To: fairlead.Version(1 + i%2), At: now.Add(time.Duration(i) * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	moves, err := r.History(t.Context(), "flights", "beta")
	if err != nil || len(moves) != 700 {
		t.Fatalf("%d moves, %v", len(moves), err)
	}
	for i, m := range moves {
		if !m.At.Equal(now.Add(time.Duration(i)*time.Second)) || m.To != fairlead.Version(1+i%2) {
			t.Fatalf("move %d is %+v", i, m)
		}
	}
	m, err := r.Model(t.Context(), "flights")
	if err != nil || len(m.Moves) >= 400 || m.Archived < 2 {
		t.Errorf("%d moves in the record, %d blocks, %v", len(m.Moves), m.Archived, err)
	}
}

// Twenty people move one alias from where they saw it: each move succeeds once, the chain has no gap.
func TestAliasRace(t *testing.T) {
	_, r, _ := stocked(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 20 {
		wg.Go(func() {
			for range 10 {
				m, err := r.Model(t.Context(), "flights")
				if err != nil {
					t.Error(err)
					return
				}
				from := m.Aliases["champion"]
				_, err = r.Point(t.Context(), "flights", registry.Pointing{Alias: "champion", To: 3 - from, Expect: &from, By: fmt.Sprint(i), At: now})
				if err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				} else if fairlead.CodeOf(err) != fairlead.CodeConflict {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	moves, err := r.History(t.Context(), "flights", "champion")
	if err != nil || len(moves) != won+2 { // two were made by Add
		t.Errorf("%d moves for %d wins, %v", len(moves), won, err)
	}
	for i := range moves[1:] {
		if moves[i+1].From != moves[i].To {
			t.Errorf("move %d starts at %d, the one before ended at %d", i+1, moves[i+1].From, moves[i].To)
		}
	}
}

// An alias does not move to a version that breaks its clients, unless it is forced to; the history says so.
func TestAliasBreakingChange(t *testing.T) {
	r := open(t, t.TempDir(), &registrytest.KV{})
	add := func(seed int, inputs ...fairlead.TensorSpec) {
		t.Helper()
		b, err := bundle.Seal(bundle.FromModel("m", fmt.Appendf(nil, "graph %d", seed)), fairlead.Signature{Task: fairlead.TaskNone, Inputs: inputs}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Add(t.Context(), "m", b, now, ""); err != nil {
			t.Fatal(err)
		}
	}
	x := fairlead.TensorSpec{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"a", "b"}}
	y := x
	y.Features = []string{"b", "a"}
	add(1, x)
	add(2, y)
	add(3, x)
	point := func(to fairlead.Version, force bool) (registry.Move, error) {
		return r.Point(t.Context(), "m", registry.Pointing{Alias: "champion", To: to, Force: force, At: now})
	}
	if _, err := point(1, false); err != nil {
		t.Fatal(err)
	}
	_, err := point(2, false)
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Reason != "breaking_change" || e.Code != fairlead.CodeConflict ||
		e.Message != `m@2 does not fit the clients of m@1: input "x" has its features in another order: "a" was column 0, now it is column 1` {
		t.Errorf("%v", err)
	}
	if m, err := point(3, false); err != nil || m.Forced {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := point(2, true); err != nil || !m.Forced {
		t.Errorf("%+v, %v", m, err)
	}
}

// A removed version keeps its number; what it alone needed goes, after the grace period, and comes back when pushed again.
func TestRemove(t *testing.T) {
	dir, r, kv := stocked(t)
	ctx := t.Context()
	later := time.Now().Add(time.Hour)
	if _, err := r.Remove(ctx, "flights", 2, "ann", now); fairlead.CodeOf(err) != fairlead.CodeConflict || !strings.Contains(err.Error(), "the alias champion") {
		t.Errorf("%v", err)
	}
	if err := r.Lease(ctx, registry.Lease{Holder: "device/pump-17", Model: "flights", Version: 1, Expires: now.Add(time.Hour)}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Remove(ctx, "flights", 1, "ann", now); fairlead.CodeOf(err) != fairlead.CodeConflict || !strings.Contains(err.Error(), "device/pump-17, until 2001-03-01 13:00") {
		t.Errorf("%v", err)
	}
	gone, err := r.Remove(ctx, "flights", 1, "ann", now.Add(2*time.Hour)) // the lease has ended
	if err != nil || gone.Kept() || gone.By != "ann" {
		t.Fatalf("%+v, %v", gone, err)
	}
	for _, ref := range []string{"1", string(gone.Digest)} {
		if _, err := r.Resolve(ctx, "flights", ref); fairlead.CodeOf(err) != fairlead.CodeNotFound {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := r.Resolve(ctx, "flights", "1"); !strings.Contains(err.Error(), "was removed on 2001-03-01 14:00 by ann") {
		t.Error(err)
	}
	before := files(t, dir)
	if got, err := r.Collect(ctx, time.Hour, time.Now(), false); err != nil || got.Blobs != 0 || got.Recent != 5 {
		t.Errorf("within the grace period: %+v, %v", got, err) // index, manifest, config, graph of version 1, and the orphan
	}
	if got, err := r.Collect(ctx, time.Minute, later, true); err != nil || got.Blobs != 5 || len(files(t, dir)) != len(before) {
		t.Errorf("dry: %+v, %v", got, err)
	}
	got, err := r.Collect(ctx, time.Minute, later, false)
	if err != nil || got.Blobs != 5 || got.Bytes == 0 || len(files(t, dir)) != len(before)-5 {
		t.Errorf("%+v, %v; %d files of %d", got, err, len(files(t, dir)), len(before))
	}
	sound(t, r)
	e, existing, err := r.Add(ctx, "flights", registrytest.Bundle(t, "flights", 0), now, "")
	if err != nil || existing || e.Version != 3 {
		t.Errorf("pushed again: %+v, %v, %v", e, existing, err)
	}
	sound(t, open(t, dir, kv))
}

// sound checks that the store is whole and every version opens.
func sound(t *testing.T, r *registry.Registry) {
	t.Helper()
	if found, err := r.Check(context.WithoutCancel(t.Context())); err != nil || len(found) != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
}

func TestRetain(t *testing.T) {
	r := open(t, t.TempDir(), &registrytest.KV{})
	ctx := t.Context()
	for seed := range 10 {
		if _, _, err := r.Add(ctx, "m", registrytest.Bundle(t, "m", seed), now.Add(time.Duration(seed)*24*time.Hour), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.SetAlias(ctx, "m", "champion", 2); err != nil {
		t.Fatal(err)
	}
	r.UsedBy(func(context.Context) ([]registry.Use, error) {
		return []registry.Use{{Model: "m", Version: 4, By: "deployment m"}}, nil
	})
	end := now.Add(10 * 24 * time.Hour)
	for what, c := range map[string]struct {
		policy registry.Policy
		want   []fairlead.Version
	}{
		"nothing": {registry.Policy{}, nil},
		"count":   {registry.Policy{Keep: 5}, []fairlead.Version{1, 3, 5}},
		"age":     {registry.Policy{MaxAge: 7*24*time.Hour + time.Hour}, []fairlead.Version{1, 3}},
		"both":    {registry.Policy{Keep: 8, MaxAge: time.Hour}, []fairlead.Version{1}},
		"all old": {registry.Policy{MaxAge: time.Nanosecond}, []fairlead.Version{1, 3, 5, 6, 7, 8, 9}},
	} {
		gone, err := r.Retain(ctx, c.policy, "policy", end, true)
		if got := versionsOf(gone); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, c.want)
		}
	}
	gone, err := r.Retain(ctx, registry.Policy{Keep: 5}, "policy", end, false)
	if got := versionsOf(gone); err != nil || !slices.Equal(got, []fairlead.Version{1, 3, 5}) || gone[0].By != "policy" {
		t.Errorf("%v, %v", got, err)
	}
	m, err := r.Model(ctx, "m")
	if got := versionsOf(m.Kept()); err != nil || !slices.Equal(got, []fairlead.Version{2, 4, 6, 7, 8, 9, 10}) || len(m.Versions) != 10 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := r.Resolve(ctx, "m", "99"); err == nil || !strings.Contains(err.Error(), "versions are 2, 4, 6 to 10, aliases champion") {
		t.Error(err)
	}
	r.UsedBy(func(context.Context) ([]registry.Use, error) { return nil, errors.New("cannot tell") })
	if gone, err := r.Retain(ctx, registry.Policy{Keep: 1}, "policy", end, false); err == nil || len(gone) != 0 {
		t.Errorf("removed %v though a user cannot tell: %v", gone, err)
	}
	if got, err := r.Collect(ctx, 0, end, false); err == nil || got.Blobs != 0 {
		t.Errorf("collected %+v though a user cannot tell: %v", got, err)
	}
}

func versionsOf(entries []registry.Entry) []fairlead.Version {
	var out []fairlead.Version
	for _, e := range entries {
		out = append(out, e.Version)
	}
	return out
}

// A collection that cannot read what is needed takes nothing: what hangs below it is not known.
func TestCollectDamaged(t *testing.T) {
	dir, r, _ := stocked(t)
	path := blobPath(dir, registrytest.Bundle(t, "flights", 1).Variants[0].Digest)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte{raw[0] ^ 1}, raw[1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	before := len(files(t, dir))
	if got, err := r.Collect(t.Context(), 0, time.Now().Add(time.Hour), false); err == nil || got.Blobs != 0 || len(files(t, dir)) != before || !strings.Contains(err.Error(), "nothing was collected: flights@2") {
		t.Errorf("%+v, %v", got, err)
	}
}

// A store of before there were variants: its versions are image manifests. It opens, lists, collects and exports.
func TestOldStore(t *testing.T) {
	dir, kv := t.TempDir(), &registrytest.KV{}
	r := open(t, dir, kv)
	b := registrytest.Bundle(t, "flights", 1)
	manifest := b.Blobs[b.Variants[0].Digest]
	for d, content := range b.Blobs {
		if err := os.WriteFile(blobPath(dir, d), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record := fmt.Sprintf(`{"name":"flights","versions":[{"model":"flights","version":1,"digest":"%s","created":"2001-03-01T12:00:00Z","size":%d}],"aliases":{"champion":1}}`,
		bundle.DigestOf(manifest), len(manifest))
	if _, err := kv.Put(t.Context(), "flights", []byte(record), 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Reindex(t.Context()); err != nil {
		t.Fatal(err)
	}
	sound(t, r)
	e, err := r.Resolve(t.Context(), "flights", "champion")
	if err != nil || e.Version != 1 {
		t.Fatal(e, err)
	}
	got, err := r.OpenFor(t.Context(), e.Digest, "", bundle.Host{})
	if err != nil || string(got.Model()) != "graph 1" || got.Variant().Name != "fp32" {
		t.Errorf("%+v, %v", got, err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil || !strings.Contains(string(index), `"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"`+string(e.Digest)) {
		t.Errorf("%s %v", index, err)
	}
	if got, err := r.Collect(t.Context(), 0, time.Now().Add(time.Hour), false); err != nil || got.Blobs != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	sound(t, r)
	other, file := open(t, t.TempDir(), &registrytest.KV{}), exported(t, r, "flights")
	in, err := other.Import(t.Context(), strings.NewReader(file), "", 1<<20, now, nil)
	if err != nil || len(in) != 1 || in[0].Digest != e.Digest {
		t.Errorf("%+v, %v", in, err)
	}
	sound(t, other)
}
