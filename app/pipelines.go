package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/pipeline"
	"github.com/fairlead-ml/fairlead/serve/pipeline/process"
	"github.com/fairlead-ml/fairlead/serve/pipeline/wasm"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/ship/registry"
)

// pipelineState is what is kept of a pipeline in the bucket; its folders are files beside it, named by digest.
type pipelineState struct {
	Name     fairlead.Name     `json:"name"`
	Live     fairlead.Version  `json:"live"`
	Versions []pipelineVersion `json:"versions"` // oldest first

	revision uint64
}

type pipelineVersion struct {
	Version fairlead.Version `json:"version"`
	Digest  fairlead.Digest  `json:"digest"`
	Pushed  time.Time        `json:"pushed"`
	Size    int64            `json:"size"`
}

// maxPipelineVersions bounds the history of one pipeline.
const maxPipelineVersions = 20

func (s *pipelineState) version(v fairlead.Version) *pipelineVersion {
	i := slices.IndexFunc(s.Versions, func(o pipelineVersion) bool { return o.Version == v })
	if i < 0 {
		return nil
	}
	return &s.Versions[i]
}

// loadedPipeline is a pipeline as it serves, or why it does not.
type loadedPipeline struct {
	state  *pipelineState
	pipe   *pipeline.Pipeline // nil where it failed
	target *route.Target
	folder string // of its processes; "": it has none
	failed error
}

// deletable is a bucket whose keys can be taken away; *eventlog.KV is one.
type deletable interface {
	keyValue
	Delete(ctx context.Context, key string, revision uint64) error
}

// pipelines keeps the deployments that are made of several steps.
type pipelines struct {
	kv       deletable
	dir      string          // of the folders
	remote   registry.Remote // keeps them for all servers; nil: dir is all there is
	models   pipeline.Models
	deployer *deployer
	drain    func(context.Context, *route.Target) error
	programs bool // process steps are allowed
	limit    int64
	log      *slog.Logger
	now      func() time.Time

	change sync.Mutex // held while a pipeline is loaded, stored and swapped
	mu     sync.Mutex // guards loaded and what it points to, and signatures
	loaded map[fairlead.Name]*loadedPipeline
	// signatures are of every version that has served since the start: the recorder may still hold rows of it.
	signatures map[versionKey]fairlead.Signature
}

// open loads every pipeline of the bucket. One that does not load is kept as failed, with the reason.
func (p *pipelines) open(ctx context.Context) error {
	p.change.Lock()
	defer p.change.Unlock()
	if err := os.RemoveAll(filepath.Join(p.dir, "run")); err != nil { // of a server that was killed
		return err
	}
	keys, err := p.kv.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the pipelines: %w", err)
	}
	states := map[fairlead.Name]*pipelineState{}
	for _, key := range keys {
		raw, revision, err := p.kv.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("read pipeline %s: %w", key, err)
		}
		s := &pipelineState{revision: revision}
		if err := json.Unmarshal(raw, s); err != nil {
			return fmt.Errorf("read pipeline %s: %w", key, err)
		}
		states[s.Name] = s
	}
	// A pipeline may be a step of another: those that fail are tried again while others get through.
	for progress := true; progress; {
		progress = false
		for _, name := range slices.Sorted(maps.Keys(states)) {
			l := p.restore(ctx, states[name])
			p.put(l)
			if l.failed == nil {
				delete(states, name)
				progress = true
				p.deployer.swap(false)
			}
		}
	}
	for name := range states {
		p.log.Error("pipeline does not serve", "pipeline", name, "err", p.get(name).failed)
	}
	p.deployer.swap(false)
	return nil
}

func (p *pipelines) restore(ctx context.Context, s *pipelineState) *loadedPipeline {
	failed := func(err error) *loadedPipeline { return &loadedPipeline{state: s, failed: err} }
	v := s.version(s.Live)
	if v == nil {
		return failed(fmt.Errorf("version %d of the pipeline is not known", s.Live))
	}
	files, err := p.fetch(v.Digest)
	if err != nil {
		return failed(err)
	}
	def, err := pipeline.ParseFile(files[pipeline.FileName].content)
	if err != nil {
		return failed(err)
	}
	l, err := p.load(ctx, def, files, *v)
	if err != nil {
		return failed(err)
	}
	l.state = s
	return l
}

// load makes a pipeline and a target for it.
func (p *pipelines) load(ctx context.Context, def *pipeline.Definition, files pipelineFiles, v pipelineVersion) (*loadedPipeline, error) {
	if err := p.circle(def); err != nil {
		return nil, err
	}
	l := &loadedPipeline{}
	pipe, err := pipeline.New(ctx, def, pipeline.Options{
		Models: p.models, Signature: p.signature, Now: p.now, Log: p.log.Error,
		Open: func(ctx context.Context, s *pipeline.Step) (engine.Session, error) {
			return p.start(ctx, l, files, def.Name, s)
		},
	})
	if err != nil {
		return nil, errors.Join(err, l.clean())
	}
	l.pipe = pipe
	l.target = &route.Target{
		Deployment: def.Name, Model: def.Name, Version: v.Version, Digest: v.Digest, Variant: "pipeline", Role: fairlead.RoleLive,
		Signature: pipe.Signature(), Session: pipe,
		Settings: route.Settings{MaxBatch: 1, Batching: "a pipeline: each of its models is batched by itself"},
	}
	return l, nil
}

// clean removes the folder of the processes.
func (l *loadedPipeline) clean() error {
	if l.folder == "" {
		return nil
	}
	return os.RemoveAll(l.folder)
}

// signature is what a model answers now.
func (p *pipelines) signature(m pipeline.Model) (fairlead.Signature, error) {
	t, err := p.deployer.router.Load().Lookup(m.Name, m.Version)
	if err != nil {
		return fairlead.Signature{}, err
	}
	return t.Signature, nil
}

// start opens a transform or a process.
func (p *pipelines) start(ctx context.Context, l *loadedPipeline, files pipelineFiles, name fairlead.Name, s *pipeline.Step) (engine.Session, error) {
	if t := s.Transform; t != nil {
		module, ok := files[t.Module]
		if !ok {
			return nil, fairlead.Invalid("the folder has no file %q", t.Module).Hintf("the module is pushed with the pipeline: put it beside %s", pipeline.FileName)
		}
		return wasm.Load(ctx, module.content, wasm.Options{
			Name: t.Module, Signature: t.Signature, Memory: t.Memory, Time: t.Time, Instances: runtime.GOMAXPROCS(0),
		})
	}
	if !p.programs {
		return nil, fairlead.Errorf(fairlead.CodeUnsupported, "this server starts no programs").
			Hintf("a process step runs with the server's rights: start it with --processes if everybody who may push is trusted with that")
	}
	if l.folder == "" {
		folder := filepath.Join(p.dir, "run", fmt.Sprintf("%s-%s", name, messageID()))
		l.folder = folder
		if err := files.unpack(folder); err != nil {
			return nil, err
		}
	}
	o := s.Process
	return process.Start(ctx, process.Options{
		Name: s.Name, Command: o.Command, Dir: l.folder, Model: o.Model, Port: o.Port, Start: o.Start, Stop: o.Stop, Concurrency: o.Concurrency,
		Log: p.log.With("pipeline", name),
	})
}

// circle refuses a pipeline that would ask itself, over others.
func (p *pipelines) circle(def *pipeline.Definition) error {
	seen := map[fairlead.Name]bool{}
	var visit func(d *pipeline.Definition) bool
	visit = func(d *pipeline.Definition) bool {
		for _, m := range d.Models() {
			name := fairlead.Name(m.Name)
			if name == def.Name {
				return true
			}
			if l := p.get(name); l != nil && l.pipe != nil && !seen[name] {
				seen[name] = true
				if visit(l.pipe.Definition()) {
					return true
				}
			}
		}
		return false
	}
	if visit(def) {
		return fairlead.Invalid("pipeline %s has a step that asks %[1]s again", def.Name).Hintf("a pipeline cannot be a step of itself, nor of a pipeline that it asks")
	}
	return nil
}

func (p *pipelines) get(name fairlead.Name) *loadedPipeline {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loaded[name]
}

// put makes l the pipeline of its name, and gives the one before.
func (p *pipelines) put(l *loadedPipeline) *loadedPipeline {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.loaded[l.state.Name]
	p.loaded[l.state.Name] = l
	if l.pipe != nil {
		p.signatures[versionKey{l.state.Name, l.target.Version}] = l.target.Signature
	}
	return old
}

// retire ends a pipeline that no route leads to any more, when its requests are answered.
func (p *pipelines) retire(l *loadedPipeline) {
	if l == nil || l.pipe == nil {
		return
	}
	if err := p.drain(context.Background(), l.target); err != nil {
		p.log.Warn("drain a pipeline", "pipeline", l.state.Name, "err", err)
	}
	if err := errors.Join(l.pipe.Close(), l.clean()); err != nil {
		p.log.Warn("close a pipeline", "pipeline", l.state.Name, "err", err)
	}
}

// beside adds the deployments of the pipelines to those of models. A model that took the name of a pipeline keeps it.
func (p *pipelines) beside(routes []route.Deployment) []route.Deployment {
	if p == nil {
		return routes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, l := range p.loaded {
		if slices.ContainsFunc(routes, func(r route.Deployment) bool { return r.Name == name }) {
			continue
		}
		r := route.Deployment{Name: name, Live: l.target}
		if l.failed != nil {
			r.Reason = l.failed.Error()
		}
		routes = append(routes, r)
	}
	return routes
}

// names lists the pipelines.
func (p *pipelines) names() []fairlead.Name {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.loaded))
}

// live is the version of a pipeline that serves, false if there is no such pipeline.
func (p *pipelines) live(name fairlead.Name) (fairlead.Version, bool) {
	l := p.get(name)
	if l == nil {
		return 0, false
	}
	return l.state.Live, true
}

// describe is the signature of a version that has served, false if there is none.
func (p *pipelines) describe(name fairlead.Name, v fairlead.Version) (fairlead.Signature, bool) {
	if p == nil {
		return fairlead.Signature{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	sig, ok := p.signatures[versionKey{name, v}]
	return sig, ok
}

// close ends every pipeline and its processes.
func (p *pipelines) close() error {
	if p == nil {
		return nil
	}
	p.change.Lock()
	defer p.change.Unlock()
	p.mu.Lock()
	loaded := p.loaded
	p.loaded = map[fairlead.Name]*loadedPipeline{}
	p.mu.Unlock()
	p.deployer.swap(false)
	var errs []error
	for _, l := range loaded {
		if l.pipe != nil {
			errs = append(errs, l.pipe.Close(), l.clean())
		}
	}
	return errors.Join(errs...)
}

// rollback puts the version before the live one back.
func (p *pipelines) rollback(ctx context.Context, name fairlead.Name) (api.RollbackAnswer, error) {
	p.change.Lock()
	defer p.change.Unlock()
	l := p.get(name)
	at := -1
	if l != nil {
		at = slices.IndexFunc(l.state.Versions, func(v pipelineVersion) bool { return v.Version == l.state.Live })
	}
	if at <= 0 {
		return api.RollbackAnswer{}, fairlead.Errorf(fairlead.CodeConflict, "there is no version of %s to roll back to", name)
	}
	next := *l.state
	next.Live = l.state.Versions[at-1].Version
	restored := p.restore(ctx, &next)
	if restored.failed != nil {
		return api.RollbackAnswer{}, restored.failed
	}
	if err := p.commit(ctx, restored); err != nil {
		return api.RollbackAnswer{}, err
	}
	return api.RollbackAnswer{Deployment: string(name), From: int(l.state.Live), To: int(next.Live)}, nil
}

// commit writes the state, then swaps. What cannot be written does not go live. The caller holds change.
func (p *pipelines) commit(ctx context.Context, l *loadedPipeline) error {
	raw, err := json.Marshal(l.state)
	if err == nil {
		l.state.revision, err = p.kv.Put(context.WithoutCancel(ctx), bucketKey(l.state.Name), raw, l.state.revision)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store pipeline %s: %w", l.state.Name, err), l.pipe.Close(), l.clean())
	}
	old := p.put(l)
	p.deployer.swap(false)
	p.retire(old)
	return nil
}

// openPipelines loads the pipelines, now that the models they ask are there.
func (a *App) openPipelines(ctx context.Context, kv deletable) error {
	a.pipelines = &pipelines{
		kv: kv, dir: filepath.Join(a.config.Data, "pipelines"), remote: a.blobs, models: a.core, deployer: a.deployer, drain: a.core.Drain,
		programs: a.config.Processes, limit: a.config.MaxUpload, log: a.log, now: time.Now,
		loaded: map[fairlead.Name]*loadedPipeline{}, signatures: map[versionKey]fairlead.Signature{},
	}
	a.deployer.mu.Lock()
	a.deployer.pipelines = a.pipelines
	a.deployer.mu.Unlock()
	return a.pipelines.open(ctx)
}

// sweep removes the folders that no pipeline has any more.
func (p *pipelines) sweep(gone []pipelineVersion) {
	p.mu.Lock()
	used := map[fairlead.Digest]bool{}
	for _, l := range p.loaded {
		for _, v := range l.state.Versions {
			used[v.Digest] = true
		}
	}
	p.mu.Unlock()
	for _, v := range gone {
		if used[v.Digest] {
			continue
		}
		if err := os.Remove(p.blobPath(v.Digest)); err != nil && !errors.Is(err, os.ErrNotExist) {
			p.log.Warn("remove a pipeline's folder", "err", err)
		}
	}
}

// uses lists the versions that pipelines ask by number.
func (p *pipelines) uses() []registry.Use {
	var all []registry.Use
	for _, name := range p.names() {
		l := p.get(name)
		if l == nil || l.pipe == nil {
			continue
		}
		for _, m := range l.pipe.Definition().Models() {
			dep := p.deployer.get(fairlead.Name(m.Name))
			if v, err := fairlead.ParseVersion(m.Version); err == nil && dep != nil {
				all = append(all, registry.Use{Model: dep.Model, Version: v, By: fmt.Sprintf("pipeline %s, which asks it", name)})
			}
		}
	}
	return all
}
