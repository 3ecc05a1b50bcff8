package evalstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// seqBits is how many bits of a row's seq count the rows inside its message.
const seqBits = 20

// Position is the number of the last message of a stream that is in the store, 0 before the first.
func (s *Store) Position(ctx context.Context, stream string) (uint64, error) {
	return position(ctx, s.db, stream)
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func position(ctx context.Context, q queryer, stream string) (uint64, error) {
	var seq uint64
	err := q.QueryRowContext(ctx, `SELECT seq FROM positions WHERE stream = ?`, stream).Scan(&seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read position of %s: %w", stream, err)
	}
	return seq, nil
}

func (t *tx) setPosition(stream string, seq uint64) error {
	n, err := t.exec(`UPDATE positions SET seq = ? WHERE stream = ?`, seq, stream)
	if err == nil && n == 0 {
		_, err = t.exec(`INSERT INTO positions VALUES (?, ?)`, stream, seq)
	}
	return err
}

// Ingest takes messages of one stream, in their order, together with the position behind them, in one transaction.
// Messages at or below the position are skipped, so that giving messages again does nothing. A message that cannot
// be decoded is listed in the table rejected and passed over. Streams other than predictions, labels, events and
// profiles only move the position.
func (s *Store) Ingest(ctx context.Context, stream string, msgs []eventlog.Message) error {
	err := s.write(ctx, func(tx *tx) error {
		at, err := position(ctx, s.conn, stream)
		if err != nil {
			return err
		}
		for len(msgs) > 0 && msgs[0].Seq <= at {
			msgs = msgs[1:]
		}
		if len(msgs) == 0 {
			return nil
		}
		if gap := msgs[0].Seq - at - 1; gap > 0 {
			s.opt.Log.Warn("messages were trimmed from the event log before they were ingested",
				"stream", stream, "from", at+1, "count", gap)
		}
		last := msgs[len(msgs)-1].Seq
		if msgs, err = tx.once(stream, msgs); err != nil {
			return err
		}
		if len(msgs) == 0 {
			return tx.setPosition(stream, last)
		}
		switch eventlog.Stream(stream) {
		case eventlog.Predictions:
			err = tx.ingestRows(msgs)
		case eventlog.Labels:
			err = tx.ingestLabels(msgs)
		case eventlog.Events:
			err = tx.ingestEvents(msgs)
		case eventlog.Profiles:
			err = tx.ingestProfiles(msgs)
		}
		if err != nil {
			return err
		}
		return tx.setPosition(stream, last)
	})
	if err != nil {
		return fmt.Errorf("ingest %s: %w", stream, err)
	}
	return nil
}

// clear empties temporary tables.
func (t *tx) clear(tables ...string) error {
	for _, table := range tables {
		if _, err := t.exec(emptyTable(table)); err != nil {
			return err
		}
	}
	return nil
}

// emptyTable is the statement that makes a temporary table anew: TRUNCATE keeps some memory of every batch.
func emptyTable(name string) string {
	for _, stmt := range schema {
		if def, ok := strings.CutPrefix(stmt, `CREATE TEMP TABLE `+name+` `); ok {
			return `CREATE OR REPLACE TEMP TABLE ` + name + ` ` + def
		}
	}
	return `TRUNCATE temp.` + name
}

// reject remembers a message that says nothing the store understands.
func (t *tx) reject(m eventlog.Message, cause error) error {
	t.s.opt.Log.Error("a message of the event log was rejected", "stream", m.Stream, "seq", m.Seq, "err", cause)
	_, err := t.exec(`INSERT INTO rejected VALUES (?, ?, ?)`, string(m.Stream), m.Seq, text(cause.Error()))
	return err
}

func (t *tx) ingestProfiles(msgs []eventlog.Message) error {
	type message struct {
		seq    int64
		deltas []eventlog.ProfileDelta
	}
	var decoded []message
	for _, m := range msgs {
		deltas, err := eventlog.DecodeProfiles(m.Data)
		for _, d := range deltas {
			err = errors.Join(err, checkTime(d.Minute))
		}
		if err != nil {
			if err := t.reject(m, err); err != nil {
				return err
			}
			continue
		}
		decoded = append(decoded, message{int64(m.Seq << seqBits), deltas})
	}
	// Counts that come after the rows of their hour change what can be said about it.
	hours := make(hourCounts)
	err := t.append("", "main", "profiles", func(a *duckdb.Appender) error {
		for _, m := range decoded {
			for i, d := range m.deltas {
				role := text(string(d.Role))
				err := a.AppendRow(text(string(d.Deployment)), int32(d.Version), role,
					d.Minute.Truncate(time.Minute), d.Counts, m.seq+int64(i))
				if err != nil {
					return err
				}
				hours.at(hourKey{fairlead.Name(text(string(d.Deployment))), d.Version, role, d.Minute.Truncate(time.Hour)})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.countHours(hours)
}

// text makes s fit for a column of text, which must be valid UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

var (
	leastTime    = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	greatestTime = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// checkTime refuses what neither RFC 3339 nor a person would write.
func checkTime(t time.Time) error {
	if t.Before(leastTime) || !t.Before(greatestTime) {
		return fairlead.Invalid("the time %s is outside of the years 1 to 9999", t)
	}
	return nil
}
