package loadgen

import (
	"context"
	"time"
)

// Anatomy is what the server itself counted, by the statistics extension of the protocol. Two of them give what lies
// between.
type Anatomy struct {
	Rows, Runs, Successes, Failures int64
	Queue, Input, Infer, Output     time.Duration // of the successful, together
	QueueCount, InputCount          int64
	InferCount, OutputCount         int64
	CacheHits                       int64
}

type stage struct {
	Count int64 `json:"count"`
	Ns    int64 `json:"ns"`
}

type statistics struct {
	ModelStats []struct {
		InferenceCount int64 `json:"inference_count"`
		ExecutionCount int64 `json:"execution_count"`
		InferenceStats struct {
			Success  stage `json:"success"`
			Fail     stage `json:"fail"`
			Queue    stage `json:"queue"`
			Input    stage `json:"compute_input"`
			Infer    stage `json:"compute_infer"`
			Output   stage `json:"compute_output"`
			CacheHit stage `json:"cache_hit"`
		} `json:"inference_stats"`
	} `json:"model_stats"`
}

// Anatomy asks for the model's statistics since its server started, of all its versions together. A server without the
// extension gives an error.
func (s *Server) Anatomy(ctx context.Context, model, version string) (Anatomy, error) {
	var all statistics
	if err := s.get(ctx, s.Path(model, version)+"/stats", &all); err != nil {
		return Anatomy{}, err
	}
	var a Anatomy
	for _, m := range all.ModelStats {
		i := m.InferenceStats
		a.Rows += m.InferenceCount
		a.Runs += m.ExecutionCount
		a.Successes += i.Success.Count
		a.Failures += i.Fail.Count
		a.CacheHits += i.CacheHit.Count
		for _, part := range []struct {
			from  stage
			total *time.Duration
			count *int64
		}{{i.Queue, &a.Queue, &a.QueueCount}, {i.Input, &a.Input, &a.InputCount}, {i.Infer, &a.Infer, &a.InferCount}, {i.Output, &a.Output, &a.OutputCount}} {
			*part.total += time.Duration(part.from.Ns)
			*part.count += part.from.Count
		}
	}
	return a, nil
}

// Since is what came after before.
func (a Anatomy) Since(before Anatomy) Anatomy {
	return Anatomy{
		Rows: a.Rows - before.Rows, Runs: a.Runs - before.Runs, Successes: a.Successes - before.Successes, Failures: a.Failures - before.Failures,
		Queue: a.Queue - before.Queue, Input: a.Input - before.Input, Infer: a.Infer - before.Infer, Output: a.Output - before.Output,
		QueueCount: a.QueueCount - before.QueueCount, InputCount: a.InputCount - before.InputCount,
		InferCount: a.InferCount - before.InferCount, OutputCount: a.OutputCount - before.OutputCount, CacheHits: a.CacheHits - before.CacheHits,
	}
}

// RowsPerRun is the mean size of a batch, 0 where nothing was run.
func (a Anatomy) RowsPerRun() float64 {
	if a.Runs <= 0 {
		return 0
	}
	return float64(a.Rows) / float64(a.Runs)
}

// Mean is the mean of a stage's total over its count, 0 for none.
func Mean(total time.Duration, count int64) time.Duration {
	if count <= 0 {
		return 0
	}
	return total / time.Duration(count)
}
