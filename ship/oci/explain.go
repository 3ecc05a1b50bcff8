package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/fairlead-ml/fairlead"
)

// passing says that an error may be gone at the next try.
func passing(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	code := statusOf(err)
	if code != 0 {
		return code >= 500 && code != http.StatusNotImplemented || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout ||
			code == http.StatusRequestedRangeNotSatisfiable
	}
	var n net.Error
	return errors.As(err, &n) && !isCertificate(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)
}

func isCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var verification *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &host) || errors.As(err, &verification)
}

// statusOf is the HTTP status that an error tells of, 0 for none.
func statusOf(err error) int {
	var answered *errcode.ErrorResponse
	var refused *status
	switch {
	case errors.As(err, &answered):
		return answered.StatusCode
	case errors.As(err, &refused):
		return refused.code
	}
	return 0
}

// explain gives the user's message of what went wrong with a registry. doing is "push to" or "pull from".
func explain(ctx context.Context, err error, repo *remote.Repository, ref Reference, o Options, doing string) error {
	var told *fairlead.Error
	var bad *damaged
	host, where := ref.Host(), Scheme+ref.Host()+"/"+repo.Reference.Repository
	switch {
	case errors.As(err, &told), ctx.Err() != nil:
		return err
	case errors.As(err, &bad), errors.Is(err, content.ErrMismatchedDigest):
		return fairlead.Errorf(fairlead.CodeInternal, "the registry %s has damaged data: %v", host, firstOf(bad, err)).
			Hintf("nothing was taken in; publish the version again, after the blob was removed from the registry's storage").Cause(err)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fairlead.Errorf(fairlead.CodeInvalid, "the registry %s asks for credentials, and there are none", host).Hintf("%s", login(host)).Cause(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fairlead.Errorf(fairlead.CodeUnavailable, "no registry answers at %s", host).Hintf("is the address right, and the registry running?").Cause(err)
	case isCertificate(err):
		return fairlead.Errorf(fairlead.CodeUnavailable, "the certificate of the registry %s is not trusted: %v", host, err).
			Hintf("set SSL_CERT_FILE to the authority that signed it").Cause(err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fairlead.Errorf(fairlead.CodeUnavailable, "the registry %s speaks plain HTTP", host).Hintf("add --plain-http if that is meant to be").Cause(err)
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return fairlead.Errorf(fairlead.CodeUnavailable, "there is no host %s", lookup.Name).Hintf("is the reference %s right?", ref).Cause(err)
	}
	switch statusOf(err) {
	case http.StatusUnauthorized:
		return fairlead.Errorf(fairlead.CodeInvalid, "the registry %s does not accept the credentials%s", host, whose(o)).Hintf("%s", login(host)).Cause(err)
	case http.StatusForbidden:
		return fairlead.Errorf(fairlead.CodeInvalid, "you may not %s %s", doing, where).Hintf("the credentials are known, but lack the right").Cause(err)
	case http.StatusNotFound:
		return fairlead.NotFound("there is no repository %s", where).Cause(err)
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return withTags(ctx, repo, fairlead.NotFound("there is no %s", ref).Cause(err))
	}
	return fairlead.Errorf(fairlead.CodeUnavailable, "%s %s failed: %v", doing, where, err).Hintf("run the same command again: it goes on where it stopped").Cause(err)
}

func firstOf(bad *damaged, err error) error {
	if bad != nil {
		return bad
	}
	return err
}

func whose(o Options) string {
	if o.Username != "" {
		return fmt.Sprintf(" of %s", o.Username)
	}
	return ""
}

func login(host string) string {
	return fmt.Sprintf("`docker login %s`, or set FAIRLEAD_REGISTRY_USERNAME and FAIRLEAD_REGISTRY_PASSWORD", host)
}

// withTags lists the tags that there are in the hint of an error.
func withTags(ctx context.Context, repo *remote.Repository, e *fairlead.Error) error {
	var tags []string
	stop := errors.New("enough")
	err := repo.Tags(ctx, "", func(page []string) error {
		for _, t := range page {
			if !isReferrers(t) {
				tags = append(tags, t)
			}
		}
		if len(tags) > 20 {
			return stop
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, stop):
		return e.Hintf("the repository %s/%s does not exist, or has no tags", repo.Reference.Registry, repo.Reference.Repository)
	case len(tags) == 0:
		return e.Hintf("it has no tags")
	}
	slices.Sort(tags)
	if len(tags) > 20 {
		tags = append([]string{"…"}, tags[len(tags)-20:]...)
	}
	return e.Hintf("its tags are %s", strings.Join(tags, ", "))
}

// isReferrers tells the tags under which registries without an API for referrers keep their lists.
func isReferrers(tag string) bool {
	return strings.HasPrefix(tag, "sha256-") && len(tag) == len("sha256-")+64
}

func manifestOf(raw []byte) (oci.Manifest, error) {
	var m oci.Manifest
	return m, json.Unmarshal(raw, &m)
}
