package grpcd_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
)

func (b *bench) waitEnded(t *testing.T) {
	t.Helper()
	select {
	case <-b.ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the model still computes")
	}
}

// TestDeadlines: the deadline that a request states and the one of the call both end the computation.
func TestDeadlines(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	req := echoRequest("slow", 1, 2)
	req.Parameters = map[string]*oip.InferParameter{"deadline": text("30ms")}
	_, err := b.client.ModelInfer(t.Context(), req)
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "the deadline of 30ms passed") {
		t.Errorf("stated deadline: %v", err)
	}
	b.waitEnded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err = b.client.ModelInfer(ctx, echoRequest("slow", 1, 2)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline of the call: %v", err)
	}
	b.waitEnded(t)
}

func TestCancellation(t *testing.T) {
	rec := &recorder{}
	b := start(t, serve.Options{Recorder: rec}, grpcd.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	if _, err := b.client.ModelInfer(ctx, echoRequest("slow", 1, 2)); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled call: %v", err)
	}
	b.waitEnded(t)
	if len(rec.got) != 0 {
		t.Error("a cancelled prediction was recorded")
	}
}

func TestHealth(t *testing.T) {
	var down atomic.Bool
	b := start(t, serve.Options{}, grpcd.Options{Ready: func() error {
		if down.Load() {
			return fairlead.Errorf(fairlead.CodeUnavailable, "draining")
		}
		return nil
	}})
	h := healthpb.NewHealthClient(b.conn)
	for _, name := range []string{"", "inference.GRPCInferenceService"} {
		r, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v %v", name, r, err)
		}
	}
	if _, err := h.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
	watch, err := h.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := h.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := unknown.Recv(); err != nil || r.Status != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("watch of an unknown service: %v %v", r, err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING, healthpb.HealthCheckResponse_SERVING} {
		if r, err := watch.Recv(); err != nil || r.Status != want {
			t.Fatalf("watch: %v %v, want %v", r, err, want)
		}
		down.Store(!down.Load())
	}
	down.Store(false)
	go b.server.Stop(t.Context())
	for {
		r, err := watch.Recv()
		if err != nil {
			if status.Code(err) != codes.Unavailable {
				t.Errorf("watch at the stop: %v", err)
			}
			break
		}
		t.Log(r.Status)
	}
}

// TestStop: a prediction under way is answered; a stream that its client keeps open does not hold the server up.
func TestStop(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	refl, err := reflectionpb.NewServerReflectionClient(b.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := refl.Send(list); err != nil {
		t.Fatal(err)
	}
	answer, err := refl.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	if all := strings.Join(names, " "); !strings.Contains(all, "inference.GRPCInferenceService") || !strings.Contains(all, "grpc.health.v1.Health") {
		t.Errorf("reflection lists %s", all)
	}
	inFlight := make(chan error, 1)
	go func() {
		req := echoRequest("slow", 1, 2)
		req.Parameters = map[string]*oip.InferParameter{"deadline": text("1500ms")}
		_, err := b.client.ModelInfer(t.Context(), req)
		inFlight <- err
	}()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	if err := b.server.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 1300*time.Millisecond || took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if err := <-inFlight; status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "1.5s") {
		t.Errorf("the request under way got %v", err)
	}
	if _, err := b.client.ServerLive(t.Context(), &oip.ServerLiveRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
}

// TestStopInTime: a prediction that takes longer than the stop may is broken off.
func TestStopInTime(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	inFlight := make(chan error, 1)
	go func() {
		_, err := b.client.ModelInfer(t.Context(), echoRequest("slow", 1, 2))
		inFlight <- err
	}()
	time.Sleep(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.server.Stop(ctx); err != context.DeadlineExceeded {
		t.Errorf("stop: %v", err)
	}
	if err := <-inFlight; status.Code(err) != codes.Unavailable {
		t.Errorf("the request under way got %v", err)
	}
	b.waitEnded(t)
}
