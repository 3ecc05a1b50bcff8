package protocol

import (
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// Config is how a version of a model is run, in the words of the extension model_configuration.
type Config struct {
	Name     string
	Versions []int64 // of it that are loaded, newest first

	// MaxBatch is how many rows one run has at most. It is 0 where an input or output has no free first dimension: then
	// the tensors' dimensions are whole shapes. Else they leave the first one out.
	MaxBatch int
	Inputs   []ConfigTensor
	Outputs  []ConfigTensor

	Batching   bool              // requests are run together
	MaxDelay   time.Duration     // how long one may wait for others while a core is idle
	MaxQueue   int               // requests waiting at most; 0: the server's
	Cache      bool              // answers may be given again
	Parameters map[string]string // what else is worth knowing
}

// ConfigTensor is an input or output. Where Scalar is true the model wants no dimension besides the rows, which the
// protocol writes as dims [1] and reshape [].
type ConfigTensor struct {
	Name   string
	Type   string // TYPE_FP32, …
	Dims   []int64
	Scalar bool
}

// NewConfig describes a version that is loaded in a deployment.
func NewConfig(d *route.Deployment, t *route.Target) Config {
	c := Config{
		Name: string(d.Name), Batching: t.Settings.MaxBatch > 1, MaxDelay: t.Settings.MaxDelay,
		MaxQueue: t.Settings.MaxQueue, Cache: t.Settings.CacheTTL > 0, Parameters: map[string]string{},
	}
	for _, other := range d.Targets() {
		c.Versions = append(c.Versions, int64(other.Version))
	}
	if batches(t.Signature.Inputs) && batches(t.Signature.Outputs) {
		c.MaxBatch = max(t.Settings.MaxBatch, 1)
	}
	c.Batching = c.Batching && c.MaxBatch > 1
	c.Inputs, c.Outputs = tensors(t.Signature.Inputs, c.MaxBatch), tensors(t.Signature.Outputs, c.MaxBatch)
	for key, value := range map[string]string{
		"batching": t.Settings.Batching, "digest": string(t.Digest), "variant": t.Variant,
		"cost_fixed": text(t.Settings.Cost.Fixed), "cost_per_row": text(t.Settings.Cost.PerRow),
	} {
		if value != "" {
			c.Parameters[key] = value
		}
	}
	if t.Settings.Threads > 0 {
		c.Parameters["threads"] = strconv.Itoa(t.Settings.Threads)
	}
	return c
}

func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// batches says whether all tensors have one entry per row of a request, however many there are.
func batches(specs []fairlead.TensorSpec) bool {
	for _, s := range specs {
		if len(s.Shape) == 0 || s.Shape[0] >= 0 {
			return false
		}
	}
	return len(specs) > 0
}

func tensors(specs []fairlead.TensorSpec, maxBatch int) []ConfigTensor {
	ts := make([]ConfigTensor, len(specs))
	for i, s := range specs {
		dims := Shape(s)
		if maxBatch > 0 {
			dims = dims[1:]
		}
		ts[i] = ConfigTensor{Name: s.Name, Type: typeName(s.Type), Dims: dims}
		if len(dims) == 0 {
			ts[i].Dims, ts[i].Scalar = []int64{1}, true
		}
	}
	return ts
}

func typeName(t fairlead.DataType) string {
	if t == fairlead.Bytes {
		return "TYPE_STRING"
	}
	return "TYPE_" + string(t)
}
