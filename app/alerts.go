package app

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// This file answers what the control API asks about incidents, and does what it says of them.

// standing is what is known of the incidents of one deployment.
type standing struct {
	incidents []notify.Incident
	acks      []notify.Ack
	ledger    *ledgerAt
}

// standing of a deployment. Its incidents have the names under which receivers were told of them.
func (a *App) standing(ctx context.Context, name fairlead.Name) (standing, error) {
	var s standing
	listed, _, err := a.incidents(ctx, name)
	if err != nil {
		return s, err
	}
	if s.ledger, err = readLedger(ctx, a.desk.kv, name); err != nil {
		return s, err
	}
	s.incidents = s.ledger.Adopt(a.desk.now(), listed)
	if len(s.incidents) > 0 {
		s.acks, err = a.desk.acks(ctx, name)
	}
	return s, err
}

// ack of an incident; nil: there is none. What is over has an end of its own.
func (s *standing) ack(in *notify.Incident) *api.Acknowledgement {
	x := notify.Acked(s.acks, in.Alerts)
	if x == nil {
		return nil
	}
	return &api.Acknowledgement{By: x.By, Note: x.Note, At: x.At}
}

// Incidents implements admin.Incidents: the latest first.
func (a *App) Incidents(ctx context.Context) ([]api.Incident, error) {
	active, err := a.desk.active(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Incident{}
	for _, name := range a.deployer.Names() {
		s, err := a.standing(ctx, name)
		if err != nil {
			return nil, err
		}
		for i := range s.incidents {
			out = append(out, s.describe(&s.incidents[i], silencer(active, name)))
		}
	}
	slices.SortStableFunc(out, func(x, y api.Incident) int { return y.Since.Compare(x.Since) })
	return out, nil
}

func (s *standing) describe(in *notify.Incident, silenced func(string) *notify.Silence) api.Incident {
	out := api.Incident{
		ID: in.ID, Deployment: in.Deployment, State: string(in.State), Columns: in.Columns, Alerts: []string{}, Since: in.Since, Until: in.Until,
		Acknowledged: s.ack(in), Told: []api.Told{},
	}
	for _, m := range in.Alerts {
		out.Alerts = append(out.Alerts, m.ID)
	}
	for _, t := range s.ledger.Tellings(in.ID) {
		out.Told = append(out.Told, api.Told{Receiver: t.Receiver, State: string(t.State), At: t.At, Failed: t.Tries, Next: t.Next})
	}
	loud := *in
	loud.Mute(nil, silenced)
	out.Silenced = loud.Muted != ""
	return out
}

// findIncident finds the incident that an id, of it or of one of its alerts, names.
func (a *App) findIncident(ctx context.Context, id string) (standing, *notify.Incident, error) {
	for _, name := range a.deployer.Names() {
		s, err := a.standing(ctx, name)
		if err != nil {
			return s, nil, err
		}
		for i := range s.incidents {
			in := &s.incidents[i]
			if in.ID == id || slices.ContainsFunc(in.Alerts, func(m notify.Member) bool { return m.ID == id }) {
				return s, in, nil
			}
		}
	}
	return standing{}, nil, fairlead.NotFound("there is no incident with an alert %q", id).
		Hintf("`fairlead alerts` lists them; one that is still pending is no incident yet")
}

// Acknowledge implements admin.Incidents.
func (a *App) Acknowledge(ctx context.Context, in api.AckRequest) (api.Incident, error) {
	_, found, err := a.findIncident(ctx, in.ID)
	if err != nil {
		return api.Incident{}, err
	}
	if found.State != notify.Firing {
		return api.Incident{}, fairlead.Errorf(fairlead.CodeConflict, "%s is over since %s", found.ID, found.Until.UTC().Format("2006-01-02 15:04")).
			Hintf("only what still fires is acknowledged")
	}
	ack := notify.Ack{Incident: found.ID, Alerts: found.Alerts, By: cmp.Or(strings.TrimSpace(in.By), somebody), Note: in.Note, At: a.desk.now().UTC()}
	name := fairlead.Name(found.Deployment)
	if err := a.desk.acknowledge(ctx, name, ack); err != nil {
		return api.Incident{}, err
	}
	a.log.Info("incident acknowledged", "audit", true, "deployment", name, "incident", found.ID, "by", ack.By, "note", ack.Note)
	return a.incident(ctx, name, found.ID)
}

// Unacknowledge implements admin.Incidents.
func (a *App) Unacknowledge(ctx context.Context, in api.AckRequest) (api.Incident, error) {
	_, found, err := a.findIncident(ctx, in.ID)
	if err != nil {
		return api.Incident{}, err
	}
	name := fairlead.Name(found.Deployment)
	if err := a.desk.unacknowledge(ctx, name, found.Alerts, found.ID); err != nil {
		return api.Incident{}, err
	}
	a.log.Info("acknowledgement taken back", "audit", true, "deployment", name, "incident", found.ID, "by", cmp.Or(strings.TrimSpace(in.By), somebody))
	return a.incident(ctx, name, found.ID)
}

func (a *App) incident(ctx context.Context, name fairlead.Name, id string) (api.Incident, error) {
	active, err := a.desk.active(ctx)
	if err != nil {
		return api.Incident{}, err
	}
	s, found, err := a.findIncident(ctx, id)
	if err != nil {
		return api.Incident{}, err
	}
	return s.describe(found, silencer(active, name)), nil
}

// Silences implements admin.Silences: those that hold or will first, each kind in the order in which they were made.
func (a *App) Silences(ctx context.Context, ended bool) ([]api.Silence, error) {
	all, err := a.desk.silences(ctx)
	if err != nil {
		return nil, err
	}
	alerts, err := a.listAlerts(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Silence{}
	for i := range all {
		if x := a.silence(&all[i], alerts); ended || x.State != "ended" {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(x, y api.Silence) int {
		switch {
		case x.State == y.State || x.State != "ended" && y.State != "ended":
			return 0
		case x.State == "ended":
			return 1
		}
		return -1
	})
	return out, nil
}

// silence is one with the firing alerts that it covers.
func (a *App) silence(s *notify.Silence, alerts []api.Alert) api.Silence {
	out := api.Silence{
		ID: s.ID, Deployment: s.Deployment, Column: s.Column, From: s.From, Until: s.Until, Weekly: s.Weekly, Zone: s.Zone, Reason: s.Reason, By: s.By,
		Created: s.Created, EndedBy: s.EndedBy, State: a.desk.state(s), Alerts: []string{},
	}
	for _, x := range alerts {
		if out.State == "active" && x.State == string(alert.Firing) && s.Covers(x.Deployment, x.Column) {
			out.Alerts = append(out.Alerts, x.ID)
		}
	}
	return out
}

// Silence implements admin.Silences.
func (a *App) Silence(ctx context.Context, in api.SilenceRequest) (api.Silence, error) {
	s, err := a.desk.silence(ctx, in)
	if err != nil {
		return api.Silence{}, err
	}
	a.log.Info("alerts silenced", "audit", true, "silence", s.ID, "deployment", s.Deployment, "column", s.Column, "from", s.From, "until", s.Until,
		"weekly", s.Weekly, "by", s.By, "reason", s.Reason)
	alerts, err := a.listAlerts(ctx)
	return a.silence(&s, alerts), err
}

// Unsilence implements admin.Silences.
func (a *App) Unsilence(ctx context.Context, id, by string) (api.Silence, error) {
	s, err := a.desk.unsilence(ctx, id, strings.TrimSpace(by))
	if err != nil {
		return api.Silence{}, err
	}
	a.log.Info("silence ended", "audit", true, "silence", s.ID, "deployment", s.Deployment, "column", s.Column, "by", s.EndedBy)
	return a.silence(&s, nil), nil
}

// Receivers implements admin.Receivers.
func (a *App) Receivers() []api.Receiver {
	out := []api.Receiver{}
	for i := range a.notifier.receivers {
		r := &a.notifier.receivers[i]
		stats := a.notifier.stats.get(r.Name)
		x := api.Receiver{
			Name: r.Name, Type: r.Type, Deployments: append([]string{}, r.Deployments...), MinHarm: r.MinHarm, Sent: stats.sent, Failed: stats.failed,
			LastSent: stats.lastSent, LastFailed: stats.lastFailed, LastError: stats.lastError,
		}
		if u, err := url.Parse(r.URL); err == nil {
			x.Host = u.Host
		}
		out = append(out, x)
	}
	return out
}

// TestReceiver implements admin.Receivers: it sends a message, once.
func (a *App) TestReceiver(ctx context.Context, name, by string) (api.TestMessage, error) {
	all := a.notifier.receivers
	i := slices.IndexFunc(all, func(r notify.Receiver) bool { return r.Name == name })
	if i < 0 {
		err := fairlead.NotFound("there is no receiver %q", name)
		if len(all) == 0 {
			return api.TestMessage{}, err.Hintf("the server's configuration names none under notify (docs/alerts.md)")
		}
		var names []string
		for _, r := range all {
			names = append(names, r.Name)
		}
		return api.TestMessage{}, err.Hintf("there are %s", strings.Join(names, ", "))
	}
	began := a.desk.now()
	d := notify.Test(a.notifier.describer.page, began)
	d.ID, d.Receiver = messageID(), name
	said, err := a.sender.send(ctx, &all[i], &d)
	out := api.TestMessage{Receiver: name, OK: err == nil, Answer: said, Seconds: a.desk.now().Sub(began).Seconds()}
	if err != nil {
		out.Answer = err.Error()
	}
	a.log.Info("test message sent", "audit", true, "receiver", name, "ok", out.OK, "answer", out.Answer, "by", cmp.Or(by, somebody))
	return out, nil
}

// annotateAlerts says of alerts which incident they are part of, and who has taken care of it or silenced it.
func (a *App) annotateAlerts(ctx context.Context, alerts []api.Alert) error {
	active, err := a.desk.active(ctx)
	if err != nil {
		return err
	}
	known := map[string]*standing{}
	for i := range alerts {
		x := &alerts[i]
		if x.State == string(alert.Pending) {
			continue
		}
		s := known[x.Deployment]
		if s == nil {
			read, err := a.standing(ctx, fairlead.Name(x.Deployment))
			if err != nil {
				return fmt.Errorf("incidents of %s: %w", x.Deployment, err)
			}
			s = &read
			known[x.Deployment] = s
		}
		for k := range s.incidents {
			in := &s.incidents[k]
			if slices.ContainsFunc(in.Alerts, func(m notify.Member) bool { return m.ID == x.ID }) {
				x.Incident, x.Acknowledged = in.ID, s.ack(in)
			}
		}
		if x.State != string(alert.Firing) {
			continue
		}
		if by := silencer(active, fairlead.Name(x.Deployment))(x.Column); by != nil {
			x.Silenced = &api.SilencedBy{ID: by.ID, Reason: by.Reason, By: by.By, Until: by.Until}
		}
	}
	return nil
}
