package grpcd_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
)

// shelf is a repository that remembers what it was asked.
type shelf struct{ asked []string }

func (s *shelf) Index(context.Context) ([]serve.ModelState, error) {
	return []serve.ModelState{{Name: "echo", Version: "1", State: serve.StateReady},
		{Name: "old", Version: "2", State: serve.StateUnavailable, Reason: "unloaded"}}, nil
}

func (s *shelf) Load(_ context.Context, name string, o serve.LoadOptions) error {
	if name == "nobody" {
		return fairlead.NotFound("the registry has no model %q", name)
	}
	s.asked = append(s.asked, fmt.Sprintf("load %s %s %s", name, o.Config, o.Files["1/model.onnx"]))
	return nil
}

func (s *shelf) Unload(_ context.Context, name string) error {
	s.asked = append(s.asked, "unload "+name)
	return nil
}

func TestRepository(t *testing.T) {
	var s shelf
	b := start(t, serve.Options{}, grpcd.Options{Repository: &s})
	ctx := t.Context()
	index, err := b.client.RepositoryIndex(ctx, &oip.RepositoryIndexRequest{})
	want := &oip.RepositoryIndexResponse{Models: []*oip.RepositoryIndexResponse_ModelIndex{{Name: "echo", Version: "1", State: "READY"},
		{Name: "old", Version: "2", State: "UNAVAILABLE", Reason: "unloaded"}}}
	if diff := cmp.Diff(want, index, protocmp.Transform()); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if index, err = b.client.RepositoryIndex(ctx, &oip.RepositoryIndexRequest{Ready: true}); err != nil || len(index.Models) != 1 {
		t.Error(index, err)
	}
	_, err = b.client.RepositoryModelLoad(ctx, &oip.RepositoryModelLoadRequest{ModelName: "new", Parameters: map[string]*oip.ModelRepositoryParameter{
		"config":            {ParameterChoice: &oip.ModelRepositoryParameter_StringParam{StringParam: "{}"}},
		"file:1/model.onnx": {ParameterChoice: &oip.ModelRepositoryParameter_BytesParam{BytesParam: []byte("ONNX")}}}})
	if err != nil {
		t.Error(err)
	}
	_, err = b.client.RepositoryModelUnload(ctx, &oip.RepositoryModelUnloadRequest{ModelName: "old",
		Parameters: map[string]*oip.ModelRepositoryParameter{"unload_dependents": {ParameterChoice: &oip.ModelRepositoryParameter_BoolParam{}}}})
	if err != nil {
		t.Error(err)
	}
	if want := []string{"load new {} ONNX", "unload old"}; !slices.Equal(want, s.asked) {
		t.Errorf("the repository was asked %q, want %q", s.asked, want)
	}
	if _, err = b.client.RepositoryModelLoad(ctx, &oip.RepositoryModelLoadRequest{ModelName: "nobody"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	meta, err := b.client.ServerMetadata(ctx, &oip.ServerMetadataRequest{})
	if err != nil || !slices.Contains(meta.Extensions, "model_repository") || slices.Contains(meta.Extensions, "sequence") {
		t.Error(meta, err)
	}
}

// TestConfig: dims leave out the rows where the model takes any number of them, and there are no batches where not.
func TestConfig(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	got, err := b.client.ModelConfig(t.Context(), &oip.ModelConfigRequest{Name: "two"})
	if err != nil {
		t.Fatal(err)
	}
	want := &oip.ModelConfig{
		Name: "two", Platform: "onnxruntime_onnx", Backend: "onnxruntime", MaxBatchSize: 1,
		VersionPolicy: &oip.ModelVersionPolicy{PolicyChoice: &oip.ModelVersionPolicy_Specific_{
			Specific: &oip.ModelVersionPolicy_Specific{Versions: []int64{1}}}},
		InstanceGroup: []*oip.ModelInstanceGroup{{Name: "two", Kind: oip.ModelInstanceGroup_KIND_CPU, Count: 1}},
		Input: []*oip.ModelInput{{Name: "x", DataType: oip.DataType_TYPE_FP32, Dims: []int64{1}},
			{Name: "origin", DataType: oip.DataType_TYPE_STRING, Dims: []int64{1}}},
		Output: []*oip.ModelOutput{{Name: "double", DataType: oip.DataType_TYPE_FP32, Dims: []int64{1}},
			{Name: "where", DataType: oip.DataType_TYPE_STRING, Dims: []int64{1}, Reshape: &oip.ModelTensorReshape{}}},
		ModelTransactionPolicy: &oip.ModelTransactionPolicy{}, ResponseCache: &oip.ModelResponseCache{},
	}
	if diff := cmp.Diff(want, got.Config, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	got, err = b.client.ModelConfig(t.Context(), &oip.ModelConfigRequest{Name: "identity-bf16", Version: "1"})
	if err != nil || got.Config.MaxBatchSize != 0 || !slices.Equal(got.Config.Input[0].Dims, []int64{-1}) ||
		got.Config.Input[0].DataType != oip.DataType_TYPE_BF16 {
		t.Error(got, err)
	}
}

func TestStatistics(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	ctx := t.Context()
	for _, model := range []string{"echo", "echo", "fails"} {
		_, err := b.client.ModelInfer(ctx, echoRequest(model, 1, 2, 3, 4))
		if (err == nil) != (model == "echo") {
			t.Fatal(err)
		}
	}
	all, err := b.client.ModelStatistics(ctx, &oip.ModelStatisticsRequest{})
	if err != nil || len(all.ModelStats) != 20 { // every model that is loaded
		t.Fatal(len(all.ModelStats), err)
	}
	got, err := b.client.ModelStatistics(ctx, &oip.ModelStatisticsRequest{Name: "echo"})
	if err != nil || len(got.ModelStats) != 1 {
		t.Fatal(got, err)
	}
	s := got.ModelStats[0]
	if s.Name != "echo" || s.Version != "1" || s.InferenceCount != 4 || s.ExecutionCount != 2 || s.InferenceStats.Success.Count != 2 ||
		s.InferenceStats.ComputeInfer.Count != 2 || s.InferenceStats.Success.Ns < s.InferenceStats.ComputeInfer.Ns ||
		s.BatchStats[0].BatchSize != 2 || s.BatchStats[0].ComputeInfer.Count != 2 ||
		time.Since(time.UnixMilli(int64(s.LastInference))) > time.Minute {
		t.Error(s)
	}
	got, err = b.client.ModelStatistics(ctx, &oip.ModelStatisticsRequest{Name: "fails", Version: "1"})
	if err != nil || got.ModelStats[0].InferenceStats.Fail.Count != 1 {
		t.Error(got, err)
	}
}

func TestClassification(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	req := echoRequest("echo", 1, 2.5, 4, 3)
	req.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "y", Parameters: map[string]*oip.InferParameter{
		"classification": {ParameterChoice: &oip.InferParameter_Int64Param{Int64Param: 1}}}}}
	got, err := b.client.ModelInfer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if out := got.Outputs[0]; out.Datatype != "BYTES" || !slices.Equal(out.Shape, []int64{2, 1}) ||
		string(got.RawOutputContents[0]) != "\x0a\x00\x00\x002.500000:1\x0a\x00\x00\x004.000000:0" {
		t.Errorf("%v %q", out, got.RawOutputContents)
	}
}

// seen notes what observers are told.
type seen struct {
	mu  sync.Mutex
	got []string
}

func (s *seen) Observe(ctx context.Context, f *serve.Finished) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, fmt.Sprint(f.Protocol, " ", ctx.Value(traceKey{})))
}

type traceKey struct{}

// TestContext: the context that observers see is the one that the option made of the call's metadata.
func TestContext(t *testing.T) {
	var s seen
	b := start(t, serve.Options{Observers: []serve.Observer{&s}}, grpcd.Options{
		Context: func(ctx context.Context, get func(string) string) context.Context {
			return context.WithValue(ctx, traceKey{}, get("traceparent"))
		}})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-1234")
	if _, err := b.client.ModelInfer(ctx, echoRequest("echo", 1, 2)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"grpc/oip 00-1234"}; !slices.Equal(want, s.got) {
		t.Errorf("seen %q", s.got)
	}
}

// TestUnsupported: what this server does not have is refused in words, not with the library's "unknown method".
func TestUnsupported(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	ctx := t.Context()
	_, load := b.client.RepositoryModelLoad(ctx, &oip.RepositoryModelLoadRequest{})
	_, system := b.client.SystemSharedMemoryRegister(ctx, &oip.SystemSharedMemoryRegisterRequest{})
	_, unregister := b.client.SystemSharedMemoryUnregister(ctx, &oip.SystemSharedMemoryUnregisterRequest{})
	_, cuda := b.client.CudaSharedMemoryRegister(ctx, &oip.CudaSharedMemoryRegisterRequest{})
	_, cudaUnregister := b.client.CudaSharedMemoryUnregister(ctx, &oip.CudaSharedMemoryUnregisterRequest{})
	_, trace := b.client.TraceSetting(ctx, &oip.TraceSettingRequest{})
	_, log := b.client.LogSettings(ctx, &oip.LogSettingsRequest{Settings: map[string]*oip.LogSettingsRequest_SettingValue{"log_info": {}}})
	for _, err := range []error{load, system, unregister, cuda, cudaUnregister, trace, log} {
		if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "(") || strings.Contains(err.Error(), "unknown method") {
			t.Error(err)
		}
	}
	if r, err := b.client.SystemSharedMemoryStatus(ctx, &oip.SystemSharedMemoryStatusRequest{}); err != nil || len(r.Regions) != 0 {
		t.Error(r, err)
	}
	if r, err := b.client.CudaSharedMemoryStatus(ctx, &oip.CudaSharedMemoryStatusRequest{}); err != nil || len(r.Regions) != 0 {
		t.Error(r, err)
	}
	if r, err := b.client.LogSettings(ctx, &oip.LogSettingsRequest{}); err != nil || r.Settings["log_error"].GetBoolParam() {
		t.Error(r, err) // a server of these tests logs nothing
	}
}
