package client_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/client"
)

// grpcServer answers only for the model "m"; "slow" takes until its caller is gone.
type grpcServer struct {
	oip.UnimplementedGRPCInferenceServiceServer
	got *oip.ModelInferRequest
}

func (s *grpcServer) ModelInfer(ctx context.Context, r *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	s.got = r
	switch r.ModelName {
	case "m":
		return &oip.ModelInferResponse{ModelName: "m", RawOutputContents: [][]byte{make([]byte, 8<<20)}}, nil
	case "slow":
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return nil, status.Error(codes.NotFound, "no model "+r.ModelName)
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fake, server := &grpcServer{}, grpc.NewServer()
	oip.RegisterGRPCInferenceServiceServer(server, fake)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { server.Stop(); <-done }()

	g, err := client.NewGRPC(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	in := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1}}}
	ask := func(model string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return g.Ask(ctx, client.NewQuestion(model, "3", in, [][]byte{{0, 0, 0x80, 0x3f}}))
	}
	if err := ask("m"); err != nil { // an answer of 8 MiB is more than gRPC takes by itself
		t.Errorf("error %v", err)
	}
	if r := fake.got; r.ModelVersion != "3" || len(r.Inputs) != 1 || r.Inputs[0].Name != "x" || r.Inputs[0].Datatype != "FP32" || len(r.RawInputContents[0]) != 4 {
		t.Errorf("the server got %v", r)
	}
	if err := ask("n"); fairlead.CodeOf(err) != fairlead.CodeNotFound || !strings.Contains(err.Error(), "no model n") {
		t.Errorf("error %v; want the server's, not found", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.Ask(ctx, client.NewQuestion("slow", "", in, nil)); fairlead.CodeOf(err) != fairlead.CodeDeadline {
		t.Errorf("error %v; want the deadline", err)
	}
	for _, bad := range []string{"", "http://127.0.0.1:8081"} {
		if _, err := client.NewGRPC(bad); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("address %q: error %v", bad, err)
		}
	}
}
