package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/report"
)

// reportTypes are what a report can be had as.
var reportTypes = map[string]string{"json": "application/json", "html": "text/html; charset=utf-8", "markdown": "text/markdown; charset=utf-8"}

type reportInput struct {
	ByWindows
	Format string `query:"format" enum:"json,html,markdown" default:"json"`
}

func (s *server) registerDriftReport(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "drift-report", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/drift-report", Tags: []string{"drift"},
		Summary:     "One report on many windows: a page, Markdown for a pull request, or JSON",
		Description: "Made of the windows' counts, so that it takes no longer for more rows. The page needs nothing else: no script, no server.",
		Responses: map[string]*huma.Response{"200": {Description: "The report", Content: map[string]*huma.MediaType{
			"application/json": {}, "text/html": {}, "text/markdown": {},
		}}},
	}, func(ctx context.Context, in *reportInput) (*huma.StreamResponse, error) {
		r, err := s.driftReport(ctx, &in.ByWindows)
		if err != nil {
			return nil, toStatus(err)
		}
		body, err := rendered(r, in.Format)
		if err != nil {
			return nil, toStatus(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			c.SetHeader("Content-Type", reportTypes[in.Format])
			c.SetHeader("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'") // names of columns are a stranger's
			_, _ = c.BodyWriter().Write(body)                                                       // the client went away
		}}, nil
	})
}

func rendered(r *compare.Report, format string) ([]byte, error) {
	switch format {
	case "html":
		return report.HTML(r, "by event time, UTC")
	case "markdown":
		return report.Markdown(r), nil
	}
	return json.MarshalIndent(r, "", "  ")
}

// driftReport adds up the windows that have findings.
func (s *server) driftReport(ctx context.Context, in *ByWindows) (*compare.Report, error) {
	name, v, err := s.version(in.Name, in.Version)
	if err != nil {
		return nil, err
	}
	ref, _, err := s.References.Reference(ctx, name, v)
	if err != nil {
		return nil, err
	}
	if ref == nil {
		return nil, fairlead.NotFound("%s version %d has no reference to compare with", name, v).Hintf("push it with --reference FILE")
	}
	grain := watch.Grain(in.Grain)
	found, err := s.Findings.Findings(ctx, Span{name, v, grain, in.From, in.To, in.Limit})
	if err != nil {
		return nil, err
	}
	mark, err := s.Watermark(ctx, name)
	if err != nil {
		return nil, err
	}
	open, drifted := map[time.Time]bool{}, map[time.Time][]string{}
	for _, f := range found {
		open[f.Start] = f.Provisional
		if f.Verdict == watch.Drifted {
			drifted[f.Start] = append(drifted[f.Start], f.Column)
		}
	}
	rule := s.References.Rule(name)
	live := compare.Live{
		Name: fmt.Sprintf("%s version %d", name, v), Baseline: "its reference", Reference: ref, Length: grain.Length(),
		FDR: rule.FDR,
	}
	if rule.Measure != alert.MeasureKS {
		live.Tolerance = rule.Threshold
	}
	for start, provisional := range open {
		w := watch.Window{Deployment: name, Version: v, Role: fairlead.RoleLive, Grain: grain, Start: start}
		until := w.Until(ref, !provisional, mark)
		counts, err := watch.Merged(ctx, s.Findings.Profiles, ref.Layout, w, until)
		if err != nil {
			return nil, err
		}
		live.Windows = append(live.Windows, compare.LiveWindow{Start: start, Until: until, Counts: counts, Drifted: drifted[start]})
	}
	slices.SortFunc(live.Windows, func(a, b compare.LiveWindow) int { return a.Start.Compare(b.Start) })
	if len(live.Windows) == 0 {
		return nil, fairlead.NotFound("no window of %s version %d has been measured there", name, v).
			Hintf("predictions show up some seconds after they are made; --grain hour shows them sooner")
	}
	return compare.Profiles(live)
}
