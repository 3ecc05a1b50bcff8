package evalstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
)

// groupRows is how many rows a row group of a file has: the unit that readers skip.
const groupRows = 61_440

// Moved says what MoveClosed or Compact did.
type Moved struct {
	Rows  uint64 // moved from the hot tables
	Files int    // written
	Bytes uint64 // of these
	Freed int    // files that others have taken the place of
}

// MoveClosed moves the rows of closed days to Parquet files. A day of a deployment is closed when the latest event time
// of its rows has passed the day's end by lateness. Each day is a transaction: whatever ends the process, each row is in
// one place. Ingestion goes on meanwhile; it waits only for the deletion of the rows that were copied.
func (s *Store) MoveClosed(ctx context.Context, lateness time.Duration) (Moved, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	var all Moved
	days, err := s.closedDays(ctx, lateness)
	if err != nil {
		return all, err
	}
	for _, day := range days {
		m, err := s.moveDay(ctx, day)
		if err != nil {
			return all, fmt.Errorf("move the rows of %s of %s: %w", day.date.Format(time.DateOnly), day.deployment, err)
		}
		all.Rows, all.Files, all.Bytes = all.Rows+m.rows, all.Files+1, all.Bytes+m.bytes
	}
	if len(days) == 0 {
		return all, nil
	}
	for i, day := range days {
		if i > 0 && days[i-1].deployment == day.deployment {
			continue
		}
		if err := s.shedDeleted(ctx, day.deployment); err != nil {
			return all, err
		}
	}
	return all, s.checkpoint(ctx)
}

// day is the hot rows of one date: those up to a seq, so that a row that comes meanwhile stays where it is.
type day struct {
	deployment fairlead.Name
	date       time.Time
	upTo       int64
}

// where is the condition of its rows.
func (d day) where() string {
	return fmt.Sprintf(` WHERE event_time >= TIMESTAMP '%s' AND event_time < TIMESTAMP '%s' AND seq <= %d`,
		d.date.Format(time.DateTime), d.date.AddDate(0, 0, 1).Format(time.DateTime), d.upTo)
}

func (s *Store) closedDays(ctx context.Context, lateness time.Duration) ([]day, error) {
	var days []day
	err := s.reading(ctx, func(r *sql.Conn) error {
		names, err := hotTables(ctx, r)
		if err != nil {
			return err
		}
		for _, name := range names {
			rows, err := r.QueryContext(ctx, `
				SELECT event_time::DATE, max(seq) FROM `+hotOf(fairlead.Name(name))+`
				WHERE event_time < date_trunc('day', (SELECT max(last_time) FROM hours WHERE deployment = ?) - to_microseconds(?))
				GROUP BY 1 ORDER BY 1`, name, max(lateness, 0).Microseconds())
			if err != nil {
				return fmt.Errorf("look for closed days of %s: %w", name, err)
			}
			for rows.Next() {
				d := day{deployment: fairlead.Name(name)}
				if err := rows.Scan(&d.date, &d.upTo); err != nil {
					break
				}
				days = append(days, d)
			}
			if err := rows.Close(); err != nil {
				return err
			}
			if err := rows.Err(); err != nil {
				return fmt.Errorf("look for closed days of %s: %w", name, err)
			}
		}
		return nil
	})
	return days, err
}

func (s *Store) moveDay(ctx context.Context, d day) (partition, error) {
	p := partition{deployment: d.deployment, date: d.date}
	err := s.reading(ctx, func(r *sql.Conn) error {
		list, names, err := fileColumns(ctx, r, d.deployment)
		if err != nil {
			return err
		}
		p.columns = names
		return s.writePartition(ctx, r, &p, `SELECT `+strings.Join(list, ", ")+` FROM `+hotOf(d.deployment)+d.where())
	})
	if err != nil {
		return p, err
	}
	err = s.write(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM ` + hotOf(d.deployment) + d.where())
		if err == nil && uint64(n) != p.rows {
			err = fmt.Errorf("%d rows were copied, %d are to go", p.rows, n)
		}
		if err != nil {
			return err
		}
		if err := s.step("rows deleted"); err != nil {
			return err
		}
		if err := t.addPartition(p); err != nil {
			return err
		}
		return s.step("before the commit")
	})
	if err != nil {
		s.discard(p.file)
		return p, err
	}
	return p, s.step("committed")
}

// addPartition makes a file part of the store.
func (t *tx) addPartition(p partition) error {
	if _, err := t.exec(`INSERT INTO partitions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, string_split(?, chr(31)), NULL)`,
		string(p.deployment), p.date, p.file, p.rows, p.bytes, p.digest, p.firstSeq, p.lastSeq, p.firstTime, p.lastTime,
		p.firstID, p.lastID, strings.Join(p.columns, "\x1f")); err != nil {
		return err
	}
	return t.makeRowsView(p.deployment)
}

// writePartition writes what a SELECT gives into a file of its own, and fills in what is known of it. The file is complete
// and on disk under its name when this returns; nothing refers to it yet.
func (s *Store) writePartition(ctx context.Context, r *sql.Conn, p *partition, query string) error {
	folder := filepath.Join(s.rowsDir(), filepath.FromSlash(dayFolder(p.deployment, p.date)))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	temp := filepath.Join(folder, tempName)
	defer os.Remove(temp) // it is gone under this name if all went well
	if err := copyRows(ctx, r, query, temp); err != nil {
		return err
	}
	if err := s.step("written"); err != nil {
		return err
	}
	if err := r.QueryRowContext(ctx, `SELECT count(*), min(seq), max(seq), min(event_time), max(event_time),
			coalesce(min(prediction_id), ''), coalesce(max(prediction_id), '')
		FROM read_parquet(`+literal(temp)+`, hive_partitioning = false)`).
		Scan(&p.rows, &p.firstSeq, &p.lastSeq, &p.firstTime, &p.lastTime, &p.firstID, &p.lastID); err != nil {
		return fmt.Errorf("read back %s: %w", temp, err)
	}
	var err error
	if p.digest, p.bytes, err = settle(temp); err != nil {
		return err
	}
	p.file = dayFolder(p.deployment, p.date) + "/" + p.name()
	if err := os.Rename(temp, filepath.Join(s.rowsDir(), filepath.FromSlash(p.file))); err != nil {
		return err
	}
	// The folders' names have to last as the file does.
	for _, dir := range []string{folder, filepath.Dir(folder), s.rowsDir()} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return s.step("renamed")
}

const (
	tempName   = "part.tmp"
	partFormat = "part-%016x-%016x-%d.parquet"
)

// name is the name of a file: its first and last seq, and how many rows it has.
func (p *partition) name() string { return fmt.Sprintf(partFormat, p.firstSeq, p.lastSeq, p.rows) }

// fileColumns are the columns of a file of hot rows, as they are selected for it and as the view names them.
func fileColumns(ctx context.Context, r reader, d fairlead.Name) (list, names []string, err error) {
	columns, err := viewColumns(ctx, r, d)
	for _, c := range columns {
		list, names = append(list, quote(c.name)+` AS `+quote(fileColumn(c.name))), append(names, c.name)
	}
	return list, names, err
}

// copyRows writes rows into a Parquet file.
func copyRows(ctx context.Context, r *sql.Conn, query, path string) error {
	return copyOrdered(ctx, r, query, "event_time, seq", path)
}

func copyOrdered(ctx context.Context, r *sql.Conn, query, order, path string) error {
	if _, err := r.ExecContext(ctx, `COPY (`+query+` ORDER BY `+order+`) TO `+literal(path)+
		fmt.Sprintf(` (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 9, ROW_GROUP_SIZE %d, USE_TMP_FILE false)`, groupRows)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// settle waits until a file is on disk, and gives its SHA-256 and size.
func settle(path string) (digest string, size uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return "", 0, err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), uint64(n), err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// discard removes a file that nothing refers to. What cannot be removed now is at the next start.
func (s *Store) discard(file string) {
	if err := os.Remove(filepath.Join(s.rowsDir(), filepath.FromSlash(file))); err != nil && !os.IsNotExist(err) {
		s.opt.Log.Warn("a file of rows could not be removed", "file", file, "err", err)
	}
}

// step is a point at which a test may stop.
func (s *Store) step(name string) error {
	if s.atStep == nil {
		return nil
	}
	return s.atStep(name)
}

// checkpoint moves what the write-ahead log has into the store's file, and gives the file's free end back. While DuckDB has
// another transaction to wait for, it is left to the next time.
func (s *Store) checkpoint(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return fairlead.Errorf(fairlead.CodeUnavailable, "the evaluation store is closed")
	}
	_, err := s.conn.ExecContext(ctx, `CHECKPOINT`)
	if d := (*duckdb.Error)(nil); errors.As(err, &d) && d.Type == duckdb.ErrorTypeTransaction {
		s.opt.Log.Debug("no checkpoint this time", "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
