package evalstore

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// openPartitions makes files and tables agree after whatever ended the last process: files that no commit knows go, those
// that are missing are named, and the views are written for where the store is now.
func (t *tx) openPartitions() error {
	if err := t.moveOldTables(); err != nil {
		return err
	}
	names, err := hotTables(t.ctx, t.s.conn)
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM partitions WHERE gone IS NOT NULL`); err != nil {
		return err
	}
	known := make(map[string]bool)
	t.s.lost = make(map[string]bool)
	for _, n := range names {
		if err := t.orderColumns(fairlead.Name(n)); err != nil {
			return err
		}
		files, err := partitionsOf(t.ctx, t.s.conn, fairlead.Name(n), "")
		if err != nil {
			return err
		}
		for _, p := range files {
			known[p.file] = true
			if st, err := os.Stat(filepath.Join(t.s.rowsDir(), filepath.FromSlash(p.file))); err != nil || uint64(st.Size()) != p.bytes {
				t.s.opt.Log.Error("a file of rows is missing or not what was written; queries go on without it",
					"file", p.file, "rows", p.rows, "err", err)
				t.s.lost[p.file] = true
			}
		}
		if err := t.makeRowsView(fairlead.Name(n)); err != nil {
			return err
		}
	}
	t.s.known = known
	return nil
}

// partName is the name of a file that this package made. Others in the folders are left alone.
var partName = regexp.MustCompile(`^part(-[0-9a-f]{16}-[0-9a-f]{16}-\d+\.parquet|(-\d+)?\.tmp)$`)

// removeOrphans removes the files that no line of partitions is about: of a process that ended before the commit, or before
// it could remove what another file took the place of. It is called when the store opens, after the commit.
func (s *Store) removeOrphans() error {
	return filepath.WalkDir(s.rowsDir(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !partName.MatchString(e.Name()) {
			return err
		}
		file, err := filepath.Rel(s.rowsDir(), path)
		if err != nil || s.known[filepath.ToSlash(file)] {
			return err
		}
		s.opt.Log.Info("a file of rows without a commit was removed", "file", file)
		return os.Remove(path)
	})
}

// hotTables are the deployments that have rows.
func hotTables(ctx context.Context, r reader) ([]string, error) {
	return tablesOf(ctx, r, "hot")
}

func tablesOf(ctx context.Context, r reader, schema string) ([]string, error) {
	rows, err := r.QueryContext(ctx,
		`SELECT table_name FROM duckdb_tables() WHERE schema_name = ? AND database_name = current_database() ORDER BY table_name`, schema)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// moveOldTables takes the tables of a store that was made before there were partitions.
func (t *tx) moveOldTables() error {
	names, err := tablesOf(t.ctx, t.s.conn, "rows")
	if err != nil || len(names) == 0 {
		return err
	}
	t.s.opt.Log.Info("the rows of the evaluation store are brought into their new tables", "deployments", len(names))
	if _, err := t.exec(`DROP VIEW IF EXISTS predictions`); err != nil {
		return err
	}
	for _, n := range names {
		if err := t.copyTable(`rows.`+quote(n), hotOf(fairlead.Name(n))); err != nil {
			return err
		}
	}
	return nil
}

// copyTable puts a table's rows into a new one with the columns of a hot table, in their order, and drops it.
func (t *tx) copyTable(from, to string) error {
	has, err := t.columnsOf(from)
	if err != nil {
		return err
	}
	var list []string
	for _, c := range systemColumns {
		if i := slices.Index(has, c.name); i >= 0 {
			list, has = append(list, quote(c.name)), slices.Delete(has, i, i+1)
			continue
		}
		list = append(list, `NULL::`+c.kind+` AS `+quote(c.name))
	}
	for _, c := range has {
		list = append(list, quote(c))
	}
	if _, err := t.exec(`CREATE TABLE ` + to + ` AS SELECT ` + strings.Join(list, ", ") + ` FROM ` + from); err != nil {
		return err
	}
	_, err = t.exec(`DROP TABLE ` + from)
	return err
}

func (t *tx) columnsOf(table string) ([]string, error) {
	rows, err := t.s.conn.QueryContext(t.ctx, `SELECT column_name FROM (DESCRIBE `+table+`)`)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", table, err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// orderColumns gives a hot table the system columns that it was made without: they come first, as ingestion writes them.
func (t *tx) orderColumns(d fairlead.Name) error {
	has, err := t.columnsOf(hotOf(d))
	if err != nil {
		return err
	}
	same := len(has) >= len(systemColumns)
	for i, c := range systemColumns {
		same = same && has[i] == c.name
	}
	if same {
		return nil
	}
	if err := t.copyTable(hotOf(d), `hot."fairlead new"`); err != nil {
		return err
	}
	_, err = t.exec(`ALTER TABLE hot."fairlead new" RENAME TO ` + quote(string(d)))
	return err
}
