package evalstore

import (
	"fmt"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// rowTable is what is known of one deployment's table hot."<deployment>": the columns after the system columns, in
// the table's order. Versions of a model share the column of a field that keeps its name and type; a field that
// changes its type gets another column.
type rowTable struct {
	columns []rowColumn
	used    map[string]bool // lower-case names
}

type rowColumn struct {
	name   string // in the table
	field  string
	output bool
	kind   string // DuckDB's type
}

func newRowTable() *rowTable {
	rt := &rowTable{used: make(map[string]bool)}
	for _, c := range systemColumns {
		rt.used[c.name] = true
	}
	return rt
}

// find is the place of a field's column, -1 if it has none yet.
func (rt *rowTable) find(field string, output bool, kind string) int {
	for i, c := range rt.columns {
		if c.field == field && c.output == output && c.kind == kind {
			return i
		}
	}
	return -1
}

// add names a column for a field: the field's own name, else with the type behind it where an earlier version's field
// has it with another type, else with _feature or _output.
func (rt *rowTable) add(field string, output bool, kind string) rowColumn {
	side := "_feature"
	if output {
		side = "_output"
	}
	typed := strings.ReplaceAll(strings.ToLower(kind), "[]", "_list")
	name := field
	if name == "" {
		name = side[1:]
	}
	if rt.used[strings.ToLower(name)] {
		candidates := []string{field + side, field + side + "_" + typed}
		for _, c := range rt.columns {
			if c.field == field && c.output == output {
				candidates = []string{field + "_" + typed, field + side + "_" + typed}
			}
		}
		for n := 2; ; n++ {
			name, candidates = candidates[0], candidates[1:]
			if !rt.used[strings.ToLower(name)] {
				break
			}
			candidates = append(candidates, fmt.Sprintf("%s_%d", field, n))
		}
	}
	c := rowColumn{name: name, field: field, output: output, kind: kind}
	rt.columns = append(rt.columns, c)
	rt.used[strings.ToLower(name)] = true
	return c
}

var kinds = map[fairlead.DataType]string{
	fairlead.Bool: "BOOLEAN",
	fairlead.Int8: "TINYINT", fairlead.Int16: "SMALLINT", fairlead.Int32: "INTEGER", fairlead.Int64: "BIGINT",
	fairlead.Uint8: "UTINYINT", fairlead.Uint16: "USMALLINT", fairlead.Uint32: "UINTEGER", fairlead.Uint64: "UBIGINT",
	fairlead.FP16: "FLOAT", fairlead.BF16: "FLOAT", fairlead.FP32: "FLOAT", fairlead.FP64: "DOUBLE",
	fairlead.Bytes: "VARCHAR",
}

func kindOf(c *eventlog.Column) string {
	k := kinds[c.Field.Type]
	if c.Shape != nil {
		k += "[]"
	}
	return k
}

// isScoreColumn says that the system column score holds the column already.
func isScoreColumn(rows *eventlog.Rows, i int) bool {
	f := rows.Columns[i].Field
	return i == rows.Score && strings.EqualFold(f.Name, "score") && (f.Type == fairlead.FP32 || f.Type == fairlead.FP64)
}

// rowTable gives the deployment's table with a column for every field of rows, making what is missing. place tells
// for each column of rows where in rowTable.columns it goes, -1: nowhere.
func (t *tx) rowTable(rows *eventlog.Rows) (rt *rowTable, place []int, err error) {
	if rt, err = t.loadTable(rows.Deployment); err != nil {
		return nil, nil, err
	}
	if rt == nil {
		if rt, err = t.createTable(rows.Deployment); err != nil {
			return nil, nil, err
		}
	}
	place = make([]int, len(rows.Columns))
	added := false
	for i := range rows.Columns {
		if isScoreColumn(rows, i) {
			place[i] = -1
			continue
		}
		f, kind := rows.Columns[i].Field, kindOf(&rows.Columns[i])
		name := text(f.Name)
		if place[i] = rt.find(name, f.Output, kind); place[i] >= 0 {
			continue
		}
		place[i] = len(rt.columns)
		c := rt.add(name, f.Output, kind)
		added = true
		if _, err := t.exec(`ALTER TABLE ` + hotOf(rows.Deployment) + ` ADD COLUMN ` +
			quote(c.name) + ` ` + c.kind); err != nil {
			return nil, nil, err
		}
		if _, err := t.exec(`INSERT INTO fields VALUES (?, ?, ?, ?, ?, ?)`,
			string(rows.Deployment), place[i], c.name, c.field, c.output, c.kind); err != nil {
			return nil, nil, err
		}
	}
	if added {
		if err := t.makeRowsView(rows.Deployment); err != nil {
			return nil, nil, err
		}
	}
	return rt, place, nil
}

// loadTable gives what is known of a deployment's table, nil if there is none.
func (t *tx) loadTable(d fairlead.Name) (*rowTable, error) {
	if rt := t.s.tables[d]; rt != nil {
		return rt, nil
	}
	names, err := hotTables(t.ctx, t.s.conn)
	if err != nil {
		return nil, err
	}
	exists := false
	for _, n := range names {
		exists = exists || n == string(d)
	}
	if !exists {
		return nil, nil
	}
	rows, err := t.s.conn.QueryContext(t.ctx,
		`SELECT column_name, field, output, type FROM fields WHERE deployment = ? ORDER BY position`, string(d))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	rt := newRowTable()
	for rows.Next() {
		var c rowColumn
		if err := rows.Scan(&c.name, &c.field, &c.output, &c.kind); err != nil {
			return nil, err
		}
		rt.columns = append(rt.columns, c)
		rt.used[strings.ToLower(c.name)] = true
	}
	t.s.tables[d] = rt
	return rt, rows.Err()
}

func (t *tx) createTable(d fairlead.Name) (*rowTable, error) {
	parts := make([]string, len(systemColumns))
	for i, c := range systemColumns {
		parts[i] = c.name + " " + c.kind
	}
	if _, err := t.exec(`CREATE TABLE ` + hotOf(d) + ` (` + strings.Join(parts, ", ") + `)`); err != nil {
		return nil, err
	}
	rt := newRowTable()
	t.s.tables[d] = rt
	if err := t.makeRowsView(d); err != nil {
		return nil, err
	}
	return rt, t.makePredictionsView()
}
