package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

const (
	maxSilences  = 500                 // that are not over
	keepSilences = 30 * 24 * time.Hour // after their end
	maxAcks      = 200                 // of a deployment; the oldest goes first
	ackAlerts    = 16                  // of an incident that an acknowledgement remembers
	silencesKey  = "silences"
	deskAttempts = 8 // of a change that others make too
)

// desk keeps what people said of alerts: silences, and acknowledgements by deployment. All servers on a log share it: it reads the
// bucket each time, and goes by what it read last while the bucket is out of reach.
type desk struct {
	kv    keyValue
	now   func() time.Time
	log   *slog.Logger
	fixed []notify.Silence // of the configuration

	mu    sync.Mutex
	seen  map[string][]byte
	zones map[string]*time.Location
}

func acksKey(name fairlead.Name) string { return "acks/" + bucketKey(name) }

// read decodes a list; none is an empty one.
func read[T any](ctx context.Context, d *desk, key string) ([]T, error) {
	raw, _, err := d.kv.Get(ctx, key)
	d.mu.Lock()
	if err == nil {
		if d.seen == nil {
			d.seen = map[string][]byte{}
		}
		d.seen[key] = raw
	} else if last, ok := d.seen[key]; ok {
		raw, err = last, nil
	}
	d.mu.Unlock()
	if err != nil || raw == nil {
		return nil, err
	}
	var list []T
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return list, nil
}

// change replaces a list by what edit makes of it; others that write at the same time go first.
func change[T any](ctx context.Context, d *desk, key string, edit func([]T) ([]T, error)) error {
	for tries := 1; ; tries++ {
		raw, revision, err := d.kv.Get(ctx, key)
		if err != nil {
			return err
		}
		var list []T
		if raw != nil {
			if err := json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("read %s: %w", key, err)
			}
		}
		if list, err = edit(list); err != nil {
			return err
		}
		if list == nil {
			list = []T{}
		}
		if raw, err = json.Marshal(list); err != nil {
			return err
		}
		_, err = d.kv.Put(ctx, key, raw, revision)
		if err == nil || fairlead.CodeOf(err) != fairlead.CodeConflict || tries == deskAttempts {
			return err
		}
	}
}

// zone of a silence. A name that this host does not know is the caller's to refuse.
func (d *desk) zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if z := d.zones[name]; z != nil {
		return z, nil
	}
	z, err := loadZone(name)
	if err != nil {
		return nil, err
	}
	if d.zones == nil {
		d.zones = map[string]*time.Location{}
	}
	d.zones[name] = z
	return z, nil
}

func loadZone(name string) (*time.Location, error) {
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fairlead.Invalid("the time zone %q is not known", name).Hintf("a name such as Europe/Berlin; absent: UTC")
	}
	return z, nil
}

// state of a silence at this moment. In a zone that only another server knows it goes by UTC.
func (d *desk) state(s *notify.Silence) string {
	zone, err := d.zone(s.Zone)
	if err != nil {
		zone = time.UTC
	}
	return s.State(d.now(), zone)
}

// silences are all of them, those of the configuration first.
func (d *desk) silences(ctx context.Context) ([]notify.Silence, error) {
	all, err := read[notify.Silence](ctx, d, silencesKey)
	return slices.Concat(d.fixed, all), err
}

// active are the silences that hold at this moment.
func (d *desk) active(ctx context.Context) ([]notify.Silence, error) {
	all, err := d.silences(ctx)
	return slices.DeleteFunc(all, func(s notify.Silence) bool { return d.state(&s) != "active" }), err
}

// silencer finds the silence that covers a column; of several the one that lasts longest.
func silencer(active []notify.Silence, name fairlead.Name) func(column string) *notify.Silence {
	return func(column string) *notify.Silence {
		var best *notify.Silence
		for i := range active {
			s := &active[i]
			if s.Covers(string(name), column) && (best == nil || !best.Until.IsZero() && (s.Until.IsZero() || s.Until.After(best.Until))) {
				best = s
			}
		}
		return best
	}
}

func (d *desk) acks(ctx context.Context, name fairlead.Name) ([]notify.Ack, error) {
	return read[notify.Ack](ctx, d, acksKey(name))
}

// silence adds one.
func (d *desk) silence(ctx context.Context, in api.SilenceRequest) (notify.Silence, error) {
	now := d.now().UTC()
	s := notify.Silence{
		ID: ulid.Make().String(), Deployment: strings.TrimSpace(in.Deployment), Column: cmp.Or(strings.TrimSpace(in.Column), "*"), From: in.From.UTC(),
		Until: in.Until.UTC(), Weekly: strings.TrimSpace(in.Weekly), Zone: in.Zone, Reason: in.Reason, By: cmp.Or(in.By, somebody), Created: now,
	}
	if in.From.IsZero() {
		s.From = now
	}
	if in.Until.IsZero() {
		s.Until = time.Time{}
	}
	if err := s.Check(now); err != nil {
		return s, err
	}
	if _, err := d.zone(s.Zone); err != nil {
		return s, err
	}
	return s, change(ctx, d, silencesKey, func(list []notify.Silence) ([]notify.Silence, error) {
		open := 0
		list = slices.DeleteFunc(list, func(x notify.Silence) bool {
			ended := d.state(&x) == "ended"
			if !ended {
				open++
			}
			return ended && now.Sub(x.Until) > keepSilences
		})
		if open >= maxSilences {
			return nil, fairlead.Errorf(fairlead.CodeExhausted, "there are %d silences", open).Hintf("one pattern can stand for many; `fairlead alerts unsilence ID` ends one")
		}
		if over := len(list) + 1 - 2*maxSilences; over > 0 {
			list = d.withoutEnded(list, over)
		}
		return append(list, s), nil
	})
}

// withoutEnded drops the n that ended first.
func (d *desk) withoutEnded(list []notify.Silence, n int) []notify.Silence {
	slices.SortStableFunc(list, func(a, b notify.Silence) int { return a.Until.Compare(b.Until) })
	list = slices.DeleteFunc(list, func(x notify.Silence) bool {
		n--
		return n >= 0 && d.state(&x) == "ended"
	})
	slices.SortStableFunc(list, func(a, b notify.Silence) int { return a.Created.Compare(b.Created) })
	return list
}

// unsilence ends one.
func (d *desk) unsilence(ctx context.Context, id, by string) (notify.Silence, error) {
	var ended notify.Silence
	if slices.ContainsFunc(d.fixed, func(x notify.Silence) bool { return x.ID == id }) {
		return ended, fairlead.Errorf(fairlead.CodeConflict, "%s is a downtime of the server's configuration", id).Hintf("remove it there, under notify, and start the server again")
	}
	err := change(ctx, d, silencesKey, func(list []notify.Silence) ([]notify.Silence, error) {
		i := slices.IndexFunc(list, func(x notify.Silence) bool { return x.ID == id })
		switch {
		case i < 0:
			return nil, fairlead.NotFound("there is no silence %q", id).Hintf("`fairlead alerts silences` lists them")
		case d.state(&list[i]) == "ended":
			return nil, fairlead.Errorf(fairlead.CodeConflict, "the silence ended at %s", list[i].Until.Format("2006-01-02 15:04"))
		}
		s := &list[i]
		s.Until, s.EndedBy = d.now().UTC(), cmp.Or(by, somebody)
		ended = *s
		return list, nil
	})
	return ended, err
}

// acknowledge notes who takes care of an incident, in place of who did before.
func (d *desk) acknowledge(ctx context.Context, name fairlead.Name, a notify.Ack) error {
	return change(ctx, d, acksKey(name), func(list []notify.Ack) ([]notify.Ack, error) {
		list = without(list, a.Alerts)
		a.Alerts = a.Alerts[:min(len(a.Alerts), ackAlerts)]
		list = append(list, a)
		return list[max(0, len(list)-maxAcks):], nil
	})
}

// without are the acknowledgements of other incidents.
func without(list []notify.Ack, alerts []notify.Member) []notify.Ack {
	return slices.DeleteFunc(list, func(x notify.Ack) bool { return notify.Acked([]notify.Ack{x}, alerts) != nil })
}

// unacknowledge takes it back.
func (d *desk) unacknowledge(ctx context.Context, name fairlead.Name, alerts []notify.Member, id string) error {
	return change(ctx, d, acksKey(name), func(list []notify.Ack) ([]notify.Ack, error) {
		n := len(list)
		if list = without(list, alerts); len(list) == n {
			return nil, fairlead.Errorf(fairlead.CodeConflict, "%s is not acknowledged", id).Hintf("`fairlead alerts` says what is")
		}
		return list, nil
	})
}
