package app

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/pipeline"
)

// PushPipeline implements admin.Pipelines.
func (p *pipelines) PushPipeline(ctx context.Context, body []byte, check bool) (api.PipelinePush, error) {
	files, err := readPipelineTar(body, p.limit)
	if err != nil {
		return api.PipelinePush{}, err
	}
	def, err := pipeline.ParseFile(files[pipeline.FileName].content)
	if err != nil {
		return api.PipelinePush{}, err
	}
	packed, digest, err := files.packed()
	if err != nil {
		return api.PipelinePush{}, err
	}
	p.change.Lock()
	defer p.change.Unlock()
	if p.deployer.get(def.Name) != nil {
		return api.PipelinePush{}, fairlead.Errorf(fairlead.CodeConflict, "%s is a model", def.Name).Hintf("give the pipeline another name in %s", pipeline.FileName)
	}
	state := &pipelineState{Name: def.Name}
	if old := p.get(def.Name); old != nil {
		*state = *old.state
		state.Versions = slices.Clone(state.Versions)
		if v := state.version(state.Live); v != nil && v.Digest == digest && old.failed == nil {
			return api.PipelinePush{Pipeline: pipelineOf(old), Existing: true, Checked: check}, nil
		}
	}
	v := pipelineVersion{Version: 1, Digest: digest, Pushed: p.now().UTC(), Size: int64(len(packed))}
	if n := len(state.Versions); n > 0 {
		v.Version = state.Versions[n-1].Version + 1
	}
	state.Live = v.Version
	state.Versions = append(state.Versions, v)
	forgotten := state.Versions[:max(0, len(state.Versions)-maxPipelineVersions)]
	state.Versions = state.Versions[len(forgotten):]
	l, err := p.load(ctx, def, files, v)
	if err != nil {
		return api.PipelinePush{}, err
	}
	l.state = state
	if check {
		answer := api.PipelinePush{Pipeline: pipelineOf(l), Checked: true}
		if err := l.pipe.Close(); err != nil {
			p.log.Warn("close a pipeline", "pipeline", def.Name, "err", err)
		}
		return answer, l.clean()
	}
	if err := p.keep(digest, packed); err != nil {
		p.retire(l)
		return api.PipelinePush{}, err
	}
	if err := p.commit(ctx, l); err != nil {
		return api.PipelinePush{}, err
	}
	p.sweep(forgotten)
	p.log.Info("pipeline pushed", "pipeline", def.Name, "version", v.Version, "digest", digest.Short())
	return api.PipelinePush{Pipeline: pipelineOf(l)}, nil
}

// Pipelines implements admin.Pipelines.
func (p *pipelines) Pipelines(context.Context) ([]api.Pipeline, error) {
	out := []api.Pipeline{}
	for _, name := range p.names() {
		if l := p.get(name); l != nil {
			out = append(out, pipelineOf(l))
		}
	}
	return out, nil
}

// DeletePipeline implements admin.Pipelines.
func (p *pipelines) DeletePipeline(ctx context.Context, name fairlead.Name) (api.Pipeline, error) {
	p.change.Lock()
	defer p.change.Unlock()
	l := p.get(name)
	if l == nil {
		return api.Pipeline{}, fairlead.NotFound("there is no pipeline %q", name)
	}
	for _, other := range p.names() {
		o := p.get(other)
		if o == nil || o.pipe == nil || other == name {
			continue
		}
		if slices.ContainsFunc(o.pipe.Definition().Models(), func(m pipeline.Model) bool { return m.Name == string(name) }) {
			return api.Pipeline{}, fairlead.Errorf(fairlead.CodeConflict, "%s is a step of pipeline %s", name, other).Hintf("delete or change that one first")
		}
	}
	answer := pipelineOf(l)
	if err := p.kv.Delete(context.WithoutCancel(ctx), bucketKey(name), l.state.revision); err != nil {
		return api.Pipeline{}, err
	}
	p.mu.Lock()
	delete(p.loaded, name)
	p.mu.Unlock()
	p.deployer.swap(false)
	p.retire(l)
	p.sweep(l.state.Versions)
	p.log.Info("pipeline deleted", "pipeline", name)
	return answer, nil
}

func pipelineOf(l *loadedPipeline) api.Pipeline {
	out := api.Pipeline{
		Name: string(l.state.Name), Version: int(l.state.Live), State: "ready",
		Inputs: []api.Tensor{}, Outputs: []api.Tensor{}, Steps: []api.PipelineStep{}, Versions: []api.PipelineVersion{},
	}
	for _, v := range slices.Backward(l.state.Versions) {
		if v.Version == l.state.Live {
			out.Digest, out.Pushed = string(v.Digest), v.Pushed
		}
		out.Versions = append(out.Versions, api.PipelineVersion{Version: int(v.Version), Digest: string(v.Digest), Pushed: v.Pushed, Size: v.Size})
	}
	if l.failed != nil {
		out.State, out.Reason = "failed", l.failed.Error()
		return out
	}
	sig := l.pipe.Signature()
	out.Task, out.Inputs, out.Outputs = string(sig.Task), tensorsOf(sig.Inputs), tensorsOf(sig.Outputs)
	for _, s := range l.pipe.State() {
		step := api.PipelineStep{
			Name: s.Name, Kind: string(s.Kind), Runs: s.What, Needs: append([]string{}, s.Needs...), Fallback: s.Fallback,
			Inputs: tensorsOf(s.Inputs), Outputs: tensorsOf(s.Outputs),
			Count: s.Runs, Rows: s.Rows, Failed: s.Failed, Late: s.Late, Fallbacks: s.Fallbacks,
		}
		if s.Within > 0 {
			step.Within = s.Within.String()
		}
		if s.Runs > 0 {
			step.MeanMS = s.Time.Seconds() * 1000 / float64(s.Runs)
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// What the pipelines give Prometheus.
var (
	stepLabels    = []string{"pipeline", "step"}
	stepRuns      = prometheus.NewDesc("fairlead_pipeline_step_runs_total", "Times that a step was computed.", stepLabels, nil)
	stepFailed    = prometheus.NewDesc("fairlead_pipeline_step_failures_total", "Times that a step gave an error.", stepLabels, nil)
	stepLate      = prometheus.NewDesc("fairlead_pipeline_step_late_total", "Times that a step was not ready in time.", stepLabels, nil)
	stepFallbacks = prometheus.NewDesc("fairlead_pipeline_step_fallbacks_total", "Times that a step's fallback answered.", stepLabels, nil)
	stepSeconds   = prometheus.NewDesc("fairlead_pipeline_step_seconds_total", "Time that a step took, its queue included.", stepLabels, nil)
)

// Describe implements prometheus.Collector.
func (p *pipelines) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stepRuns, stepFailed, stepLate, stepFallbacks, stepSeconds} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *pipelines) Collect(ch chan<- prometheus.Metric) {
	for _, name := range p.names() {
		l := p.get(name)
		if l == nil || l.pipe == nil {
			continue
		}
		for _, s := range l.pipe.State() {
			for _, m := range []struct {
				desc  *prometheus.Desc
				value float64
			}{
				{stepRuns, float64(s.Runs)}, {stepFailed, float64(s.Failed)}, {stepLate, float64(s.Late)},
				{stepFallbacks, float64(s.Fallbacks)}, {stepSeconds, s.Time.Seconds()},
			} {
				ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, m.value, string(name), s.Name)
			}
		}
	}
}
