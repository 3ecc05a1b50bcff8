// Package admin is the control API under /api/v1, for the CLI, the UI and the Python client: thin handlers that read
// the seams and ask the app to act. The OpenAPI 3.1 document is served at /api/openapi.json, a browser for it at
// /api/docs.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Models is the model room as the control API needs it.
type Models interface {
	// Models lists every model with its versions, newest first.
	Models(ctx context.Context) ([]api.Model, error)
	// Push stores a model and puts it live. body is an .onnx file, or a tar of a bundle folder when tar is set.
	Push(ctx context.Context, name fairlead.Name, tar bool, body []byte, o api.PushOptions) (api.PushAnswer, error)
	// Example is a request that a version, named by number or alias, answers.
	Example(ctx context.Context, name, version string) (api.ModelExample, error)
}

// Deployments is what runs.
type Deployments interface {
	Deployments(ctx context.Context) ([]api.Deployment, error)
	// Rollback puts the version that was live before back, at once.
	Rollback(ctx context.Context, name fairlead.Name) (api.RollbackAnswer, error)
	// Annotate keeps a mark on a span of event time.
	Annotate(ctx context.Context, name fairlead.Name, a api.Annotation) (api.Annotation, error)
}

// Desired makes deployments what files say.
type Desired interface {
	// Apply makes a deployment what in says, or only says what would change.
	Apply(ctx context.Context, name fairlead.Name, in api.DeploymentRequest) (api.DeploymentAnswer, error)
}

// Options are the parts the handlers call.
type Options struct {
	Version     string
	Log         *slog.Logger
	Now         func() time.Time
	Names       func() []fairlead.Name                             // deployments there are; cheap
	Live        func(name fairlead.Name) (fairlead.Version, error) // the version that serves now
	Status      func(ctx context.Context) (api.Status, error)
	Models      Models
	Aliases     Aliases
	Versions    Versions
	Upkeep      Upkeep
	Transfer    Transfer
	Signing     Signing
	Testing     Testing
	Deployments Deployments
	Desired     Desired
	Rollouts    Rollouts
	Pipelines   Pipelines
	History     RolloutHistory
	Labels      Labels
	Backfill    Backfill
	Events      Events
	Findings    Findings
	Watermark   func(ctx context.Context, name fairlead.Name) (time.Time, error) // latest event time
	References  References
	Alerts      Alerts
	Incidents   Incidents
	Silences    Silences
	Receivers   Receivers
	SQL         SQL
	Replay      Replay
	Rows        Rows
	Export      Export
	Segments    Segments
	Cube        Cube
	MaxUpload   int64 // bytes of one pushed model
}

type server struct{ Options }

// setErrorShape writes huma's variables once: a process may hold more than one server.
var setErrorShape = sync.OnceFunc(func() {
	huma.NewError = newError
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return newError(status, msg, errs...)
	}
})

// New registers the control API on mux. It sets huma's process-wide error shape, so that validation errors have the
// same body as every other error of the server.
func New(mux *http.ServeMux, opt Options) huma.API {
	setErrorShape()
	config := huma.DefaultConfig("fairlead control API", opt.Version)
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath = "" // huma's own page loads its viewer from a foreign host
	config.SchemasPath = "/api/schemas"
	config.CreateHooks = nil // no $schema links in the answers
	config.Transformers = append(config.Transformers, opt.logCause)
	config.Info.Description = "Models, deployments, labels, drift, metrics, alerts and SQL. " +
		"Predictions go to /v2 (Open Inference Protocol) and /v1 (TensorFlow Serving)."
	hapi := humago.New(mux, config)
	s := &server{opt}
	s.registerStatus(hapi)
	s.registerModels(hapi)
	s.registerRegistry(hapi)
	s.registerSignatures(hapi)
	s.registerTesting(hapi)
	s.registerDeployments(hapi)
	s.registerRollouts(hapi)
	s.registerPipelines(hapi)
	s.registerLabels(hapi)
	s.registerEvents(hapi)
	s.registerDrift(hapi)
	s.registerDriftReport(hapi)
	s.registerMetrics(hapi)
	s.registerAlerts(hapi)
	s.registerIncidents(hapi)
	s.registerSilences(hapi)
	s.registerSQL(hapi)
	s.registerReplay(hapi)
	s.registerRows(hapi)
	s.registerExport(hapi)
	s.registerSegments(hapi)
	mux.HandleFunc("GET /api/docs", docs(hapi))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, fairlead.NotFound("there is no %s %s", r.Method, r.URL.Path).Hintf("the control API is described at /api/docs"))
	})
	return hapi
}

// logCause keeps for the operator what a client is not shown.
func (o Options) logCause(ctx huma.Context, _ string, v any) (any, error) {
	if b, ok := v.(*body); ok && b.cause != nil && o.Log != nil {
		o.Log.Error("request failed", "method", ctx.Method(), "path", ctx.URL().Path, "status", b.status, "err", b.cause)
	}
	return v, nil
}

// reply is an answer with a body.
type reply[T any] struct{ Body T }

func replied[T any](body T, err error) (*reply[T], error) {
	if err != nil {
		return nil, toStatus(err)
	}
	return &reply[T]{body}, nil
}

func (s *server) registerStatus(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/api/v1/status", Tags: []string{"server"},
		Summary: "How the server is",
	}, func(ctx context.Context, _ *struct{}) (*reply[api.Status], error) {
		return replied(s.Status(ctx))
	})
}

// body is the ErrorBody with its status, as huma wants it.
type body struct {
	api.ErrorBody
	status int
	retry  time.Duration
	cause  error // for the log; nil when the client is shown everything
}

func (b *body) Error() string  { return b.ErrorBody.Error }
func (b *body) GetStatus() int { return b.status }

// GetHeaders says when trying again makes sense, in whole seconds.
func (b *body) GetHeaders() http.Header {
	if b.retry <= 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(b.retry.Seconds())))}}
}

func newError(status int, msg string, errs ...error) huma.StatusError {
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			msg += "; " + detail.Location + ": " + detail.Message
			continue
		}
		if err != nil {
			msg += "; " + err.Error()
		}
	}
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest // one status for "your request does not fit"
	}
	code := fairlead.CodeInternal
	if status < http.StatusInternalServerError {
		code = fairlead.CodeInvalid // statuses that only HTTP has: no such media type, no such method
	}
	for c, st := range statuses {
		if st == status {
			code = c
		}
	}
	return &body{ErrorBody: api.ErrorBody{Error: msg, Code: string(code)}, status: status}
}

var statuses = map[fairlead.Code]int{
	fairlead.CodeInvalid:     http.StatusBadRequest,
	fairlead.CodeNotFound:    http.StatusNotFound,
	fairlead.CodeConflict:    http.StatusConflict,
	fairlead.CodeTooLarge:    http.StatusRequestEntityTooLarge,
	fairlead.CodeExhausted:   http.StatusTooManyRequests,
	fairlead.CodeCanceled:    499,
	fairlead.CodeUnsupported: http.StatusNotImplemented,
	fairlead.CodeUnavailable: http.StatusServiceUnavailable,
	fairlead.CodeDeadline:    http.StatusGatewayTimeout,
	fairlead.CodeInternal:    http.StatusInternalServerError,
}

// toStatus shows a client what an Error says, and hides everything else behind a plain 500.
func toStatus(err error) huma.StatusError {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) {
			return &body{ErrorBody: api.ErrorBody{Error: "the client went away", Code: string(fairlead.CodeCanceled)}, status: 499}
		}
		return &body{
			ErrorBody: api.ErrorBody{Error: "the server failed; its log says why", Code: string(fairlead.CodeInternal)},
			status:    http.StatusInternalServerError, cause: err,
		}
	}
	b := &body{ErrorBody: api.ErrorBody{Error: e.Message, Code: string(e.Code), Hint: e.Hint}, status: statuses[e.Code], retry: e.Retry}
	if b.status == 0 {
		b.status = http.StatusInternalServerError
	}
	if b.status >= http.StatusInternalServerError {
		b.cause = errors.Join(err, e.Err)
	}
	return b
}
