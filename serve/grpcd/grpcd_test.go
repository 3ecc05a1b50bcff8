package grpcd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type recorder struct {
	mu  sync.Mutex
	got []*fairlead.Prediction
}

func (r *recorder) Record(p *fairlead.Prediction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p)
}

// identity is a model of one input "x" of any shape and its output "y".
func identity(t fairlead.DataType) *fake.Session {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: t, Shape: nil}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: t, Shape: nil}},
	}
	return fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := in[0]
		y.Name = "y"
		return []fairlead.Tensor{y}, nil
	})
}

// twoOutputs doubles "x" and says where it came from.
func twoOutputs() *fake.Session {
	sig := fairlead.Signature{
		Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}},
			{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "double", Type: fairlead.FP32, Shape: []int64{-1, 1}},
			{Name: "where", Type: fairlead.Bytes, Shape: []int64{-1}}},
	}
	return fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		double, where := slices.Clone(in[0].Data.([]float32)), slices.Clone(in[1].Data.([]string))
		for i := range double {
			double[i], where[i] = 2*double[i], "from "+where[i]
		}
		return []fairlead.Tensor{
			{Name: "double", Type: fairlead.FP32, Shape: in[0].Shape, Data: double},
			{Name: "where", Type: fairlead.Bytes, Shape: in[1].Shape[:1], Data: where},
		}, nil
	})
}

// slow answers only when its context has ended, and says so to ended.
func slow(ended chan<- struct{}) *fake.Session {
	return fake.New(fake.Echo(2).Signature(), func(ctx context.Context, _ []fairlead.Tensor) ([]fairlead.Tensor, error) {
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	})
}

type bench struct {
	client oip.GRPCInferenceServiceClient
	conn   *grpc.ClientConn
	server *grpcd.Server
	core   *serve.Server
	ended  chan struct{} // a run of "slow"
}

func one(s *fake.Session) *route.Target {
	return &route.Target{Model: "m", Version: 1, Signature: s.Signature(), Session: s}
}

// start serves the models of these tests; what o and g leave open is filled in.
func start(t testing.TB, o serve.Options, g grpcd.Options) *bench {
	t.Helper()
	b := &bench{ended: make(chan struct{}, 100)}
	deployments := []route.Deployment{
		{Name: "two", Live: one(twoOutputs()), Aliases: map[string]fairlead.Version{"champion": 1}},
		{Name: "echo", Live: one(fake.Echo(2))},
		{Name: "slow", Live: one(slow(b.ended))},
		{Name: "panics", Live: one(fake.New(fake.Echo(2).Signature(), func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
			panic("a bug")
		}))},
		{Name: "fails", Live: one(fake.New(fake.Echo(2).Signature(), func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
			return nil, errors.New("secret: disk full at /srv/models")
		}))},
		{Name: "exhausted", Live: one(fake.New(fake.Echo(2).Signature(), func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
			err := fairlead.Errorf(fairlead.CodeExhausted, "the server is busy").Hintf("try again shortly")
			err.Retry = 1500 * time.Millisecond
			return nil, err
		}))},
		{Name: "loading"},
	}
	for _, dt := range datatypes {
		deployments = append(deployments, route.Deployment{Name: fairlead.Name("identity-" + lower(dt)), Live: one(identity(dt))})
	}
	table, err := route.NewTable(deployments)
	if err != nil {
		t.Fatal(err)
	}
	if o.Router == nil {
		o.Router = &route.Router{}
	}
	o.Router.Swap(table)
	b.core = serve.New(o)
	b.server = grpcd.New(b.core, g)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(l) }()
	b.conn, err = grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	b.client = oip.NewGRPCInferenceServiceClient(b.conn)
	t.Cleanup(func() {
		b.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.server.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return b
}

func text(s string) *oip.InferParameter {
	return &oip.InferParameter{ParameterChoice: &oip.InferParameter_StringParam{StringParam: s}}
}

// echoRequest sends one row to a model of two floats.
func echoRequest(model string, x ...float32) *oip.ModelInferRequest {
	return &oip.ModelInferRequest{ModelName: model, Inputs: []*oip.ModelInferRequest_InferInputTensor{{
		Name: "x", Datatype: "FP32", Shape: []int64{int64(len(x) / 2), 2}, Contents: &oip.InferTensorContents{Fp32Contents: x}}}}
}

// twoRequest sends two rows, raw.
func twoRequest() *oip.ModelInferRequest {
	return &oip.ModelInferRequest{ModelName: "two", Inputs: []*oip.ModelInferRequest_InferInputTensor{
		{Name: "x", Datatype: "FP32", Shape: []int64{2, 1}}, {Name: "origin", Datatype: "BYTES", Shape: []int64{2, 1}}},
		RawInputContents: [][]byte{{0, 0, 0x80, 0x3f, 0, 0, 0x20, 0x40}, []byte("\x03\x00\x00\x00ATL\x02\x00\x00\x00\xff\x00")},
	}
}

func TestInfer(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	req := twoRequest()
	req.Id, req.ModelVersion = "r-1", "champion"
	got, err := b.client.ModelInfer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := &oip.ModelInferResponse{
		ModelName: "two", ModelVersion: "1", Id: "r-1", Parameters: map[string]*oip.InferParameter{"prediction_id": text("r-1")},
		Outputs: []*oip.ModelInferResponse_InferOutputTensor{{Name: "double", Datatype: "FP32", Shape: []int64{2, 1}},
			{Name: "where", Datatype: "BYTES", Shape: []int64{2}}},
		RawOutputContents: [][]byte{{0, 0, 0, 0x40, 0, 0, 0xa0, 0x40}, []byte("\x08\x00\x00\x00from ATL\x07\x00\x00\x00from \xff\x00")},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}

	req.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "where"}}
	if got, err = b.client.ModelInfer(t.Context(), req); err != nil || len(got.Outputs) != 1 || len(got.RawOutputContents) != 1 ||
		got.Outputs[0].Name != "where" {
		t.Errorf("one output was asked for: %v %v", got, err)
	}

	req = echoRequest("two", 4, 5) // two rows of one value, as a vector
	req.Inputs[0].Shape = []int64{2}
	req.Inputs = append(req.Inputs, &oip.ModelInferRequest_InferInputTensor{Name: "origin", Datatype: "BYTES", Shape: []int64{2, 1},
		Contents: &oip.InferTensorContents{BytesContents: [][]byte{[]byte("ORD"), {}}}})
	got, err = b.client.ModelInfer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if note := got.Parameters["note"].GetStringParam(); note != `input "x" came with shape [2] and was read as [2,1]` {
		t.Errorf("note %q", note)
	}
	if got.Id == "" || got.Id != got.Parameters["prediction_id"].GetStringParam() {
		t.Errorf("id %q, prediction_id %v", got.Id, got.Parameters)
	}
}

func TestRecordedAndMeasured(t *testing.T) {
	rec, m := &recorder{}, meter.New()
	now := time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}
	b := start(t, serve.Options{Recorder: rec, Meter: m, Now: clock}, grpcd.Options{})
	req := twoRequest()
	req.Parameters = map[string]*oip.InferParameter{"tags": text("desk=3"), "event_time": text("2001-02-01T01:00:00+01:00"),
		"entity_key": {ParameterChoice: &oip.InferParameter_Uint64Param{Uint64Param: 17}},
		"priority":   {ParameterChoice: &oip.InferParameter_Uint64Param{Uint64Param: 2}}}
	req.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "where"}}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "fairlead-request-id", "req", "fairlead-event-time",
		"2001-01-01T00:00:00Z", "fairlead-tags", "desk=1")
	var header metadata.MD
	before := clock()
	if _, err := b.client.ModelInfer(ctx, req, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("fairlead-prediction-id"); !slices.Equal(got, []string{"req"}) {
		t.Errorf("fairlead-prediction-id is %q", got)
	}
	meta := fairlead.RowMeta{Time: time.Date(2001, 2, 1, 0, 0, 0, 0, time.UTC), Key: "17", Tags: map[string]string{"desk": "3"}}
	first, second := meta, meta
	first.ID, second.ID = "req.0", "req.1"
	want := []*fairlead.Prediction{{
		ID: "req", Deployment: "two", Model: "m", Version: 1, Rows: []fairlead.RowMeta{first, second},
		Received: before.Add(time.Millisecond), // the clock's next reading: when the header came
		Inputs: []fairlead.Tensor{{Name: "x", Type: "FP32", Shape: []int64{2, 1}, Data: []float32{1, 2.5}},
			{Name: "origin", Type: "BYTES", Shape: []int64{2, 1}, Data: []string{"ATL", "\xff\x00"}}},
		Outputs: []fairlead.Tensor{{Name: "double", Type: "FP32", Shape: []int64{2, 1}, Data: []float32{2, 5}},
			{Name: "where", Type: "BYTES", Shape: []int64{2}, Data: []string{"from ATL", "from \xff\x00"}}},
	}}
	if diff := cmp.Diff(want, rec.got, cmpopts.IgnoreFields(fairlead.Prediction{}, "Latency")); diff != "" {
		t.Error(diff)
	}
	if l := rec.got[0].Latency; l.Decode <= 0 || l.Queue <= 0 || l.Run <= 0 || l.Encode <= 0 {
		t.Errorf("the stages took %+v", l) // every reading of the clock is later than the one before
	}
	if _, err := b.client.ModelInfer(t.Context(), echoRequest("two", 1, 2)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a request without its second input: %v", err)
	}
	points := m.History("two", now.Add(time.Minute), 120)
	if len(points) == 0 {
		t.Fatal("nothing was measured")
	}
	p := points[0]
	got := meter.Point{Requests: p.Requests, Rows: p.Rows, Errors: p.Errors}
	// One observation in all: from the header's arrival it took one reading more than the four stages.
	if diff := cmp.Diff(meter.Point{Requests: 2, Rows: 2, Errors: 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestServerAndModels(t *testing.T) {
	ready := errors.New("starting")
	b := start(t, serve.Options{}, grpcd.Options{Version: "1.2.3", Ready: func() error { return ready }})
	c, ctx := b.client, t.Context()
	if r, err := c.ServerLive(ctx, &oip.ServerLiveRequest{}); err != nil || !r.Live {
		t.Errorf("live: %v %v", r, err)
	}
	if r, err := c.ServerReady(ctx, &oip.ServerReadyRequest{}); err != nil || r.Ready {
		t.Errorf("ready while starting: %v %v", r, err)
	}
	ready = nil
	if r, err := c.ServerReady(ctx, &oip.ServerReadyRequest{}); err != nil || !r.Ready {
		t.Errorf("ready: %v %v", r, err)
	}
	if r, err := c.ServerMetadata(ctx, &oip.ServerMetadataRequest{}); err != nil || r.Name != "fairlead" || r.Version != "1.2.3" {
		t.Errorf("server: %v %v", r, err)
	}
	for _, q := range []struct {
		name, version string
		want          bool
	}{{"two", "", true}, {"two", "v1", true}, {"two", "champion", true}, {"two", "9", false}, {"loading", "", false}, {"nobody", "", false}} {
		if r, err := c.ModelReady(ctx, &oip.ModelReadyRequest{Name: q.name, Version: q.version}); err != nil || r.Ready != q.want {
			t.Errorf("model %s %q: %v %v", q.name, q.version, r, err)
		}
	}
	got, err := c.ModelMetadata(ctx, &oip.ModelMetadataRequest{Name: "two"})
	want := &oip.ModelMetadataResponse{Name: "two", Versions: []string{"1"}, Platform: "onnx_onnxv1",
		Inputs: []*oip.ModelMetadataResponse_TensorMetadata{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 1}},
			{Name: "origin", Datatype: "BYTES", Shape: []int64{-1, 1}}},
		Outputs: []*oip.ModelMetadataResponse_TensorMetadata{{Name: "double", Datatype: "FP32", Shape: []int64{-1, 1}},
			{Name: "where", Datatype: "BYTES", Shape: []int64{-1}}}}
	if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

// TestTaggedRows sends rows that say who sent them, from many callers on few connections: each gets its own back.
func TestTaggedRows(t *testing.T) {
	const callers, requests = 32, 300
	rec := &recorder{}
	b := start(t, serve.Options{Recorder: rec, Runs: 4}, grpcd.Options{})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range requests {
				var x []float32
				for range 1 + (caller+i)%4 {
					x = append(x, float32(caller), float32(i))
				}
				req := echoRequest("echo", x...)
				req.Id = fmt.Sprintf("%d-%d", caller, i)
				if i%2 == 0 {
					req.RawInputContents = [][]byte{floats(x)}
					req.Inputs[0].Contents = nil
				}
				resp, err := b.client.ModelInfer(t.Context(), req)
				if err != nil {
					t.Errorf("caller %d, request %d: %v", caller, i, err)
					return
				}
				if resp.Id != req.Id || string(resp.RawOutputContents[0]) != string(floats(x)) {
					t.Errorf("caller %d, request %d: got the answer %s", caller, i, resp.Id)
					return
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, p := range rec.got {
		x, y := p.Inputs[0].Data.([]float32), p.Outputs[0].Data.([]float32)
		if seen[p.ID] || !slices.Equal(x, y) || p.ID != fmt.Sprintf("%v-%v", x[0], x[1]) {
			t.Fatalf("recorded %s: %v %v, seen before: %v", p.ID, x, y, seen[p.ID])
		}
		seen[p.ID] = true
	}
	if len(seen) != callers*requests {
		t.Errorf("%d predictions recorded, want %d", len(seen), callers*requests)
	}
}
