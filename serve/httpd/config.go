package httpd

import (
	"net/http"
	"time"

	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// modelConfig is a model's configuration as the extension model_configuration writes it.
type modelConfig struct {
	Name          string              `json:"name"`
	Platform      string              `json:"platform"`
	Backend       string              `json:"backend"`
	VersionPolicy any                 `json:"version_policy"`
	MaxBatchSize  int                 `json:"max_batch_size"`
	Input         []configTensor      `json:"input"`
	Output        []configTensor      `json:"output"`
	Instances     []instanceGroup     `json:"instance_group"`
	Batching      *dynamicBatching    `json:"dynamic_batching,omitempty"`
	Parameters    map[string]any      `json:"parameters"`
	Transactions  map[string]bool     `json:"model_transaction_policy"`
	Cache         responseCacheConfig `json:"response_cache"`
}

type configTensor struct {
	Name     string         `json:"name"`
	DataType string         `json:"data_type"`
	Dims     []int64        `json:"dims"`
	Reshape  *reshapeConfig `json:"reshape,omitempty"`
}

type reshapeConfig struct {
	Shape []int64 `json:"shape"`
}

type instanceGroup struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

type dynamicBatching struct {
	Preferred []int       `json:"preferred_batch_size"`
	MaxDelay  int64       `json:"max_queue_delay_microseconds"`
	Ordering  bool        `json:"preserve_ordering"`
	Queue     queuePolicy `json:"default_queue_policy"`
}

type queuePolicy struct {
	Action   string `json:"timeout_action"`
	Timeout  int64  `json:"default_timeout_microseconds"`
	Override bool   `json:"allow_timeout_override"`
	MaxQueue int    `json:"max_queue_size"`
}

type responseCacheConfig struct {
	Enable bool `json:"enable"`
}

// config answers with a model's configuration.
func (h *Handler) config(w http.ResponseWriter, name, version string) error {
	table := h.server.Table()
	t, err := table.Lookup(name, version)
	if err != nil {
		return err
	}
	d, err := table.Deployment(name)
	if err != nil {
		return err
	}
	c := protocol.NewConfig(d, t)
	answer := modelConfig{
		Name: c.Name, Platform: protocol.ConfigPlatform, Backend: protocol.Backend, MaxBatchSize: c.MaxBatch,
		VersionPolicy: map[string]any{"specific": map[string]any{"versions": c.Versions}},
		Input:         configTensors(c.Inputs), Output: configTensors(c.Outputs),
		Instances:  []instanceGroup{{Name: c.Name, Kind: "KIND_CPU", Count: 1}},
		Parameters: map[string]any{}, Transactions: map[string]bool{"decoupled": false},
		Cache: responseCacheConfig{Enable: c.Cache},
	}
	for key, value := range c.Parameters {
		answer.Parameters[key] = map[string]string{"string_value": value}
	}
	if c.Batching {
		answer.Batching = &dynamicBatching{Preferred: []int{}, MaxDelay: c.MaxDelay.Microseconds(),
			Queue: queuePolicy{Action: "REJECT", Override: true, MaxQueue: c.MaxQueue}}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func configTensors(tensors []protocol.ConfigTensor) []configTensor {
	ts := make([]configTensor, len(tensors))
	for i, t := range tensors {
		ts[i] = configTensor{Name: t.Name, DataType: t.Type, Dims: t.Dims}
		if t.Scalar {
			ts[i].Reshape = &reshapeConfig{Shape: []int64{}}
		}
	}
	return ts
}

// modelStatistics are the totals of one version as the extension statistics writes them.
type modelStatistics struct {
	Name          string           `json:"name"`
	Version       string           `json:"version"`
	LastInference int64            `json:"last_inference"` // milliseconds since 1970
	Rows          uint64           `json:"inference_count"`
	Runs          uint64           `json:"execution_count"`
	Inference     inferStatistics  `json:"inference_stats"`
	Responses     struct{}         `json:"response_stats"` // of models that answer a request several times
	Batches       []batchStatistic `json:"batch_stats"`
	Memory        []memoryUsage    `json:"memory_usage"`
}

type inferStatistics struct {
	Success   duration `json:"success"`
	Fail      duration `json:"fail"`
	Queue     duration `json:"queue"`
	Input     duration `json:"compute_input"`
	Infer     duration `json:"compute_infer"`
	Output    duration `json:"compute_output"`
	CacheHit  duration `json:"cache_hit"`
	CacheMiss duration `json:"cache_miss"`
}

type batchStatistic struct {
	Size   uint64   `json:"batch_size"`
	Input  duration `json:"compute_input"` // what reading and writing takes is not known by batch size
	Infer  duration `json:"compute_infer"`
	Output duration `json:"compute_output"`
}

type memoryUsage struct {
	Type  string `json:"type"`
	ID    int    `json:"id"`
	Bytes int64  `json:"byte_size"`
}

type duration struct {
	Count uint64        `json:"count"`
	Time  time.Duration `json:"ns"`
}

func total(t meter.Total) duration { return duration{t.Count, t.Time} }

// statistics answers with the totals of one version, of a model's versions, or of all models.
func (h *Handler) statistics(w http.ResponseWriter, name, version string) error {
	all, err := protocol.AllStatistics(h.server, name, version)
	if err != nil {
		return err
	}
	list := make([]modelStatistics, len(all))
	for i, s := range all {
		m := modelStatistics{
			Name: string(s.Deployment), Version: s.Version.String(), Rows: s.Rows, Runs: s.Runs,
			Inference: inferStatistics{Success: total(s.Success), Fail: total(s.Fail), Queue: total(s.Queue),
				Input: total(s.Decode), Infer: total(s.Run), Output: total(s.Encode),
				CacheHit: total(s.CacheHit), CacheMiss: total(s.CacheMiss)},
			Batches: []batchStatistic{}, Memory: []memoryUsage{},
		}
		if !s.Last.IsZero() {
			m.LastInference = s.Last.UnixMilli()
		}
		for _, b := range s.Batches {
			m.Batches = append(m.Batches, batchStatistic{Size: b.Rows, Infer: total(b.Run)})
		}
		if s.Memory > 0 {
			m.Memory = append(m.Memory, memoryUsage{Type: "CPU", Bytes: s.Memory})
		}
		list[i] = m
	}
	writeJSON(w, http.StatusOK, map[string]any{"model_stats": list})
	return nil
}
