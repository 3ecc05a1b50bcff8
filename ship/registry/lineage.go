package registry

import (
	"cmp"
	"context"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Ancestor is one step of a version's lineage, in either direction.
type Ancestor struct {
	Relation  bundle.Relation
	Reference string // as it was given, pinned to a digest where it names a model
	Depth     int    // 1: a direct one
	Entry     *Entry // nil: data, or a version that this registry does not know
	Of        string // the version, flights@3, whose origin this is, or which is the origin of it
}

// Pin turns a reference to a version, flights:champion, into one that lasts: flights@sha256:…. The error is that of
// Resolve.
func (r *Registry) Pin(ctx context.Context, reference string) (string, error) {
	model, ref, err := bundle.ParseReference(reference)
	if err != nil {
		return "", err
	}
	e, err := r.Resolve(ctx, model, ref)
	if err != nil {
		return "", err
	}
	return string(e.Model) + "@" + string(e.Digest), nil
}

// maxDepth bounds a walk; content cannot refer to itself, so only a very long line meets it.
const maxDepth = 100

// Ancestors walks from a version to all it came from, nearest first.
func (r *Registry) Ancestors(ctx context.Context, e Entry) ([]Ancestor, error) {
	all, err := r.everything(ctx)
	if err != nil {
		return nil, err
	}
	var out []Ancestor
	seen := map[fairlead.Digest]bool{e.Digest: true}
	for line, depth := []Entry{e}, 1; len(line) > 0 && depth <= maxDepth; depth++ {
		var next []Entry
		for _, at := range line {
			for _, o := range at.Origins {
				a := Ancestor{Relation: o.Relation, Reference: o.Reference, Depth: depth, Of: nameOfEntry(at)}
				if o.Relation != bundle.TrainedOn {
					a.Entry = find(all, o.Reference)
				}
				out = append(out, a)
				if a.Entry != nil && !seen[a.Entry.Digest] {
					seen[a.Entry.Digest] = true
					next = append(next, *a.Entry)
				}
			}
		}
		line = next
	}
	return out, nil
}

// Descendants walks from a version to all that came from it, nearest first.
func (r *Registry) Descendants(ctx context.Context, e Entry) ([]Ancestor, error) {
	all, err := r.everything(ctx)
	if err != nil {
		return nil, err
	}
	var out []Ancestor
	seen := map[fairlead.Digest]bool{e.Digest: true}
	for line, depth := []Entry{e}, 1; len(line) > 0 && depth <= maxDepth; depth++ {
		var next []Entry
		for _, from := range line {
			for _, child := range all {
				i := slices.IndexFunc(child.Origins, func(o bundle.Origin) bool {
					return o.Relation != bundle.TrainedOn && digestOf(o.Reference) == from.Digest
				})
				if i < 0 || seen[child.Digest] {
					continue
				}
				seen[child.Digest] = true
				next = append(next, child)
				out = append(out, Ancestor{child.Origins[i].Relation, child.Origins[i].Reference, depth, &child, nameOfEntry(from)})
			}
		}
		line = next
	}
	return out, nil
}

// everything is every version of every model, removed ones too: they stay in the lineage.
func (r *Registry) everything(ctx context.Context) ([]Entry, error) {
	keys, err := r.kv.Keys(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	var all []Entry
	for _, k := range keys {
		if !isRecord(k) {
			continue
		}
		m, _, err := r.load(ctx, nameOf(k))
		if err != nil {
			return nil, err
		}
		all = append(all, m.Versions...)
	}
	return all, nil
}

func digestOf(reference string) fairlead.Digest {
	_, ref, err := bundle.ParseReference(reference)
	if err != nil {
		return ""
	}
	return fairlead.Digest(ref)
}

// find is the entry a pinned reference means: of that digest, rather under that name, rather kept.
func find(all []Entry, reference string) *Entry {
	model, ref, err := bundle.ParseReference(reference)
	if err != nil {
		return nil
	}
	fits := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.Digest != fairlead.Digest(ref) })
	if len(fits) == 0 {
		return nil
	}
	rank := func(e Entry) int {
		n := 0
		if e.Model != model {
			n += 2
		}
		if !e.Kept() {
			n++
		}
		return n
	}
	best := slices.MinFunc(fits, func(a, b Entry) int { return cmp.Compare(rank(a), rank(b)) })
	return &best
}

func nameOfEntry(e Entry) string { return string(e.Model) + "@" + e.Version.String() }
