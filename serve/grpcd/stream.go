package grpcd

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
)

// maxPipelined bounds the messages of one stream that are being answered at once; further ones wait on the client's side.
const maxPipelined = 64

const (
	// Metadata by which a client asks for an error to end the stream, as a status, in place of travelling in a message.
	errorEnds = "triton_grpc_error"

	// Parameters by which a client asks to be told which message is the last one of its request. Here every one is.
	wantsFinal = "triton_enable_empty_final_response"
	final      = "triton_final_response"

	streamMethod = "/inference.GRPCInferenceService/ModelStreamInfer"
)

// streamed is the answer to one message.
type streamed struct {
	id     string
	answer *oip.ModelInferResponse
	err    error // a status
}

// ModelStreamInfer answers the messages of a stream like calls of ModelInfer. They are answered at the same time, and the
// answers sent in the order of the messages. An error is a message with error_message, and the stream goes on; for a
// client that sent the metadata triton_grpc_error it is the stream's status and its end.
func (s *service) ModelStreamInfer(stream grpc.BidiStreamingServer[oip.ModelInferRequest, oip.ModelStreamInferResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	md, _ := metadata.FromIncomingContext(ctx)
	ends := len(md.Get(errorEnds)) > 0 && md.Get(errorEnds)[0] == "true"
	queue, received := make(chan chan streamed, maxPipelined), make(chan error, 1)
	// It ends when the client has sent its last message, or soon after this method.
	s.background.Go(func() {
		received <- s.receive(ctx, stream, queue)
		close(queue)
	})
	if err := send(stream, queue, ends); err != nil {
		return err
	}
	return <-received
}

// receive starts to answer each message and puts the place of its answer in queue, until the client has sent its last
// one, ctx ends, or the server stops.
func (s *service) receive(ctx context.Context, stream grpc.BidiStreamingServer[oip.ModelInferRequest, oip.ModelStreamInferResponse],
	queue chan<- chan streamed) error {
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-s.stopping:
			return s.status(streamMethod, stops())
		default:
		}
		one := make(chan streamed, 1)
		select {
		case queue <- one:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		s.calls.Add(1)
		c := call{s: s, ctx: ctx, req: req, received: s.server.Now()}
		s.background.Go(func() {
			defer s.calls.Add(-1)
			one <- c.streamed()
		})
	}
}

func stops() error {
	err := fairlead.Errorf(fairlead.CodeUnavailable, "the server stops").Hintf("send the request again shortly")
	err.Reason = "draining"
	return err
}

// streamed answers one message of a stream. It survives a panic.
func (c *call) streamed() (answer streamed) {
	_, wants := c.req.Parameters[wantsFinal]
	delete(c.req.Parameters, wantsFinal)
	answer.id = c.req.Id
	defer func() {
		if v := recover(); v != nil {
			answer.answer, answer.err = nil, c.s.panicked(streamMethod, v)
		}
	}()
	if answer.answer, answer.err = c.answer(); answer.err != nil {
		answer.err = c.s.status(streamMethod, answer.err)
		return answer
	}
	if wants {
		answer.answer.Parameters[final] = &oip.InferParameter{ParameterChoice: &oip.InferParameter_BoolParam{BoolParam: true}}
	}
	return answer
}

// send sends the answers as they become ready, in the order of the queue, until it is closed.
func send(stream grpc.BidiStreamingServer[oip.ModelInferRequest, oip.ModelStreamInferResponse], queue <-chan chan streamed, ends bool) error {
	for one := range queue {
		answer := <-one
		message := &oip.ModelStreamInferResponse{InferResponse: answer.answer}
		if answer.err != nil {
			if ends {
				return answer.err
			}
			message.ErrorMessage = status.Convert(answer.err).Message()
			message.InferResponse = &oip.ModelInferResponse{Id: answer.id}
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
	return nil
}
