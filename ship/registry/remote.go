package registry

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Remote keeps blobs for all the processes that share one KV; each one's disk is a cache of it then.
type Remote interface {
	// Put returns when the blob is kept. One that is there already is not sent again.
	Put(ctx context.Context, d fairlead.Digest, content []byte) error
	// Get reads a blob, nil if there is none. The caller verifies it.
	Get(ctx context.Context, d fairlead.Digest) ([]byte, error)
}

// ShareBlobs lets the registry send every blob it stores to remote before a record names it, and fetch from there what its
// disk lacks. Call it before anything else.
func (r *Registry) ShareBlobs(remote Remote) { r.blobs.remote = remote }

func (s blobs) send(d fairlead.Digest, content []byte) error {
	if s.remote == nil {
		return nil
	}
	if err := s.remote.Put(context.Background(), d, content); err != nil {
		return fmt.Errorf("share: %w", err)
	}
	return nil
}

// fetch brings a blob to this disk, verified. The error is fs.ErrNotExist if the remote does not have it either.
func (s blobs) fetch(b bundle.Blob, limit int64) error {
	content, err := s.remote.Get(context.Background(), b.Digest)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if content == nil {
		return fs.ErrNotExist
	}
	if int64(len(content)) > limit {
		return fairlead.Errorf(fairlead.CodeInternal, "blob %s (%s) is damaged where it is shared: it has %d bytes, at most %d were sealed", b.Digest, b.Name, len(content), limit)
	}
	if bundle.DigestOf(content) != b.Digest {
		return fairlead.Errorf(fairlead.CodeInternal, "blob %s (%s) is damaged where it is shared: its digest is %s", b.Digest, b.Name, bundle.DigestOf(content)).
			Hintf("push the same bundle again")
	}
	return s.replace(s.path(b.Digest), content)
}
