package meter

import (
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/prometheus/client_golang/prometheus"
)

// Buckets of the stage histograms: 1 µs to 10 s, three to the decade.
var buckets = []float64{1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2,
	5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// instruments are the metrics for Prometheus.
type instruments struct {
	requests *prometheus.CounterVec
	rows     *prometheus.CounterVec
	stages   *prometheus.HistogramVec
	total    *prometheus.HistogramVec

	of sync.Map // fairlead.Name → *deploymentInstruments: the vectors' own lookup hashes all labels every time
}

type deploymentInstruments struct {
	ok, rows                          prometheus.Counter
	decode, queue, run, encode, whole prometheus.Observer
}

func newInstruments() *instruments {
	return &instruments{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_requests_total",
			Help: "Inference requests by outcome; deployment is empty where a request named none that exists."},
			[]string{"deployment", "code"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_rows_total",
			Help: "Rows answered."}, []string{"deployment"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fairlead_stage_duration_seconds",
			Help: "Time of answered requests by stage: decode, queue, run, encode.", Buckets: buckets},
			[]string{"deployment", "stage"}),
		total: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fairlead_request_duration_seconds",
			Help: "Time of answered requests inside the server.", Buckets: buckets}, []string{"deployment"}),
	}
}

func (i *instruments) observe(o Observation) {
	name := string(o.Deployment)
	if o.Code != "" {
		i.requests.WithLabelValues(name, string(o.Code)).Inc()
		return
	}
	d := i.deployment(o.Deployment)
	d.ok.Inc()
	d.rows.Add(float64(o.Rows))
	for _, s := range []struct {
		to   prometheus.Observer
		took time.Duration
	}{{d.decode, o.Stages.Decode}, {d.queue, o.Stages.Queue}, {d.run, o.Stages.Run}, {d.encode, o.Stages.Encode}, {d.whole, o.Total}} {
		s.to.Observe(s.took.Seconds())
	}
}

func (i *instruments) deployment(name fairlead.Name) *deploymentInstruments {
	if d, ok := i.of.Load(name); ok {
		return d.(*deploymentInstruments)
	}
	n := string(name)
	d, _ := i.of.LoadOrStore(name, &deploymentInstruments{
		ok: i.requests.WithLabelValues(n, "ok"), rows: i.rows.WithLabelValues(n),
		decode: i.stages.WithLabelValues(n, "decode"), queue: i.stages.WithLabelValues(n, "queue"),
		run: i.stages.WithLabelValues(n, "run"), encode: i.stages.WithLabelValues(n, "encode"),
		whole: i.total.WithLabelValues(n),
	})
	return d.(*deploymentInstruments)
}

func (i *instruments) forget(name fairlead.Name) {
	i.of.Delete(name)
	by := prometheus.Labels{"deployment": string(name)}
	i.requests.DeletePartialMatch(by)
	i.rows.DeletePartialMatch(by)
	i.stages.DeletePartialMatch(by)
	i.total.DeletePartialMatch(by)
}

func (i *instruments) collectors() []prometheus.Collector {
	return []prometheus.Collector{i.requests, i.rows, i.stages, i.total}
}

// Describe makes the meter a prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.prometheus.collectors() {
		c.Describe(ch)
	}
}

// Collect makes the meter a prometheus.Collector.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.prometheus.collectors() {
		c.Collect(ch)
	}
}
