package evalstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
)

// Answer is the table that a Query gave.
type Answer struct {
	Columns []string
	Types   []string // DuckDB's names
	// Rows hold nil, bool, numbers, string, time.Time in UTC, []byte, []any and map[string]any, which all have a JSON
	// form: NaN is nil, infinities are "Infinity" and "-Infinity".
	Rows      [][]any
	Truncated bool // there were more rows than the limit
	Elapsed   time.Duration
}

// MaxQuery is the longest text in bytes that Query takes.
const MaxQuery = 32 << 10

// Query answers one SELECT (or DESCRIBE, SUMMARIZE, SHOW) of a person, with at most limit rows. It can neither change
// anything nor reach a file or the network, and it is ended after Options.QueryTimeout. Errors that the text of the
// query causes are CodeInvalid with DuckDB's message; a query that takes too long is CodeDeadline, one that needs too
// much memory CodeExhausted. Two queries run at once, others wait for their turn.
func (s *Store) Query(ctx context.Context, query string, limit int) (*Answer, error) {
	start := time.Now()
	a := &Answer{Rows: [][]any{}}
	err := s.ask(ctx, query, limit, func(c *cursor) error {
		a.Columns, a.Types = c.columns, c.types
		for c.next() {
			values := make([]any, len(c.values))
			for i, v := range c.values {
				values[i] = plain(v)
			}
			a.Rows = append(a.Rows, values)
		}
		a.Truncated = c.truncated
		return c.err
	})
	if err != nil {
		return nil, err
	}
	a.Elapsed = time.Since(start)
	return a, nil
}

// ask screens a query, runs it and lets read read the answer. read is called once DuckDB has the whole answer.
func (s *Store) ask(ctx context.Context, query string, limit int, read func(*cursor) error) error {
	if len(query) > MaxQuery {
		return fairlead.Errorf(fairlead.CodeTooLarge, "a query of %d bytes is too long", len(query)).
			Hintf("at most %d bytes", MaxQuery)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.QueryTimeout)
	defer cancel()
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	case <-ctx.Done():
		return s.queryError(ctx, ctx.Err())
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.queryError(ctx, err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN TRANSACTION READ ONLY`); err != nil {
		return s.queryError(ctx, err)
	}
	// A read-only transaction that cannot be rolled back is gone already.
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) }()
	if err := screen(ctx, conn, query); err != nil {
		return s.queryError(ctx, err)
	}
	c, err := openCursor(ctx, conn, query, max(limit, 0))
	if err != nil {
		return s.queryError(ctx, err)
	}
	defer c.rows.Close()
	if err := read(c); err != nil {
		return s.queryError(ctx, err)
	}
	return nil
}

// cursor goes through an answer row by row.
type cursor struct {
	columns, types []string
	values         []any // of the row at hand, as the driver gives them
	truncated      bool  // there were more rows than the limit
	err            error

	rows  *sql.Rows
	ptrs  []any
	left  int
	count int
}

func openCursor(ctx context.Context, conn *sql.Conn, query string, limit int) (*cursor, error) {
	// The driver takes the whole result into memory, so the limit has to be part of the query. The text is one
	// complete SELECT: screen has parsed it. The line break ends a comment.
	inner := strings.TrimRight(query, "; \t\r\n")
	if strings.Contains(inner, ";") { // perhaps one with a comment behind it; DuckDB writes the statement without
		if err := conn.QueryRowContext(ctx, `SELECT json_deserialize_sql(json_serialize_sql(?::VARCHAR))`, query).
			Scan(&inner); err != nil {
			return nil, err
		}
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("SELECT * FROM (%s\n) LIMIT %d", inner, limit+1))
	if err != nil {
		return nil, err
	}
	c := &cursor{rows: rows, left: limit}
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	c.values, c.ptrs = make([]any, len(types)), make([]any, len(types))
	for i, t := range types {
		c.columns, c.types = append(c.columns, t.Name()), append(c.types, t.DatabaseTypeName())
		c.ptrs[i] = &c.values[i]
	}
	return c, nil
}

// next reads a row into values; false at the end, at the limit and after an error.
func (c *cursor) next() bool {
	if c.err != nil || !c.rows.Next() {
		c.err = cmp.Or(c.err, c.rows.Err())
		return false
	}
	if c.left == 0 {
		c.truncated = true
		return false
	}
	c.left--
	c.count++
	if err := c.rows.Scan(c.ptrs...); err != nil {
		c.err = fairlead.Invalid("the answer has a value that cannot be shown").
			Hintf("cast the column to VARCHAR").Cause(err)
		return false
	}
	return true
}

// plain turns the driver's value into one with a JSON form.
func plain(v any) any {
	switch v := v.(type) {
	case float32:
		return plainFloat(float64(v), v)
	case float64:
		return plainFloat(v, v)
	case time.Time:
		return v.UTC()
	case duckdb.Decimal:
		return v.Float64()
	case *big.Int:
		// sum() of integers is a HUGEINT; JSON readers keep integers exact up to 2^53.
		if v.IsInt64() && v.BitLen() <= 53 {
			return v.Int64()
		}
		return v.String()
	case duckdb.Interval, duckdb.UUID:
		return fmt.Sprint(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case duckdb.OrderedMap:
		m := make(map[string]any, v.Len())
		for i, k := range v.Keys() {
			m[fmt.Sprint(k)] = plain(v.Values()[i])
		}
		return m
	case duckdb.Map:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[fmt.Sprint(k)] = plain(e)
		}
		return m
	case nil, bool, string, []byte, int8, int16, int32, int64, uint8, uint16, uint32, uint64:
		return v
	}
	return fmt.Sprint(v)
}

func plainFloat(f float64, v any) any {
	switch {
	case math.IsNaN(f):
		return nil
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return v
}

// queryError gives a person DuckDB's message without what only an operator can use.
func (s *Store) queryError(ctx context.Context, err error) error {
	var own *fairlead.Error
	var d *duckdb.Error
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fairlead.Errorf(fairlead.CodeDeadline, "the query did not finish in %s", s.opt.QueryTimeout).
			Hintf("narrow it, for example by event_time").Cause(err)
	case ctx.Err() != nil:
		return fairlead.Errorf(fairlead.CodeCanceled, "the query was canceled").Cause(err)
	case errors.As(err, &own):
		return err
	case !errors.As(err, &d):
		return fmt.Errorf("query: %w", err)
	case d.Type == duckdb.ErrorTypeOutOfMemory:
		return fairlead.Errorf(fairlead.CodeExhausted, "the query needs more memory than the store may use (%d MB)",
			s.opt.MemoryMB).Hintf("narrow it, or aggregate in steps").Cause(err)
	case d.Type == duckdb.ErrorTypeInternal || d.Type == duckdb.ErrorTypeFatal || d.Type == duckdb.ErrorTypeIO:
		return fmt.Errorf("query: %w", err)
	}
	return fairlead.Invalid("%s", strings.TrimSpace(d.Msg)).
		Hintf("SHOW TABLES lists the tables, DESCRIBE shows their columns; docs/sql.md has examples").
		Cause(err)
}
