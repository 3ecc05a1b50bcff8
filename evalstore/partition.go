package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// The rows of a deployment are in two places: the table hot."<deployment>", into which ingestion writes, and the Parquet
// files under rows/ in the store's folder, one folder for each deployment and each date of event time, into which the rows
// of closed days are moved. The view rows."<deployment>" is both together, and the only thing that people and most of this
// package read. docs/format/partitions.md says what is in the files.

// partitionSchema: a file belongs to the store from the commit of its line on, until gone is set. Its columns are those of
// the view that it has.
const partitionSchema = `CREATE TABLE IF NOT EXISTS partitions (
	deployment VARCHAR, date DATE, file VARCHAR, rows UBIGINT, bytes UBIGINT, digest VARCHAR,
	first_seq BIGINT, last_seq BIGINT, first_time TIMESTAMP, last_time TIMESTAMP, first_id VARCHAR, last_id VARCHAR,
	columns VARCHAR[], gone TIMESTAMP)`

// partition is one file of rows.
type partition struct {
	deployment          fairlead.Name
	date                time.Time
	file                string // below rows/, with slashes
	rows, bytes         uint64
	digest              string // hexadecimal SHA-256
	firstSeq, lastSeq   int64
	firstTime, lastTime time.Time
	firstID, lastID     string
	columns             []string
}

// hotOf is the table of a deployment's rows that are in no partition: those just ingested are among them.
func hotOf(d fairlead.Name) string { return `hot.` + quote(string(d)) }

// rowsDir is the folder of the partitions.
func (s *Store) rowsDir() string { return filepath.Join(s.opt.Dir, "rows") }

// dayFolder is the folder of one day of a deployment, below rowsDir, with slashes.
func dayFolder(d fairlead.Name, date time.Time) string {
	// As Hive writes what a folder's name cannot have.
	name := strings.ReplaceAll(url.QueryEscape(string(d)), "+", "%20")
	return "deployment=" + name + "/date=" + date.Format(time.DateOnly)
}

// fileColumn is the name of a column in a file: readers of partitioned folders make columns of the folders' names, so that
// a feature of such a name gets another one.
func fileColumn(name string) string {
	if bare := strings.ToLower(strings.TrimLeft(name, "_")); bare == "date" || bare == "deployment" {
		return "_" + name
	}
	return name
}

// reader is what runs a query: the writer's connection, or one that only reads.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// rowSpan says which rows are wanted, to leave out the files that have none of them. Zero values are no bounds.
type rowSpan struct {
	from, to time.Time // of event time, both included
	ids      idRange
	after    int64 // rows with a greater seq
}

func (sp rowSpan) where() (string, []any) {
	where, args := "", []any{}
	if !sp.from.IsZero() {
		where, args = where+` AND last_time >= ?`, append(args, sp.from.UTC())
	}
	if !sp.to.IsZero() {
		where, args = where+` AND first_time <= ?`, append(args, sp.to.UTC())
	}
	if sp.ids.any {
		where, args = where+` AND last_id >= ? AND first_id <= ?`, append(args, sp.ids.lo, sp.ids.hi)
	}
	if sp.after != 0 {
		where, args = where+` AND last_seq > ?`, append(args, sp.after)
	}
	return where, args
}

// rowsIn is the relation of a deployment's rows, hot and cold, for a query in the same transaction: like the view, but
// without the files that have no row of the span. The caller's own conditions still choose the rows.
func (s *Store) rowsIn(ctx context.Context, r reader, d fairlead.Name, sp rowSpan) (string, error) {
	where, args := sp.where()
	files, err := partitionsOf(ctx, r, d, where, args...)
	if err != nil {
		return "", err
	}
	columns, err := viewColumns(ctx, r, d)
	if err != nil {
		return "", err
	}
	return `(` + s.union(d, columns, files) + `)`, nil
}

func (t *tx) rowsIn(d fairlead.Name, sp rowSpan) (string, error) {
	return t.s.rowsIn(t.ctx, t.s.conn, d, sp)
}

// reading gives fn a connection on which all queries see the same state of the store.
func (s *Store) reading(ctx context.Context, fn func(*sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN TRANSACTION READ ONLY`); err != nil {
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }() // nothing was written
	return fn(conn)
}

// partitionsOf lists a deployment's files in order of time.
func partitionsOf(ctx context.Context, r reader, d fairlead.Name, where string, args ...any) ([]partition, error) {
	rows, err := r.QueryContext(ctx, `SELECT date, file, rows, bytes, digest, first_seq, last_seq, first_time, last_time,
			coalesce(first_id, ''), coalesce(last_id, ''), array_to_string(columns, chr(31))
		FROM partitions WHERE deployment = ? AND gone IS NULL`+where+` ORDER BY date, first_time, file`, append([]any{string(d)}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("list the partitions of %s: %w", d, err)
	}
	defer rows.Close()
	var all []partition
	for rows.Next() {
		p := partition{deployment: d}
		var columns string
		if err := rows.Scan(&p.date, &p.file, &p.rows, &p.bytes, &p.digest, &p.firstSeq, &p.lastSeq, &p.firstTime, &p.lastTime,
			&p.firstID, &p.lastID, &columns); err != nil {
			return nil, fmt.Errorf("list the partitions of %s: %w", d, err)
		}
		p.columns = strings.Split(columns, "\x1f")
		all = append(all, p)
	}
	return all, rows.Err()
}

// viewColumns are the columns of a deployment's rows.
func viewColumns(ctx context.Context, r reader, d fairlead.Name) ([]column, error) {
	var all []column
	for _, c := range systemColumns {
		all = append(all, column{c.name, c.kind})
	}
	rows, err := r.QueryContext(ctx, `SELECT column_name, type FROM fields WHERE deployment = ? ORDER BY position`, string(d))
	if err != nil {
		return nil, fmt.Errorf("list the columns of %s: %w", d, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.kind); err != nil {
			return nil, fmt.Errorf("list the columns of %s: %w", d, err)
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

type column struct{ name, kind string }

// union is the SELECT over the hot table and some files. Files of the same columns are read together, so that the names and
// types of only the first one have to be looked up.
func (s *Store) union(d fairlead.Name, columns []column, files []partition) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(c.name)
	}
	files = slices.DeleteFunc(slices.Clone(files), func(p partition) bool { return s.lost[p.file] })
	parts := []string{`SELECT ` + strings.Join(names, ", ") + ` FROM ` + hotOf(d)}
	for len(files) > 0 {
		var same, rest []partition
		for _, f := range files {
			if slices.Equal(f.columns, files[0].columns) {
				same = append(same, f)
			} else {
				rest = append(rest, f)
			}
		}
		from := selectColumns(columns, same[0].columns)
		for i, c := range columns {
			from[i] += ` AS ` + quote(c.name)
		}
		parts = append(parts, `SELECT `+strings.Join(from, ", ")+` FROM `+s.readFiles(same))
		files = rest
	}
	return strings.Join(parts, " UNION ALL ")
}

// readFiles is DuckDB's reader of some files.
func (s *Store) readFiles(files []partition) string {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = literal(filepath.Join(s.rowsDir(), filepath.FromSlash(f.file)))
	}
	return `read_parquet([` + strings.Join(paths, ", ") + `], hive_partitioning = false)`
}

// makeRowsView writes the view over a deployment's rows anew.
func (t *tx) makeRowsView(d fairlead.Name) error {
	files, err := partitionsOf(t.ctx, t.s.conn, d, "")
	if err != nil {
		return err
	}
	columns, err := viewColumns(t.ctx, t.s.conn, d)
	if err != nil {
		return err
	}
	if _, err := t.exec(`CREATE OR REPLACE VIEW ` + rowsOf(d) + ` AS ` + t.s.union(d, columns, files)); err != nil {
		return err
	}
	return t.makeLabelledView(d, columns)
}
