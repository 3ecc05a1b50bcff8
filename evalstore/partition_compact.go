package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

const (
	// manyFiles of one day are merged: fewer cost a query less than rewriting them costs the store.
	manyFiles = 4
	// graceOfFiles is how long files stay that others have taken the place of: queries that began before may still read them.
	graceOfFiles = 10 * time.Minute
	// minFree is how many free bytes in the store's file are worth rewriting its tables.
	minFree = 64 << 20
)

// Compact merges the files of days that have many, removes those that queries no longer read, and gives the free space in
// the store's own file back. now decides what is old enough to go.
func (s *Store) Compact(ctx context.Context, now time.Time) (Moved, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	var all Moved
	names, err := hotTables(ctx, s.db)
	if err != nil {
		return all, err
	}
	for _, n := range names {
		days, err := s.crowdedDays(ctx, fairlead.Name(n))
		if err != nil {
			return all, err
		}
		for _, files := range days {
			p, err := s.mergeDay(ctx, files, now)
			if err != nil {
				return all, fmt.Errorf("merge the files of %s of %s: %w", files[0].date.Format(time.DateOnly), n, err)
			}
			all.Files, all.Freed, all.Bytes = all.Files+1, all.Freed+len(files), all.Bytes+p.bytes
		}
	}
	if err := s.removeGone(ctx, now.Add(-graceOfFiles)); err != nil {
		return all, err
	}
	return all, s.giveBack(ctx, minFree)
}

// crowdedDays gives the files of each day of a deployment that has many.
func (s *Store) crowdedDays(ctx context.Context, d fairlead.Name) ([][]partition, error) {
	files, err := partitionsOf(ctx, s.db, d, "")
	if err != nil {
		return nil, err
	}
	var crowded [][]partition
	for len(files) > 0 {
		n := 1
		for n < len(files) && files[n].date.Equal(files[0].date) {
			n++
		}
		whole := true
		for _, p := range files[:n] {
			whole = whole && !s.lost[p.file]
		}
		if n >= manyFiles && whole {
			crowded = append(crowded, files[:n])
		}
		files = files[n:]
	}
	return crowded, nil
}

// mergeDay writes the rows of some files of a day into one, and puts that in their place.
func (s *Store) mergeDay(ctx context.Context, files []partition, now time.Time) (partition, error) {
	p := partition{deployment: files[0].deployment, date: files[0].date}
	var rows uint64
	err := s.reading(ctx, func(r *sql.Conn) error {
		columns, err := viewColumns(ctx, r, p.deployment)
		if err != nil {
			return err
		}
		parts := make([]string, len(files))
		for i, f := range files {
			rows += f.rows
			list := selectColumns(columns, f.columns)
			for c := range columns {
				list[c] += ` AS ` + quote(fileColumn(columns[c].name))
			}
			parts[i] = `SELECT ` + strings.Join(list, ", ") + ` FROM ` + s.readFiles(files[i:i+1])
		}
		for _, c := range columns {
			p.columns = append(p.columns, c.name)
		}
		return s.writePartition(ctx, r, &p, `SELECT * FROM (`+strings.Join(parts, " UNION ALL ")+`)`)
	})
	if err == nil && p.rows != rows {
		err = fmt.Errorf("the files have %d rows, the merged one %d", rows, p.rows)
		s.discard(p.file)
	}
	if err != nil {
		return p, err
	}
	err = s.write(ctx, func(t *tx) error {
		for _, f := range files {
			if _, err := t.exec(`UPDATE partitions SET gone = ? WHERE file = ?`, now.UTC(), f.file); err != nil {
				return err
			}
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

// selectColumns reads the columns of the view from a file that has some of them.
func selectColumns(columns []column, has []string) []string {
	there := make(map[string]bool, len(has))
	for _, c := range has {
		there[c] = true
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		if list[i] = `NULL::` + c.kind; there[c.name] {
			list[i] = quote(fileColumn(c.name))
		}
	}
	return list
}

// removeGone removes the files that left the store before a time.
func (s *Store) removeGone(ctx context.Context, before time.Time) error {
	rows, err := s.db.QueryContext(ctx, `SELECT file FROM partitions WHERE gone < ?`, before.UTC())
	if err != nil {
		return fmt.Errorf("look for files to remove: %w", err)
	}
	defer rows.Close()
	var files []string
	for rows.Next() {
		var f string
		if err := rows.Scan(&f); err != nil {
			return err
		}
		files = append(files, f)
	}
	if err := rows.Err(); err != nil || len(files) == 0 {
		return err
	}
	// Files first: a line without its file is nothing, a file without its line would be found at the next start only.
	for _, f := range files {
		s.discard(f)
	}
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM partitions WHERE gone < ?`, before.UTC())
		return err
	})
}

// giveBack shrinks the store's file where more than a third and more than least bytes of it are free. DuckDB uses free blocks
// again, the first ones first, but cuts only those at the file's end: what is written anew may have to go to the end once
// before there is room for it at the beginning.
func (s *Store) giveBack(ctx context.Context, least int64) error {
	for range 3 {
		if err := s.checkpoint(ctx); err != nil {
			return err
		}
		var size, total, free int64
		if err := s.db.QueryRowContext(ctx, `SELECT block_size, total_blocks, free_blocks FROM pragma_database_size()
			WHERE database_name = current_database()`).Scan(&size, &total, &free); err != nil {
			return fmt.Errorf("look at the store's size: %w", err)
		}
		if free*size < least || 3*free < total {
			return nil
		}
		if err := s.write(ctx, func(t *tx) error { return t.rewriteTables() }); err != nil {
			return fmt.Errorf("rewrite the store's tables: %w", err)
		}
	}
	return s.checkpoint(ctx)
}

// rewriteTables writes each table anew that has no constraints.
func (t *tx) rewriteTables() error {
	rows, err := t.s.conn.QueryContext(t.ctx, `SELECT schema_name, table_name FROM duckdb_tables() o
		WHERE database_name = current_database() AND NOT temporary AND NOT internal AND index_count = 0 AND NOT EXISTS (
			FROM duckdb_constraints() c WHERE c.table_oid = o.table_oid AND c.database_oid = o.database_oid) ORDER BY ALL`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var tables [][2]string
	for rows.Next() {
		var n [2]string
		if err := rows.Scan(&n[0], &n[1]); err != nil {
			return err
		}
		tables = append(tables, n)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, n := range tables {
		if err := t.rewriteTable(n[0], n[1]); err != nil {
			return err
		}
	}
	return nil
}

// rewriteTable writes a table without constraints anew.
func (t *tx) rewriteTable(schema, name string) error {
	made := quote(schema) + `."fairlead new"`
	for _, stmt := range []string{
		`CREATE TABLE ` + made + ` AS FROM ` + quote(schema) + `.` + quote(name), `DROP TABLE ` + quote(schema) + `.` + quote(name),
		`ALTER TABLE ` + made + ` RENAME TO ` + quote(name),
	} {
		if _, err := t.exec(stmt); err != nil {
			return err
		}
	}
	return nil
}

// shedDeleted writes a hot table anew that has more deleted rows than others. DuckDB gives deleted rows' space back only
// with whole row groups, and counts it as used until then; the copy costs less than what moved just did.
func (s *Store) shedDeleted(ctx context.Context, d fairlead.Name) error {
	return s.write(ctx, func(t *tx) error {
		var live, stored int64
		if err := s.conn.QueryRowContext(t.ctx, `SELECT (SELECT count(*) FROM `+hotOf(d)+`), (SELECT estimated_size FROM duckdb_tables()
			WHERE database_name = current_database() AND schema_name = 'hot' AND table_name = ?)`, string(d)).Scan(&live, &stored); err != nil {
			return fmt.Errorf("count the deleted rows of %s: %w", d, err)
		}
		if stored-live <= live {
			return nil
		}
		return t.rewriteTable("hot", string(d))
	})
}
