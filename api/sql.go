package api

// SQLRequest is the body of POST /api/v1/sql.
type SQLRequest struct {
	Query  string `json:"query" minLength:"1"`
	Limit  int    `json:"limit,omitempty" doc:"rows at most; 10,000 if absent" maximum:"10000000"`
	Format string `json:"format,omitempty" enum:"json,csv,arrow,parquet" doc:"of the answer; absent: what the header Accept asks for, else json"`
}

// SQLAnswer is a table.
type SQLAnswer struct {
	Columns   []string `json:"columns"`
	Types     []string `json:"types" doc:"DuckDB's type names"`
	Rows      [][]any  `json:"rows"`
	Truncated bool     `json:"truncated" doc:"there were more rows than the limit"`
	Seconds   float64  `json:"seconds"`
}

// SQLWritten is what the trailers of an answer in another format than JSON say.
type SQLWritten struct {
	Rows      int
	Truncated bool // a limit of rows or bytes ended it
}

// Trailers of an answer of POST /api/v1/sql in another format than JSON: they come after its body.
const (
	RowsTrailer      = "Fairlead-Rows"
	TruncatedTrailer = "Fairlead-Truncated"
)

// SQLTypes are the media types of the formats.
var SQLTypes = map[string]string{
	"json": "application/json", "csv": "text/csv; charset=utf-8", "arrow": "application/vnd.apache.arrow.stream",
	"parquet": "application/vnd.apache.parquet",
}

// SQLTable is one table or view of GET /api/v1/sql/schema.
type SQLTable struct {
	Name    string      `json:"name" doc:"as it is written in a query"`
	About   string      `json:"about"`
	Columns []SQLColumn `json:"columns"`
}

// SQLColumn is one of its columns.
type SQLColumn struct {
	Name string `json:"name"`
	Type string `json:"type" doc:"DuckDB's type name"`
}
