package evalstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// The configuration of the store keeps SQL from files and settings, and the transaction is read-only. What is left only
// the syntax tree shows: more than one statement, functions and views that act on the database or tell about the machine,
// and values that grow without bound (bound.go).

// screen refuses a query that is not one SELECT, and one that uses what it must not.
func screen(ctx context.Context, conn *sql.Conn, query string) error {
	var text string
	if err := conn.QueryRowContext(ctx, `SELECT json_serialize_sql(?::VARCHAR)::VARCHAR`, query).Scan(&text); err != nil {
		return err
	}
	var tree struct {
		Error      bool             `json:"error"`
		Type       string           `json:"error_type"`
		Message    string           `json:"error_message"`
		Statements []map[string]any `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		return fairlead.Invalid("the query could not be read").Hintf("is a number out of range?").Cause(err)
	}
	switch {
	case tree.Error && tree.Type == "parser":
		return fairlead.Invalid("the query is not valid SQL: %s", tree.Message)
	case tree.Error:
		return fairlead.Invalid("only SELECT is possible here (and DESCRIBE, SUMMARIZE, SHOW)").
			Hintf("the evaluation store is read-only for queries")
	case len(tree.Statements) != 1:
		return fairlead.Invalid("expected one statement, got %d", len(tree.Statements)).
			Hintf("send them one after the other")
	}
	hidden, width, err := catalog(ctx, conn)
	if err != nil {
		return err
	}
	if err := hidden.check(tree.Statements[0]); err != nil {
		return err
	}
	_, err = newBounder(width).query(tree.Statements[0]["node"])
	return err
}

// hiddenViews are DuckDB's own views, which tell where the store's file is and how the server is set.
type hiddenViews map[string]bool

// shownViews are those of DuckDB's own that people may read.
var shownViews = words(`duckdb_tables duckdb_columns duckdb_types duckdb_schemas tables columns schemata`)

// catalog gives the views that are hidden, and the number of columns of the widest table.
func catalog(ctx context.Context, conn *sql.Conn) (hiddenViews, int, error) {
	var names string
	var width int
	err := conn.QueryRowContext(ctx, `
		SELECT (SELECT string_agg(DISTINCT view_name, ' ') FROM duckdb_views() WHERE internal),
			(SELECT coalesce(max(column_count), 16) FROM duckdb_tables())`).Scan(&names, &width)
	if err != nil {
		return nil, 0, err
	}
	h := hiddenViews(words(strings.ToLower(names)))
	for name := range shownViews {
		delete(h, name)
	}
	return h, width, nil
}

// check walks a tree and refuses tables that are hidden.
func (h hiddenViews) check(node any) error {
	switch n := node.(type) {
	case []any:
		for _, e := range n {
			if err := h.check(e); err != nil {
				return err
			}
		}
	case map[string]any:
		if kind := str(n["type"]); kind == "BASE_TABLE" || kind == "SHOW_REF" {
			name := strings.ToLower(strings.Trim(str(n["table_name"]), `"`))
			switch schema := strings.ToLower(str(n["schema_name"])); {
			case schema == "" && strings.ContainsAny(name, "/\\*?:"):
				return fairlead.Invalid("the file %s cannot be read here", name).
					Hintf("queries read the tables of the evaluation store only: SHOW TABLES lists them")
			case h[name] && schema != "rows", schema == "pg_catalog", str(n["catalog_name"]) == "temp", str(n["catalog_name"]) == "system":
				return fairlead.Invalid("the table %s cannot be read here", name).
					Hintf("SHOW TABLES lists those that can")
			}
		}
		for _, e := range n {
			if err := h.check(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
