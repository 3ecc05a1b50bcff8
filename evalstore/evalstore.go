// Package evalstore is the seam where what happened becomes what it meant: DuckDB with a typed wide table of rows for
// each deployment, labels with their history, the outcomes that join the two, profile deltas, and the findings and
// metrics made of them. It follows the event log exactly once: the position in a stream is committed in the same
// transaction as what its messages said.
package evalstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/fairlead-ml/fairlead"
)

// Options say where the store is and what it may use.
type Options struct {
	Dir      string // created if it does not exist; the store is the file store.duckdb and the folder rows in it
	MemoryMB int    // for DuckDB's buffers; 0 is 1,000
	Threads  int    // 0 is 2
	Log      *slog.Logger
	// QueryTimeout bounds one Query; 0 is 30 seconds.
	QueryTimeout time.Duration
}

// Store is an open evaluation store. Its methods may be called by many goroutines at once; writes take turns, reads
// see the last committed state.
type Store struct {
	opt     Options
	db      *sql.DB
	queries chan struct{} // a token for each Query that may run at once

	mu       sync.Mutex         // held by the one writer
	conn     *sql.Conn          // of the writer: its temporary tables live there
	raw      mapping.Connection // the same, as chunkWriter needs it
	tables   map[fairlead.Name]*rowTable
	seq      uint64 // last sequence number given to an hour
	handed   handed
	handover handover
	parallel int // from how many rows on an append takes all threads

	moving sync.Mutex              // held by who writes or removes files of rows
	known  map[string]bool         // the files of rows when the store was opened
	lost   map[string]bool         // those of them that are not there
	atStep func(name string) error // nil but in tests: what may happen between the steps of a move
}

// Open opens the store in opt.Dir or makes it. A store that another process has open is refused.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.MemoryMB <= 0 {
		opt.MemoryMB = 1000
	}
	if opt.Threads <= 0 {
		opt.Threads = 2
	}
	if opt.QueryTimeout <= 0 {
		opt.QueryTimeout = 30 * time.Second
	}
	if err := os.MkdirAll(opt.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open evaluation store: %w", err)
	}
	path := filepath.Join(opt.Dir, "store.duckdb")
	if err := renew(ctx, path, opt, func(string) error { return nil }); err != nil {
		opt.Log.Warn("the evaluation store's file could not be written anew and stays as large as it is", "err", err)
	}
	connector, err := duckdb.NewConnector(path+"?"+settings(opt).Encode(), nil)
	if err != nil {
		return nil, openError(path, err)
	}
	s := &Store{
		parallel: parallelRows,
		opt:      opt, db: sql.OpenDB(connector), queries: make(chan struct{}, 2),
		tables: make(map[fairlead.Name]*rowTable),
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(openError(path, err), s.Close())
	}
	return s, nil
}

// settings take from SQL what could reach outside of the store: extensions and the network; lock takes the rest.
func settings(opt Options) url.Values {
	return url.Values{
		"threads":                 {strconv.Itoa(opt.Threads)},
		"memory_limit":            {strconv.Itoa(opt.MemoryMB) + "MB"},
		"max_temp_directory_size": {"16GB"},
		"checkpoint_threshold":    {"64MB"},
		// A thread that appends compresses a group of rows when it is full: what is left for the end, one thread does.
		"write_buffer_row_group_count":  {"1"},
		"storage_compatibility_version": {"latest"},
		"autoinstall_known_extensions":  {"false"},
		"autoload_known_extensions":     {"false"},
		"allow_community_extensions":    {"false"},
		"allow_unsigned_extensions":     {"false"},
	}
}

// lock ends the access to all files but those of the store's own rows, and to the settings. Which functions may name a file
// is what screen decides: none in the text of a person.
func (s *Store) lock(ctx context.Context) error {
	dir, err := filepath.Abs(s.opt.Dir)
	if err != nil {
		return err
	}
	s.opt.Dir = dir
	if err := os.MkdirAll(s.rowsDir(), 0o755); err != nil {
		return err
	}
	for _, stmt := range []string{
		`SET allowed_directories = [` + literal(s.rowsDir()) + `]`, `SET enable_external_access = false`, `SET lock_configuration = true`,
	} {
		if _, err := s.conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return nil
}

func openError(path string, err error) error {
	var d *duckdb.Error
	if errors.As(err, &d) && d.Type == duckdb.ErrorTypeIO {
		return fairlead.Errorf(fairlead.CodeUnavailable, "the evaluation store %s cannot be opened", path).
			Hintf("is another fairlead running on the same data folder?").Cause(err)
	}
	return fmt.Errorf("open evaluation store %s: %w", path, err)
}

func (s *Store) start(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	if s.raw, err = rawConn(conn); err != nil {
		return err
	}
	// How rows lie in a table is nobody's business, and threads that append need not wait for each other.
	if _, err := conn.ExecContext(ctx, `SET SESSION preserve_insertion_order = false`); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	if err := s.handover.register(s); err != nil {
		return err
	}
	for _, stmt := range slices.Concat(schema, viewSchema, cubeSchema, segmentSchema) {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	if err := conn.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM hours`).Scan(&s.seq); err != nil {
		return err
	}
	if err := s.write(ctx, func(tx *tx) error {
		if err := tx.openPartitions(); err != nil {
			return err
		}
		return tx.makePredictionsView()
	}); err != nil {
		return err
	}
	return s.removeOrphans()
}

// Close waits for a write in progress, writes everything into the store's file and closes it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.conn != nil {
		err = s.conn.Close()
		s.conn = nil
	}
	return errors.Join(err, s.db.Close())
}

// tx is one transaction of the writer.
type tx struct {
	ctx context.Context
	s   *Store
}

// write runs fn in a transaction and commits it if fn returns nil. Nothing of a failed transaction stays, neither in
// the file nor in memory.
func (s *Store) write(ctx context.Context, fn func(*tx) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return fairlead.Errorf(fairlead.CodeUnavailable, "the evaluation store is closed")
	}
	seq := s.seq
	if _, err := s.conn.ExecContext(ctx, `BEGIN TRANSACTION`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err = fn(&tx{ctx, s}); err == nil {
		if _, err = s.conn.ExecContext(ctx, `COMMIT`); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	s.seq = seq
	clear(s.tables)
	// The caller's context may be what ended the transaction. A failed commit has rolled back already, and then this
	// has nothing to do.
	_, _ = s.conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	return err
}

func (t *tx) exec(query string, args ...any) (int64, error) {
	res, err := t.s.conn.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", firstLine(query), err)
	}
	return res.RowsAffected()
}

// append fills a table through DuckDB's appender, inside the transaction.
func (t *tx) append(catalog, schema, table string, fill func(*duckdb.Appender) error) error {
	err := t.s.conn.Raw(func(dc any) error {
		a, err := duckdb.NewAppender(dc.(*duckdb.Conn), catalog, schema, table)
		if err != nil {
			return err
		}
		return errors.Join(fill(a), a.Close())
	})
	if err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	return nil
}
