package evalstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// parallelRows is from how many rows on an append is worth more than one thread: DuckDB compresses rows in groups of that many,
// and a thread that gets less hands them to another one.
const parallelRows = 2 * 122_880

// rowSource gives DuckDB's threads rows in portions, whichever asks first. One append copies rows thrice and compresses them on
// one thread; a statement that reads them from a function of ours does so once, on all.
type rowSource struct {
	columns []duckdb.ColumnInfo
	parts   []rowPart
	rows    int

	mu       sync.Mutex
	part, at int // what is given next
}

// rowPart is the values of some rows, by column; a nil one is NULL.
type rowPart struct {
	n       int
	columns []cells
}

func (r *rowSource) ColumnInfos() []duckdb.ColumnInfo { return r.columns }

func (r *rowSource) Cardinality() *duckdb.CardinalityInfo {
	return &duckdb.CardinalityInfo{Cardinality: uint(r.rows), Exact: true}
}

func (r *rowSource) Init() duckdb.ParallelTableSourceInfo {
	return duckdb.ParallelTableSourceInfo{MaxThreads: 64}
}

func (r *rowSource) NewLocalState() any { return nil }

// claim gives the caller rows from ≤ i < to of a part; none are left when to is 0.
func (r *rowSource) claim(most int) (p rowPart, from, to int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.part < len(r.parts) {
		p, from = r.parts[r.part], r.at
		if from < p.n {
			r.at = min(p.n, from+most)
			return p, from, r.at
		}
		r.part, r.at = r.part+1, 0
	}
	return rowPart{}, 0, 0
}

// FillChunk implements duckdb.ParallelChunkTableSource.
func (r *rowSource) FillChunk(_ any, chunk duckdb.DataChunk) error {
	raw, err := rawChunk(chunk)
	if err != nil {
		return err
	}
	if got := int(mapping.DataChunkGetColumnCount(raw)); got != len(r.columns) {
		return fmt.Errorf("%d columns of %d are asked for", got, len(r.columns))
	}
	part, from, to := r.claim(duckdb.GetDataChunkCapacity())
	for i, c := range part.columns {
		if c == nil {
			c = nulls
		}
		v := newVector(mapping.DataChunkGetVector(raw, mapping.IdxT(i)))
		c(&v, 0, from, to)
	}
	mapping.DataChunkSetSize(raw, mapping.IdxT(to-from))
	return nil
}

// rawChunk is DuckDB's handle behind a chunk of the driver, whose own setters take one boxed value at a time; see rawConn.
func rawChunk(c duckdb.DataChunk) (raw mapping.DataChunk, err error) {
	field := reflect.ValueOf(&c).Elem().FieldByName("chunk")
	if !field.IsValid() || field.Type() != reflect.TypeFor[mapping.DataChunk]() {
		return raw, errors.New("this version of the driver keeps its chunk elsewhere")
	}
	raw.Ptr = field.FieldByName("Ptr").UnsafePointer()
	return raw, nil
}

// handover is the function of SQL that gives the rows of the append in progress. People cannot call it: screen knows only the
// functions it lists.
type handover struct{ source atomic.Pointer[rowSource] }

const handoverName = "fairlead_rows"

func (h *handover) register(s *Store) error {
	return duckdb.RegisterTableUDF(s.conn, handoverName, duckdb.ParallelChunkTableFunction{
		BindArguments: func(map[string]any, ...any) (duckdb.ParallelChunkTableSource, error) {
			if r := h.source.Load(); r != nil {
				return r, nil
			}
			return nil, errors.New("no rows are being appended")
		},
	})
}

// appendParallel fills a table with the rows of a source, inside the transaction, on all threads: their order in the table is by
// chance.
func (t *tx) appendParallel(table string, r *rowSource) error {
	t.s.handover.source.Store(r)
	defer t.s.handover.source.Store(nil)
	var n int
	err := t.s.conn.Raw(func(any) (err error) { // keeps others from the connection meanwhile
		n, err = runPatiently(t.ctx, t.s.raw, `INSERT INTO `+table+` FROM `+handoverName+`()`)
		return err
	})
	if err == nil && n != r.rows {
		err = fmt.Errorf("%d rows of %d", n, r.rows)
	}
	if err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	return nil
}

// idle is how long a caller sleeps that finds other threads at work on all of its statement.
const idle = 200 * time.Microsecond

// runPatiently executes a statement and gives the number of rows it changed. DuckDB's own way is to ask again and again, on a
// processor that others need, whether the other threads are done.
func runPatiently(ctx context.Context, conn mapping.Connection, query string) (int, error) {
	var stmt mapping.PreparedStatement
	defer mapping.DestroyPrepare(&stmt)
	if mapping.Prepare(conn, query, &stmt) == mapping.StateError {
		return 0, errors.New(mapping.PrepareError(stmt))
	}
	var pending mapping.PendingResult
	defer mapping.DestroyPending(&pending)
	if mapping.PendingPrepared(stmt, &pending) == mapping.StateError {
		return 0, errors.New(mapping.PendingError(pending))
	}
	for {
		state := mapping.PendingExecuteTask(pending)
		switch {
		case state == mapping.PendingStateError:
			return 0, errors.New(mapping.PendingError(pending))
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case state == mapping.PendingStateNoTasksAvailable:
			time.Sleep(idle)
			continue
		case !mapping.PendingExecutionIsFinished(state):
			continue
		}
		var result mapping.Result
		defer mapping.DestroyResult(&result)
		if mapping.ExecutePending(pending, &result) == mapping.StateError {
			return 0, errors.New(mapping.ResultError(&result))
		}
		return int(mapping.RowsChanged(&result)), nil
	}
}

// columnInfos are the columns of a deployment's table, nil if one of them holds lists: how large those are decides how many rows
// a chunk takes.
func (rt *rowTable) columnInfos() ([]duckdb.ColumnInfo, error) {
	infos := make([]duckdb.ColumnInfo, 0, len(systemColumns)+len(rt.columns))
	add := func(name, kind string) error {
		info, err := typeInfo(kind)
		infos = append(infos, duckdb.ColumnInfo{Name: name, T: info})
		return err
	}
	for _, c := range systemColumns {
		if err := add(c.name, c.kind); err != nil {
			return nil, err
		}
	}
	for _, c := range rt.columns {
		if strings.HasSuffix(c.kind, "[]") {
			return nil, nil
		}
		if err := add(c.name, c.kind); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

var duckdbTypes = map[string]duckdb.Type{
	"BOOLEAN": duckdb.TYPE_BOOLEAN,
	"TINYINT": duckdb.TYPE_TINYINT, "SMALLINT": duckdb.TYPE_SMALLINT, "INTEGER": duckdb.TYPE_INTEGER, "BIGINT": duckdb.TYPE_BIGINT,
	"UTINYINT": duckdb.TYPE_UTINYINT, "USMALLINT": duckdb.TYPE_USMALLINT, "UINTEGER": duckdb.TYPE_UINTEGER, "UBIGINT": duckdb.TYPE_UBIGINT,
	"FLOAT": duckdb.TYPE_FLOAT, "DOUBLE": duckdb.TYPE_DOUBLE, "VARCHAR": duckdb.TYPE_VARCHAR, "TIMESTAMP": duckdb.TYPE_TIMESTAMP,
}

func typeInfo(kind string) (duckdb.TypeInfo, error) {
	if kind == "MAP(VARCHAR, VARCHAR)" {
		texts, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
		if err != nil {
			return nil, err
		}
		return duckdb.NewMapInfo(texts, texts)
	}
	t, ok := duckdbTypes[kind]
	if !ok {
		return nil, fmt.Errorf("no type for columns of %s", kind)
	}
	return duckdb.NewTypeInfo(t)
}
