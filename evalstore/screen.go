package evalstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// The configuration of the store keeps SQL from files and settings, and the transaction is read-only. Three things
// are left, which only the syntax tree shows: more than one statement, table functions that act on the database
// (checkpoints, logging), and functions that make a huge value of a small one in a single call, which neither
// DuckDB's memory limit nor an interrupt stops: repeat('x', 3000000000) needs three gigabytes and over a minute.

// tableFunctions are those that people may use.
var tableFunctions = map[string]bool{
	"range": true, "generate_series": true, "unnest": true, "json_each": true, "json_tree": true, "summary": true,
	"duckdb_tables": true, "duckdb_views": true, "duckdb_columns": true, "duckdb_types": true, "duckdb_functions": true,
	"duckdb_keywords": true, "duckdb_schemas": true, "pragma_table_info": true, "histogram": true, "histogram_values": true,
}

// refused are functions that make large values, or that tell about the machine.
var refused = map[string]string{
	"repeat": "it can make values of any size", "lpad": "it can make values of any size",
	"rpad": "it can make values of any size", "bar": "it can make values of any size",
	"format": "it can make values of any size", "printf": "it can make values of any size",
	"bitstring": "it can make values of any size", "list_resize": "it can make values of any size",
	"array_resize": "it can make values of any size", "list_pad": "it can make values of any size",
	"range":           "as a scalar it can make values of any size; use it as a table: FROM range(…)",
	"generate_series": "as a scalar it can make values of any size; use it as a table: FROM generate_series(…)",
	"current_setting": "it tells about the server", "getenv": "it tells about the server",
	"write_log": "it writes", "nextval": "it writes", "setseed": "it writes",
}

// growing are functions whose result may be longer than their arguments together; inside of each other they grow
// without bound.
var growing = map[string]bool{
	"replace": true, "regexp_replace": true, "translate": true, "list_transform": true, "array_transform": true,
	"list_apply": true, "array_apply": true, "apply": true, "array_to_string": true, "list_aggregate": true,
	"array_aggregate": true, "list_reduce": true, "reduce": true, "array_reduce": true,
}

// screen refuses a query that is not one SELECT, and one that calls what it must not.
func screen(ctx context.Context, conn *sql.Conn, query string) error {
	var text string
	if err := conn.QueryRowContext(ctx, `SELECT json_serialize_sql(?::VARCHAR)::VARCHAR`, query).Scan(&text); err != nil {
		return err
	}
	var tree struct {
		Error      bool   `json:"error"`
		Type       string `json:"error_type"`
		Message    string `json:"error_message"`
		Statements []any  `json:"statements"`
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
	return screenNode(tree.Statements[0], 0, 0)
}

// maxArray bounds fixed-size array types, whose values take their full size for every row.
const maxArray = 4096

// screenNode walks the tree; depth counts the growing functions around the node, and array is the size of the array
// type around it.
func screenNode(node any, depth int, array float64) error {
	switch n := node.(type) {
	case []any:
		for _, e := range n {
			if err := screenNode(e, depth, array); err != nil {
				return err
			}
		}
	case map[string]any:
		if n["type"] == "TABLE_FUNCTION" {
			return screenTableFunction(n, depth)
		}
		if name, ok := n["function_name"].(string); ok {
			name = strings.ToLower(name)
			if why := refused[name]; why != "" {
				return fairlead.Invalid("the function %s cannot be used here: %s", name, why)
			}
			if growing[name] {
				depth++
			}
			if depth > 2 {
				return fairlead.Invalid("functions that make values longer are nested too deeply at %s", name).
					Hintf("at most two of them inside of each other")
			}
		}
		if n["class"] == "PARAMETER" {
			return fairlead.Invalid("the query has a parameter").Hintf("write the value in its place")
		}
		if n["class"] == "TYPE" && strings.EqualFold(str(n["type_name"]), "array") {
			if array = max(array, 1) * arraySize(n); array > maxArray {
				return fairlead.Invalid("an array type of %.0f elements is too large", array).
					Hintf("at most %d; lists have no such limit", maxArray)
			}
		}
		for _, e := range n {
			if err := screenNode(e, depth, array); err != nil {
				return err
			}
		}
	}
	return nil
}

// arraySize is the last parameter of a fixed-size array type.
func arraySize(n map[string]any) float64 {
	children, _ := n["children"].([]any)
	if len(children) == 0 {
		return math.Inf(1)
	}
	last, _ := children[len(children)-1].(map[string]any)
	value, _ := last["value"].(map[string]any)
	if size, ok := value["value"].(float64); ok {
		return size
	}
	return math.Inf(1)
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

func screenTableFunction(n map[string]any, depth int) error {
	function, _ := n["function"].(map[string]any)
	name := strings.ToLower(str(function["function_name"]))
	if !tableFunctions[name] {
		return fairlead.Invalid("the table function %s cannot be used here", name).
			Hintf("queries read the tables of the evaluation store only, no files and nothing of the network")
	}
	for key, e := range function {
		if key == "function_name" {
			continue
		}
		if err := screenNode(e, depth, 0); err != nil {
			return err
		}
	}
	return nil
}
