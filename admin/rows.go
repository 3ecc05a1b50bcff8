package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Rows gives recorded rows as files.
type Rows interface {
	// RowFiles lists the files of the days from and until, both included; a zero time is no bound.
	RowFiles(ctx context.Context, name fairlead.Name, from, until time.Time) ([]api.RowFile, error)
	// OpenRows opens one of them and gives its size. The caller closes it.
	OpenRows(ctx context.Context, name fairlead.Name, date time.Time, file string) (io.ReadCloser, int64, error)
}

func (s *server) registerRows(a huma.API) {
	if s.Rows == nil {
		return
	}
	huma.Register(a, huma.Operation{
		OperationID: "row-files", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/rows", Tags: []string{"data"},
		Summary:     "The recorded rows as Parquet files, day by day",
		Description: "Each row is in exactly one file. docs/format/partitions.md says what is in them.",
	}, func(ctx context.Context, in *struct {
		Name  string `path:"name"`
		From  string `query:"from" doc:"first day, 2006-01-02; absent: the first there is"`
		Until string `query:"until" doc:"last day, included; absent: the last there is"`
	}) (*reply[[]api.RowFile], error) {
		from, err := day(in.From)
		if err != nil {
			return nil, toStatus(err)
		}
		until, err := day(in.Until)
		if err != nil {
			return nil, toStatus(err)
		}
		return replied(s.Rows.RowFiles(ctx, fairlead.Name(in.Name), from, until))
	})
	huma.Register(a, huma.Operation{
		OperationID: "row-file", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/rows/{date}/{file}", Tags: []string{"data"},
		Summary: "One of the files",
		Responses: map[string]*huma.Response{"200": {
			Description: "The Parquet file", Content: map[string]*huma.MediaType{"application/vnd.apache.parquet": {}},
		}},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Date string `path:"date"`
		File string `path:"file"`
	}) (*huma.StreamResponse, error) {
		date, err := day(in.Date)
		if err != nil {
			return nil, toStatus(err)
		}
		f, size, err := s.Rows.OpenRows(ctx, fairlead.Name(in.Name), date, in.File)
		if err != nil {
			return nil, toStatus(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer f.Close()
			c.SetHeader("Content-Type", "application/vnd.apache.parquet")
			c.SetHeader("Content-Length", strconv.FormatInt(size, 10)) // a cut file is seen by it
			_, _ = io.Copy(c.BodyWriter(), f)                          // the client went away, or will see that it is short
		}}, nil
	})
}

// day reads a date; "" is the zero time.
func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fairlead.Invalid("%q is no day", s).Hintf("write it as 2006-01-02")
	}
	return t, nil
}
