package grpcd

import (
	"context"
	"log/slog"

	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// ModelConfig says how a version of a model is run.
func (s *service) ModelConfig(_ context.Context, req *oip.ModelConfigRequest) (*oip.ModelConfigResponse, error) {
	table := s.server.Table()
	t, err := table.Lookup(req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	d, err := table.Deployment(req.Name)
	if err != nil {
		return nil, err
	}
	return &oip.ModelConfigResponse{Config: config(protocol.NewConfig(d, t))}, nil
}

func config(c protocol.Config) *oip.ModelConfig {
	m := &oip.ModelConfig{
		Name: c.Name, Platform: protocol.ConfigPlatform, Backend: protocol.Backend, MaxBatchSize: int32(c.MaxBatch),
		VersionPolicy: &oip.ModelVersionPolicy{PolicyChoice: &oip.ModelVersionPolicy_Specific_{
			Specific: &oip.ModelVersionPolicy_Specific{Versions: c.Versions}}},
		InstanceGroup:          []*oip.ModelInstanceGroup{{Name: c.Name, Kind: oip.ModelInstanceGroup_KIND_CPU, Count: 1}},
		Parameters:             map[string]*oip.ModelParameter{},
		ModelTransactionPolicy: &oip.ModelTransactionPolicy{},
		ResponseCache:          &oip.ModelResponseCache{Enable: c.Cache},
	}
	for key, value := range c.Parameters {
		m.Parameters[key] = &oip.ModelParameter{StringValue: value}
	}
	reshape := func(t protocol.ConfigTensor) *oip.ModelTensorReshape {
		if t.Scalar {
			return &oip.ModelTensorReshape{}
		}
		return nil
	}
	for _, t := range c.Inputs {
		m.Input = append(m.Input, &oip.ModelInput{Name: t.Name, DataType: oip.DataType(oip.DataType_value[t.Type]), Dims: t.Dims,
			Reshape: reshape(t)})
	}
	for _, t := range c.Outputs {
		m.Output = append(m.Output, &oip.ModelOutput{Name: t.Name, DataType: oip.DataType(oip.DataType_value[t.Type]), Dims: t.Dims,
			Reshape: reshape(t)})
	}
	if c.Batching {
		m.SchedulingChoice = &oip.ModelConfig_DynamicBatching{DynamicBatching: &oip.ModelDynamicBatching{
			MaxQueueDelayMicroseconds: uint64(c.MaxDelay.Microseconds()),
			DefaultQueuePolicy:        &oip.ModelQueuePolicy{AllowTimeoutOverride: true, MaxQueueSize: uint32(c.MaxQueue)}}}
	}
	return m
}

// ModelStatistics sums up the requests of one version, of a model's versions, or of all models.
func (s *service) ModelStatistics(_ context.Context, req *oip.ModelStatisticsRequest) (*oip.ModelStatisticsResponse, error) {
	all, err := protocol.AllStatistics(s.server, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	answer := &oip.ModelStatisticsResponse{}
	for _, v := range all {
		m := &oip.ModelStatistics{
			Name: string(v.Deployment), Version: v.Version.String(), InferenceCount: v.Rows, ExecutionCount: v.Runs,
			InferenceStats: &oip.InferStatistics{Success: total(v.Success), Fail: total(v.Fail), Queue: total(v.Queue),
				ComputeInput: total(v.Decode), ComputeInfer: total(v.Run), ComputeOutput: total(v.Encode),
				CacheHit: total(v.CacheHit), CacheMiss: total(v.CacheMiss)},
		}
		if !v.Last.IsZero() {
			m.LastInference = uint64(v.Last.UnixMilli())
		}
		for _, b := range v.Batches {
			m.BatchStats = append(m.BatchStats, &oip.InferBatchStatistics{BatchSize: b.Rows, ComputeInput: &oip.StatisticDuration{},
				ComputeInfer: total(b.Run), ComputeOutput: &oip.StatisticDuration{}})
		}
		if v.Memory > 0 {
			m.MemoryUsage = append(m.MemoryUsage, &oip.MemoryUsage{Type: "CPU", ByteSize: uint64(v.Memory)})
		}
		answer.ModelStats = append(answer.ModelStats, m)
	}
	return answer, nil
}

func total(t meter.Total) *oip.StatisticDuration {
	return &oip.StatisticDuration{Count: t.Count, Ns: uint64(t.Time)}
}

// RepositoryIndex lists the models of the repository.
func (s *service) RepositoryIndex(ctx context.Context, req *oip.RepositoryIndexRequest) (*oip.RepositoryIndexResponse, error) {
	states, err := s.repository.Index(ctx, req.Ready)
	if err != nil {
		return nil, err
	}
	answer := &oip.RepositoryIndexResponse{}
	for _, m := range states {
		answer.Models = append(answer.Models, &oip.RepositoryIndexResponse_ModelIndex{Name: m.Name, Version: m.Version, State: m.State, Reason: m.Reason})
	}
	return answer, nil
}

// RepositoryModelLoad makes a model ready, of the files in the request if there are some.
func (s *service) RepositoryModelLoad(ctx context.Context, req *oip.RepositoryModelLoadRequest) (*oip.RepositoryModelLoadResponse, error) {
	if err := s.repository.Load(ctx, req.ModelName, repositoryValues(req.Parameters)); err != nil {
		return nil, err
	}
	return &oip.RepositoryModelLoadResponse{}, nil
}

// RepositoryModelUnload takes a model out of service.
func (s *service) RepositoryModelUnload(ctx context.Context, req *oip.RepositoryModelUnloadRequest) (*oip.RepositoryModelUnloadResponse, error) {
	if err := s.repository.Unload(ctx, req.ModelName, repositoryValues(req.Parameters)); err != nil {
		return nil, err
	}
	return &oip.RepositoryModelUnloadResponse{}, nil
}

func repositoryValues(parameters map[string]*oip.ModelRepositoryParameter) map[string]any {
	m := make(map[string]any, len(parameters))
	for key, p := range parameters {
		switch v := p.GetParameterChoice().(type) {
		case *oip.ModelRepositoryParameter_BoolParam:
			m[key] = v.BoolParam
		case *oip.ModelRepositoryParameter_Int64Param:
			m[key] = v.Int64Param
		case *oip.ModelRepositoryParameter_StringParam:
			m[key] = v.StringParam
		case *oip.ModelRepositoryParameter_BytesParam:
			m[key] = v.BytesParam
		}
	}
	return m
}

// SystemSharedMemoryStatus is an empty list: no region can be registered.
func (s *service) SystemSharedMemoryStatus(context.Context, *oip.SystemSharedMemoryStatusRequest) (*oip.SystemSharedMemoryStatusResponse, error) {
	return &oip.SystemSharedMemoryStatusResponse{}, nil
}

// SystemSharedMemoryRegister is not supported.
func (s *service) SystemSharedMemoryRegister(context.Context, *oip.SystemSharedMemoryRegisterRequest) (*oip.SystemSharedMemoryRegisterResponse, error) {
	return nil, protocol.Unsupported(protocol.SharedMemory)
}

// SystemSharedMemoryUnregister is not supported.
func (s *service) SystemSharedMemoryUnregister(context.Context, *oip.SystemSharedMemoryUnregisterRequest) (*oip.SystemSharedMemoryUnregisterResponse, error) {
	return nil, protocol.Unsupported(protocol.SharedMemory)
}

// CudaSharedMemoryStatus is an empty list: no region can be registered.
func (s *service) CudaSharedMemoryStatus(context.Context, *oip.CudaSharedMemoryStatusRequest) (*oip.CudaSharedMemoryStatusResponse, error) {
	return &oip.CudaSharedMemoryStatusResponse{}, nil
}

// CudaSharedMemoryRegister is not supported.
func (s *service) CudaSharedMemoryRegister(context.Context, *oip.CudaSharedMemoryRegisterRequest) (*oip.CudaSharedMemoryRegisterResponse, error) {
	return nil, protocol.Unsupported(protocol.SharedMemory)
}

// CudaSharedMemoryUnregister is not supported.
func (s *service) CudaSharedMemoryUnregister(context.Context, *oip.CudaSharedMemoryUnregisterRequest) (*oip.CudaSharedMemoryUnregisterResponse, error) {
	return nil, protocol.Unsupported(protocol.SharedMemory)
}

// TraceSetting is not supported.
func (s *service) TraceSetting(context.Context, *oip.TraceSettingRequest) (*oip.TraceSettingResponse, error) {
	return nil, protocol.Unsupported(protocol.Tracing)
}

// LogSettings says what is logged; it cannot be changed.
func (s *service) LogSettings(ctx context.Context, req *oip.LogSettingsRequest) (*oip.LogSettingsResponse, error) {
	if len(req.Settings) > 0 {
		return nil, protocol.Unsupported(protocol.Logging)
	}
	logs := func(l slog.Level) *oip.LogSettingsResponse_SettingValue {
		return &oip.LogSettingsResponse_SettingValue{
			ParameterChoice: &oip.LogSettingsResponse_SettingValue_BoolParam{BoolParam: s.o.Log.Enabled(ctx, l)}}
	}
	return &oip.LogSettingsResponse{Settings: map[string]*oip.LogSettingsResponse_SettingValue{
		"log_info": logs(slog.LevelInfo), "log_warning": logs(slog.LevelWarn), "log_error": logs(slog.LevelError)}}, nil
}
