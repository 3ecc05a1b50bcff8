package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// PartFile is a file of one day's rows of a deployment. Files of closed days are there; one of the others is made when it is
// opened, and then has the same name for as long as nothing is added to the day.
type PartFile struct {
	Date   time.Time
	Name   string // without its folder
	Rows   uint64
	Bytes  uint64 // 0: it is not made yet
	Digest string // hexadecimal SHA-256, "" if it is not made yet
}

// PartFolder is the folder, with slashes, that a day's files have in the partition layout.
func PartFolder(d fairlead.Name, date time.Time) string { return dayFolder(d, date) }

// PartFiles lists the files that hold a deployment's rows of the days from and until, both included; a zero time is no
// bound. Each row is in exactly one of them.
func (s *Store) PartFiles(ctx context.Context, d fairlead.Name, from, until time.Time) ([]PartFile, error) {
	var out []PartFile
	err := s.reading(ctx, func(r *sql.Conn) error {
		names, err := hotTables(ctx, r)
		if err != nil {
			return err
		}
		if !slices.Contains(names, string(d)) {
			return fairlead.NotFound("no rows of %s are stored", d)
		}
		var args []any
		if from.IsZero() {
			from = leastTime
		}
		if until.IsZero() {
			until = greatestTime
		}
		args = append(args, from.UTC(), until.UTC())
		files, err := partitionsOf(ctx, r, d, ` AND date BETWEEN ?::DATE AND ?::DATE`, args...)
		if err != nil {
			return err
		}
		for _, p := range files {
			out = append(out, PartFile{p.date, path.Base(p.file), p.rows, p.bytes, p.digest})
		}
		rows, err := r.QueryContext(ctx, `SELECT event_time::DATE, min(seq), max(seq), count(*) FROM `+hotOf(d)+`
			WHERE event_time::DATE BETWEEN ?::DATE AND ?::DATE GROUP BY 1 ORDER BY 1`, args...)
		if err != nil {
			return fmt.Errorf("list the rows of %s: %w", d, err)
		}
		defer rows.Close()
		for rows.Next() {
			var p partition
			if err := rows.Scan(&p.date, &p.firstSeq, &p.lastSeq, &p.rows); err != nil {
				return err
			}
			out = append(out, PartFile{Date: p.date, Name: p.name(), Rows: p.rows})
		}
		return rows.Err()
	})
	slices.SortStableFunc(out, func(a, b PartFile) int { return a.Date.Compare(b.Date) })
	return out, err
}

// OpenPart opens a file that PartFiles listed and gives its size. A file that has become part of another one since, or got more
// rows, is CodeNotFound: list again. The caller closes it.
func (s *Store) OpenPart(ctx context.Context, d fairlead.Name, date time.Time, name string) (io.ReadCloser, int64, error) {
	var f *os.File
	err := s.reading(ctx, func(r *sql.Conn) error {
		files, err := partitionsOf(ctx, r, d, ` AND file = ?`, dayFolder(d, date)+"/"+name)
		if err != nil {
			return err
		}
		if len(files) == 1 {
			f, err = os.Open(filepath.Join(s.rowsDir(), filepath.FromSlash(files[0].file)))
			return err
		}
		f, err = s.makePart(ctx, r, d, date, name)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// makePart writes hot rows into a file without a name.
func (s *Store) makePart(ctx context.Context, r *sql.Conn, d fairlead.Name, date time.Time, name string) (*os.File, error) {
	gone := fairlead.NotFound("%s has no file %s of %s", d, name, date.Format(time.DateOnly)).Hintf("list the files again: rows were added or files merged")
	p := partition{deployment: d, date: date}
	if _, err := fmt.Sscanf(name, partFormat, &p.firstSeq, &p.lastSeq, &p.rows); err != nil {
		return nil, gone
	}
	names, err := hotTables(ctx, r)
	if err != nil || !slices.Contains(names, string(d)) {
		return nil, gone
	}
	var n uint64
	where := day{d, date, p.lastSeq}.where()
	if err := r.QueryRowContext(ctx, `SELECT count(*) FROM `+hotOf(d)+where).Scan(&n); err != nil {
		return nil, err
	}
	if n != p.rows || n == 0 {
		return nil, gone
	}
	list, _, err := fileColumns(ctx, r, d)
	if err != nil {
		return nil, err
	}
	return s.tempCopy(ctx, r, `SELECT `+strings.Join(list, ", ")+` FROM `+hotOf(d)+where, "event_time, seq")
}
