package meter

import (
	"github.com/prometheus/client_golang/prometheus"
)

// unknown is the label of requests for deployments that do not exist: no name can look like it, and what clients make up
// does not become a series.
const unknown = "_unknown"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fairlead_"+name, help, append([]string{"deployment", "version"}, labels...), nil)
}

// What the meter gives Prometheus. A version counted with others that are out of use is called "older".
var (
	requestsDesc = desc("requests_total", "Inference requests by outcome: the error's code, or ok, and its reason if it has one.",
		"code", "reason")
	rowsDesc     = desc("rows_total", "Rows answered, those out of the cache included.")
	totalDesc    = desc("request_duration_seconds", "Time of answered requests inside the server.")
	stageDesc    = desc("stage_duration_seconds", "Time of answered requests by stage: decode, queue, run, encode.", "stage")
	batchDesc    = desc("batch_rows", "Rows of one run of the model.")
	runTimeDesc  = desc("run_seconds_total", "Time in runs of the model, each counted once however many requests it answered.")
	togetherDesc = desc("requests_batched_total", "Requests answered by a run that had rows of others too.")
	hitsDesc     = desc("cache_hits_total", "Requests answered out of the cache, or by the run of an equal request.")
	missesDesc   = desc("cache_misses_total", "Requests that were looked up in the cache and had to run.")

	descs = []*prometheus.Desc{requestsDesc, rowsDesc, totalDesc, stageDesc, batchDesc, runTimeDesc, togetherDesc, hitsDesc, missesDesc}
)

// Describe makes the meter a prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect makes the meter a prometheus.Collector.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	for _, t := range m.unknown.sum() {
		t.collect(ch, unknown)
	}
	for name, d := range *m.deployments.Load() {
		for _, t := range d.sum() {
			t.collect(ch, string(name))
		}
	}
}

func (t *totals) collect(ch chan<- prometheus.Metric, deployment string) {
	version := t.version.String()
	switch t.version {
	case 0:
		version = ""
	case older:
		version = "older"
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, append([]string{deployment, version}, labels...)...)
	}
	for _, o := range t.outcomes {
		if o.code == "" {
			o.code = "ok"
		}
		counter(requestsDesc, float64(o.n), string(o.code), o.reason)
	}
	if t.version == 0 { // nobody answered
		return
	}
	counter(rowsDesc, float64(t.rows))
	counter(togetherDesc, float64(t.together))
	counter(hitsDesc, float64(t.hit.Count))
	counter(missesDesc, float64(t.miss.Count))
	for _, s := range []struct {
		name string
		h    *histogram
	}{{"decode", &t.decode}, {"queue", &t.queue}, {"run", &t.compute}, {"encode", &t.encode}} {
		ch <- s.h.metric(stageDesc, deployment, version, s.name)
	}
	whole := t.whole.metric(totalDesc, deployment, version)
	if e := t.examples(); len(e) > 0 {
		whole = prometheus.MustNewMetricWithExemplars(whole, e...)
	}
	ch <- whole
	t.collectRuns(ch, deployment, version)
}

func (t *totals) collectRuns(ch chan<- prometheus.Metric, deployment, version string) {
	var rows, took float64
	for _, b := range t.batches {
		rows += float64(b.Rows) * float64(b.Run.Count)
		took += b.Run.Time.Seconds()
	}
	cumulative, n := make(map[float64]uint64, sizes), uint64(0)
	for i, c := range t.runs {
		n += c
		if i < sizes-1 {
			cumulative[float64(int(1)<<i)] = n
		}
	}
	ch <- prometheus.MustNewConstHistogram(batchDesc, n, rows, cumulative, deployment, version)
	ch <- prometheus.MustNewConstMetric(runTimeDesc, prometheus.CounterValue, took, deployment, version)
}

func (h *histogram) metric(d *prometheus.Desc, labels ...string) prometheus.Metric {
	cumulative, n := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, bound := range bounds {
		n += h.n[i]
		cumulative[float64(bound)/1e9] = n
	}
	return prometheus.MustNewConstHistogram(d, n+h.n[len(bounds)], h.sum.Seconds(), cumulative, labels...)
}

// examples are traced requests, one per bucket of the latency at most.
func (t *totals) examples() []prometheus.Exemplar {
	if t.exemplars == nil {
		return nil
	}
	var all []prometheus.Exemplar
	for _, e := range t.exemplars {
		if e.trace != "" {
			all = append(all, prometheus.Exemplar{Value: e.took.Seconds(), Timestamp: e.at, Labels: prometheus.Labels{"trace_id": e.trace}})
		}
	}
	return all
}
