package app

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/explain"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// incidentsOf groups the alerts of a deployment that have fired: those that began together are one incident. The earliest is first.
func incidentsOf(alerts []alert.Alert, grain time.Duration) []notify.Incident {
	fired := slices.DeleteFunc(slices.Clone(alerts), func(x alert.Alert) bool { return x.State == alert.Pending })
	slices.SortStableFunc(fired, func(x, y alert.Alert) int {
		return cmp.Or(x.Onset.Compare(y.Onset), cmp.Compare(x.Column, y.Column))
	})
	onsets := make([]time.Time, len(fired))
	for i := range fired {
		onsets[i] = fired[i].Onset
	}
	var out []notify.Incident
	place := map[int]int{} // of an incident, by its first alert
	for i, first := range explain.Incident(onsets, grain) {
		x := &fired[i]
		if _, ok := place[first]; !ok {
			place[first] = len(out)
			out = append(out, notify.Incident{ID: fired[first].ID, Deployment: string(x.Deployment), State: notify.Resolved, Since: fired[first].Onset})
		}
		in := &out[place[first]]
		in.Alerts = append(in.Alerts, notify.Member{ID: x.ID, Column: x.Column, Onset: x.Onset, Last: x.Last, Firing: x.State == alert.Firing})
		if !slices.Contains(in.Columns, x.Column) {
			in.Columns = append(in.Columns, x.Column)
		}
		if x.State == alert.Firing {
			in.State = notify.Firing
		}
		if x.Resolved.After(in.Until) {
			in.Until = x.Resolved
		}
	}
	for i := range out {
		if out[i].State == notify.Firing {
			out[i].Until = time.Time{}
		}
	}
	return out
}

// titleOf names the columns of an incident.
func titleOf(columns []string) string {
	const most = 4
	if len(columns) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(columns[:most-1], ", "), len(columns)-most+1)
	}
	return strings.Join(columns, ", ")
}

// linkTo is where the page shows an incident.
func linkTo(page string, in *notify.Incident) string {
	if page == "" {
		return ""
	}
	link := page + "/d/" + url.PathEscape(in.Deployment)
	if len(in.Alerts) > 0 {
		link += "?alert=" + url.QueryEscape(in.Alerts[0].ID)
	}
	return link
}

// describer writes the text of incidents. What it wrote it keeps for a while: an explanation reads days of findings.
type describer struct {
	explain func(ctx context.Context, id string) (api.AlertExplanation, error)
	page    string
	known   map[string]*description // by incident
}

type description struct {
	of     string // the alerts that it is about
	state  notify.State
	at     time.Time
	harm   string
	text   string
	advice []string
}

const (
	describeAgain = time.Minute      // at the earliest, when its alerts went on
	describeLate  = 10 * time.Minute // labels that come late change what it did
	describeMost  = 3                // alerts of an incident that are explained
	describeTime  = 30 * time.Second // for one
)

// harmOrder has the worst first.
var harmOrder = []string{string(explain.Hurts), string(explain.Moves), string(explain.Unknown), string(explain.Quiet)}

// describe fills in what an incident is about, and what it does.
func (d *describer) describe(ctx context.Context, now time.Time, in *notify.Incident, messages map[string]string) {
	of := fmt.Sprint(in.Alerts)
	x := d.known[in.ID]
	if age := time.Duration(0); x != nil {
		if age = now.Sub(x.at); x.state == in.State && (age < describeAgain || of == x.of && (age < describeLate || in.State == notify.Resolved)) {
			d.fill(in, x)
			return
		}
	}
	x = &description{of: of, state: in.State, at: now, harm: string(explain.Unknown)}
	worst := len(harmOrder)
	for _, m := range d.chosen(in) {
		bounded, cancel := context.WithTimeout(ctx, describeTime)
		e, err := d.explain(bounded, m.ID)
		cancel()
		if err != nil { // what is told must not wait for what is said of it
			if x.text == "" {
				x.text = messages[m.ID]
			}
			continue
		}
		if rank := slices.Index(harmOrder, e.Harm); rank < worst {
			worst, x.harm, x.text, x.advice = rank, e.Harm, e.Text, e.Advice
		}
	}
	if d.known == nil {
		d.known = map[string]*description{}
	}
	d.known[in.ID] = x
	d.fill(in, x)
}

// chosen are the alerts that speak for an incident: those that still fire first, of columns that are not silenced.
func (d *describer) chosen(in *notify.Incident) []notify.Member {
	members := slices.DeleteFunc(slices.Clone(in.Alerts), func(m notify.Member) bool { return !slices.Contains(in.Columns, m.Column) })
	slices.SortStableFunc(members, func(a, b notify.Member) int {
		switch {
		case a.Firing == b.Firing:
			return 0
		case a.Firing:
			return -1
		}
		return 1
	})
	return members[:min(len(members), describeMost)]
}

func (d *describer) fill(in *notify.Incident, x *description) {
	in.Harm, in.Text, in.Advice = x.harm, x.text, x.advice
	in.Title, in.Link = titleOf(in.Columns), linkTo(d.page, in)
}

// forget drops what is no longer listed.
func (d *describer) forget(now time.Time) {
	for id, x := range d.known {
		if now.Sub(x.at) > 2*describeLate {
			delete(d.known, id)
		}
	}
}

// grainOf is the size of a book's windows.
func grainOf(r alert.Rule) time.Duration {
	if r.Grain == "" {
		return watch.Hour.Length()
	}
	return watch.Grain(r.Grain).Length()
}

// incidents of a deployment as its book has them, and what each alert says of itself.
func (a *App) incidents(ctx context.Context, name fairlead.Name) ([]notify.Incident, map[string]string, error) {
	book, err := a.books.Load(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	alerts := book.Alerts()
	messages := make(map[string]string, len(alerts))
	for _, x := range alerts {
		messages[x.ID] = x.Message
	}
	return incidentsOf(alerts, grainOf(book.Rule)), messages, nil
}
