package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/learn/backfill"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// aheadOfNow is how far in the future a past prediction may be: clocks differ.
const aheadOfNow = 24 * time.Hour

// backlog lets the monitor wait while past predictions stream in: each part of a file would have it measure the same
// windows anew. It waits at most watchWaits.
type backlog struct {
	mu          sync.Mutex
	first, last time.Time
}

const (
	importPause = 2 * time.Second // after so long without a part an import is over
	watchWaits  = time.Minute
	handWaits   = 2 * time.Second // an import goes on when the store is slower than that
)

func (b *backlog) came(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.last) > importPause {
		b.first = now
	}
	b.last = now
}

// waits says whether the monitor does at this moment.
func (b *backlog) waits(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.last) > importPause {
		return false
	}
	if now.Sub(b.first) > watchWaits {
		b.first = now // one round, then it waits again
		return false
	}
	return true
}

// Import implements admin.Backfill: it takes a message of past predictions and returns after they are on disk. The message's
// id is made from its content, so the same again adds nothing; neither do rows that the store has from another message.
// The counts for drift come in the same message as the rows.
func (a *App) Import(ctx context.Context, name fairlead.Name, message []byte) (api.ImportAnswer, error) {
	rows, err := eventlog.DecodePredictions(message)
	if err != nil {
		return api.ImportAnswer{}, fairlead.Invalid("the body is no message of rows").Hintf("`fairlead import` makes them; docs/import.md").Cause(err)
	}
	v, err := a.importable(ctx, name, rows)
	if err != nil {
		return api.ImportAnswer{}, err
	}
	a.backlog.came(time.Now())
	answer := api.ImportAnswer{Rows: rows.N}
	id := bulkID(message)
	has, err := a.hasBulk(ctx, eventlog.Predictions, id)
	if err != nil {
		return answer, err
	}
	if has {
		answer.Repeated = rows.N
		return answer, nil
	}
	known, err := a.store.KnownRows(ctx, name, rows.Version, rows.ID, rows.EventTime)
	if err != nil {
		return answer, err
	}
	p := rows.Prediction(&v.sig)
	if slices.Contains(known, true) {
		var fresh []int
		for i, is := range known {
			if !is {
				fresh = append(fresh, i)
			}
		}
		answer.Repeated = rows.N - len(fresh)
		if len(fresh) == 0 {
			return answer, nil
		}
		p = backfill.Select(p, fresh)
		if message, err = eventlog.EncodePredictions([]*fairlead.Prediction{p}, &v.sig); err != nil {
			return answer, err
		}
		rows = nil // the message has fewer
	}
	if v.reference != nil {
		var counts []eventlog.ProfileDelta
		if message, counts, err = a.withHours(ctx, message, p, v.reference.Layout, id); err != nil {
			return answer, err
		}
		if rows != nil {
			rows.Counts = counts
		}
	}
	if rows != nil {
		wait, done := context.WithTimeout(ctx, handWaits)
		a.store.Hand(wait, id, rows)
		done()
	}
	if _, err := a.events.Append(ctx, eventlog.Predictions, id, message); err != nil {
		a.store.Withdraw(id)
		return answer, err
	}
	a.sent.add(string(eventlog.Predictions) + id)
	answer.Accepted = answer.Rows - answer.Repeated
	return answer, nil
}

// sentIDs remembers messages that are on disk and may not be in the store yet, so that the answer to a repeated one says
// so. It decides nothing: the log and the store leave repeated messages out by themselves.
type sentIDs struct {
	mu  sync.Mutex
	ids map[string]bool
}

// maxSent bounds sentIDs.
const maxSent = 10_000

func (s *sentIDs) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil || len(s.ids) >= maxSent {
		s.ids = map[string]bool{}
	}
	s.ids[id] = true
}

func (s *sentIDs) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

// hasBulk says whether a message made of content is on disk.
func (a *App) hasBulk(ctx context.Context, stream eventlog.Stream, id string) (bool, error) {
	if a.sent.has(string(stream) + id) {
		return true, nil
	}
	return a.store.HasBulk(ctx, stream, id)
}

func bulkID(content []byte) string {
	sum := sha256.Sum256(content)
	return evalstore.BulkID(hex.EncodeToString(sum[:16]))
}

// importable checks rows that say they were predicted by a version of a deployment.
func (a *App) importable(ctx context.Context, name fairlead.Name, rows *eventlog.Rows) (*version, error) {
	dep := a.deployer.get(name)
	if dep == nil {
		return nil, fairlead.NotFound("there is no deployment %q of one model", name).Hintf("`fairlead deployments` lists them; push the model first")
	}
	if rows.Counts != nil {
		return nil, fairlead.Invalid("the message has counts of its own").Hintf("the server counts past predictions itself")
	}
	if rows.Deployment != name || rows.Model != dep.Model {
		return nil, fairlead.Invalid("the rows are of %s (model %s), not of %s (model %s)", rows.Deployment, rows.Model, name, dep.Model)
	}
	// Rows that arrive while versions are compared would count as evidence.
	if err := a.deployer.busy(name, "past predictions cannot be imported"); err != nil {
		return nil, err
	}
	v, err := a.deployer.describe(ctx, name, dep.Model, rows.Version)
	if err != nil {
		return nil, err
	}
	if rows.Digest != v.digest {
		return nil, fairlead.Invalid("version %s of %s has digest %s, the rows say %s", rows.Version, dep.Model, v.digest, rows.Digest)
	}
	if err := rows.Matches(&v.sig); err != nil {
		return nil, err
	}
	latest := time.Now().Add(aheadOfNow)
	for i := range rows.N {
		switch at := rows.EventTime[i]; {
		case rows.ID[i] == "" || len(rows.ID[i]) > fairlead.MaxKey:
			return nil, fairlead.Invalid("row %d: a prediction id has 1 to %d bytes", i, fairlead.MaxKey)
		case rows.Role[i] != fairlead.RoleLive:
			return nil, fairlead.Invalid("row %d: past predictions are live ones, not %s", i, rows.Role[i])
		case at.Year() < 1 || at.After(latest):
			return nil, fairlead.Invalid("row %d is of %s, in the future", i, at.Format(time.RFC3339)).Hintf("is the unit of the time column right?")
		}
	}
	return v, nil
}

// withHours puts the counts of the rows in front of them, by the hour: the windows that they are for are not shorter. Rows of so
// many hours that one message cannot hold both have their counts written before them; then none are returned.
func (a *App) withHours(ctx context.Context, message []byte, p *fairlead.Prediction, layout *profile.Layout, id string) ([]byte, []eventlog.ProfileDelta, error) {
	byHour := map[time.Time][]int{}
	for i := range p.Rows {
		hour := p.Rows[i].Time.Truncate(time.Hour)
		byHour[hour] = append(byHour[hour], i)
	}
	var deltas []eventlog.ProfileDelta
	size := 0
	for _, hour := range slices.SortedFunc(maps.Keys(byHour), time.Time.Compare) {
		counts := profile.NewCounts(layout)
		counts.Add(layout, p, byHour[hour])
		b, err := counts.MarshalBinary()
		if err != nil {
			return nil, nil, err
		}
		size += len(b) + countsHead
		deltas = append(deltas, eventlog.ProfileDelta{Deployment: p.Deployment, Version: p.Version, Role: p.Role, Minute: hour, Counts: b})
	}
	if size+len(message) <= a.events.Largest() {
		return eventlog.WithCounts(message, deltas), deltas, nil
	}
	return message, nil, a.appendHours(ctx, deltas, id)
}

// countsHead is more than the bytes of a delta beside its counts.
const countsHead = 2*fairlead.MaxKey + 64

// appendHours writes counts by themselves. A crash before their rows are written doubles neither: the same message comes again,
// with the same rows.
func (a *App) appendHours(ctx context.Context, deltas []eventlog.ProfileDelta, id string) error {
	for n := 1; len(deltas) > 0; n++ {
		size, i := 0, 0
		for ; i < len(deltas) && (i == 0 || size < chunkBytes); i++ {
			size += len(deltas[i].Counts)
		}
		_, err := a.events.Append(ctx, eventlog.Profiles, id+"."+hex.EncodeToString([]byte{byte(n >> 8), byte(n)}), eventlog.EncodeProfiles(deltas[:i]))
		if err != nil {
			return err
		}
		deltas = deltas[i:]
	}
	return nil
}

// AppendBulk implements admin.Labels: it returns after the labels are on disk. The same labels in the same portions add
// nothing.
func (a *App) AppendBulk(ctx context.Context, labels []fairlead.Label, join fairlead.LabelJoin) (repeated int, err error) {
	for len(labels) > 0 {
		n, size := 0, 0
		for ; n < len(labels) && n < backfill.BatchRows && size < chunkBytes; n++ {
			size += 30 + len(labels[n].PredictionID) + len(labels[n].Key) + len(labels[n].Value)
		}
		part := labels[:n]
		labels = labels[n:]
		id := bulkID(eventlog.EncodeLabels(part))
		has, err := a.hasBulk(ctx, eventlog.Labels, id)
		if err != nil {
			return repeated, err
		}
		if has {
			repeated += n
			continue
		}
		for i := range part {
			if part[i].Key != "" {
				part[i].Join = join
			}
		}
		if _, err := a.events.Append(ctx, eventlog.Labels, id, eventlog.EncodeLabels(part)); err != nil {
			return repeated, err
		}
		a.sent.add(string(eventlog.Labels) + id)
	}
	return repeated, nil
}
