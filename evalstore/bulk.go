package evalstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// bulkPrefix begins the id of a message that was made from its content.
const bulkPrefix = "bulk:"

// BulkID is the message id for content that counts once however often it is sent: a part of a file of labels or of past
// predictions. The event log forgets ids after minutes, the store keeps these.
func BulkID(digest string) string { return bulkPrefix + digest }

// IsBulk says that a message's id was made from its content.
func IsBulk(m eventlog.Message) bool { return strings.HasPrefix(m.ID, bulkPrefix) }

// HasBulk says whether the store has taken a message of a stream with this id.
func (s *Store) HasBulk(ctx context.Context, stream eventlog.Stream, id string) (bool, error) {
	has, err := hasBulk(ctx, s.db, string(stream), id)
	if err != nil {
		return false, fmt.Errorf("look for message %s: %w", id, err)
	}
	return has, nil
}

func hasBulk(ctx context.Context, q queryer, stream, id string) (bool, error) {
	var has bool
	err := q.QueryRowContext(ctx, `SELECT true FROM bulk WHERE stream = ? AND id = ? LIMIT 1`, stream, id).Scan(&has)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return has, err
}

// once leaves out the messages whose id was made from their content and which are in the store already.
func (t *tx) once(stream string, msgs []eventlog.Message) ([]eventlog.Message, error) {
	kept := msgs[:0:0]
	for _, m := range msgs {
		if IsBulk(m) {
			id := text(m.ID)
			has, err := hasBulk(t.ctx, t.s.conn, stream, id)
			if err != nil {
				return nil, err
			}
			if has {
				continue
			}
			if _, err := t.exec(`INSERT INTO bulk VALUES (?, ?)`, stream, id); err != nil {
				return nil, err
			}
		}
		kept = append(kept, m)
	}
	return kept, nil
}

// KnownRows says which of some predictions of a version, with event times from first to last, are in the store as live
// ones: a prediction is known by its id and its event time.
func (s *Store) KnownRows(ctx context.Context, d fairlead.Name, v fairlead.Version, ids []string, at []time.Time) (known []bool, err error) {
	known = make([]bool, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	first, last := at[0], at[0]
	for _, x := range at {
		if x.Before(first) {
			first = x
		}
		if x.After(last) {
			last = x
		}
	}
	rows, err := s.db.QueryContext(ctx, `SELECT prediction_id, epoch_us(event_time) FROM predictions
		WHERE deployment = ? AND version = ? AND role = 'live' AND event_time BETWEEN ? AND ?`, string(d), int32(v), first, last)
	if err != nil {
		return nil, fmt.Errorf("look for rows of %s: %w", d, err)
	}
	defer rows.Close()
	type prediction struct {
		id string
		at int64
	}
	var place map[prediction]int
	for rows.Next() {
		if place == nil {
			place = make(map[prediction]int, len(ids))
			for i, id := range ids {
				place[prediction{id, at[i].UnixMicro()}] = i
			}
		}
		var p prediction
		if err := rows.Scan(&p.id, &p.at); err != nil {
			return nil, fmt.Errorf("look for rows of %s: %w", d, err)
		}
		if i, ok := place[p]; ok {
			known[i] = true
		}
	}
	return known, rows.Err()
}
