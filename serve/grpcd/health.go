package grpcd

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead/api/oip"
)

// health is the standard health service, for the server as a whole ("") and for the inference service, which are ready
// together.
type health struct {
	healthpb.UnimplementedHealthServer
	ready    func() error
	stopping <-chan struct{}
	every    time.Duration // how often Watch looks
}

func (h *health) now(name string) healthpb.HealthCheckResponse_ServingStatus {
	if name != "" && name != oip.GRPCInferenceService_ServiceDesc.ServiceName {
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	select {
	case <-h.stopping:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
	}
	if h.ready() != nil {
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

// Check says how a service is now; NOT_FOUND for one that does not exist.
func (h *health) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	now := h.now(req.Service)
	if now == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Errorf(codes.NotFound, "there is no service %.80q (there are %q and %q)", req.Service, "",
			oip.GRPCInferenceService_ServiceDesc.ServiceName)
	}
	return &healthpb.HealthCheckResponse{Status: now}, nil
}

// List says how all services are.
func (h *health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	all := map[string]*healthpb.HealthCheckResponse{}
	for _, name := range []string{"", oip.GRPCInferenceService_ServiceDesc.ServiceName} {
		all[name] = &healthpb.HealthCheckResponse{Status: h.now(name)}
	}
	return &healthpb.HealthListResponse{Statuses: all}, nil
}

// Watch says how a service is now and whenever that changes, until the client goes away or the server stops.
func (h *health) Watch(req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for {
		if now := h.now(req.Service); now != sent {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-h.stopping:
			if sent == healthpb.HealthCheckResponse_SERVING {
				_ = stream.Send(&healthpb.HealthCheckResponse{Status: h.now(req.Service)}) // the next line says the same
			}
			return status.Error(codes.Unavailable, "the server stops")
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-tick.C:
		}
	}
}
