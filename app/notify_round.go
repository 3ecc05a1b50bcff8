package app

import (
	"context"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// round hands over what is due.
func (n *notifier) round(ctx context.Context) {
	if n.leads != nil && !n.leads() {
		if len(n.under) == 0 { // who leads next writes them
			clear(n.ledgers)
		}
		return
	}
	due := map[string][]notify.Delivery{}
	silences, err := n.desk.active(ctx)
	if err != nil {
		n.log.Warn("nobody is told: the silences cannot be read", "err", err)
		return
	}
	for _, name := range n.names() {
		found, err := n.look(ctx, name, silences)
		if err != nil && ctx.Err() == nil {
			n.log.Error("receivers are not told", "deployment", name, "err", err)
		}
		for _, d := range found {
			due[d.Receiver] = append(due[d.Receiver], d)
		}
	}
	n.describer.forget(n.now())
	for _, w := range n.workers {
		batch := slices.DeleteFunc(due[w.receiver.Name], func(d notify.Delivery) bool { return n.under[parcel{d.Receiver, d.Incident.ID}] })
		n.stats.waits(w.receiver.Name, len(batch)+n.retrying(w.receiver.Name))
		if w.busy || len(batch) == 0 || ctx.Err() != nil {
			continue
		}
		batch = batch[:min(len(batch), notifyBatch)]
		for _, d := range batch {
			n.under[parcel{d.Receiver, d.Incident.ID}] = true
		}
		w.busy = true
		w.jobs <- batch // it is idle: there is room
	}
}

func (n *notifier) retrying(receiver string) (sum int) {
	for _, l := range n.ledgers {
		sum += l.Retrying(receiver)
	}
	return sum
}

// look finds what is due for one deployment.
func (n *notifier) look(ctx context.Context, name fairlead.Name, silences []notify.Silence) ([]notify.Delivery, error) {
	listed, messages, err := n.incidents(ctx, name)
	if err != nil {
		return nil, err
	}
	l, err := n.ledger(ctx, name)
	if err != nil || len(listed) == 0 && len(l.Incidents) == 0 {
		return nil, err
	}
	if len(l.unsaved) > 0 || l.changed { // the bucket was out of reach
		if err := n.save(ctx, name, l); err != nil {
			return nil, err
		}
	}
	now := n.now()
	incidents := l.Adopt(now, listed)
	var acks []notify.Ack
	if slices.ContainsFunc(incidents, func(in notify.Incident) bool { return in.State == notify.Firing }) {
		if acks, err = n.desk.acks(ctx, name); err != nil {
			return nil, err
		}
	}
	behind := n.behind()
	for i := range incidents {
		in := &incidents[i]
		in.Mute(acks, silencer(silences, name))
		if behind && in.State == notify.Firing && len(l.Tellings(in.ID)) == 0 {
			in.Muted = "the monitor works off a backlog"
		}
		if in.Text == "" && l.Concerns(now, in, n.wait) {
			n.describer.describe(ctx, now, in, messages)
		}
	}
	due := l.Due(now, incidents, n.receivers, n.wait)
	if slices.ContainsFunc(due, func(d notify.Delivery) bool { return !l.stored[d.Incident.ID] }) {
		if err := n.save(ctx, name, l); err != nil { // being told matters more
			n.log.Warn("an incident is told before it is stored: after a crash it has another delivery id", "deployment", name, "err", err)
		}
	}
	before := len(l.Incidents)
	if lost := l.Forget(now, n.receivers); lost > 0 {
		n.stats.gaveUp(lost)
		n.log.Warn("receivers could not be told of the end of incidents, and are not tried any more", "deployment", name, "messages", lost)
	}
	if len(l.Incidents) < before && l.revision > 0 {
		l.changed = true
		err = n.save(ctx, name, l)
	}
	return due, err
}
