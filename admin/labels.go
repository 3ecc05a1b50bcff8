package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Labels keeps truths.
type Labels interface {
	// Append returns after the labels are on disk.
	Append(ctx context.Context, labels []fairlead.Label) error
}

func (s *server) registerLabels(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "label", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/labels", Tags: []string{"labels"},
		Summary:      "Send truths, one or many, late or corrected",
		Description:  "Answers after the labels are on disk. A later label for the same prediction corrects the earlier one. A label may come before its prediction is in the store.",
		MaxBodyBytes: 64 << 20, BodyReadTimeout: time.Minute,
	}, func(ctx context.Context, in *struct {
		ByName
		Body api.LabelsRequest
	}) (*reply[api.LabelsAnswer], error) {
		return replied(s.label(ctx, in.Name, in.Body.Labels))
	})
}

func (s *server) label(ctx context.Context, deployment string, in []api.Label) (api.LabelsAnswer, error) {
	name, err := s.known(deployment)
	if err != nil {
		return api.LabelsAnswer{}, err
	}
	now := s.Now().UTC()
	labels := make([]fairlead.Label, len(in))
	for i, l := range in {
		value, err := labelValue(l.Value)
		if err != nil {
			return api.LabelsAnswer{}, fairlead.Invalid("labels[%d].value: %v", i, err).
				Hintf("no label of this request was stored; a value is a class name, a number, true or false")
		}
		at := l.Time
		if at.IsZero() {
			at = now
		}
		labels[i] = fairlead.Label{Deployment: name, PredictionID: l.PredictionID, Value: value, Time: at.UTC(), Received: now}
	}
	if err := s.Labels.Append(ctx, labels); err != nil {
		return api.LabelsAnswer{}, err
	}
	return api.LabelsAnswer{Accepted: len(labels)}, nil
}

func labelValue(v any) (string, error) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return "", fairlead.Invalid("is empty")
		}
		return x, nil
	case bool:
		if x {
			return "1", nil
		}
		return "0", nil
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), nil // no exponent: 1000000 may be the name of a class
	case nil:
		return "", fairlead.Invalid("is missing")
	}
	return "", fairlead.Invalid("is a %T", v)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
