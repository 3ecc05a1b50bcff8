package api

// Signatures answers GET /api/v1/models/{name}/versions/{version}/signatures: what a version consists of, and who vouches
// for it.
type Signatures struct {
	Model      string            `json:"model"`
	Version    int               `json:"version"`
	Digest     string            `json:"digest"`
	MediaType  string            `json:"media_type" doc:"of the index"`
	Index      string            `json:"index" doc:"the version's index as it is stored: its SHA-256 is the digest"`
	Manifests  map[string]string `json:"manifests" doc:"those that the index names, as they are stored, by digest"`
	Required   bool              `json:"required" doc:"this server takes the version into service only with a signature that counts"`
	Signatures []Signature       `json:"signatures"`
}

// Signature is one of a version.
type Signature struct {
	Bundle  string `json:"bundle" doc:"a Sigstore bundle with a DSSE envelope"`
	Key     string `json:"key,omitempty" doc:"the trusted key that made it"`
	Refused string `json:"refused,omitempty" doc:"why it does not count here; empty where it does, or where no keys are configured"`
}

// SignRequest is the body of POST /api/v1/models/{name}/versions/{version}/signatures.
type SignRequest struct {
	Bundle string `json:"bundle" minLength:"1" doc:"a Sigstore bundle with a DSSE envelope, made where the key is"`
}
