package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/conformance/wire"
)

// stub is the server's gRPC face, connected at the first use.
func (p *probe) stub() (oip.GRPCInferenceServiceClient, error) {
	if p.o.GRPC == "" {
		return nil, skipf("no gRPC address was given")
	}
	if p.conn == nil {
		conn, err := grpc.NewClient(p.o.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)))
		if err != nil {
			return nil, err
		}
		p.conn = conn
	}
	return oip.NewGRPCInferenceServiceClient(p.conn), nil
}

// remote runs f with the stub and a deadline.
func remote(f func(context.Context, *probe, oip.GRPCInferenceServiceClient) error) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		stub, err := p.stub()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
		defer cancel()
		return f(ctx, p, stub)
	}
}

// coded wants an error of one of these codes.
func coded(err error, allowed ...codes.Code) error {
	names := make([]string, len(allowed))
	for i, c := range allowed {
		names[i] = c.String()
	}
	return want(err != nil && slices.Contains(allowed, status.Code(err)) && status.Convert(err).Message() != "", strings.Join(names, " or ")+", with a text", "%v", err)
}

func message(name string, in ...wire.Tensor) *oip.ModelInferRequest {
	m := &oip.ModelInferRequest{ModelName: name, Id: "g-1"}
	for _, t := range in {
		m.Inputs = append(m.Inputs, &oip.ModelInferRequest_InferInputTensor{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
		m.RawInputContents = append(m.RawInputContents, t.Raw)
	}
	return m
}

// contents are the elements in the typed field of the message.
func contents(t wire.Tensor) *oip.InferTensorContents {
	c := &oip.InferTensorContents{}
	n, _ := t.Count()
	if t.Datatype == "BYTES" {
		texts, _ := wire.Strings(t.Raw)
		for _, s := range texts {
			c.BytesContents = append(c.BytesContents, []byte(s))
		}
		return c
	}
	for i := range n {
		switch f := t.Float(i); t.Datatype {
		case "BOOL":
			c.BoolContents = append(c.BoolContents, f != 0)
		case "INT8", "INT16", "INT32":
			c.IntContents = append(c.IntContents, int32(f))
		case "UINT8", "UINT16", "UINT32":
			c.UintContents = append(c.UintContents, uint32(f))
		case "INT64":
			c.Int64Contents = append(c.Int64Contents, int64(little(t.Raw[8*i:])))
		case "UINT64":
			c.Uint64Contents = append(c.Uint64Contents, little(t.Raw[8*i:]))
		case "FP32":
			c.Fp32Contents = append(c.Fp32Contents, float32(f))
		case "FP64":
			c.Fp64Contents = append(c.Fp64Contents, f)
		}
	}
	return c
}

func little(b []byte) (u uint64) {
	for i := range 8 {
		u |= uint64(b[i]) << (8 * i)
	}
	return u
}

// rawAnswer wants the tensor back in raw_output_contents.
func rawAnswer(a *oip.ModelInferResponse, name string, in wire.Tensor) error {
	if len(a.Outputs) != len(a.RawOutputContents) {
		return &mismatch{"raw_output_contents for every output", fmt.Sprintf("%d outputs, %d raw contents", len(a.Outputs), len(a.RawOutputContents))}
	}
	r := &wire.Response{Object: map[string]any{"outputs": fmt.Sprint(a.Outputs)}}
	for i, o := range a.Outputs {
		r.Outputs = append(r.Outputs, wire.Tensor{Name: o.Name, Datatype: o.Datatype, Shape: o.Shape, Raw: a.RawOutputContents[i]})
	}
	return sameTensor(r, name, in)
}

type inferCheck = func(context.Context, *probe, oip.GRPCInferenceServiceClient) error

// trip sends a tensor, raw or typed, and wants it back.
func trip(datatype string, typed bool) inferCheck {
	return func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		name, err := p.identity(datatype)
		if err != nil {
			return err
		}
		in := extremeTensor(datatype)
		m := message(name, in)
		if typed {
			m.RawInputContents, m.Inputs[0].Contents = nil, contents(in)
		}
		a, err := s.ModelInfer(ctx, m)
		if err != nil {
			return &mismatch{"an answer", err.Error()}
		}
		if a.Id != "g-1" || a.ModelName != name {
			return &mismatch{"id g-1 of " + name, fmt.Sprintf("%q of %q", a.Id, a.ModelName)}
		}
		if len(a.RawOutputContents) == 0 && len(a.Outputs) == 1 && a.Outputs[0].Contents != nil {
			return skipf("the answer is typed; the check on raw_output_contents tells")
		}
		return rawAnswer(a, "y", in)
	}
}

// turnedDown changes a good message so that it must be refused.
func turnedDown(change func(*oip.ModelInferRequest), allowed ...codes.Code) inferCheck {
	return func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		name, err := p.identity("FP32")
		if err != nil {
			return err
		}
		m := message(name, floats("x", 1))
		change(m)
		_, err = s.ModelInfer(ctx, m)
		return coded(err, allowed...)
	}
}

func grpcChecks() []check {
	const rule = "OIP gRPC, Health and Metadata"
	var cs []check
	add := adder(&cs)
	add("", "ServerLive and ServerReady", rule, func(ctx context.Context, _ *probe, s oip.GRPCInferenceServiceClient) error {
		live, err1 := s.ServerLive(ctx, &oip.ServerLiveRequest{})
		ready, err2 := s.ServerReady(ctx, &oip.ServerReadyRequest{})
		return first(err1, err2, want(live.GetLive() && ready.GetReady(), "live and ready", "%v, %v", live, ready))
	})
	add("", "ModelReady", rule, func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		m, err := p.any()
		if err != nil {
			return err
		}
		ready, err := s.ModelReady(ctx, &oip.ModelReadyRequest{Name: m.name})
		return first(err, want(ready.GetReady(), "ready", "%v", ready))
	})
	add("", "ModelReady of an unknown model", rule, func(ctx context.Context, _ *probe, s oip.GRPCInferenceServiceClient) error {
		ready, err := s.ModelReady(ctx, &oip.ModelReadyRequest{Name: unknown})
		return want(err != nil || !ready.Ready, "not ready, or an error", "%v", ready)
	})
	add("", "ServerMetadata is that of REST", rule, func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		m, err := s.ServerMetadata(ctx, &oip.ServerMetadataRequest{})
		if err != nil {
			return err
		}
		return want(m.Name == p.server && m.Version == p.version, p.server+" "+p.version, "%s %s", m.Name, m.Version)
	})
	add("", "ModelMetadata", rule, grpcMetadata)
	add("", "ModelMetadata of an unknown model", rule, func(ctx context.Context, _ *probe, s oip.GRPCInferenceServiceClient) error {
		_, err := s.ModelMetadata(ctx, &oip.ModelMetadataRequest{Name: unknown})
		return coded(err, codes.NotFound, codes.InvalidArgument)
	})
	return append(cs, grpcInference()...)
}

// adder adds checks of this group.
func adder(cs *[]check) func(level Level, name, rule string, run inferCheck) {
	return func(level Level, name, rule string, run inferCheck) {
		*cs = append(*cs, check{group: "grpc", name: name, rule: rule, level: level, run: remote(run)})
	}
}

func grpcInference() []check {
	const inference = "OIP gRPC, Inference"
	var cs []check
	add := adder(&cs)
	for _, datatype := range wire.Datatypes {
		add("", datatype+" raw", "OIP gRPC, Tensor Data: raw_input_contents", trip(datatype, false))
		if datatype != "FP16" && datatype != "BF16" {
			add("", datatype+" typed", "OIP gRPC, Tensor Data: InferTensorContents", trip(datatype, true))
		}
	}
	add(Advice, "raw_output_contents", "tritonclient reads nothing else", func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		m, err := p.any()
		if err != nil {
			return err
		}
		a, err := s.ModelInfer(ctx, message(m.name, m.inputs...))
		if err != nil {
			return err
		}
		return want(len(a.RawOutputContents) == len(a.Outputs), fmt.Sprintf("%d raw contents", len(a.Outputs)), "%d", len(a.RawOutputContents))
	})
	add("", "an asked output comes alone", inference, func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		name, err := p.identity("pair")
		if err != nil {
			return err
		}
		m := message(name, pairInputs("b", "a")...)
		m.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "a_out"}}
		a, err := s.ModelInfer(ctx, m)
		if err != nil {
			return err
		}
		return first(want(len(a.Outputs) == 1, "one output", "%v", a.Outputs), rawAnswer(a, "a_out", pairInputs("a")[0]))
	})
	add("", "eight mebibytes", "grpc-go takes 4 MiB unless told otherwise, clients send more", func(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
		name, err := p.identity("UINT8")
		if err != nil {
			return err
		}
		in := wire.Tensor{Name: "x", Datatype: "UINT8", Shape: []int64{2 << 20, width}, Raw: make([]byte, 8<<20)}
		for i := range in.Raw {
			in.Raw[i] = byte(i % 251)
		}
		a, err := s.ModelInfer(ctx, message(name, in))
		if err != nil {
			return err
		}
		return rawAnswer(a, "y", in)
	})
	add("", "raw and typed together", inference+": if raw_input_contents is given, contents must not be", turnedDown(func(m *oip.ModelInferRequest) {
		m.Inputs[0].Contents = contents(floats("x", 1))
	}, codes.InvalidArgument))
	add("", "unknown model", inference, turnedDown(func(m *oip.ModelInferRequest) { m.ModelName = unknown }, codes.NotFound, codes.InvalidArgument))
	add("", "unknown version", inference, turnedDown(func(m *oip.ModelInferRequest) { m.ModelVersion = "987654321" }, codes.NotFound, codes.InvalidArgument))
	add("", "wrong shape", inference, turnedDown(func(m *oip.ModelInferRequest) { m.Inputs[0].Shape = []int64{1, 3} }, codes.InvalidArgument))
	add("", "wrong datatype", inference, turnedDown(func(m *oip.ModelInferRequest) { m.Inputs[0].Datatype = "INT32" }, codes.InvalidArgument))
	add("", "too few bytes", inference, turnedDown(func(m *oip.ModelInferRequest) { m.RawInputContents[0] = m.RawInputContents[0][:12] }, codes.InvalidArgument))
	add("", "a raw content missing", inference, turnedDown(func(m *oip.ModelInferRequest) { m.RawInputContents = nil }, codes.InvalidArgument))
	add("", "no inputs", inference, turnedDown(func(m *oip.ModelInferRequest) { m.Inputs, m.RawInputContents = nil, nil }, codes.InvalidArgument))
	add("", "a deadline that has passed", "gRPC: deadlines; the server lives on", deadline)
	add(Advice, "health service", "grpc.health.v1", healthService)
	add(Advice, "reflection", "grpc.reflection.v1 lists the service", reflected)
	return cs
}

func grpcMetadata(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
	m, err := p.any()
	if err != nil {
		return err
	}
	a, err := s.ModelMetadata(ctx, &oip.ModelMetadataRequest{Name: m.name})
	if err != nil {
		return err
	}
	if a.Name != m.name || len(a.Inputs) != len(m.inputs) || len(a.Outputs) != len(m.outputs) {
		return &mismatch{"the metadata of " + m.name, a.String()}
	}
	for i, in := range m.inputs {
		got := a.Inputs[i]
		if got.Name != in.Name || got.Datatype != in.Datatype || len(got.Shape) != len(in.Shape) {
			return &mismatch{fmt.Sprintf("%s %s, %d dimensions", in.Name, in.Datatype, len(in.Shape)), got.String()}
		}
	}
	return nil
}

func deadline(ctx context.Context, p *probe, s oip.GRPCInferenceServiceClient) error {
	name, err := p.identity("UINT8")
	if err != nil {
		return err
	}
	in := wire.Tensor{Name: "x", Datatype: "UINT8", Shape: []int64{2 << 20, width}, Raw: make([]byte, 8<<20)}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := s.ModelInfer(short, message(name, in)); status.Code(err) != codes.DeadlineExceeded {
		return &mismatch{"DeadlineExceeded after a millisecond", fmt.Sprint(err)}
	}
	in.Shape, in.Raw = []int64{1, width}, in.Raw[:width]
	a, err := s.ModelInfer(ctx, message(name, in))
	if err != nil {
		return err
	}
	return rawAnswer(a, "y", in)
}

func healthService(ctx context.Context, p *probe, _ oip.GRPCInferenceServiceClient) error {
	h := grpc_health_v1.NewHealthClient(p.conn)
	a, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if a.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return &mismatch{"SERVING", a.Status.String()}
	}
	_, err = h.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "oip.conformance.Nobody"})
	return want(status.Code(err) == codes.NotFound, "NotFound for an unknown service", "%v", err)
}

func reflected(ctx context.Context, p *probe, _ oip.GRPCInferenceServiceClient) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	stream, err := reflection.NewServerReflectionClient(p.conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_ListServices{}}); err != nil {
		return err
	}
	a, err := stream.Recv()
	if err != nil {
		return err
	}
	var names []string
	for _, s := range a.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	return want(slices.Contains(names, "inference.GRPCInferenceService"), "inference.GRPCInferenceService", "%v", names)
}
