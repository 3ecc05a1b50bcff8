package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/fairlead-ml/fairlead/serve/grpcd"
	"github.com/fairlead-ml/fairlead/serve/trace"
)

// startGRPC serves the Open Inference Protocol over gRPC.
func (a *App) startGRPC(context.Context) error {
	if a.config.GRPC == "" {
		return nil
	}
	l, err := net.Listen("tcp", a.config.GRPC)
	if err != nil {
		if a.config.GRPCOptional {
			a.log.Warn("no gRPC: its default address is taken; choose another with --grpc", "address", a.config.GRPC, "err", err)
			return nil
		}
		return fmt.Errorf("listen on %s: %w", a.config.GRPC, err)
	}
	options := grpcd.Options{
		Version: a.config.Version, MaxMessage: int(a.config.MaxBody), Ready: a.readiness, Log: a.log,
		Repository: newRepository(a), ClientKey: strings.ToLower(a.config.ClientHeader),
	}
	if a.tracer != nil {
		options.Context = trace.FromHeader
	}
	a.grpc = grpcd.New(a.core, options)
	go func() {
		if err := a.grpc.Serve(l); err != nil {
			a.fail(fmt.Errorf("grpc: %w", err))
		}
	}()
	return nil
}

// stopGRPC lets calls in flight finish, within the time that stopHTTP allows too.
func (a *App) stopGRPC(ctx context.Context) error {
	if a.grpc == nil {
		return nil
	}
	polite, cancel := context.WithTimeout(ctx, a.config.StopWithin/4)
	defer cancel()
	err := a.grpc.Stop(polite)
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("gRPC calls cut off at stop")
		return nil
	}
	return err
}
