package client

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
)

// GRPC asks for predictions over the Open Inference Protocol's gRPC, without encryption. It is one connection, safe for
// concurrent use.
type GRPC struct {
	conn *grpc.ClientConn
	stub oip.GRPCInferenceServiceClient
}

// maxAnswer is the largest answer a GRPC takes.
const maxAnswer = 1 << 30

// NewGRPC makes a client for an address such as "127.0.0.1:8081". It connects at the first call.
func NewGRPC(address string) (*GRPC, error) {
	if address == "" || strings.Contains(address, "://") {
		return nil, fairlead.Invalid("%q is not a gRPC address", address).Hintf("write host and port, for example 127.0.0.1:8081")
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fairlead.Invalid("%q is not a gRPC address: %v", address, err).Hintf("write host and port, for example 127.0.0.1:8081")
	}
	return &GRPC{conn: conn, stub: oip.NewGRPCInferenceServiceClient(conn)}, nil
}

// Close ends the connection and the calls on it.
func (g *GRPC) Close() error { return g.conn.Close() }

// Question is a request made once, to be asked any number of times.
type Question struct{ message *oip.ModelInferRequest }

// NewQuestion makes a request of one input per name; an empty version is the live one. Raw are the values in the
// protocol's binary form, in the order of the tensors.
func NewQuestion(model, version string, in []fairlead.Tensor, raw [][]byte) *Question {
	m := &oip.ModelInferRequest{ModelName: model, ModelVersion: version, RawInputContents: raw}
	for i := range in {
		m.Inputs = append(m.Inputs, &oip.ModelInferRequest_InferInputTensor{Name: in[i].Name, Datatype: string(in[i].Type), Shape: in[i].Shape})
	}
	return &Question{m}
}

// Ask sends a question and drops the answer; ctx's deadline goes along. A refusal by the server is a *fairlead.Error
// with the status's name as its Reason.
func (g *GRPC) Ask(ctx context.Context, q *Question) error {
	if _, err := g.stub.ModelInfer(ctx, q.message); err != nil {
		return fromStatus(err)
	}
	return nil
}

var codesOf = map[codes.Code]fairlead.Code{
	codes.InvalidArgument: fairlead.CodeInvalid, codes.FailedPrecondition: fairlead.CodeInvalid, codes.OutOfRange: fairlead.CodeInvalid,
	codes.NotFound: fairlead.CodeNotFound, codes.AlreadyExists: fairlead.CodeConflict, codes.Aborted: fairlead.CodeConflict,
	codes.ResourceExhausted: fairlead.CodeExhausted, codes.Canceled: fairlead.CodeCanceled, codes.Unimplemented: fairlead.CodeUnsupported,
	codes.Unavailable: fairlead.CodeUnavailable, codes.DeadlineExceeded: fairlead.CodeDeadline,
}

func fromStatus(err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	code, ok := codesOf[s.Code()]
	if !ok {
		code = fairlead.CodeInternal
	}
	e := fairlead.Errorf(code, "the server answered %s: %s", s.Code(), s.Message()).Cause(err)
	e.Reason = s.Code().String()
	return e
}
