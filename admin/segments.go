package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Segments keeps predicates under names.
type Segments interface {
	Segments(ctx context.Context, name fairlead.Name) ([]api.Segment, error)
	SetSegment(ctx context.Context, name fairlead.Name, which string, in api.SegmentRequest) (api.Segment, error)
	RemoveSegment(ctx context.Context, name fairlead.Name, which string) (api.Segment, error)
}

// Cube gives metrics by segment, version and window.
type Cube interface {
	Cube(ctx context.Context, name fairlead.Name, q api.CubeQuery) (api.Cube, error)
}

func (s *server) registerSegments(a huma.API) {
	if s.Segments == nil || s.Cube == nil {
		return
	}
	const path = "/api/v1/deployments/{name}/segments"
	huma.Register(a, huma.Operation{
		OperationID: "segments", Method: http.MethodGet, Path: path, Tags: []string{"segments"}, Summary: "The saved segments of a deployment",
	}, func(ctx context.Context, in *ByName) (*reply[[]api.Segment], error) {
		return replied(s.Segments.Segments(ctx, fairlead.Name(in.Name)))
	})
	huma.Register(a, huma.Operation{
		OperationID: "set-segment", Method: http.MethodPut, Path: path + "/{segment}", Tags: []string{"segments"},
		Summary: "Save a segment, or change it", Description: `It is a view for SQL too: segments."<deployment>/<segment>".`,
	}, func(ctx context.Context, in *struct {
		ByName
		Segment string `path:"segment"`
		Body    api.SegmentRequest
	}) (*reply[api.Segment], error) {
		return replied(s.Segments.SetSegment(ctx, fairlead.Name(in.Name), in.Segment, in.Body))
	})
	huma.Register(a, huma.Operation{
		OperationID: "remove-segment", Method: http.MethodDelete, Path: path + "/{segment}", Tags: []string{"segments"}, Summary: "Remove a saved segment",
	}, func(ctx context.Context, in *struct {
		ByName
		Segment string `path:"segment"`
	}) (*reply[api.Segment], error) {
		return replied(s.Segments.RemoveSegment(ctx, fairlead.Name(in.Name), in.Segment))
	})
	huma.Register(a, huma.Operation{
		OperationID: "cube", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/cube", Tags: []string{"segments"},
		Summary:     "Realised metrics by segment, version and window, with 95 % intervals",
		Description: "Hours are counted once for all rows and each saved segment, and again when they get rows or labels; other segments are counted from the rows each time.",
	}, func(ctx context.Context, in *struct {
		ByName
		Segments []string  `query:"segment,explode" doc:"a saved segment, all, or a predicate; absent, and no by: all rows and every saved segment"`
		By       string    `query:"by" doc:"a column: a segment for each of its 50 most frequent values"`
		Version  int       `query:"version" minimum:"0" doc:"absent: every version"`
		Grain    string    `query:"grain" enum:"hour,day" default:"day"`
		From     time.Time `query:"from" doc:"of event time"`
		To       time.Time `query:"to" doc:"the end, not included"`
		Limit    int       `query:"limit" minimum:"1" maximum:"5000" default:"96" doc:"without from: the latest so many windows"`
	}) (*reply[api.Cube], error) {
		return replied(s.Cube.Cube(ctx, fairlead.Name(in.Name), api.CubeQuery{
			Segments: in.Segments, By: in.By, Version: in.Version, Grain: in.Grain, From: in.From, To: in.To, Limit: in.Limit,
		}))
	})
}
