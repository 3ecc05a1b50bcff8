package api

// RowsTable is the name under which a deployment's rows are exported.
const RowsTable = "rows"

// ExportFile is a Parquet file of one day of a table of a deployment.
type ExportFile struct {
	Table string `json:"table"`
	RowFile
	Grows bool   `json:"grows,omitempty" doc:"the day only gains rows, or loses them to retention: a copy with more rows is the more complete one"`
	Path  string `json:"path" doc:"where a GET gives the file; of a table other than rows it gives the day as it is then, and the header Fairlead-File says the name that goes with it"`
}

// Headers of an exported file of a table other than rows.
const (
	FileHeader = "Fairlead-File"
	RowsHeader = "Fairlead-Rows"
)
