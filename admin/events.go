package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Events keeps business events.
type Events interface {
	// AppendEvents returns after the events are on disk.
	AppendEvents(ctx context.Context, events []fairlead.BusinessEvent) error
}

func (s *server) registerEvents(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "event", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/events", Tags: []string{"labels"},
		Summary:      "Send business events: named numbers that came of predictions",
		Description:  "Answers after the events are on disk. Each belongs to a prediction by id, or by entity key and time, and may come before it is in the store. Rollouts and bandits compare versions by them.",
		MaxBodyBytes: 64 << 20, BodyReadTimeout: time.Minute,
	}, func(ctx context.Context, in *struct {
		ByName
		Body api.EventsRequest
	}) (*reply[api.EventsAnswer], error) {
		return replied(s.event(ctx, in.Name, in.Body.Events))
	})
}

func (s *server) event(ctx context.Context, deployment string, in []api.Event) (api.EventsAnswer, error) {
	name, err := s.known(deployment)
	if err != nil {
		return api.EventsAnswer{}, err
	}
	now := s.Now().UTC()
	events := make([]fairlead.BusinessEvent, len(in))
	for i, e := range in {
		at := e.Time
		if at.IsZero() {
			at = now
		}
		events[i] = fairlead.BusinessEvent{
			Deployment: name, Name: e.Name, ID: e.ID, PredictionID: e.PredictionID, Key: e.Key, Time: at.UTC(), Received: now,
		}
		if e.Value == nil {
			err = fairlead.Invalid("the value is missing").Hintf("a number; leave the event out where it is not known")
		} else {
			events[i].Value = *e.Value
			err = events[i].Check()
		}
		if err != nil {
			return api.EventsAnswer{}, atEvent(i, err)
		}
	}
	if err := s.Events.AppendEvents(ctx, events); err != nil {
		return api.EventsAnswer{}, err
	}
	return api.EventsAnswer{Accepted: len(events)}, nil
}

// atEvent says which of the events err is about.
func atEvent(i int, err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return err
	}
	return fairlead.Errorf(e.Code, "events[%d]: %s", i, e.Message).Hintf("no event of this request was stored; %s", e.Hint)
}
