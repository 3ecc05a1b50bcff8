package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/fairlead-ml/fairlead/internal/lifecycle"
)

// debugPart serves Go's profiler on an address of its own: what it shows is not for clients. Without an address it does
// nothing.
func (a *App) debugPart() lifecycle.Part {
	if a.config.Debug == "" {
		return lifecycle.Part{Name: "profiler"}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return lifecycle.Part{
		Name: "profiler",
		Start: func(context.Context) error {
			l, err := net.Listen("tcp", a.config.Debug)
			if err != nil {
				return err
			}
			go func() {
				if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					a.log.Error("profiler ended", "err", fmt.Errorf("debug: %w", err))
				}
			}()
			return nil
		},
		Stop: func(context.Context) error { return server.Close() },
	}
}
