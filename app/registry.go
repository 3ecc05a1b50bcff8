package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/registry"
)

// PointAlias implements admin.Aliases.
func (a *App) PointAlias(ctx context.Context, name fairlead.Name, alias string, in api.AliasRequest, expect *int) (api.AliasMove, error) {
	p := registry.Pointing{Alias: alias, Force: in.Force, By: in.By, At: time.Now().UTC()}
	if expect != nil {
		from := fairlead.Version(*expect)
		p.Expect = &from
	}
	if in.Version != "" {
		e, err := a.registry.Resolve(ctx, name, in.Version)
		if err != nil {
			return api.AliasMove{}, err
		}
		p.To = e.Version
	}
	move, err := a.registry.Point(ctx, name, p)
	if err != nil {
		return api.AliasMove{}, err
	}
	a.deployer.refresh(name)
	a.log.Info("alias moved", "model", name, "alias", alias, "from", move.From, "to", move.To, "by", move.By, "forced", move.Forced)
	return moveOf(move), nil
}

func moveOf(m registry.Move) api.AliasMove {
	return api.AliasMove{Alias: m.Alias, From: int(m.From), To: int(m.To), At: m.At, By: m.By, Forced: m.Forced}
}

// AliasHistory implements admin.Aliases.
func (a *App) AliasHistory(ctx context.Context, name fairlead.Name, alias string) ([]api.AliasMove, error) {
	moves, err := a.registry.History(ctx, name, alias)
	if err != nil {
		return nil, err
	}
	out := make([]api.AliasMove, len(moves))
	for i, m := range moves {
		out[i] = moveOf(m)
	}
	return out, nil
}

// uses implements the registry's question: the versions that serve, and those that a rollback goes back to at once.
func (d *deployer) uses(context.Context) ([]registry.Use, error) {
	var all []registry.Use
	for _, dep := range d.list() {
		all = append(all, registry.Use{Model: dep.Model, Version: dep.Live, By: fmt.Sprintf("deployment %s, which serves it", dep.Name)})
		for _, v := range d.kept(&dep) {
			all = append(all, registry.Use{Model: dep.Model, Version: v, By: fmt.Sprintf("deployment %s, which keeps it ready", dep.Name)})
		}
		for _, v := range d.holding(dep.Name) { // also while the deployment is unloaded
			all = append(all, registry.Use{Model: dep.Model, Version: v, By: fmt.Sprintf("a rollout of deployment %s", dep.Name)})
		}
		if n := len(dep.Previous); n > 0 {
			all = append(all, registry.Use{
				Model: dep.Model, Version: dep.Previous[n-1], By: fmt.Sprintf("deployment %s, which would roll back to it", dep.Name),
			})
		}
	}
	return append(all, d.pipelines.uses()...), nil
}

// forget drops a removed version from what rollbacks walk: they would find nothing there. The caller holds change.
func (d *deployer) forget(ctx context.Context, model fairlead.Name, v fairlead.Version) error {
	for _, dep := range d.list() {
		if dep.Model != model || !slices.Contains(dep.Previous, v) {
			continue
		}
		next := dep
		next.Previous = slices.DeleteFunc(slices.Clone(dep.Previous), func(p fairlead.Version) bool { return p == v })
		if err := d.commit(ctx, &dep, &next); err != nil {
			return err
		}
	}
	return nil
}

// RemoveVersion implements admin.Versions. While it is at it no deployment changes, so that none takes what goes.
func (a *App) RemoveVersion(ctx context.Context, name fairlead.Name, version, by string) (api.RemovedVersion, error) {
	e, err := a.registry.Resolve(ctx, name, version)
	if err != nil {
		return api.RemovedVersion{}, err
	}
	a.deployer.change.Lock()
	defer a.deployer.change.Unlock()
	e, err = a.registry.Remove(ctx, name, e.Version, by, time.Now().UTC())
	if err != nil {
		return api.RemovedVersion{}, err
	}
	a.log.Info("removed", "model", name, "version", e.Version, "by", by)
	return removedOf(e), a.deployer.forget(ctx, name, e.Version)
}

func removedOf(e registry.Entry) api.RemovedVersion {
	return api.RemovedVersion{Model: string(e.Model), Version: int(e.Version), Digest: string(e.Digest), Removed: e.Removed, By: e.By}
}

// defaultGrace is how long blobs that nothing refers to stay.
const defaultGrace = 24 * time.Hour

// Collect implements admin.Upkeep.
func (a *App) Collect(ctx context.Context, in api.CollectRequest) (api.CollectAnswer, error) {
	now := time.Now().UTC()
	policy := registry.Policy{Keep: in.Keep, MaxAge: time.Duration(in.MaxAge * float64(time.Second))}
	grace := time.Duration(in.Grace * float64(time.Second))
	if in.Grace == 0 {
		grace = defaultGrace
	}
	out := api.CollectAnswer{DryRun: in.DryRun, Versions: []api.RemovedVersion{}}
	gone, err := a.retain(ctx, policy, in.By, now, in.DryRun)
	if err != nil {
		return out, err
	}
	for _, e := range gone {
		out.Versions = append(out.Versions, removedOf(e))
	}
	got, err := a.registry.Collect(ctx, grace, now, in.DryRun)
	out.Blobs, out.Bytes, out.Kept, out.Waiting = got.Blobs, got.Bytes, got.Kept, got.Recent
	if err == nil {
		a.log.Info("collected", "versions", len(gone), "blobs", got.Blobs, "bytes", got.Bytes, "dry run", in.DryRun)
	}
	return out, err
}

func (a *App) retain(ctx context.Context, p registry.Policy, by string, now time.Time, dry bool) ([]registry.Entry, error) {
	a.deployer.change.Lock()
	defer a.deployer.change.Unlock()
	gone, err := a.registry.Retain(ctx, p, by, now, dry)
	if err != nil || dry {
		return gone, err
	}
	for _, e := range gone {
		if err := a.deployer.forget(ctx, e.Model, e.Version); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// CheckRegistry implements admin.Upkeep.
func (a *App) CheckRegistry(ctx context.Context) ([]api.Damage, error) {
	found, err := a.registry.Check(ctx)
	out := make([]api.Damage, len(found))
	for i, d := range found {
		out[i] = api.Damage(d)
	}
	return out, err
}

// Lineage implements admin.Versions.
func (a *App) Lineage(ctx context.Context, name fairlead.Name, version string) (api.Lineage, error) {
	e, err := a.registry.Resolve(ctx, name, version)
	if err != nil {
		return api.Lineage{}, err
	}
	out := api.Lineage{Model: string(name), Version: int(e.Version), Ancestors: []api.Origin{}, Descendants: []api.Origin{}}
	up, err := a.registry.Ancestors(ctx, e)
	if err != nil {
		return out, err
	}
	down, err := a.registry.Descendants(ctx, e)
	if err != nil {
		return out, err
	}
	for _, x := range up {
		out.Ancestors = append(out.Ancestors, originOf(x))
	}
	for _, x := range down {
		out.Descendants = append(out.Descendants, originOf(x))
	}
	return out, nil
}

func originOf(x registry.Ancestor) api.Origin {
	o := api.Origin{Relation: string(x.Relation), Reference: x.Reference, Depth: x.Depth, Of: x.Of}
	if x.Entry != nil {
		o.Model, o.Version, o.Removed = string(x.Entry.Model), int(x.Entry.Version), !x.Entry.Kept()
	}
	return o
}

// Card implements admin.Versions.
func (a *App) Card(ctx context.Context, name fairlead.Name, version string) (api.Card, error) {
	e, err := a.registry.Resolve(ctx, name, version)
	if err != nil {
		return api.Card{}, err
	}
	b, err := a.registry.Describe(ctx, e.Digest)
	if err != nil {
		return api.Card{}, err
	}
	file, text := b.Card()
	if text == nil {
		return api.Card{}, fairlead.NotFound("%s@%d has no model card", name, e.Version).Hintf("put a README.md into the bundle folder, or name another file as card in fairlead.yaml")
	}
	return api.Card{Name: file, Text: string(text)}, nil
}

// Export implements admin.Transfer. The versions are checked before the answer begins.
func (a *App) Export(ctx context.Context, name fairlead.Name, version string) (func(io.Writer) error, error) {
	m, err := a.registry.Model(ctx, name)
	if err != nil {
		return nil, err
	}
	entries := m.Kept()
	if version != "" {
		e, err := a.registry.Resolve(ctx, name, version)
		if err != nil {
			return nil, err
		}
		entries = []registry.Entry{e}
	}
	for _, e := range entries {
		if err := a.registry.Verify(ctx, e); err != nil {
			return nil, err
		}
	}
	return func(w io.Writer) error { return a.registry.Export(ctx, w, entries) }, nil
}

// Load implements admin.Transfer: every version is tried as at a push before any is stored.
func (a *App) Load(ctx context.Context, name fairlead.Name, file io.Reader) ([]api.Loaded, error) {
	if name != "" {
		if _, err := fairlead.ParseName(string(name)); err != nil {
			return nil, err
		}
	}
	in, err := a.registry.Import(ctx, file, name, a.config.MaxUpload, time.Now().UTC(), a.admit)
	out := make([]api.Loaded, len(in))
	for i, v := range in {
		out[i] = api.Loaded{
			Model: string(v.Model), Version: int(v.Version), Digest: string(v.Digest), Existing: v.Existing, From: v.From, Aliases: v.Aliases,
		}
		a.deployer.refresh(v.Model)
		a.log.Info("loaded a version", "model", v.Model, "version", v.Version, "digest", v.Digest.Short(), "existing", v.Existing)
	}
	return out, err
}
