package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Testing asks versions what their bundles say they can do.
type Testing interface {
	// Test runs the tests of a version; one that fails them is a report, not an error.
	Test(ctx context.Context, name fairlead.Name, version string, in api.TestRequest) (api.TestReport, error)
	// Verify runs its golden vectors on the server's host.
	Verify(ctx context.Context, name fairlead.Name, version, variant string) (api.Verification, error)
}

func (s *server) registerTesting(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "test", Method: http.MethodPost, Path: "/api/v1/models/{name}/versions/{version}/test", Tags: []string{"models"},
		Summary: "Run the tests of a version", Description: "They run beside what serves, on this server. The report says what failed; the status is 200 either way.",
	}, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		Version string `path:"version" doc:"a number, an alias or a digest"`
		Body    api.TestRequest
	}) (*reply[api.TestReport], error) {
		return replied(s.Testing.Test(ctx, fairlead.Name(in.Name), in.Version, in.Body))
	})
	huma.Register(a, huma.Operation{
		OperationID: "verify", Method: http.MethodPost, Path: "/api/v1/models/{name}/versions/{version}/verify", Tags: []string{"models"},
		Summary: "Run the golden vectors of a version on this server", Description: "What differs, and by how much; the status is 200 either way.",
	}, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		Version string `path:"version" doc:"a number, an alias or a digest"`
		Variant string `query:"variant" doc:"absent: the one that this host runs"`
	}) (*reply[api.Verification], error) {
		return replied(s.Testing.Verify(ctx, fairlead.Name(in.Name), in.Version, in.Variant))
	})
}
