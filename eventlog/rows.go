package eventlog

import (
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// MaxRows is how many rows one message may hold.
const MaxRows = 1 << 16

// Rows is a decoded message of the PREDICTIONS stream: n rows of one version of one deployment, column by column.
// Every slice has N elements unless its comment says otherwise.
type Rows struct {
	Deployment fairlead.Name
	Model      fairlead.Name
	Version    fairlead.Version
	Digest     fairlead.Digest

	N         int
	ID        []string // prediction id
	Request   []string // request id
	EventTime []time.Time
	Received  []time.Time
	Role      []fairlead.Role
	Variant   []string
	Key       []string            // "" where the client gave none
	Tags      []map[string]string // nil where the client gave none
	Latency   []time.Duration     // in whole microseconds
	Cached    []bool
	// Probability with which each row was chosen to be stored; nil: 1 for all. A row stands for 1/Probability answered ones.
	Probability []float64
	// Counts of the answers that these rows were chosen from, by role and minute; nil: they came in the stream of profiles.
	Counts []ProfileDelta

	Columns   []Column // inputs first, in the order of the signature
	Score     int      // the column with the score or value; -1: none
	Predicted int      // the column with the predicted label; -1: none
}

// Column is one scalar field, or a whole tensor that has no scalar fields.
type Column struct {
	Field fairlead.Field
	Shape []int64 // of one row of a tensor as its signature has it, -1 free; nil for a scalar
	Data  any     // as fairlead.Tensor.Data, all rows after each other
	// Offsets of a tensor: row i is Data[Offsets[i]:Offsets[i+1]]; N+1 elements. nil for a scalar.
	Offsets []int32
	Null    []bool // nil when every row has a value
}

// IsNull says whether row i has no value: the tensor was not among those of its prediction.
func (c *Column) IsNull(i int) bool { return c.Null != nil && c.Null[i] }

// columnsOf lists what of a signature is stored.
func columnsOf(sig *fairlead.Signature) []Column {
	fields := sig.Fields()
	columns := make([]Column, 0, len(fields))
	covered := make(map[string]bool)
	for _, f := range fields {
		columns = append(columns, Column{Field: f})
		covered[f.Tensor] = true
	}
	wide := func(specs []fairlead.TensorSpec, output bool) {
		for _, s := range specs {
			if covered[s.Name] {
				continue
			}
			shape := []int64{}
			if len(s.Shape) > 1 {
				shape = slices.Clone(s.Shape[1:])
			}
			columns = append(columns, Column{
				Field: fairlead.Field{Name: s.Name, Tensor: s.Name, Output: output, Type: s.Type, Role: s.Role},
				Shape: shape,
			})
		}
	}
	wide(sig.Inputs, false)
	wide(sig.Outputs, true)
	slices.SortStableFunc(columns, func(a, b Column) int {
		switch {
		case a.Field.Output == b.Field.Output:
			return 0
		case a.Field.Output:
			return 1
		}
		return -1
	})
	return columns
}

func findScore(columns []Column) int {
	return slices.IndexFunc(columns, func(c Column) bool {
		return c.Shape == nil && c.Field.Output &&
			(c.Field.Role == fairlead.RoleScore || c.Field.Role == fairlead.RoleValue)
	})
}

func findPredicted(columns []Column) int {
	return slices.IndexFunc(columns, func(c Column) bool {
		return c.Shape == nil && c.Field.Output && c.Field.Role == fairlead.RoleLabel
	})
}

// ScoreAt is the score of row i, false if there is none or it is no number.
func (r *Rows) ScoreAt(i int) (float64, bool) {
	if r.Score < 0 || r.Columns[r.Score].IsNull(i) {
		return 0, false
	}
	c := &r.Columns[r.Score]
	t := fairlead.Tensor{Type: c.Field.Type, Data: c.Data}
	return t.Float(i)
}

// PredictedAt is the predicted label of row i as labels are written: a class name, or a number in decimal; "" if the
// model gives none.
func (r *Rows) PredictedAt(i int) string {
	if r.Predicted < 0 || r.Columns[r.Predicted].IsNull(i) {
		return ""
	}
	c := &r.Columns[r.Predicted]
	switch d := c.Data.(type) {
	case []string:
		return d[i]
	case []bool:
		return strconv.FormatBool(d[i])
	case []uint64:
		return strconv.FormatUint(d[i], 10)
	case []int64:
		return strconv.FormatInt(d[i], 10)
	case []float32:
		return strconv.FormatFloat(float64(d[i]), 'f', -1, 32)
	}
	t := fairlead.Tensor{Type: c.Field.Type, Data: c.Data}
	f, _ := t.Float(i)
	return strconv.FormatFloat(f, 'f', -1, 64)
}
