package evalstore

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	duckdb "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// rawConn is DuckDB's handle behind a connection of database/sql. The driver keeps it to itself, and its own appender
// takes one boxed value at a time, which costs several times what DuckDB does with it. So the handle is read by
// reflection, and compared with the driver's own word on which connection this is: a driver that changes is refused
// when the store opens, not met in the middle of a write.
func rawConn(c *sql.Conn) (mapping.Connection, error) {
	var raw mapping.Connection
	err := c.Raw(func(dc any) error {
		conn, ok := dc.(*duckdb.Conn)
		if !ok {
			return fmt.Errorf("a connection of type %T is none of DuckDB's", dc)
		}
		field := reflect.ValueOf(conn).Elem().FieldByName("conn")
		if !field.IsValid() || field.Type() != reflect.TypeFor[mapping.Connection]() {
			return errors.New("this version of the driver keeps its connection elsewhere")
		}
		raw.Ptr = field.FieldByName("Ptr").UnsafePointer()
		return nil
	})
	if err != nil {
		return raw, err
	}
	want, err := duckdb.ConnId(c)
	if err != nil {
		return raw, err
	}
	var client mapping.ClientContext
	mapping.ConnectionGetClientContext(raw, &client)
	defer mapping.DestroyClientContext(&client)
	if got := uint64(mapping.ClientContextGetConnectionId(client)); got != want {
		return raw, fmt.Errorf("the handle of connection %d is that of %d", want, got)
	}
	return raw, nil
}

// maxElements bounds what the lists of one chunk hold.
const maxElements = 1 << 20

// chunkWriter appends to one table in the form that DuckDB itself works with: chunks of some thousand rows, column by
// column.
type chunkWriter struct {
	appender mapping.Appender
	types    []mapping.LogicalType
	chunk    mapping.DataChunk
	vectors  []vector
	rows     int // in the chunk
}

// appendChunks fills a table through a chunkWriter, inside the transaction.
func (t *tx) appendChunks(catalog, schema, table string, fill func(*chunkWriter) error) error {
	err := t.s.conn.Raw(func(any) error { // keeps others from the connection meanwhile
		w, err := newChunkWriter(t.s.raw, catalog, schema, table)
		if err == nil {
			err = fill(w)
		}
		return errors.Join(err, w.close(err == nil))
	})
	if err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	return nil
}

func newChunkWriter(conn mapping.Connection, catalog, schema, table string) (*chunkWriter, error) {
	w := &chunkWriter{}
	if mapping.AppenderCreateExt(conn, catalog, schema, table, &w.appender) == mapping.StateError {
		return w, errors.New(mapping.AppenderError(w.appender))
	}
	for i := range mapping.AppenderColumnCount(w.appender) {
		w.types = append(w.types, mapping.AppenderColumnType(w.appender, i))
	}
	w.chunk = mapping.CreateDataChunk(w.types)
	w.vectors = make([]vector, len(w.types))
	w.open()
	return w, nil
}

// open looks up where the vectors of an empty chunk are.
func (w *chunkWriter) open() {
	w.rows = 0
	for i := range w.vectors {
		w.vectors[i] = newVector(mapping.DataChunkGetVector(w.chunk, mapping.IdxT(i)))
	}
}

// write appends n rows. Each column gives its values 0 ≤ i < n; a nil one is NULL.
func (w *chunkWriter) write(n int, columns []cells) error {
	if len(columns) != len(w.vectors) {
		return fmt.Errorf("%d columns of values for %d of the table", len(columns), len(w.vectors))
	}
	capacity := int(mapping.VectorSize())
	for from := 0; from < n; {
		to := min(n, from+capacity-w.rows)
		for i, c := range columns {
			if c == nil {
				c = nulls
			}
			c(&w.vectors[i], w.rows, from, to)
		}
		w.rows += to - from
		from = to
		if w.rows == capacity || w.elements() > maxElements {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *chunkWriter) elements() int {
	n := 0
	for i := range w.vectors {
		n += w.vectors[i].elements
	}
	return n
}

func (w *chunkWriter) flush() error {
	if w.rows == 0 {
		return nil
	}
	mapping.DataChunkSetSize(w.chunk, mapping.IdxT(w.rows))
	if mapping.AppendDataChunk(w.appender, w.chunk) == mapping.StateError {
		return errors.New(mapping.AppenderError(w.appender))
	}
	mapping.DataChunkReset(w.chunk)
	w.open()
	return nil
}

// close hands the rows to the transaction if keep is set, and frees everything.
func (w *chunkWriter) close(keep bool) error {
	var err error
	if keep {
		if err = w.flush(); err == nil && mapping.AppenderFlush(w.appender) == mapping.StateError {
			err = errors.New(mapping.AppenderError(w.appender))
			keep = false
		}
	}
	if !keep && w.appender.Ptr != nil {
		mapping.AppenderClear(w.appender) // or what it holds is flushed again when it goes, and leaks when that fails
	}
	mapping.DestroyDataChunk(&w.chunk)
	for i := range w.types {
		mapping.DestroyLogicalType(&w.types[i])
	}
	if mapping.AppenderDestroy(&w.appender) == mapping.StateError && err == nil && keep {
		err = errors.New("the appender cannot be closed")
	}
	return err
}

// vector is one column of a chunk, or what is inside of a list.
type vector struct {
	mapping.Vector
	data     unsafe.Pointer
	validity unsafe.Pointer // nil as long as nothing in it is NULL
	elements int            // of all its lists
}

func newVector(v mapping.Vector) vector {
	return vector{Vector: v, data: mapping.VectorGetData(v)}
}

// setNull makes a row NULL.
func (v *vector) setNull(row int) {
	if v.validity == nil {
		mapping.VectorEnsureValidityWritable(v.Vector)
		v.validity = mapping.VectorGetValidity(v.Vector)
	}
	word := (*uint64)(unsafe.Add(v.validity, row/64*8))
	*word &^= 1 << (row % 64)
}

// grow makes room for n more elements of lists and gives what they are written into, and where the first one goes.
func (v *vector) grow(n int) (child mapping.Vector, at int) {
	at = v.elements
	v.elements += n
	// Both fail only for a vector that is no list.
	mapping.ListVectorReserve(v.Vector, mapping.IdxT(v.elements))
	mapping.ListVectorSetSize(v.Vector, mapping.IdxT(v.elements))
	return mapping.ListVectorGetChild(v.Vector), at
}
