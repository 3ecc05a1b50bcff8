package api

// RowFile is a Parquet file of one day's rows of a deployment.
type RowFile struct {
	Folder string `json:"folder" doc:"where the file is in the partition layout: deployment=NAME/date=YYYY-MM-DD"`
	Date   string `json:"date" doc:"day of event time"`
	File   string `json:"file"`
	Rows   uint64 `json:"rows"`
	Bytes  uint64 `json:"bytes,omitempty" doc:"absent: the day is not closed, the file is made when it is asked for"`
	SHA256 string `json:"sha256,omitempty"`
}
