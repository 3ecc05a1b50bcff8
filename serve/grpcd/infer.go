package grpcd

import (
	"context"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/protocol"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// service is the Open Inference Protocol.
type service struct {
	oip.UnimplementedGRPCInferenceServiceServer
	server     *serve.Server
	repository protocol.Repository
	o          Options
	calls      *atomic.Int64 // messages of streams are added to it while they are answered
	background *sync.WaitGroup
	stopping   <-chan struct{}
	status     func(method string, err error) error // what the client is told
	panicked   func(method string, v any) error
}

// ModelInfer answers one inference.
func (s *service) ModelInfer(ctx context.Context, req *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	delete(req.Parameters, wantsFinal) // of streams; load generators send it with every request
	c := call{s: s, ctx: ctx, req: req, received: arrival(ctx)}
	answer, err := c.answer()
	md := metadata.Pairs("fairlead-prediction-id", codec.HeaderID(c.in.ID))
	if c.role != "" {
		md["fairlead-role"] = []string{string(c.role)}
	}
	_ = grpc.SetHeader(ctx, md) // fails only on a call that has ended
	return answer, err
}

// call is one inference on its way.
type call struct {
	s        *service
	ctx      context.Context
	md       metadata.MD
	req      *oip.ModelInferRequest
	received time.Time
	in       serve.Input
	options  []codec.OutputOption
	role     fairlead.Role // "" where one version answers all
}

// answer answers it.
func (c *call) answer() (*oip.ModelInferResponse, error) {
	c.md, _ = metadata.FromIncomingContext(c.ctx)
	id, headers, headerErr := codec.HeaderMeta(c.value)
	if c.in.ID = id; id == "" {
		c.in.ID = c.s.server.NewID()
	}
	ctx := c.ctx
	if c.s.o.Context != nil {
		ctx = c.s.o.Context(ctx, c.value)
	}
	var answer *oip.ModelInferResponse
	_, err := c.s.server.Predict(ctx, serve.Request{
		Deployment: c.req.ModelName, Version: c.req.ModelVersion, Received: c.received, Client: c.client(), Protocol: "grpc/oip",
		Pin: headers.Pin,
		Decode: func(*route.Target) (_ serve.Input, err error) {
			if headerErr != nil {
				return c.in, headerErr
			}
			c.options, err = decode(c.req, headers, &c.in)
			if at, ok := c.ctx.Deadline(); ok {
				c.in.Deadline = earlier(c.in.Deadline, at.Sub(c.received))
			}
			return c.in, err
		},
		Encode: func(resp *serve.Response) (err error) {
			c.role = resp.Role
			answer, err = encode(c.req.ModelName, resp, c.options)
			return err
		},
	})
	return answer, err
}

// value is the first value of a key of the call's metadata.
func (c *call) value(key string) string {
	if len(c.md) == 0 {
		return ""
	}
	if values := c.md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// client says who asks.
func (c *call) client() string {
	if key := c.s.o.ClientKey; key != "" {
		if values := c.md.Get(key); len(values) > 0 {
			last := values[len(values)-1]
			return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		}
	}
	p, ok := peer.FromContext(c.ctx)
	if !ok {
		return ""
	}
	if tcp, ok := p.Addr.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return p.Addr.String()
}

// earlier is the earlier of the deadline that the request states, 0 for none, and that of the call, which has passed
// already if it is not positive: its context says so then.
func earlier(stated, call time.Duration) time.Duration {
	if call <= 0 || stated > 0 && stated <= call {
		return stated
	}
	return call
}

// decode reads a request into in, whose ID is that of the metadata or made by the server, and says how its outputs are
// wanted.
func decode(req *oip.ModelInferRequest, headers codec.Meta, in *serve.Input) ([]codec.OutputOption, error) {
	if req.Id != "" {
		if err := codec.CheckID("id", req.Id); err != nil {
			return nil, err
		}
		in.ID = req.Id
	}
	meta, err := codec.ReadMeta(values(req.Parameters))
	if err != nil {
		return nil, err
	}
	meta = meta.Over(headers)
	in.Unrecorded = meta.Unrecorded
	in.Default = fairlead.RowMeta{Time: meta.Time, Key: meta.Key, Tags: meta.Tags}
	in.Deadline, in.Priority = meta.Deadline, meta.Priority
	in.RoutingKey, in.Pin = meta.RoutingKey, meta.Pin
	var options []codec.OutputOption
	in.Outputs = nil // it may have been read for another version before
	for i, o := range req.Outputs {
		if o.GetName() == "" {
			return nil, fairlead.Invalid("outputs[%d] has no name", i)
		}
		if err := noSharedMemory("output", o.Name, o.Parameters); err != nil {
			return nil, err
		}
		k, err := classes(o)
		if err != nil {
			return nil, err
		}
		if k > 0 {
			options = append(options, codec.OutputOption{Name: o.Name, Classes: k})
		}
		in.Outputs = append(in.Outputs, o.Name)
	}
	in.Tensors, err = tensors(req)
	return options, err
}

// classes is how many classes of an output are wanted in place of its values, 0 for the values.
func classes(o *oip.ModelInferRequest_InferRequestedOutputTensor) (int, error) {
	v, ok := values(o.Parameters)["classification"]
	if !ok {
		return 0, nil
	}
	k, isInt := v.(int64)
	if !isInt || k < 0 || k > math.MaxInt32 {
		return 0, fairlead.Invalid("output %.60q has the parameter \"classification\" %#v; expected an integer", o.Name, v).
			Hintf("the number of classes wanted for each row, the best first, for example int64_param 3")
	}
	return int(k), nil
}

// noSharedMemory refuses the parameter of a tensor that means that its values are elsewhere.
func noSharedMemory(what, name string, parameters map[string]*oip.InferParameter) error {
	if _, ok := parameters["shared_memory_region"]; ok {
		return fairlead.Errorf(fairlead.CodeUnsupported, "%s %.60q has the parameter \"shared_memory_region\", which is not supported",
			what, name).Hintf("send and take the values in the messages")
	}
	return nil
}

// values makes Go values of parameters. An integer that no int64 holds becomes a float64; one without a value is left out.
func values(parameters map[string]*oip.InferParameter) map[string]any {
	if len(parameters) == 0 {
		return nil
	}
	m := make(map[string]any, len(parameters))
	for key, p := range parameters {
		switch v := p.GetParameterChoice().(type) {
		case *oip.InferParameter_BoolParam:
			m[key] = v.BoolParam
		case *oip.InferParameter_Int64Param:
			m[key] = v.Int64Param
		case *oip.InferParameter_StringParam:
			m[key] = v.StringParam
		case *oip.InferParameter_DoubleParam:
			m[key] = v.DoubleParam
		case *oip.InferParameter_Uint64Param:
			if m[key] = float64(v.Uint64Param); v.Uint64Param <= math.MaxInt64 {
				m[key] = int64(v.Uint64Param)
			}
		}
	}
	return m
}

// encode writes an answer to a call of model. The error is CodeInvalid, of outputs that cannot be classified.
func encode(model string, resp *serve.Response, options []codec.OutputOption) (*oip.ModelInferResponse, error) {
	outputs, err := protocol.Classify(resp, options)
	if err != nil {
		return nil, err
	}
	text := func(s string) *oip.InferParameter {
		return &oip.InferParameter{ParameterChoice: &oip.InferParameter_StringParam{StringParam: s}}
	}
	answer := &oip.ModelInferResponse{
		ModelName: model, ModelVersion: resp.Target.Version.String(), Id: resp.ID,
		Parameters:        map[string]*oip.InferParameter{"prediction_id": text(resp.ID)},
		Outputs:           make([]*oip.ModelInferResponse_InferOutputTensor, len(outputs)),
		RawOutputContents: make([][]byte, len(outputs)),
	}
	if resp.Note != "" {
		answer.Parameters["note"] = text(resp.Note)
	}
	for i := range outputs {
		t := &outputs[i]
		answer.Outputs[i] = &oip.ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: string(t.Type), Shape: t.Shape}
		answer.RawOutputContents[i] = codec.AppendBinary(make([]byte, 0, codec.BinarySize(t)), t)
	}
	return answer, nil
}
