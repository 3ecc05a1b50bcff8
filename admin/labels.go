package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch"
)

// Labels keeps truths.
type Labels interface {
	// Append returns after the labels are on disk.
	Append(ctx context.Context, labels []fairlead.Label) error
	// AppendBulk does too. The same labels again, in the same portions, add nothing: it says how many were there. Labels by
	// entity key get the join.
	AppendBulk(ctx context.Context, labels []fairlead.Label, join fairlead.LabelJoin) (repeated int, err error)
	// LabelLag says how late labels come and how complete the last limit windows are.
	LabelLag(ctx context.Context, name fairlead.Name, spec fairlead.LabelSpec, grain watch.Grain, limit int) (api.LabelLag, error)
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
	huma.Register(a, huma.Operation{
		OperationID: "label-lag", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/labels/lag", Tags: []string{"labels"},
		Summary:     "How late labels come, and how complete each window is",
		Description: "The curve is Kaplan and Meier's estimate over the last 90 days of event time: predictions without a label count as long as they have waited.",
	}, func(ctx context.Context, in *struct {
		ByName
		Grain string `query:"grain" enum:"hour,day" default:"day"`
		Limit int    `query:"limit" minimum:"1" maximum:"2000" default:"30" doc:"the latest so many windows"`
	}) (*reply[api.LabelLag], error) {
		name, err := s.known(in.Name)
		if err != nil {
			return nil, toStatus(err)
		}
		sig, _ := s.signature(ctx, name)
		return replied(s.Labels.LabelLag(ctx, name, sig.Label, watch.Grain(in.Grain), in.Limit))
	})
	s.registerBulkLabels(a)
}

func (s *server) label(ctx context.Context, deployment string, in []api.Label) (api.LabelsAnswer, error) {
	name, err := s.known(deployment)
	if err != nil {
		return api.LabelsAnswer{}, err
	}
	now, join := s.Now().UTC(), s.join(ctx, name)
	labels := make([]fairlead.Label, len(in))
	for i, l := range in {
		value, err := valueOf(l)
		if err != nil {
			return api.LabelsAnswer{}, fairlead.Invalid("labels[%d].value: %v", i, err).
				Hintf("no label of this request was stored; a value is a class name, a number, true or false")
		}
		at := l.Time
		if at.IsZero() {
			at = now
		}
		labels[i] = fairlead.Label{Deployment: name, PredictionID: l.PredictionID, Key: l.Key, Value: value, Time: at.UTC(), Received: now}
		if l.Key != "" {
			labels[i].Join = join
		}
		if err := labels[i].Check(); err != nil {
			return api.LabelsAnswer{}, atLabel(i, err)
		}
	}
	if err := s.Labels.Append(ctx, labels); err != nil {
		return api.LabelsAnswer{}, err
	}
	return api.LabelsAnswer{Accepted: len(labels)}, nil
}

// valueOf is a label's value, "" for one that takes back.
func valueOf(l api.Label) (string, error) {
	if !l.Retract {
		return labelValue(l.Value)
	}
	if l.Value != nil {
		return "", fairlead.Invalid("is %v, and retract is set: only one of them can be meant", l.Value)
	}
	return "", nil
}

// atLabel says which of the labels err is about.
func atLabel(i int, err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return err
	}
	return fairlead.Errorf(e.Code, "labels[%d]: %s", i, e.Message).Hintf("no label of this request was stored; %s", e.Hint)
}

// join is how labels by entity key find their predictions, by the live version's word.
func (s *server) join(ctx context.Context, name fairlead.Name) fairlead.LabelJoin {
	sig, _ := s.signature(ctx, name)
	return sig.Label.KeyJoin()
}

// signature is the live version's; the zero one where there is none, as for a pipeline.
func (s *server) signature(ctx context.Context, name fairlead.Name) (fairlead.Signature, fairlead.Version) {
	v, err := s.Live(name)
	if err != nil {
		return fairlead.Signature{}, 0
	}
	_, sig, err := s.References.Reference(ctx, name, v)
	if err != nil {
		return fairlead.Signature{}, v
	}
	return sig, v
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
