package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Aliases are names for versions, moved by compare-and-set.
type Aliases interface {
	// PointAlias moves an alias, or removes it where the request names no version. expect is the version it must point
	// at now, 0 for none; nil: it does not matter.
	PointAlias(ctx context.Context, name fairlead.Name, alias string, in api.AliasRequest, expect *int) (api.AliasMove, error)
	// AliasHistory lists the moves of an alias, of all if it is empty, oldest first.
	AliasHistory(ctx context.Context, name fairlead.Name, alias string) ([]api.AliasMove, error)
}

// Versions is what can be asked of one version, by number, alias or digest.
type Versions interface {
	RemoveVersion(ctx context.Context, name fairlead.Name, version, by string) (api.RemovedVersion, error)
	Lineage(ctx context.Context, name fairlead.Name, version string) (api.Lineage, error)
	Card(ctx context.Context, name fairlead.Name, version string) (api.Card, error)
}

// Upkeep is the care of the registry's files.
type Upkeep interface {
	Collect(ctx context.Context, in api.CollectRequest) (api.CollectAnswer, error)
	// CheckRegistry reads every file and lists the damaged ones.
	CheckRegistry(ctx context.Context) ([]api.Damage, error)
}

// Transfer moves versions between registries as files.
type Transfer interface {
	// Export finds versions of a model, all if version is empty, and verifies them; write then gives the file.
	Export(ctx context.Context, name fairlead.Name, version string) (write func(io.Writer) error, err error)
	// Load stores the versions in such a file, under name if it is not empty. Nothing is deployed.
	Load(ctx context.Context, name fairlead.Name, file io.Reader) ([]api.Loaded, error)
}

type versionPath struct {
	Name    string `path:"name"`
	Version string `path:"version" doc:"a number, an alias or a digest"`
}

func (s *server) registerRegistry(a huma.API) {
	s.registerAliases(a)
	s.registerVersions(a)
	s.registerTransfer(a)
	huma.Register(a, huma.Operation{
		OperationID: "collect", Method: http.MethodPost, Path: "/api/v1/registry/collect", Tags: []string{"registry"},
		Summary:     "Remove what nobody needs",
		Description: "First, with keep or max_age, versions that no alias, deployment or lease needs; then blobs that nothing refers to.",
	}, func(ctx context.Context, in *struct{ Body api.CollectRequest }) (*reply[api.CollectAnswer], error) {
		return replied(s.Upkeep.Collect(ctx, in.Body))
	})
	huma.Register(a, huma.Operation{
		OperationID: "check-registry", Method: http.MethodPost, Path: "/api/v1/registry/check", Tags: []string{"registry"},
		Summary: "Read every file of the registry and list the damaged ones",
	}, func(ctx context.Context, _ *struct{}) (*reply[[]api.Damage], error) {
		return replied(s.Upkeep.CheckRegistry(ctx))
	})
}

type setAliasInput struct {
	Name        string `path:"name"`
	Alias       string `path:"alias"`
	IfMatch     string `header:"If-Match" doc:"the version that the alias must point at now"`
	IfNoneMatch string `header:"If-None-Match" doc:"*: the alias must not exist"`
	Body        api.AliasRequest
}

type removeAliasInput struct {
	Name    string `path:"name"`
	Alias   string `path:"alias"`
	IfMatch string `header:"If-Match" doc:"the version that the alias must point at now"`
	By      string `query:"by" doc:"who, for the history"`
}

// expected is the version that the conditions name, nil without any.
func expected(match, none string) (*int, error) {
	zero := 0
	switch match := strings.Trim(match, `"`); {
	case none == "*":
		return &zero, nil
	case none != "":
		return nil, fairlead.Invalid("If-None-Match: %q is not known", none).Hintf("use *, or If-Match with a version")
	case match == "":
		return nil, nil
	default:
		v, err := strconv.Atoi(match)
		if err != nil || v < 0 {
			return nil, fairlead.Invalid("If-Match: %q is not a version", match).Hintf(`write the number of the version that the alias points at now, for example "3"`)
		}
		return &v, nil
	}
}

// tagged is an answer with the version as its tag, for the next If-Match.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func (s *server) registerAliases(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "set-alias", Method: http.MethodPut, Path: "/api/v1/models/{name}/aliases/{alias}", Tags: []string{"registry"},
		Summary:     "Point an alias at a version",
		Description: "With If-Match or If-None-Match the move is made only from there: 409 if somebody was faster.",
	}, func(ctx context.Context, in *setAliasInput) (*tagged[api.AliasMove], error) {
		return s.moveAlias(ctx, in.Name, in.Alias, in.Body, in.IfMatch, in.IfNoneMatch)
	})
	huma.Register(a, huma.Operation{
		OperationID: "remove-alias", Method: http.MethodDelete, Path: "/api/v1/models/{name}/aliases/{alias}", Tags: []string{"registry"},
		Summary: "Remove an alias", DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *removeAliasInput) (*tagged[api.AliasMove], error) {
		return s.moveAlias(ctx, in.Name, in.Alias, api.AliasRequest{By: in.By}, in.IfMatch, "")
	})
	huma.Register(a, huma.Operation{
		OperationID: "alias-history", Method: http.MethodGet, Path: "/api/v1/models/{name}/history", Tags: []string{"registry"},
		Summary: "Every move of a model's aliases, oldest first",
	}, func(ctx context.Context, in *struct {
		Name  string `path:"name"`
		Alias string `query:"alias" doc:"of this alias only"`
	}) (*reply[[]api.AliasMove], error) {
		return replied(s.Aliases.AliasHistory(ctx, fairlead.Name(in.Name), in.Alias))
	})
}

func (s *server) moveAlias(ctx context.Context, model, alias string, in api.AliasRequest, match, none string) (*tagged[api.AliasMove], error) {
	name, err := fairlead.ParseName(model)
	if err != nil {
		return nil, toStatus(err)
	}
	expect, err := expected(match, none)
	if err != nil {
		return nil, toStatus(err)
	}
	moved, err := s.Aliases.PointAlias(ctx, name, alias, in, expect)
	if err != nil {
		return nil, toStatus(err)
	}
	return &tagged[api.AliasMove]{strconv.Quote(strconv.Itoa(moved.To)), moved}, nil
}

func (s *server) registerVersions(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "remove-version", Method: http.MethodDelete, Path: "/api/v1/models/{name}/versions/{version}", Tags: []string{"registry"},
		Summary: "Remove a version", Description: "409 while an alias, a deployment or a lease needs it. Its number stays taken.",
		DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		Version string `path:"version"`
		By      string `query:"by" doc:"who, for the record"`
	}) (*reply[api.RemovedVersion], error) {
		return replied(s.Versions.RemoveVersion(ctx, fairlead.Name(in.Name), in.Version, in.By))
	})
	huma.Register(a, huma.Operation{
		OperationID: "lineage", Method: http.MethodGet, Path: "/api/v1/models/{name}/versions/{version}/lineage", Tags: []string{"registry"},
		Summary: "What a version came from, and what came from it",
	}, func(ctx context.Context, in *versionPath) (*reply[api.Lineage], error) {
		return replied(s.Versions.Lineage(ctx, fairlead.Name(in.Name), in.Version))
	})
	huma.Register(a, huma.Operation{
		OperationID: "card", Method: http.MethodGet, Path: "/api/v1/models/{name}/versions/{version}/card", Tags: []string{"registry"},
		Summary: "The model card",
	}, func(ctx context.Context, in *versionPath) (*reply[api.Card], error) {
		return replied(s.Versions.Card(ctx, fairlead.Name(in.Name), in.Version))
	})
}

func (s *server) registerTransfer(a huma.API) {
	tar := map[string]*huma.Response{"200": {
		Description: "The tar of an OCI image layout", Content: map[string]*huma.MediaType{"application/x-tar": {}},
	}}
	huma.Register(a, huma.Operation{
		OperationID: "export", Method: http.MethodGet, Path: "/api/v1/models/{name}/export", Tags: []string{"registry"},
		Summary: "A version, or a whole model, as one file", Responses: tar,
	}, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		Version string `query:"version" doc:"a number, an alias or a digest; absent: every version"`
	}) (*huma.StreamResponse, error) {
		write, err := s.Transfer.Export(ctx, fairlead.Name(in.Name), in.Version)
		if err != nil {
			return nil, toStatus(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			c.SetHeader("Content-Type", "application/x-tar")
			if err := write(c.BodyWriter()); err != nil {
				if s.Log != nil {
					s.Log.Error("export", "model", in.Name, "err", err)
				}
				panic(http.ErrAbortHandler) // a cut file must not look whole
			}
		}}, nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "load", Method: http.MethodPost, Path: "/api/v1/registry/load", Tags: []string{"registry"},
		Summary:      "Store the versions in a file that export wrote",
		Description:  "Or in the tar of any OCI image layout that holds versions. Nothing is deployed.",
		MaxBodyBytes: s.MaxUpload, BodyReadTimeout: -1,
	}, func(ctx context.Context, in *struct {
		Name    string `query:"name" doc:"of the model; absent: as in the file"`
		RawBody []byte `contentType:"application/x-tar" required:"true"`
	}) (*reply[[]api.Loaded], error) {
		return replied(s.Transfer.Load(ctx, fairlead.Name(in.Name), bytes.NewReader(in.RawBody)))
	})
}
