package fairlead

import (
	"strconv"
	"time"
)

// Anatomy is where the time of one request went.
type Anatomy struct {
	Decode, Queue, Run, Encode time.Duration
}

// Total is the sum of the stages.
func (a Anatomy) Total() time.Duration { return a.Decode + a.Queue + a.Run + a.Encode }

// RowMeta is what a client may say about one row of a request.
type RowMeta struct {
	ID   string            `json:"id,omitempty"`   // prediction id; made by the server if empty
	Time time.Time         `json:"time,omitzero"`  // event time; arrival if zero
	Key  string            `json:"key,omitempty"`  // entity key
	Tags map[string]string `json:"tags,omitempty"` // free
}

// Prediction is one answered request of n rows. It is not changed after it was handed to a recorder.
type Prediction struct {
	ID         string // request id
	Deployment Name
	Model      Name
	Version    Version
	Digest     Digest
	Variant    string
	Role       Role
	Received   time.Time // wall clock
	Rows       []RowMeta // length n; ID and Time are filled in
	Inputs     []Tensor  // first dimension n
	Outputs    []Tensor  // first dimension n
	Latency    Anatomy
	Cached     bool
	// Probability with which each row was chosen to be stored; nil: 1 for all.
	Probability []float64
	// Disagrees says of each row of a shadow that its answer is not that of the live version; nil: none, or not known.
	Disagrees []bool
}

// RowID is the prediction id of row i of a request of n rows when the client gave none: the request id itself for a
// single row, else the request id, '.', and the row number from 0.
func RowID(request string, i, n int) string {
	if n == 1 {
		return request
	}
	return request + "." + strconv.Itoa(i)
}
