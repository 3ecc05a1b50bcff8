package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/fairlead-ml/fairlead"
)

type s3Flags struct{ endpoint string }

// bucketTarget is a place in a bucket of an S3-compatible store. A PUT is whole or nothing there, so that objects need no
// temporary names; content waits in a file of this machine, to be checked before it goes.
type bucketTarget struct {
	client         *minio.Client
	bucket, prefix string // prefix has no slash at its ends
	endpoint       string
}

// digestKey is the metadata (x-amz-meta-…) that has an object's SHA-256: an ETag is not always one of its content.
const digestKey = "Sha256"

// largestPut is what S3 takes in one request; more goes in parts, which also become an object only all together.
const largestPut = 5 << 30

func openBucket(ctx context.Context, place string, flags s3Flags) (*bucketTarget, error) {
	bucket, prefix, _ := strings.Cut(place, "/")
	prefix = strings.Trim(prefix, "/")
	if bucket == "" || prefix != "" && path.Clean(prefix) != prefix {
		return nil, fairlead.Invalid("s3://%s names no place in a bucket", place).Hintf("write s3://BUCKET or s3://BUCKET/PREFIX")
	}
	keys := credentials.NewEnvAWS()
	if v, err := keys.GetWithContext(nil); err != nil || v.SignerType.IsAnonymous() {
		return nil, fairlead.Invalid("there are no credentials for s3://%s", place).
			Hintf("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where they are temporary)").Cause(err)
	}
	host, secure, err := endpointOf(flags.endpoint)
	if err != nil {
		return nil, err
	}
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = os.Getenv("AWS_DEFAULT_REGION")
	}
	c, err := minio.New(host, &minio.Options{Creds: keys, Secure: secure, Region: region, MaxRetries: 3})
	if err != nil {
		return nil, fairlead.Invalid("the endpoint %s cannot be used", host).Hintf("%v", err).Cause(err)
	}
	c.SetAppInfo("fairlead", version)
	t := &bucketTarget{client: c, bucket: bucket, prefix: prefix, endpoint: host}
	_, err = t.read(ctx, "manifest") // whether the bucket and the credentials are right is known before anything is copied
	return t, err
}

// endpointOf reads "http://minio:9000", "minio:9000" or "".
func endpointOf(endpoint string) (host string, secure bool, err error) {
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		if endpoint == "" {
			endpoint = os.Getenv(name)
		}
	}
	if endpoint == "" {
		return "s3.amazonaws.com", true, nil
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return "", false, fairlead.Invalid("%q is no endpoint of an S3-compatible store", endpoint).Hintf("write for example http://minio:9000")
	}
	return u.Host, u.Scheme == "https", nil
}

func (t *bucketTarget) String() string { return strings.TrimSuffix("s3://"+t.bucket+"/"+t.prefix, "/") }

func (t *bucketTarget) close() {}

func (t *bucketTarget) key(name string) string { return path.Join(t.prefix, name) }

func (t *bucketTarget) list(ctx context.Context, folder string) (map[string]int64, error) {
	sizes := make(map[string]int64)
	ctx, cancel := context.WithCancel(ctx) // ends the listing when this returns early
	defer cancel()
	for o := range t.client.ListObjects(ctx, t.bucket, minio.ListObjectsOptions{Prefix: t.key(folder) + "/", Recursive: true}) {
		if o.Err != nil {
			return nil, t.explain("list", o.Err)
		}
		name := strings.TrimPrefix(o.Key, t.prefix)
		sizes[strings.TrimPrefix(name, "/")] = o.Size
	}
	return sizes, ctx.Err()
}

func (t *bucketTarget) digest(ctx context.Context, name string) (string, error) {
	o, err := t.client.StatObject(ctx, t.bucket, t.key(name), minio.StatObjectOptions{})
	if err != nil {
		return "", t.explain("look at "+name, err)
	}
	for key, value := range o.UserMetadata {
		if strings.EqualFold(key, digestKey) {
			return value, nil
		}
	}
	return "", nil
}

func (t *bucketTarget) spool() (*spooled, error) { return newSpooled(os.TempDir()) }

func (t *bucketTarget) put(ctx context.Context, s *spooled, name string) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	kind := "application/vnd.apache.parquet"
	if strings.HasSuffix(name, ".json") {
		kind = "application/json"
	}
	_, err := t.client.PutObject(ctx, t.bucket, t.key(name), s.file, s.size, minio.PutObjectOptions{
		ContentType: kind, UserMetadata: map[string]string{digestKey: s.digest()},
		SendContentMd5: true, DisableMultipart: s.size <= largestPut,
	})
	return t.explain("write "+name, err)
}

func (t *bucketTarget) read(ctx context.Context, name string) ([]byte, error) {
	o, err := t.client.GetObject(ctx, t.bucket, t.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, t.explain("read "+name, err)
	}
	defer func() { _ = o.Close() }() // opened for reading
	b, err := io.ReadAll(io.LimitReader(o, 256<<20))
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil, nil
	}
	return b, t.explain("read "+name, err)
}

func (t *bucketTarget) remove(ctx context.Context, name string) error {
	return t.explain("remove "+name, t.client.RemoveObject(ctx, t.bucket, t.key(name), minio.RemoveObjectOptions{}))
}

// explain turns the store's error into one that says what to do.
func (t *bucketTarget) explain(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	answer := minio.ToErrorResponse(err)
	said := strings.TrimSpace(answer.Code + ": " + answer.Message)
	switch answer.Code {
	case minio.NoSuchBucket:
		return fairlead.NotFound("there is no bucket %q at %s", t.bucket, t.endpoint).Hintf("make it first, or name another: --to s3://BUCKET/PREFIX").Cause(err)
	case minio.AccessDenied, "AllAccessDisabled":
		return fairlead.Invalid("%s does not allow these credentials to %s in bucket %q", t.endpoint, doing, t.bucket).
			Hintf("they need s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects").Cause(err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId", "ExpiredToken", "TokenRefreshRequired", "Forbidden", "InvalidSecurity", "XAdminUserNotFound":
		return fairlead.Invalid("%s does not take the credentials (%s)", t.endpoint, said).
			Hintf("look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and at this machine's clock").Cause(err)
	case minio.AuthorizationHeaderMalformed, "PermanentRedirect", "InvalidRegion", "IllegalLocationConstraintException":
		return fairlead.Invalid("bucket %q is in another region (%s)", t.bucket, said).Hintf("set AWS_REGION to the bucket's").Cause(err)
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage":
		return fairlead.Errorf(fairlead.CodeExhausted, "%s has no room left (%s)", t.endpoint, said).Hintf("make room there and run the same command again: it goes on from there").Cause(err)
	}
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return fairlead.Invalid("%s does not let these credentials %s in bucket %q (%s)", t.endpoint, doing, t.bucket, said).
			Hintf("look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and at what they may do").Cause(err)
	}
	var network *net.OpError
	var lookup *net.DNSError
	if errors.As(err, &network) || errors.As(err, &lookup) {
		return fairlead.Errorf(fairlead.CodeUnavailable, "nobody answers at %s (%v)", t.endpoint, err).Hintf("is --endpoint (or AWS_ENDPOINT_URL) right, with http:// or https://?").Cause(err)
	}
	return fairlead.Errorf(fairlead.CodeUnavailable, "%s could not %s in bucket %q: %v", t.endpoint, doing, t.bucket, err).
		Hintf("run the same command again: it goes on from there").Cause(err)
}
