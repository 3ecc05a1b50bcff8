package grpcd

import (
	"context"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// service is the Open Inference Protocol.
type service struct {
	oip.UnimplementedGRPCInferenceServiceServer
	server *serve.Server
	o      Options
}

// ModelInfer answers one inference.
func (s *service) ModelInfer(ctx context.Context, req *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	id, headers, headerErr := codec.HeaderMeta(func(key string) string {
		if values := md.Get(key); len(values) > 0 {
			return values[0]
		}
		return ""
	})
	in := serve.Input{ID: id}
	if id == "" {
		in.ID = s.server.NewID()
	}
	received := arrival(ctx)
	var answer *oip.ModelInferResponse
	_, err := s.server.Predict(ctx, serve.Request{
		Deployment: req.ModelName, Version: req.ModelVersion, Received: received,
		Decode: func(*route.Target) (serve.Input, error) {
			if headerErr != nil {
				return in, headerErr
			}
			err := decode(req, headers, &in)
			if at, ok := ctx.Deadline(); ok {
				in.Deadline = earlier(in.Deadline, at.Sub(received))
			}
			return in, err
		},
		Encode: func(resp *serve.Response) error {
			answer = encode(req.ModelName, resp)
			return nil
		},
	})
	_ = grpc.SetHeader(ctx, metadata.Pairs("fairlead-prediction-id", in.ID)) // fails only on a call that has ended
	return answer, err
}

// earlier is the earlier of the deadline that the request states, 0 for none, and that of the call, which has passed
// already if it is not positive: its context says so then.
func earlier(stated, call time.Duration) time.Duration {
	if call <= 0 || stated > 0 && stated <= call {
		return stated
	}
	return call
}

// decode reads a request into in, whose ID is that of the metadata or made by the server.
func decode(req *oip.ModelInferRequest, headers codec.Meta, in *serve.Input) error {
	if req.Id != "" {
		if err := codec.CheckID("id", req.Id); err != nil {
			return err
		}
		in.ID = req.Id
	}
	meta, err := codec.ReadMeta(values(req.Parameters))
	if err != nil {
		return err
	}
	meta = meta.Over(headers)
	in.Default = fairlead.RowMeta{Time: meta.Time, Key: meta.Key, Tags: meta.Tags}
	in.Deadline = meta.Deadline
	for i, o := range req.Outputs {
		if o.GetName() == "" {
			return fairlead.Invalid("outputs[%d] has no name", i)
		}
		if err := noExtensions("output", o.Name, o.Parameters); err != nil {
			return err
		}
		in.Outputs = append(in.Outputs, o.Name)
	}
	in.Tensors, err = tensors(req)
	return err
}

// noExtensions refuses the parameters of a tensor that mean that its values are elsewhere or other ones.
func noExtensions(what, name string, parameters map[string]*oip.InferParameter) error {
	for _, key := range []string{"shared_memory_region", "classification"} {
		if _, ok := parameters[key]; ok {
			return fairlead.Errorf(fairlead.CodeUnsupported, "%s %.60q has the parameter %q, which is not supported", what, name, key).
				Hintf("send and take the values in the messages")
		}
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

// encode writes an answer to a call of model.
func encode(model string, resp *serve.Response) *oip.ModelInferResponse {
	text := func(s string) *oip.InferParameter {
		return &oip.InferParameter{ParameterChoice: &oip.InferParameter_StringParam{StringParam: s}}
	}
	answer := &oip.ModelInferResponse{
		ModelName: model, ModelVersion: resp.Target.Version.String(), Id: resp.ID,
		Parameters:        map[string]*oip.InferParameter{"prediction_id": text(resp.ID)},
		Outputs:           make([]*oip.ModelInferResponse_InferOutputTensor, len(resp.Outputs)),
		RawOutputContents: make([][]byte, len(resp.Outputs)),
	}
	if resp.Note != "" {
		answer.Parameters["note"] = text(resp.Note)
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		answer.Outputs[i] = &oip.ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: string(t.Type), Shape: t.Shape}
		answer.RawOutputContents[i] = codec.AppendBinary(make([]byte, 0, codec.BinarySize(t)), t)
	}
	return answer
}
