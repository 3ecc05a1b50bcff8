package grpcd_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
)

// TestStream sends many messages over one stream, some of them wrong: every one gets its own answer, in order, and an
// error does not end the stream.
func TestStream(t *testing.T) {
	b := start(t, serve.Options{Runs: 4}, grpcd.Options{})
	stream, err := b.client.ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const messages = 500
	go func() {
		for i := range messages {
			req := echoRequest("echo", float32(i), 1)
			req.Id = fmt.Sprintf("m-%d", i)
			switch i % 10 {
			case 3:
				req.ModelName = "nobody"
			case 5:
				req.ModelName = "panics"
			case 7:
				req.Parameters = map[string]*oip.InferParameter{"triton_enable_empty_final_response": {
					ParameterChoice: &oip.InferParameter_BoolParam{BoolParam: true}}}
			}
			if err := stream.Send(req); err != nil {
				t.Errorf("message %d: %v", i, err)
				return
			}
		}
		_ = stream.CloseSend()
	}()
	for i := range messages {
		got, err := stream.Recv()
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		want := map[int]string{3: `no model or deployment is called "nobody"`, 5: "the server failed on this request"}[i%10]
		if !strings.HasPrefix(got.ErrorMessage, want) || want == "" && got.ErrorMessage != "" {
			t.Fatalf("answer %d has the error %q, want %q", i, got.ErrorMessage, want)
		}
		if id := got.InferResponse.GetId(); id != fmt.Sprintf("m-%d", i) {
			t.Fatalf("answer %d is to %s", i, id)
		}
		if want != "" {
			continue
		}
		if raw := got.InferResponse.RawOutputContents[0]; string(raw) != string(floats([]float32{float32(i), 1})) {
			t.Fatalf("answer %d has the data %x", i, raw)
		}
		if final := got.InferResponse.Parameters["triton_final_response"].GetBoolParam(); final != (i%10 == 7) {
			t.Errorf("answer %d: triton_final_response %v", i, final)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("after the last answer: %v", err)
	}
}

// TestStreamErrorEnds: with the metadata triton_grpc_error the first error is the stream's status.
func TestStreamErrorEnds(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	stream, err := b.client.ModelStreamInfer(metadata.AppendToOutgoingContext(t.Context(), "triton_grpc_error", "true"))
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"echo", "nobody", "echo"} {
		if err := stream.Send(echoRequest(model, 1, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := stream.Recv(); err != nil || got.ErrorMessage != "" {
		t.Errorf("the first answer: %v %v", got, err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.NotFound {
		t.Errorf("the second answer: %v", err)
	}
}

// TestStreamGone: when its client goes away, what a stream asked for is not computed further.
func TestStreamGone(t *testing.T) {
	b := start(t, serve.Options{Runs: 2}, grpcd.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := b.client.ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := stream.Send(echoRequest("slow", 1, 2)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	b.waitEnded(t)
}

// TestStopWithStream: a stop answers what a stream asked for and does not wait for a client that keeps it open.
func TestStopWithStream(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	stream, err := b.client.ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := echoRequest("slow", 1, 2)
	req.Parameters = map[string]*oip.InferParameter{"timeout": {ParameterChoice: &oip.InferParameter_Int64Param{Int64Param: 1_300_000}}}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stopped <- b.server.Stop(ctx)
	}()
	if got, err := stream.Recv(); err != nil || !strings.HasPrefix(got.ErrorMessage, "the deadline of 1.3s passed") {
		t.Errorf("the request under way got %v %v", got, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
}
