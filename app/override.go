package app

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// override is what a client may change of how a model is run when it loads it; nil fields are as the bundle says.
type override struct {
	MaxBatch *int           `json:"max_batch,omitempty"` // 0: decided by measurement; 1: off
	Delay    *time.Duration `json:"delay,omitempty"`
	Cache    *bool          `json:"cache,omitempty"`
}

func sameOverride(a, b *override) bool {
	if a == nil || b == nil {
		return a == b
	}
	return equal(a.MaxBatch, b.MaxBatch) && equal(a.Delay, b.Delay) && equal(a.Cache, b.Cache)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// described are the keys of a model configuration that say what the graph says anyway.
var describedKeys = []string{"name", "platform", "backend", "runtime", "input", "output", "default_model_filename", "parameters"}

const overrideKeys = "max_batch_size, dynamic_batching.max_queue_delay_microseconds and response_cache.enable"

// parseOverride reads a model configuration in the protocol's JSON; "" gives nil. Keys that would change how the model is
// run in a way that fairlead does not offer are refused.
func parseOverride(name fairlead.Name, config string) (*override, error) {
	if config == "" {
		return nil, nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &keys); err != nil {
		return nil, fairlead.Invalid("the parameter config is not a JSON object: %v", err).
			Hintf(`for example {"max_batch_size": 8}; it may set %s`, overrideKeys)
	}
	o := &override{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		var err error
		switch key {
		case "max_batch_size":
			err = o.readMaxBatch(keys[key])
		case "dynamic_batching":
			err = o.readBatching(keys[key])
		case "response_cache":
			err = o.readCache(keys[key])
		case "name":
			var said string
			if json.Unmarshal(keys[key], &said) != nil || said != "" && said != string(name) {
				err = fairlead.Invalid("the configuration is of a model called %s, not of %q", keys[key], name)
			}
		default:
			if !slices.Contains(describedKeys, key) {
				err = unknownKey(key)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	// Without a batch size a delay means that the model batches as it can; a size of 1 and a delay contradict each other.
	if o.MaxBatch != nil && *o.MaxBatch == 1 && o.Delay != nil && *o.Delay > 0 {
		return nil, fairlead.Invalid("max_batch_size switches batching off, and dynamic_batching.max_queue_delay_microseconds wants it").
			Hintf("leave one of them out")
	}
	return o, nil
}

func unknownKey(key string) error {
	return fairlead.Errorf(fairlead.CodeUnsupported, "the configuration key %q cannot be set when a model is loaded", key).
		Hintf("it may set %s", overrideKeys)
}

// readMaxBatch takes Triton's meaning: 0 is a model that does not batch.
func (o *override) readMaxBatch(raw json.RawMessage) error {
	var n int
	if err := json.Unmarshal(raw, &n); err != nil || n < 0 || n > 1<<20 {
		return fairlead.Invalid("max_batch_size is %.40s, expected a number from 0 (no batching) to %d", raw, 1<<20)
	}
	n = max(n, 1)
	o.MaxBatch = &n
	return nil
}

func (o *override) readBatching(raw json.RawMessage) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return fairlead.Invalid("dynamic_batching is %.40s, expected an object", raw)
	}
	for key, value := range keys {
		if key != "max_queue_delay_microseconds" {
			return unknownKey("dynamic_batching." + key)
		}
		// 64-bit numbers are texts in protobuf's JSON.
		var us json.Number
		if err := json.Unmarshal([]byte(strings.Trim(string(value), `"`)), &us); err != nil {
			return fairlead.Invalid("%s is %.40s, expected a number of microseconds", key, value)
		}
		n, err := us.Int64()
		delay := time.Duration(n) * time.Microsecond
		if err != nil || n < 0 || n > int64(time.Minute/time.Microsecond) {
			return fairlead.Invalid("%s is %.40s, expected 0 to %d microseconds", key, value, time.Minute/time.Microsecond)
		}
		o.Delay = &delay
	}
	return nil
}

func (o *override) readCache(raw json.RawMessage) error {
	var cache struct {
		Enable *bool `json:"enable"`
	}
	if err := json.Unmarshal(raw, &cache); err != nil || cache.Enable == nil {
		return fairlead.Invalid(`response_cache is %.40s, expected {"enable": true} or {"enable": false}`, raw)
	}
	o.Cache = cache.Enable
	return nil
}
