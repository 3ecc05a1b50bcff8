package evalstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// renewLeast and renewShare say when a store's file is written anew: so many bytes of it, and so large a part, are free.
const (
	renewLeast = 4 << 20
	renewShare = 0.25
)

// newFile is where a store is written anew, beside it.
const newFile = ".new"

// renew writes the store's file anew if much of it is free: DuckDB uses free blocks again, but cuts off only those at its end. It
// is done before anybody opens the file. The new one takes the old one's place by a rename after it is on disk, so that a stop at
// any point leaves one of the two whole; a file that cannot be renewed stays as it is. The old file is held open, and so locked,
// until the new one has its name: another process that opens the store meanwhile is refused, and touches nothing.
func renew(ctx context.Context, path string, opt Options, step func(string) error) (err error) {
	if st, err := os.Stat(path); err != nil || st.Size() < renewLeast {
		return nil // there is none, or nothing to gain
	}
	set := settings(opt)
	set.Set("temp_directory", path+".tmp") // as that of the store itself; one in memory has it where the process was started
	connector, err := duckdb.NewConnector("?"+set.Encode(), nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := execAll(ctx, conn, `ATTACH `+literal(path)+` AS was`); err != nil {
		return err
	}
	if err := errors.Join(remove(path+newFile), remove(path+newFile+".wal")); err != nil { // what a stop left
		return err
	}
	before, after, err := writeAnew(ctx, conn, path)
	if err != nil {
		return errors.Join(err, remove(path+newFile), remove(path+newFile+".wal"))
	}
	if after == 0 {
		return nil
	}
	// What the old file's log still held would be played into the new one.
	for _, log := range []string{path + ".wal", path + newFile + ".wal"} {
		if st, err := os.Stat(log); err == nil && st.Size() > 0 {
			return errors.Join(fmt.Errorf("%s is not empty", log), remove(path+newFile))
		}
	}
	if err := step("written anew"); err != nil {
		return err
	}
	if _, _, err := settle(path + newFile); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil { // the old log is gone for good before the new file has the name
		return err
	}
	if err := os.Rename(path+newFile, path); err != nil {
		return err
	}
	if err := step("renamed"); err != nil {
		return err
	}
	opt.Log.Info("the evaluation store's file was written anew", "bytes", after, "before", before)
	return syncDir(filepath.Dir(path))
}

func execAll(ctx context.Context, conn *sql.Conn, stmts ...string) error {
	for _, stmt := range stmts {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// writeAnew copies all of the attached store was into a new file beside it, if enough of it is free; after is 0 if not.
func writeAnew(ctx context.Context, conn *sql.Conn, path string) (before, after int64, err error) {
	if err := execAll(ctx, conn, `CHECKPOINT was`); err != nil {
		return 0, 0, err
	}
	var block, total, free int64
	if err := conn.QueryRowContext(ctx, `SELECT block_size, total_blocks, free_blocks FROM pragma_database_size() WHERE database_name = 'was'`).Scan(&block, &total, &free); err != nil {
		return 0, 0, err
	}
	if free*block < renewLeast || float64(free) < renewShare*float64(total) {
		return 0, 0, nil
	}
	if err := execAll(ctx, conn, `ATTACH `+literal(path+newFile)+` AS now (STORAGE_VERSION 'latest')`, `COPY FROM DATABASE was TO now`, `CHECKPOINT now`); err != nil {
		return 0, 0, err
	}
	if err := sameTables(ctx, conn); err != nil {
		return 0, 0, err
	}
	if err := execAll(ctx, conn, `DETACH now`); err != nil {
		return 0, 0, err
	}
	st, err := os.Stat(path + newFile)
	if err != nil {
		return 0, 0, err
	}
	return total * block, st.Size(), nil
}

// sameTables counts the rows of all tables on both sides.
func sameTables(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'was' ORDER BY ALL`)
	if err != nil {
		return err
	}
	var names [][2]string
	for rows.Next() {
		var n [2]string
		if err := rows.Scan(&n[0], &n[1]); err != nil {
			return errors.Join(err, rows.Close())
		}
		names = append(names, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, n := range names {
		table := quote(n[0]) + `.` + quote(n[1])
		var same bool
		if err := conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM was.`+table+`) = (SELECT count(*) FROM now.`+table+`)`).Scan(&same); err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("table %s has other rows when it is written anew", table)
		}
	}
	return nil
}
