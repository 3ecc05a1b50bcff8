package httpd

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"testing"
)

func TestAccepted(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "gzip": "gzip", "deflate": "deflate", "gzip, deflate, br": "gzip", "deflate, gzip": "gzip",
		"gzip;q=0.5, deflate;q=0.9": "deflate", "br, *;q=0.1": "gzip", "*": "gzip", "gzip;q=0, *": "deflate",
		"identity;q=1, gzip;q=0.5": "", "identity;q=0.5, gzip;q=0.5": "gzip", "gzip;q=0, *;q=0": "", "br": "", "identity": "",
		"GZIP; Q=0.8": "gzip", "x-gzip": "gzip", "gzip;q=high": "", ",;,": "",
	} {
		if got := accepted(header); got != want {
			t.Errorf("Accept-Encoding: %s gives %q, want %q", header, got, want)
		}
	}
}

// TestWorthCompressing: binary answers are compressed where that makes them smaller, not where it only takes time.
func TestWorthCompressing(t *testing.T) {
	random := make([]byte, 100_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for _, c := range []struct {
		what string
		out  []byte
		want string
	}{{"a mask", bytes.Repeat([]byte{0, 0, 0, 1}, 25_000), "gzip"}, {"noise", random, ""}} {
		x := &exchange{r: &http.Request{Header: http.Header{"Accept-Encoding": {"gzip"}}}, out: bytes.Clone(c.out), jsonLen: 100}
		header := http.Header{}
		out := x.compressed(header)
		if got := header.Get("Content-Encoding"); got != c.want || c.want == "" && !bytes.Equal(out, c.out) || c.want != "" && len(out) > len(c.out)/2 {
			t.Errorf("%s: Content-Encoding %q, %d bytes of %d", c.what, got, len(out), len(c.out))
		}
	}
}

func TestInferPath(t *testing.T) {
	for path, want := range map[string][2]string{
		"/v2/models/a/infer": {"a", ""}, "/v2/models/a/versions/v10/infer": {"a", "v10"}, "/v2/models/a/versions/champion/infer": {"a", "champion"},
		"/v2/models/infer": {}, "/v2/models//infer": {}, "/v2/models/a/b/infer": {}, "/v2/models/a/versions//infer": {},
		"/v2/models/a/versions/1/2/infer": {}, "/v2/models/a/infer/": {}, "/v2/models/a": {},
	} {
		name, version, ok := inferPath(path)
		if ok != (want[0] != "") || ok && (name != want[0] || version != want[1]) {
			t.Errorf("%s: %q %q %v", path, name, version, ok)
		}
	}
}
