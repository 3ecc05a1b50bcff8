// Package oci carries versions between the registry of a fairlead server and any OCI registry: a version's index, its
// manifests and blobs, and whatever refers to it by subject, signatures above all. It works on a Layout, a folder with one
// version in it, which is what a server exports and takes in.
//
// A transfer that was cut goes on where it stopped: blobs that are there are not sent again, a blob of which a part has
// arrived is continued where the registry allows it (chunked uploads, byte ranges).
package oci

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/fairlead-ml/fairlead"
)

// Scheme starts a reference to an OCI registry.
const Scheme = "oci://"

// Reference names a version in a registry: oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST].
type Reference struct{ ref registry.Reference }

// ParseReference reads a reference. The error is CodeInvalid and says what one looks like.
func ParseReference(s string) (Reference, error) {
	rest, ok := strings.CutPrefix(s, Scheme)
	wrong := func(err error) error {
		return fairlead.Invalid("%q is not a reference to an OCI registry", s).
			Hintf("write oci://HOST/REPOSITORY:TAG, for example oci://registry.example.com/models/flights:v3").Cause(err)
	}
	if !ok {
		return Reference{}, wrong(nil)
	}
	ref, err := registry.ParseReference(rest)
	if err != nil || strings.HasSuffix(rest, ":") {
		return Reference{}, wrong(err)
	}
	return Reference{ref}, nil
}

// String is the reference as people write it.
func (r Reference) String() string {
	s := Scheme + r.ref.Registry + "/" + r.ref.Repository
	switch {
	case r.ref.Reference == "":
		return s
	case strings.Contains(r.ref.Reference, ":"):
		return s + "@" + r.ref.Reference
	}
	return s + ":" + r.ref.Reference
}

// Host is the registry's address.
func (r Reference) Host() string { return r.ref.Registry }

// Tag is the tag or, where there is none, the digest; it may be empty.
func (r Reference) Tag() string { return r.ref.Reference }

// WithTag is the same repository under another tag.
func (r Reference) WithTag(tag string) Reference {
	r.ref.Reference = tag
	return r
}

// local says that the registry runs on this machine, where plain HTTP is the custom.
func (r Reference) local() bool {
	host := r.ref.Host()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Options of a transfer. The zero Options take credentials from Docker's configuration and show no progress.
type Options struct {
	// Username and Password are for the registry of the reference; empty: what Docker's configuration says of it,
	// credential helpers included. Without a Username the Password is a token.
	Username, Password string
	// PlainHTTP speaks HTTP without TLS, as is always done with a registry on this machine.
	PlainHTTP bool
	// Force lets Push move a tag that points at another version.
	Force bool
	// State is a folder that remembers uploads under way, so that another process can go on with them; empty: none can.
	State string
	// Chunk is how many bytes of a large blob are sent at a time; 0: 16 MiB.
	Chunk int64
	// Progress is told, from several goroutines but never at once, how far the transfer is; nil: nobody is.
	Progress func(Progress)
	// Wait pauses before attempt n (from 1) of what failed; nil: half a second, doubled each time, with jitter.
	Wait func(ctx context.Context, attempt int) error
	// Transport carries the requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// Progress is the state of a transfer.
type Progress struct {
	Name  string // what was moved last
	Done  int64  // bytes, those that needed no sending included
	Total int64
}

// Result is what a transfer did.
type Result struct {
	Root     oci.Descriptor // the version's index
	Blobs    int            // that make up the version and what is attached
	Sent     int64          // bytes that crossed the network
	Bytes    int64          // bytes of all blobs
	Attached int            // manifests that refer to the version, and went along
	Notes    []string       // what did not go as it could have
}

// attempts bounds how often one step is tried before the transfer gives up.
const attempts = 6

func (o Options) wait(ctx context.Context, attempt int) error {
	if o.Wait != nil {
		return o.Wait(ctx, attempt)
	}
	pause := 500 * time.Millisecond << min(attempt-1, 4)
	t := time.NewTimer(pause/2 + rand.N(pause))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// connect makes the client of a repository.
func connect(ref Reference, o Options) (*remote.Repository, error) {
	credential := auth.StaticCredential(ref.ref.Host(), auth.Credential{Username: o.Username, Password: o.Password})
	switch {
	case o.Username == "" && o.Password != "":
		credential = auth.StaticCredential(ref.ref.Host(), auth.Credential{AccessToken: o.Password})
	case o.Password == "":
		store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{DetectDefaultNativeStore: true})
		if err != nil {
			return nil, fmt.Errorf("read Docker's configuration: %w", err)
		}
		credential = credentials.Credential(store)
	}
	repo := &remote.Repository{
		Reference: ref.ref,
		PlainHTTP: o.PlainHTTP || ref.local(),
		// Deleting what an index of referrers was before needs a right that who pushes seldom has.
		SkipReferrersGC:      true,
		ReferrerListMaxPages: 100,
		TagListMaxPages:      20,
		Client: &auth.Client{
			Client:     &http.Client{Transport: &retry.Transport{Base: o.Transport, Policy: patience}},
			Cache:      auth.NewCache(),
			Credential: credential,
			Header:     http.Header{"User-Agent": {"fairlead"}},
		},
	}
	return repo, nil
}

// patience is for registries that say when to come again. Everything else is repeated step by step, from where it was cut.
func patience() retry.Policy {
	return &retry.GenericPolicy{
		Retryable: func(resp *http.Response, err error) (bool, error) {
			asked := err == nil && resp.Header.Get("Retry-After") != ""
			return asked && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable), nil
		},
		Backoff: retry.DefaultBackoff, MinWait: 200 * time.Millisecond, MaxWait: time.Minute, MaxRetry: attempts,
	}
}
