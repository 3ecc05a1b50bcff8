package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Signing is who vouches for versions.
type Signing interface {
	// Signatures says what a version consists of and lists its signatures.
	Signatures(ctx context.Context, name fairlead.Name, version string) (api.Signatures, error)
	// AddSignature attaches a signature that is about this version, whoever made it.
	AddSignature(ctx context.Context, name fairlead.Name, version string, bundle []byte) (api.Signatures, error)
}

func (s *server) registerSignatures(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "signatures", Method: http.MethodGet, Path: "/api/v1/models/{name}/versions/{version}/signatures", Tags: []string{"registry"},
		Summary: "What a version consists of, and who vouches for it",
	}, func(ctx context.Context, in *versionPath) (*reply[api.Signatures], error) {
		return replied(s.Signing.Signatures(ctx, fairlead.Name(in.Name), in.Version))
	})
	huma.Register(a, huma.Operation{
		OperationID: "sign", Method: http.MethodPost, Path: "/api/v1/models/{name}/versions/{version}/signatures", Tags: []string{"registry"},
		Summary: "Attach a signature to a version", Description: "It is made where the key is: `fairlead sign`.",
	}, func(ctx context.Context, in *struct {
		Name    string `path:"name"`
		Version string `path:"version" doc:"a number, an alias or a digest"`
		Body    api.SignRequest
	}) (*reply[api.Signatures], error) {
		return replied(s.Signing.AddSignature(ctx, fairlead.Name(in.Name), in.Version, []byte(in.Body.Bundle)))
	})
}
