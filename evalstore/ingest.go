package evalstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	read := decode(eventlog.Stream(stream), msgs, &s.handed) // before it is this stream's turn to write
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
			err = tx.ingestRows(read.of(msgs))
		case eventlog.Labels:
			err = tx.ingestLabels(read.of(msgs))
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

// message is one whose content was read already.
type message struct {
	eventlog.Message
	rows   *eventlog.Rows
	labels []labelRow
	err    error // why it says nothing the store understands
}

// messages are those of one stream, in their order.
type messages []message

// decode reads messages of rows and labels; those of other streams stay as they are.
func decode(stream eventlog.Stream, msgs []eventlog.Message, known *handed) messages {
	read := make(messages, len(msgs))
	for i, m := range msgs {
		read[i] = message{Message: m}
		switch stream {
		case eventlog.Predictions:
			read[i].rows, read[i].err = decodeRows(m, known)
		case eventlog.Labels:
			read[i].labels, read[i].err = decodeLabels(m)
		}
	}
	return read
}

// of gives those that are among msgs.
func (all messages) of(msgs []eventlog.Message) messages {
	kept := all[:0:0]
	for _, m := range all {
		if len(msgs) > 0 && m.Seq == msgs[0].Seq {
			kept, msgs = append(kept, m), msgs[1:]
		}
	}
	return kept
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
	for _, stmt := range slices.Concat(schema, cubeSchema) {
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

// text makes s fit for a column of text, which must be valid UTF-8.
func text(s string) string {
	if utf8.ValidString(s) { // looks at eight bytes at a time
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

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
