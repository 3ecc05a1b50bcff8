package api

import "time"

// Concentration says which segments carry the change of a column: rows of the drifted windows against rows of before.
type Concentration struct {
	Says     string            `json:"says" doc:"in a sentence"`
	Even     bool              `json:"even" doc:"everything moves alike: no segment stands out"`
	Reason   string            `json:"reason,omitempty" doc:"why nothing can be said"`
	Compared string            `json:"compared,omitempty" doc:"what before is"`
	Before   int               `json:"before" doc:"rows looked at"`
	Now      int               `json:"now" doc:"rows looked at"`
	Looked   int               `json:"looked" doc:"segments looked at; the more, the clearer one must stand out"`
	Segments []CarryingSegment `json:"segments" doc:"that carry the change, the first the most; each of the rows outside those before it"`
}

// CarryingSegment is a segment that holds much more of a change than of the rows.
type CarryingSegment struct {
	Name       string       `json:"name,omitempty" doc:"of a saved segment"`
	Where      string       `json:"where" doc:"its predicate, as for a saved segment; empty where none can say it"`
	Label      string       `json:"label" doc:"for people"`
	Part       Estimate     `json:"part" doc:"of the change (PSI) that its rows make"`
	Rows       float64      `json:"rows" doc:"share of the rows now"`
	RowsBefore float64      `json:"rows_before"`
	N          int          `json:"n" doc:"rows looked at now"`
	NBefore    int          `json:"n_before"`
	Kind       string       `json:"kind" enum:"values,rows" doc:"values: within it the column has other values; rows: there are more or fewer of its rows"`
	Inside     *float64     `json:"inside,omitempty" doc:"PSI of the column within the segment, debiased"`
	Outside    *float64     `json:"outside,omitempty" doc:"PSI of the column in all other rows, debiased"`
	Shares     []ValueShare `json:"shares" doc:"values of the column that moved most within it"`
}

// Counterfactual says what a change does to predictions: rows of the drifted windows are asked again with values of the column
// from before in place of theirs.
type Counterfactual struct {
	Says     string           `json:"says" doc:"in a sentence"`
	Clear    bool             `json:"clear" doc:"predictions have moved by more than chance and by enough to matter"`
	Reason   string           `json:"reason,omitempty" doc:"why rows were not asked again; then there are no numbers"`
	Version  int              `json:"version,omitempty" doc:"that was asked"`
	Rows     int              `json:"rows" doc:"asked again"`
	Replaced float64          `json:"replaced" doc:"share of them whose value of the column was replaced"`
	Method   string           `json:"method,omitempty" enum:"quantiles,resampled" doc:"quantiles: each value by the one of the same rank before; resampled: values of which there are too many by those of which there are too few"`
	Compared string           `json:"compared,omitempty" doc:"what before is"`
	Score    *PutBack         `json:"score,omitempty" doc:"mean score"`
	Flips    *Estimate        `json:"flips,omitempty" doc:"share of the rows whose decision would have been another"`
	Chance   *float64         `json:"chance,omitempty" doc:"share of flips by the method alone: half of the rows with values of the other half"`
	Classes  []ClassPutBack   `json:"classes" doc:"share of the rows that are given each class"`
	Accuracy *PutBack         `json:"accuracy,omitempty" doc:"as the scores promise it (CBPE, calibrated on the reference where it has labels), if the values are true"`
	Fault    *AccuracyIfFault `json:"if_fault,omitempty" doc:"if the values are false and those of before are like the true ones"`
}

// PutBack is a number as it is, and with values of before.
type PutBack struct {
	Now    float64  `json:"now"`
	Back   float64  `json:"back" doc:"with values of before"`
	Change Estimate `json:"change" doc:"now less back"`
}

// ClassPutBack is how many rows are given a class.
type ClassPutBack struct {
	Class string `json:"class"`
	PutBack
}

// AccuracyIfFault is what wrong values cost: decisions made on them, judged by the scores of the values put back.
type AccuracyIfFault struct {
	Lost Estimate `json:"lost" doc:"accuracy, as those scores promise it"`
}

// ExampleRow is a row that shows a change.
type ExampleRow struct {
	ID       string         `json:"id" doc:"of the prediction"`
	Time     time.Time      `json:"time"`
	Version  int            `json:"version"`
	Why      string         `json:"why"`
	Value    any            `json:"value" doc:"of the column; null: missing or redacted"`
	Back     any            `json:"back,omitempty" doc:"the value of before that was put in its place"`
	Score    *float64       `json:"score,omitempty"`
	Scored   *float64       `json:"score_back,omitempty" doc:"with that value"`
	Decision string         `json:"decision,omitempty"`
	Decided  string         `json:"decision_back,omitempty"`
	Inputs   []ExampleValue `json:"inputs"`
}

// ExampleValue is an input of an example row.
type ExampleValue struct {
	Name     string `json:"name"`
	Value    any    `json:"value"`
	Redacted bool   `json:"redacted,omitempty"`
}
