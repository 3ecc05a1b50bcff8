package api

import "time"

// EventsRequest is the body of POST /api/v1/deployments/{d}/events.
type EventsRequest struct {
	Events []Event `json:"events" minItems:"1" maxItems:"100000"`
}

// Event is a named number that came of a prediction: a business event.
type Event struct {
	Name         string    `json:"name" doc:"a letter, then letters, digits and _ . - for example revenue"`
	Value        *float64  `json:"value" doc:"what came of it; for something that happened or not, 1 and 0"`
	ID           string    `json:"id,omitempty" maxLength:"256" doc:"of the event: a later one of the same name and id takes its place, so sending again is safe; events without an id all count"`
	PredictionID string    `json:"prediction_id,omitempty" doc:"the prediction it came of; else give key"`
	Key          string    `json:"key,omitempty" doc:"entity key: it came of the latest prediction about this entity at or before time, at most 30 days before"`
	Time         time.Time `json:"time,omitzero" doc:"when it happened; arrival if absent"`
}

// EventsAnswer says that the events are on disk.
type EventsAnswer struct {
	Accepted int `json:"accepted"`
}
