package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// Who is told of incidents is decided in watch/notify; this is what carries it out. One loop looks at the alert books and at what
// everybody has been told, and hands what is due to the receivers' workers, one a receiver, so that nobody waits for somebody else's
// server. What they report goes into the ledger of the deployment, in a bucket, before anything else is handed to that receiver. The
// ledger is the queue: what a worker has no room for, and what a crash cuts off, is due again. A crash between a receiver's answer and
// the write of it tells the same twice, under the same delivery id.
const (
	notifyEvery = 2 * time.Second
	notifyBatch = 16              // messages that a worker takes at a time
	notifyGrace = 5 * time.Second // that a message under way gets when the server stops
)

// notifier is the loop. Everything but the workers and stats belongs to its goroutine.
type notifier struct {
	receivers []notify.Receiver
	wait      time.Duration
	kv        keyValue
	leads     func() bool // nil: this server is alone
	names     func() []fairlead.Name
	incidents func(ctx context.Context, name fairlead.Name) ([]notify.Incident, map[string]string, error)
	behind    func() bool // the monitor works off a backlog: what it finds may be over already
	desk      *desk
	describer describer
	send      func(ctx context.Context, r *notify.Receiver, d *notify.Delivery) (said string, err error)
	now       func() time.Time
	chance    func() float64 // in [0,1)
	log       *slog.Logger

	ledgers map[fairlead.Name]*ledgerAt
	workers []*worker
	reports chan report
	under   map[parcel]bool // way
	stats   notifyStats
}

// ledgerAt is a ledger and where it is stored.
type ledgerAt struct {
	notify.Ledger
	revision uint64
	unsaved  []report
	changed  bool
	stored   map[string]bool // incidents that the bucket knows: the id of what is told of them is the same after a crash
}

// isStored says that the bucket has what the ledger has.
func (l *ledgerAt) isStored() {
	l.stored = map[string]bool{}
	for id := range l.Incidents {
		l.stored[id] = true
	}
}

// worker tells one receiver.
type worker struct {
	receiver *notify.Receiver
	jobs     chan []notify.Delivery
	busy     bool
}

// parcel is a message under way.
type parcel struct{ receiver, incident string }

// report is what came of a message; the last of a batch has done.
type report struct {
	delivery notify.Delivery
	tried    bool
	result   notify.Result
	at       time.Time
	done     bool
}

func ledgerKey(name fairlead.Name) string { return "ledger/" + bucketKey(name) }

// run tells receivers until ctx ends, then lets what is under way come to its end, and notes it.
func (n *notifier) run(ctx context.Context) {
	stop := n.start(ctx)
	defer stop()
	tick := time.NewTicker(notifyEvery)
	defer tick.Stop()
	for {
		n.round(ctx)
		select {
		case <-tick.C:
		case r := <-n.reports:
			n.take(ctx, r)
		case <-ctx.Done():
			return
		}
	}
}

// start starts the workers. stop ends them and stores what they report.
func (n *notifier) start(ctx context.Context) (stop func()) {
	n.reports, n.under, n.ledgers = make(chan report, len(n.receivers)*notifyBatch), map[parcel]bool{}, map[fairlead.Name]*ledgerAt{}
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	n.workers = nil
	for i := range n.receivers {
		w := &worker{receiver: &n.receivers[i], jobs: make(chan []notify.Delivery, 1)}
		n.workers = append(n.workers, w)
		running.Go(func() { n.work(ctx, sending, w) })
	}
	return func() {
		for _, w := range n.workers {
			close(w.jobs)
		}
		grace := time.AfterFunc(notifyGrace, cut)
		ended := make(chan struct{})
		go func() { running.Wait(); close(ended) }()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*notifyGrace)
		defer cancel()
		for waits := true; waits; {
			select {
			case r := <-n.reports:
				n.take(late, r)
			case <-ended:
				waits = false
			}
		}
		for len(n.reports) > 0 {
			n.take(late, <-n.reports)
		}
		grace.Stop()
		cut()
	}
}

// work tells one receiver what it is handed. After a failure the rest of the batch is left: it is due all the same.
func (n *notifier) work(ctx, sending context.Context, w *worker) {
	for batch := range w.jobs {
		failed := false
		for i, d := range batch {
			r := report{delivery: d, done: i == len(batch)-1}
			if !failed && ctx.Err() == nil && (n.leads == nil || n.leads()) {
				r.tried, r.result = true, n.tell(sending, w.receiver, &d)
				failed = r.result.Failed
			}
			r.at = n.now()
			n.reports <- r // there is room for all batches
		}
	}
}

func (n *notifier) tell(ctx context.Context, to *notify.Receiver, d *notify.Delivery) (result notify.Result) {
	said, err := n.send(ctx, to, d)
	n.stats.count(to.Name, n.now(), err)
	if err == nil {
		n.log.Info("told of an incident", "receiver", to.Name, "deployment", d.Incident.Deployment, "incident", d.Incident.ID, "state", d.Incident.State, "answer", said)
		return result
	}
	result.Failed = true
	var e *sendError
	if errors.As(err, &e) {
		result.After = e.after
	}
	n.log.Warn("a receiver was not told of an incident; it is tried again", "receiver", to.Name, "deployment", d.Incident.Deployment, "incident", d.Incident.ID, "state", d.Incident.State, "err", err)
	return result
}

// take notes what came of a message.
func (n *notifier) take(ctx context.Context, r report) {
	delete(n.under, parcel{r.delivery.Receiver, r.delivery.Incident.ID})
	if r.done {
		for _, w := range n.workers {
			if w.receiver.Name == r.delivery.Receiver {
				w.busy = false
			}
		}
	}
	if !r.tried {
		return
	}
	name := fairlead.Name(r.delivery.Incident.Deployment)
	l, err := n.ledger(ctx, name)
	if err == nil {
		l.Sent(r.delivery, r.at, r.result, n.chance())
		l.unsaved = append(l.unsaved, r)
		err = n.save(ctx, name, l)
	}
	if err != nil {
		n.log.Error("what a receiver was told is not stored yet: after a restart it is told again", "deployment", name, "err", err)
	}
}

// ledger of a deployment, read once while this server leads.
func (n *notifier) ledger(ctx context.Context, name fairlead.Name) (*ledgerAt, error) {
	if l := n.ledgers[name]; l != nil {
		return l, nil
	}
	l, err := readLedger(ctx, n.kv, name)
	if err == nil {
		n.ledgers[name] = l
	}
	return l, err
}

func readLedger(ctx context.Context, kv keyValue, name fairlead.Name) (*ledgerAt, error) {
	l := &ledgerAt{}
	raw, revision, err := kv.Get(ctx, ledgerKey(name))
	if err != nil || raw == nil {
		return l, err
	}
	l.revision = revision
	if err := json.Unmarshal(raw, &l.Ledger); err != nil {
		return l, fmt.Errorf("read what receivers were told of %s: %w", name, err)
	}
	l.isStored()
	return l, nil
}

// save stores a ledger. Where another server was first, what was told from here goes into what that one left.
func (n *notifier) save(ctx context.Context, name fairlead.Name, l *ledgerAt) error {
	for tries := 1; ; tries++ {
		raw, err := json.Marshal(&l.Ledger)
		if err != nil {
			return err
		}
		revision, err := n.kv.Put(ctx, ledgerKey(name), raw, l.revision)
		if err == nil {
			l.revision, l.unsaved, l.changed = revision, nil, false
			l.isStored()
			return nil
		}
		if fairlead.CodeOf(err) != fairlead.CodeConflict || tries == deskAttempts {
			return err
		}
		theirs, err := readLedger(ctx, n.kv, name)
		if err != nil {
			return err
		}
		for _, r := range l.unsaved {
			theirs.Sent(r.delivery, r.at, r.result, n.chance())
		}
		l.Ledger, l.revision = theirs.Ledger, theirs.revision
	}
}
