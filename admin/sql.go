package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// SQL asks the evaluation store, read-only.
type SQL interface {
	SQL(ctx context.Context, query string, limit int) (api.SQLAnswer, error)
	// WriteSQL writes the answer as csv, arrow or parquet; nothing before the query has succeeded.
	WriteSQL(ctx context.Context, w io.Writer, query, format string, limit int) (api.SQLWritten, error)
	SQLSchema(ctx context.Context) ([]api.SQLTable, error)
}

const (
	defaultRows = 10_000
	maxJSONRows = 1_000_000
)

func (s *server) registerSQL(a huma.API) {
	content := map[string]*huma.MediaType{}
	for format, media := range api.SQLTypes {
		content[media] = &huma.MediaType{}
		if format == "json" {
			content[media].Schema = a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.SQLAnswer](), true, "SQLAnswer")
		}
	}
	huma.Register(a, huma.Operation{
		OperationID: "sql", Method: http.MethodPost, Path: "/api/v1/sql", Tags: []string{"sql"},
		Summary: "Ask the evaluation store in SQL",
		Description: "One SELECT of DuckDB's dialect over the tables of /api/v1/sql/schema. Read-only; no files, no network. " +
			"The answer is JSON, or CSV, an Arrow stream or Parquet by Accept or format; their trailers " + api.RowsTrailer + " and " + api.TruncatedTrailer + " say how it ended.",
		Responses: map[string]*huma.Response{"200": {Description: "The answer", Content: content}},
	}, func(ctx context.Context, in *struct {
		Accept string `header:"Accept"`
		Body   api.SQLRequest
	}) (*huma.StreamResponse, error) {
		if in.Body.Limit <= 0 {
			in.Body.Limit = defaultRows
		}
		if in.Body.Format == "" {
			in.Body.Format = accepted(in.Accept)
		}
		if in.Body.Format != "json" {
			return &huma.StreamResponse{Body: func(hc huma.Context) { s.streamSQL(hc, in.Body) }}, nil
		}
		if in.Body.Limit > maxJSONRows {
			return nil, toStatus(fairlead.Invalid("%d rows are too many for JSON", in.Body.Limit).
				Hintf("at most %d; csv, arrow and parquet hold more", maxJSONRows))
		}
		answer, err := s.SQL.SQL(ctx, in.Body.Query, in.Body.Limit)
		if err != nil {
			return nil, toStatus(err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", api.SQLTypes["json"])
			_ = json.NewEncoder(hc.BodyWriter()).Encode(answer) // a client that went away
		}}, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "sql-schema", Method: http.MethodGet, Path: "/api/v1/sql/schema", Tags: []string{"sql"},
		Summary: "List the tables that can be asked, with their columns",
	}, func(ctx context.Context, _ *struct{}) (*reply[[]api.SQLTable], error) {
		return replied(s.SQL.SQLSchema(ctx))
	})
}

// accepted is the first format that an Accept header names.
func accepted(header string) string {
	for part := range strings.SplitSeq(header, ",") {
		media, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		for format, of := range api.SQLTypes {
			if known, _, _ := strings.Cut(of, ";"); strings.EqualFold(media, known) {
				return format
			}
		}
	}
	return "json"
}

// streamSQL answers while the rows are read. An error before the first byte is answered as any other; one after it cuts the
// connection, so that nobody takes a part for the whole.
func (s *server) streamSQL(hc huma.Context, in api.SQLRequest) {
	r, w := humago.Unwrap(hc)
	out := &startingWriter{w: w, header: api.SQLTypes[in.Format]}
	written, err := s.SQL.WriteSQL(r.Context(), out, in.Query, in.Format, in.Limit)
	if err == nil {
		out.start()
		w.Header().Set(api.RowsTrailer, strconv.Itoa(written.Rows))
		w.Header().Set(api.TruncatedTrailer, strconv.FormatBool(written.Truncated))
		return
	}
	if out.started {
		if s.Log != nil {
			s.Log.Error("an answer broke off", "path", r.URL.Path, "err", err)
		}
		panic(http.ErrAbortHandler)
	}
	b, ok := toStatus(err).(*body)
	if !ok {
		panic("admin: an error's status is a body")
	}
	_, _ = s.logCause(hc, "", b)
	w.Header().Set("Content-Type", "application/json")
	for name, values := range b.GetHeaders() {
		w.Header()[name] = values
	}
	w.WriteHeader(b.status)
	_ = json.NewEncoder(w).Encode(b.ErrorBody) // a client that went away
}

// startingWriter sends the headers with the first byte.
type startingWriter struct {
	w       http.ResponseWriter
	header  string
	started bool
}

func (s *startingWriter) start() {
	if s.started {
		return
	}
	s.started = true
	s.w.Header().Set("Content-Type", s.header)
	s.w.Header().Set("Trailer", api.RowsTrailer+", "+api.TruncatedTrailer)
	s.w.WriteHeader(http.StatusOK)
}

func (s *startingWriter) Write(p []byte) (int, error) {
	s.start()
	return s.w.Write(p)
}
