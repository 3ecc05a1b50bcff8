package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/learn/backfill"
	"github.com/fairlead-ml/fairlead/ship/reference"
)

// Backfill takes past predictions.
type Backfill interface {
	// Import returns after the rows of a message are on disk; rows that are known already add nothing.
	Import(ctx context.Context, name fairlead.Name, message []byte) (api.ImportAnswer, error)
}

// Media types of the event log's own messages, which `fairlead label` and `fairlead import` send.
const (
	labelsMessage = "application/vnd.fairlead.labels"
	rowsMessage   = "application/vnd.fairlead.rows"
)

type bulkLabelsInput struct {
	ByName
	ID          string `query:"id" doc:"column with the prediction's id; prediction_id or id if absent"`
	Key         string `query:"key" doc:"column with the entity key, instead of an id"`
	Value       string `query:"value" doc:"column with the label; value, label or the model's name for it if absent"`
	Time        string `query:"time" doc:"column with the time when the outcome was known; needed with key"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"text/csv" required:"true"`
}

func (s *server) registerBulkLabels(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "label-bulk", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/labels/bulk", Tags: []string{"labels"},
		Summary: "Send a file of truths: CSV, JSON Lines or Parquet",
		Description: "Answers after the labels are on disk. Rows that cannot be read are left out, counted and listed; they keep no other row back. " +
			"An empty value means not known yet. The same file again adds nothing.",
		MaxBodyBytes: s.MaxUpload, BodyReadTimeout: 10 * time.Minute,
	}, func(ctx context.Context, in *bulkLabelsInput) (*reply[api.BulkLabelsAnswer], error) {
		return replied(s.bulkLabels(ctx, in))
	})
	huma.Register(a, huma.Operation{
		OperationID: "import", Method: http.MethodPost, Path: "/api/v1/deployments/{name}/predictions", Tags: []string{"labels"},
		Summary: "Take past predictions, as `fairlead import` sends them",
		Description: "The body is one message of rows of the event log (" + rowsMessage + "). Answers after they are on disk; the same message again adds nothing, " +
			"nor do rows that the store has.",
		MaxBodyBytes: eventlog.MaxMessage, BodyReadTimeout: time.Minute,
	}, func(ctx context.Context, in *struct {
		ByName
		ContentType string `header:"Content-Type"`
		RawBody     []byte `contentType:"application/vnd.fairlead.rows" required:"true"`
	}) (*reply[api.ImportAnswer], error) {
		name, err := s.known(in.Name)
		if err != nil {
			return nil, toStatus(err)
		}
		return replied(s.Backfill.Import(ctx, name, in.RawBody))
	})
}

func (s *server) bulkLabels(ctx context.Context, in *bulkLabelsInput) (api.BulkLabelsAnswer, error) {
	answer := api.BulkLabelsAnswer{Faults: []api.Fault{}}
	name, err := s.known(in.Name)
	if err != nil {
		return answer, err
	}
	sig, _ := s.signature(ctx, name)
	take := func(labels []fairlead.Label) error {
		repeated, err := s.Labels.AppendBulk(ctx, labels, sig.Label.KeyJoin())
		answer.Accepted, answer.Repeated = answer.Accepted+len(labels)-repeated, answer.Repeated+repeated
		return err
	}
	if strings.HasPrefix(in.ContentType, labelsMessage) {
		labels, err := messageLabels(name, in.RawBody)
		if err != nil {
			return answer, err
		}
		return answer, take(labels)
	}
	src, err := sourceOf(in.ContentType, in.RawBody)
	if err != nil {
		return answer, err
	}
	m, err := backfill.Labels(src.Columns(), sig.Label.Name, backfill.Wanted{ID: in.ID, Key: in.Key, Value: in.Value, Time: in.Time})
	if err != nil {
		return answer, err
	}
	r := backfill.NewLabelReader(src, name, m)
	for {
		labels, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = take(labels)
		}
		if err != nil {
			return answer, err
		}
	}
	answer.Unknown, answer.Bad = r.Unknown, r.Faults.N
	for _, f := range r.Faults.First {
		answer.Faults = append(answer.Faults, api.Fault(f))
	}
	return answer, nil
}

// messageLabels checks labels that come as a message of the event log.
func messageLabels(name fairlead.Name, body []byte) ([]fairlead.Label, error) {
	labels, err := eventlog.DecodeLabels(body)
	if err != nil {
		return nil, fairlead.Invalid("the body is no message of labels").Hintf("`fairlead label NAME FILE` makes them; text/csv, application/x-ndjson and Parquet are for people").Cause(err)
	}
	for i := range labels {
		l := &labels[i]
		l.Deployment, l.Received = name, time.Time{} // the log's own clock says when they came
		if err := l.Check(); err != nil {
			return nil, atLabel(i, err)
		}
	}
	return labels, nil
}

// sourceOf reads a body by its media type, else by its first bytes. Parquet goes through the reader that trusts nothing.
func sourceOf(contentType string, body []byte) (backfill.Source, error) {
	switch {
	case bytes.HasPrefix(body, []byte("PAR1")):
		t, err := reference.Read("the body", body)
		if err != nil {
			return nil, err
		}
		return backfill.FromTable(t), nil
	case strings.Contains(contentType, "ndjson"), strings.Contains(contentType, "jsonl"), bytes.HasPrefix(body, []byte("{")):
		return backfill.OpenJSONLines(bytes.NewReader(body), int64(len(body)))
	}
	return backfill.Open("the body", bytes.NewReader(body), int64(len(body)))
}
