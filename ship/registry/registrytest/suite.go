package registrytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
)

// Versions is how versions come and are found.
type Versions interface {
	Add(ctx context.Context, model fairlead.Name, b *bundle.Bundle, now time.Time, alias string) (registry.Entry, bool, error)
	Resolve(ctx context.Context, model fairlead.Name, ref string) (registry.Entry, error)
	SetAlias(ctx context.Context, model fairlead.Name, alias string, v fairlead.Version) error
}

// Contents is what is in a registry.
type Contents interface {
	Model(ctx context.Context, model fairlead.Name) (registry.Model, error)
	List(ctx context.Context) ([]registry.Model, error)
	Open(ctx context.Context, d fairlead.Digest) (*bundle.Bundle, error)
}

// Registry is what the suite tests.
type Registry interface {
	Versions
	Contents
}

var noon = time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)

// Bundle seals a small bundle; another seed gives another digest.
func Bundle(t testing.TB, name fairlead.Name, seed int) *bundle.Bundle {
	t.Helper()
	src := bundle.FromModel(name, fmt.Appendf(nil, "graph %d", seed))
	src.ReferenceName, src.Reference = "reference.csv", []byte("x\n1\n")
	sig := fairlead.Signature{
		Task:    fairlead.TaskNone,
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
	}
	b, err := bundle.Seal(src, sig, []byte("profile"), []string{"a note"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Run tests what every registry does. fresh opens an empty one; share opens a second one on the same records, as
// another process would, or is nil.
func Run(t *testing.T, fresh func(t *testing.T) Registry, share func(t *testing.T, r Registry) Registry) {
	t.Run("add", func(t *testing.T) { testAdd(t, fresh(t)) })
	t.Run("resolve", func(t *testing.T) { testResolve(t, fresh(t)) })
	t.Run("errors", func(t *testing.T) { testErrors(t, fresh(t)) })
	t.Run("names", func(t *testing.T) { testNames(t, fresh(t)) })
	t.Run("concurrent", func(t *testing.T) {
		r := fresh(t)
		rs := []Registry{r}
		if share != nil {
			rs = append(rs, share(t, r))
		}
		testConcurrent(t, rs)
	})
}

func testAdd(t *testing.T, r Registry) {
	ctx := t.Context()
	one, two := Bundle(t, "flights", 1), Bundle(t, "flights", 2)
	for i, b := range []*bundle.Bundle{one, two} {
		e, existing, err := r.Add(ctx, "flights", b, noon.Add(time.Duration(i)*time.Hour), "")
		want := registry.Entry{Model: "flights", Version: fairlead.Version(i + 1), Digest: b.Digest, Created: noon.Add(time.Duration(i) * time.Hour), Size: b.Size(), Variants: []string{"fp32"}}
		if err != nil || existing {
			t.Fatalf("add: existing %v, %v", existing, err)
		}
		if d := cmp.Diff(want, e); d != "" {
			t.Error(d)
		}
	}
	e, existing, err := r.Add(ctx, "flights", one, noon.Add(time.Hour*9), "old")
	if err != nil || !existing || e.Version != 1 || !e.Created.Equal(noon) {
		t.Errorf("the same again: %+v, existing %v, %v", e, existing, err)
	}
	if e, err := r.Resolve(ctx, "flights", "old"); err != nil || e.Version != 1 {
		t.Errorf("alias of an existing version: %+v, %v", e, err)
	}
	if e, existing, err := r.Add(ctx, "other", one, noon, ""); err != nil || existing || e.Version != 1 {
		t.Errorf("the same content under another name: %+v, existing %v, %v", e, existing, err)
	}
	got, err := r.Open(ctx, one.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(one, got); d != "" {
		t.Error("what comes out is not what went in:", d)
	}
}

func testResolve(t *testing.T, r Registry) {
	ctx := t.Context()
	var digests []fairlead.Digest
	for seed := range 3 {
		b := Bundle(t, "flights", seed)
		digests = append(digests, b.Digest)
		if _, _, err := r.Add(ctx, "flights", b, noon, ""); err != nil {
			t.Fatal(err)
		}
	}
	resolve := func(ref string, want fairlead.Version) {
		t.Helper()
		if e, err := r.Resolve(ctx, "flights", ref); err != nil || e.Version != want {
			t.Errorf("%q is version %d, %v; want %d", ref, e.Version, err, want)
		}
	}
	resolve("", 3)
	resolve("2", 2)
	resolve("v2", 2)
	for i, d := range digests {
		resolve(string(d), fairlead.Version(i+1))
		resolve(d.Short(), fairlead.Version(i+1))
		resolve("sha256:"+d.Short(), fairlead.Version(i+1))
	}
	for alias, v := range map[string]fairlead.Version{registry.Champion: 1, "beef": 2} {
		if err := r.SetAlias(ctx, "flights", alias, v); err != nil {
			t.Fatal(err)
		}
		resolve(alias, v)
	}
	resolve("", 1)
	if err := r.SetAlias(ctx, "flights", registry.Champion, 3); err != nil {
		t.Fatal(err)
	}
	resolve("", 3)
	if m, err := r.Model(ctx, "flights"); err != nil || len(m.Versions) != 3 || m.Aliases["beef"] != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

func testErrors(t *testing.T, r Registry) {
	ctx := t.Context()
	fails := func(what string, err error, code fairlead.Code, words ...string) {
		t.Helper()
		if fairlead.CodeOf(err) != code {
			t.Errorf("%s: got %v (%s), want %s", what, err, fairlead.CodeOf(err), code)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", what, err, w)
			}
		}
	}
	_, err := r.Resolve(ctx, "flights", "")
	fails("empty registry", err, fairlead.CodeNotFound, `no model "flights"`, "empty")
	fails("alias of nothing", r.SetAlias(ctx, "flights", "a", 1), fairlead.CodeNotFound, `no model "flights"`)
	b := Bundle(t, "flights", 1)
	_, _, err = r.Add(ctx, "Flights!", b, noon, "")
	fails("bad name", err, fairlead.CodeInvalid, "is not a name")
	for _, alias := range []string{"v3", "3", "A", "", "-x"} {
		if alias != "" {
			_, _, err = r.Add(ctx, "flights", b, noon, alias)
			fails("bad alias", err, fairlead.CodeInvalid, "is not an alias")
		}
		fails("bad alias", r.SetAlias(ctx, "flights", alias, 1), fairlead.CodeInvalid, "is not an alias")
	}
	if _, err := r.Resolve(ctx, "flights", ""); err == nil {
		t.Error("a refused Add left a version behind")
	}
	if _, _, err := r.Add(ctx, "flights", b, noon, "edge"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Resolve(ctx, "fights", "")
	fails("unknown model", err, fairlead.CodeNotFound, `"fights"`, "flights")
	for _, ref := range []string{"2", "v0", "0", "nobody", "0000000000000", "sha256:", "99999999999999999999"} {
		_, err = r.Resolve(ctx, "flights", ref)
		fails("unknown version", err, fairlead.CodeNotFound, ref, "only version is 1", "edge")
	}
	fails("alias to nowhere", r.SetAlias(ctx, "flights", "edge", 2), fairlead.CodeNotFound, "only version is 1")
	_, err = r.Open(ctx, "sha256:../../../etc/passwd")
	fails("bad digest", err, fairlead.CodeInvalid, "is not a digest")
	_, err = r.Open(ctx, bundle.DigestOf([]byte("nothing")))
	fails("unknown digest", err, fairlead.CodeInternal, "missing")
	ambiguous(t, r, fails)
}

// ambiguous adds versions until two share the first four digits of their digests.
func ambiguous(t *testing.T, r Registry, fails func(string, error, fairlead.Code, ...string)) {
	seen := map[string]*bundle.Bundle{}
	for seed := range 5000 {
		b := Bundle(t, "twins", seed)
		prefix := b.Digest.Short()[:4]
		other := seen[prefix]
		seen[prefix] = b
		if other == nil || !strings.ContainsAny(prefix, "abcdef") {
			continue
		}
		for _, twin := range []*bundle.Bundle{other, b} {
			if _, _, err := r.Add(t.Context(), "twins", twin, noon, ""); err != nil {
				t.Fatal(err)
			}
		}
		_, err := r.Resolve(t.Context(), "twins", prefix)
		fails("ambiguous prefix", err, fairlead.CodeInvalid, "fits 2 versions", other.Digest.Short(), b.Digest.Short())
		return
	}
	t.Fatal("no two digests share four digits")
}

// testNames takes the names that a store of dotted keys could stumble over.
func testNames(t *testing.T, r Registry) {
	names := []fairlead.Name{"0", "a..b", "a.b", "dot.", "z_-."}
	for i, n := range names {
		if _, _, err := r.Add(t.Context(), n, Bundle(t, n, i), noon, "a.b"); err != nil {
			t.Fatal(n, err)
		}
	}
	models, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []fairlead.Name
	for _, m := range models {
		got = append(got, m.Name)
	}
	if !slices.Equal(got, names) {
		t.Errorf("listed %v, want %v", got, names)
	}
}

// testConcurrent adds twenty bundles at once: the ordinals are 1 to 20, each once.
func testConcurrent(t *testing.T, rs []Registry) {
	const n = 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []fairlead.Version
	for seed := range n {
		b := Bundle(t, "flights", seed)
		wg.Go(func() {
			e, existing, err := rs[seed%len(rs)].Add(t.Context(), "flights", b, noon, registry.Champion)
			if err != nil || existing {
				t.Errorf("add: existing %v, %v", existing, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, e.Version)
		})
	}
	wg.Wait()
	slices.Sort(got)
	for i, v := range got {
		if int(v) != i+1 {
			t.Fatalf("ordinals %v", got)
		}
	}
	for _, r := range rs {
		m, err := r.Model(t.Context(), "flights")
		if err != nil || len(m.Versions) != n || m.Aliases[registry.Champion] < 1 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
}
