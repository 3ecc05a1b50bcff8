package api

import "time"

// Segment is a predicate with a name: some of a deployment's rows.
type Segment struct {
	Name  string    `json:"name" example:"far"`
	Where string    `json:"where" doc:"a predicate on the rows, in CEL's syntax" example:"distance > 1000 && origin in [\"ATL\", \"ORD\"]"`
	By    string    `json:"by,omitempty" doc:"who set it"`
	Set   time.Time `json:"set"`
}

// SegmentRequest sets one.
type SegmentRequest struct {
	Where string `json:"where" minLength:"1" maxLength:"4096" doc:"a predicate on the rows, in CEL's syntax"`
	By    string `json:"by,omitempty"`
}

// Cube is the metrics of segments over time.
type Cube struct {
	Deployment string     `json:"deployment"`
	Grain      string     `json:"grain"`
	Names      []string   `json:"names" doc:"the metrics of the task"`
	Cells      []CubeCell `json:"cells" doc:"in order of segment, version and time"`
}

// CubeCell is one segment in one window of one version.
type CubeCell struct {
	Segment  string              `json:"segment" doc:"a saved segment's name, a predicate, a value of the column asked for, or all"`
	Version  int                 `json:"version"`
	Start    time.Time           `json:"start"`
	N        uint64              `json:"n"`
	Labelled uint64              `json:"labelled"`
	Metrics  map[string]Estimate `json:"metrics" doc:"with 95 % intervals; one that is not defined is absent"`
}

// CubeQuery says what to ask for.
type CubeQuery struct {
	Segments []string // names or predicates; none, and no By: all rows and every saved segment
	By       string   // a column: a segment for each of its most frequent values
	Version  int      // 0: all
	Grain    string
	From, To time.Time
	Limit    int // without From: the latest so many windows; 0: all
}
