package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// notifyStats counts messages by receiver: their number is that of the configuration.
type notifyStats struct {
	mu      sync.Mutex
	of      map[string]*receiverStats
	givenUp uint64
}

type receiverStats struct {
	sent, failed         uint64
	lastSent, lastFailed time.Time
	lastError            string
	waiting              int
}

func (s *notifyStats) receiver(name string) *receiverStats {
	if s.of == nil {
		s.of = map[string]*receiverStats{}
	}
	if s.of[name] == nil {
		s.of[name] = &receiverStats{}
	}
	return s.of[name]
}

func (s *notifyStats) count(name string, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.receiver(name)
	if err == nil {
		r.sent++
		r.lastSent = at
		return
	}
	r.failed++
	r.lastFailed, r.lastError = at, err.Error()
}

func (s *notifyStats) waits(name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver(name).waiting = n
}

func (s *notifyStats) gaveUp(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.givenUp += uint64(n)
}

func (s *notifyStats) get(name string) receiverStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.receiver(name)
}

var (
	notifications        = prometheus.NewDesc("fairlead_notifications_total", "Messages to receivers of incidents; failed ones are tried again.", []string{"receiver", "result"}, nil)
	notificationsWaiting = prometheus.NewDesc("fairlead_notifications_waiting", "Messages that a receiver has not got yet.", []string{"receiver"}, nil)
	notificationsGivenUp = prometheus.NewDesc("fairlead_notifications_given_up_total", "Ends of incidents that a receiver could not be told of in a week.", nil, nil)
)

// Describe implements prometheus.Collector.
func (n *notifier) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{notifications, notificationsWaiting, notificationsGivenUp} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (n *notifier) Collect(ch chan<- prometheus.Metric) {
	for i := range n.receivers {
		name := n.receivers[i].Name
		r := n.stats.get(name)
		ch <- prometheus.MustNewConstMetric(notifications, prometheus.CounterValue, float64(r.sent), name, "sent")
		ch <- prometheus.MustNewConstMetric(notifications, prometheus.CounterValue, float64(r.failed), name, "failed")
		ch <- prometheus.MustNewConstMetric(notificationsWaiting, prometheus.GaugeValue, float64(r.waiting), name)
	}
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(notificationsGivenUp, prometheus.CounterValue, float64(n.stats.givenUp))
}

// alertGauges counts what fires. Their number is that of the deployments, at most maxGauges.
type alertGauges struct{ app *App }

const (
	maxGauges = 500
	gaugeTime = 2 * time.Second // that a scrape waits for the books
)

var alertsFiring = prometheus.NewDesc("fairlead_alerts_firing", "Alerts that fire, also acknowledged and silenced ones.", []string{"deployment"}, nil)

// Describe implements prometheus.Collector.
func (alertGauges) Describe(ch chan<- *prometheus.Desc) { ch <- alertsFiring }

// Collect implements prometheus.Collector.
func (g alertGauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTime)
	defer cancel()
	firing, err := g.app.firing(ctx)
	if err != nil {
		g.app.log.Warn("alerts are not in the metrics", "err", err)
		return
	}
	names := g.app.deployer.Names()
	for _, name := range names[:min(len(names), maxGauges)] {
		ch <- prometheus.MustNewConstMetric(alertsFiring, prometheus.GaugeValue, float64(firing[name]), string(name))
	}
}
