package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Remove takes a version out of a model. Its number stays taken; its content goes with the next collection. A version
// that an alias, a deployment or a lease needs is CodeConflict with reason "in_use", and the error says who.
func (r *Registry) Remove(ctx context.Context, model fairlead.Name, v fairlead.Version, by string, now time.Time) (Entry, error) {
	e, err := r.Resolve(ctx, model, v.String())
	if err != nil {
		return Entry{}, err
	}
	// First the intention: from now on whoever takes the version into use takes it back.
	err = r.update(ctx, model, func(m *Model) error {
		e, err = m.at(v)
		if err != nil {
			return err
		}
		if aliases := m.aliasesOf(v); len(aliases) > 0 {
			return inUse(e, "the alias "+strings.Join(aliases, ", "))
		}
		m.Versions[v-1].Removing = now.UTC()
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	if err := r.needed(ctx, e, now); err != nil {
		undo := r.update(context.WithoutCancel(ctx), model, func(m *Model) error {
			if !m.Versions[v-1].Removing.Equal(now) {
				return errUnchanged
			}
			m.Versions[v-1].Removing = time.Time{}
			return nil
		})
		return Entry{}, joined(err, undo)
	}
	err = r.update(ctx, model, func(m *Model) error {
		at := &m.Versions[v-1]
		if !at.Kept() || !at.Removing.Equal(now) {
			return inUse(e, "somebody who came just now")
		}
		at.Removing, at.Removed, at.By = time.Time{}, now.UTC(), by
		e = *at
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	return e, r.Reindex(ctx)
}

// needed says who uses a version, beside aliases.
func (r *Registry) needed(ctx context.Context, e Entry, now time.Time) error {
	uses, err := r.uses(ctx, now)
	if err != nil {
		return err
	}
	for _, u := range uses {
		if u.Model == e.Model && u.Version == e.Version {
			return inUse(e, u.By)
		}
	}
	return nil
}

func inUse(e Entry, by string) error {
	err := fairlead.Errorf(fairlead.CodeConflict, "%s@%d is in use by %s", e.Model, e.Version, by).
		Hintf("move the alias, deploy another version or wait for the lease to end")
	err.Reason = "in_use"
	return err
}

// Policy says which versions of a model are kept without anybody needing them. The newest is always kept.
type Policy struct {
	Keep   int           // the newest so many; 0: age alone counts
	MaxAge time.Duration // of those beyond Keep, only older ones go; 0: all of them go
}

// goes lists the versions of a model that the policy does not keep.
func (p Policy) goes(m *Model, now time.Time) []Entry {
	if p.Keep <= 0 && p.MaxAge <= 0 {
		return nil
	}
	kept := m.Kept()
	kept = kept[:max(0, len(kept)-max(1, p.Keep))]
	return slices.DeleteFunc(kept, func(e Entry) bool { return p.MaxAge > 0 && now.Sub(e.Created) <= p.MaxAge })
}

// Retain removes the versions that the policy does not keep and nobody needs, and lists them. dry only lists.
func (r *Registry) Retain(ctx context.Context, p Policy, by string, now time.Time, dry bool) ([]Entry, error) {
	models, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	gone := []Entry{}
	for _, m := range models {
		for _, e := range p.goes(&m, now) {
			if dry {
				err = r.needed(ctx, e, now)
				if aliases := m.aliasesOf(e.Version); len(aliases) > 0 {
					err = inUse(e, "an alias")
				}
			} else {
				e, err = r.Remove(ctx, m.Name, e.Version, by, now)
			}
			switch fairlead.CodeOf(err) {
			case "":
				gone = append(gone, e)
			case fairlead.CodeConflict, fairlead.CodeNotFound: // in use, or somebody else was faster
			default:
				return gone, fmt.Errorf("retain: %w", err)
			}
		}
	}
	return gone, nil
}
