package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead/api"
)

// Incidents are alerts that began together, and who takes care of them.
type Incidents interface {
	// Incidents lists them, the latest first.
	Incidents(ctx context.Context) ([]api.Incident, error)
	Acknowledge(ctx context.Context, in api.AckRequest) (api.Incident, error)
	Unacknowledge(ctx context.Context, in api.AckRequest) (api.Incident, error)
}

// Silences keep alerts from being told.
type Silences interface {
	// Silences lists them, on demand also those that are over.
	Silences(ctx context.Context, ended bool) ([]api.Silence, error)
	Silence(ctx context.Context, in api.SilenceRequest) (api.Silence, error)
	Unsilence(ctx context.Context, id, by string) (api.Silence, error)
}

// Receivers are who is told.
type Receivers interface {
	Receivers() []api.Receiver
	// TestReceiver sends a message. That it could not be sent is an answer, not an error.
	TestReceiver(ctx context.Context, name, by string) (api.TestMessage, error)
}

func (s *server) registerIncidents(a huma.API) {
	if s.Incidents == nil || s.Receivers == nil {
		return
	}
	huma.Register(a, huma.Operation{
		OperationID: "incidents", Method: http.MethodGet, Path: "/api/v1/alerts/incidents", Tags: []string{"alerts"},
		Summary: "Alerts that began together, who was told of them and who takes care of them; the latest first",
	}, func(ctx context.Context, in *struct {
		State      string `query:"state" enum:"firing,resolved"`
		Deployment string `query:"deployment"`
	}) (*reply[[]api.Incident], error) {
		all, err := s.Incidents.Incidents(ctx)
		all = slices.DeleteFunc(all, func(x api.Incident) bool {
			return in.State != "" && x.State != in.State || in.Deployment != "" && x.Deployment != in.Deployment
		})
		return replied(all, err)
	})
	for _, x := range []struct {
		verb, summary string
		do            func(context.Context, api.AckRequest) (api.Incident, error)
	}{
		{"ack", "Say that somebody takes care of an incident: nobody is told of it again until it is over", s.Incidents.Acknowledge},
		{"unack", "Take an acknowledgement back", s.Incidents.Unacknowledge},
	} {
		huma.Register(a, huma.Operation{
			OperationID: x.verb + "-alert", Method: http.MethodPost, Path: "/api/v1/alerts/" + x.verb, Tags: []string{"alerts"}, Summary: x.summary,
		}, func(ctx context.Context, in *struct{ Body api.AckRequest }) (*reply[api.Incident], error) {
			return replied(x.do(ctx, in.Body))
		})
	}
	huma.Register(a, huma.Operation{
		OperationID: "receivers", Method: http.MethodGet, Path: "/api/v1/alerts/receivers", Tags: []string{"alerts"}, Summary: "Who is told of incidents",
	}, func(context.Context, *struct{}) (*reply[[]api.Receiver], error) {
		return replied(s.Receivers.Receivers(), nil)
	})
	huma.Register(a, huma.Operation{
		OperationID: "test-receiver", Method: http.MethodPost, Path: "/api/v1/alerts/receivers/{name}/test", Tags: []string{"alerts"},
		Summary: "Send a receiver a test message",
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		By   string `query:"by" maxLength:"200"`
	}) (*reply[api.TestMessage], error) {
		return replied(s.Receivers.TestReceiver(ctx, in.Name, in.By))
	})
}

func (s *server) registerSilences(a huma.API) {
	if s.Silences == nil {
		return
	}
	const path = "/api/v1/silences"
	huma.Register(a, huma.Operation{
		OperationID: "silences", Method: http.MethodGet, Path: path, Tags: []string{"alerts"}, Summary: "Silences and downtimes",
	}, func(ctx context.Context, in *struct {
		Ended bool `query:"ended" doc:"also those that are over, for a month"`
	}) (*reply[[]api.Silence], error) {
		return replied(s.Silences.Silences(ctx, in.Ended))
	})
	huma.Register(a, huma.Operation{
		OperationID: "silence", Method: http.MethodPost, Path: path, Tags: []string{"alerts"}, Summary: "Keep alerts from being told for a time, or in a part of each week",
	}, func(ctx context.Context, in *struct{ Body api.SilenceRequest }) (*reply[api.Silence], error) {
		return replied(s.Silences.Silence(ctx, in.Body))
	})
	huma.Register(a, huma.Operation{
		OperationID: "unsilence", Method: http.MethodDelete, Path: path + "/{id}", Tags: []string{"alerts"}, Summary: "End a silence now",
	}, func(ctx context.Context, in *struct {
		ID string `path:"id"`
		By string `query:"by" maxLength:"200"`
	}) (*reply[api.Silence], error) {
		return replied(s.Silences.Unsilence(ctx, in.ID, in.By))
	})
}
