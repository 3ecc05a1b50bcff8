package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Replay asks another version what was recorded.
type Replay interface {
	// Replay calls progress, if not nil, every now and then.
	Replay(ctx context.Context, name fairlead.Name, in api.ReplayRequest, progress func(done, total int)) (api.ReplayReport, error)
}

const ndjson = "application/x-ndjson"

func (s *server) registerReplay(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "replay", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/replay", Tags: []string{"deployments"},
		Summary: "Run recorded requests through another version and compare",
		Description: "The version is loaded beside what serves, and gives way to it; one replay runs at a time. " +
			"With Accept: " + ndjson + " lines of progress come first, the report is in the last one.",
	}, func(ctx context.Context, in *struct {
		Name   string `path:"name"`
		Accept string `header:"Accept"`
		Body   api.ReplayRequest
	}) (*huma.StreamResponse, error) {
		name := fairlead.Name(in.Name)
		if !strings.Contains(in.Accept, ndjson) {
			report, err := s.Replay.Replay(ctx, name, in.Body, nil)
			if err != nil {
				return nil, toStatus(err)
			}
			return &huma.StreamResponse{Body: func(hc huma.Context) {
				hc.SetHeader("Content-Type", "application/json")
				_ = json.NewEncoder(hc.BodyWriter()).Encode(report) // a client that went away
			}}, nil
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { s.streamReplay(hc, name, in.Body) }}, nil
	})
}

func (s *server) streamReplay(hc huma.Context, name fairlead.Name, in api.ReplayRequest) {
	r, w := humago.Unwrap(hc)
	w.Header().Set("Content-Type", ndjson)
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	var last api.ReplayProgress
	report, err := s.Replay.Replay(r.Context(), name, in, func(done, total int) {
		last = api.ReplayProgress{Done: done, Total: total}
		_ = enc.Encode(last) // a client that went away ends the context
		_ = flush.Flush()
	})
	if last.Report = &report; err != nil {
		last.Report = nil
		if b, ok := toStatus(err).(*body); ok {
			_, _ = s.logCause(hc, "", b)
			last.Error = &b.ErrorBody
		}
	}
	_ = enc.Encode(last)
}
