package grpcd

import (
	"compress/zlib"
	"io"
	"sync"

	"google.golang.org/grpc/encoding"
)

// gRPC knows compressors by a registry of its own, which takes them in init only.
func init() { encoding.RegisterCompressor(&deflate{}) }

// deflate is the compression of that name in HTTP and gRPC: a zlib stream.
type deflate struct{ writers sync.Pool }

func (*deflate) Name() string { return "deflate" }

func (d *deflate) Compress(w io.Writer) (io.WriteCloser, error) {
	z, ok := d.writers.Get().(*zlib.Writer)
	if !ok {
		z = zlib.NewWriter(w)
	}
	z.Reset(w)
	return &deflating{z, d}, nil
}

// deflating gives its writer back when it is closed.
type deflating struct {
	*zlib.Writer
	d *deflate
}

func (z *deflating) Close() error {
	err := z.Writer.Close()
	z.d.writers.Put(z.Writer)
	return err
}

func (*deflate) Decompress(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
