package conformance

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/conformance/wire"
)

// probe asks the server. It is used by one goroutine, but for the check that asks many things at once.
type probe struct {
	o               Options
	base            string
	http            *http.Client
	own             *http.Transport
	conn            *grpc.ClientConn
	server, version string
	extensions      []string
	brought         map[string]string // model by datatype, "pair" for the one with two inputs
	subject         *model            // what the checks that need no particular model use
	story           string
}

// model is one that can be asked.
type model struct {
	name     string
	versions []string
	inputs   []wire.Tensor // a request that it answers; shape has no free dimension
	outputs  []string
	identity bool // its one output y is its one input x
}

func newProbe(o Options) *probe {
	p := &probe{o: o, base: strings.TrimRight(o.URL, "/"), http: o.HTTP, brought: map[string]string{}}
	if p.http == nil {
		// Compression and its absence are what is tested: the transport must not undo it.
		p.own = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
		p.http = &http.Client{Transport: p.own}
	}
	return p
}

func (p *probe) close() {
	if p.own != nil {
		p.own.CloseIdleConnections()
	}
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// call is one HTTP request.
type call struct {
	method, path string
	body         []byte
	chunked      bool
	header       map[string]string
}

// reply is an HTTP answer whose body was read, unpacked if it was compressed.
type reply struct {
	status   int
	header   http.Header
	body     []byte
	encoding string // as it came
}

const maxReply = 256 << 20

func (p *probe) send(ctx context.Context, c call) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
		if c.chunked {
			body = struct{ io.Reader }{body} // of unknown length
		}
	}
	req, err := http.NewRequestWithContext(ctx, c.method, p.base+c.path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("%s %s: %w", c.method, c.path, err)
	}
	defer resp.Body.Close()
	r := &reply{status: resp.StatusCode, header: resp.Header, encoding: resp.Header.Get("Content-Encoding")}
	if r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply)); err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", c.method, c.path, err)
	}
	if r.body, err = unpack(r.encoding, r.body); err != nil {
		return nil, fmt.Errorf("%s %s: the answer is not %s: %w", c.method, c.path, r.encoding, err)
	}
	return r, nil
}

func unpack(encoding string, body []byte) ([]byte, error) {
	var r io.ReadCloser
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(body))
	default:
		return body, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxReply))
}

func pack(encoding string, body []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func (p *probe) get(ctx context.Context, path string) (*reply, error) {
	return p.send(ctx, call{method: http.MethodGet, path: path})
}

// post sends JSON as it is.
func (p *probe) post(ctx context.Context, path, body string) (*reply, error) {
	return p.send(ctx, call{method: http.MethodPost, path: path, body: []byte(body), header: map[string]string{"Content-Type": "application/json"}})
}

// object is the body of an answer of 200 as a JSON object.
func (r *reply) object() (map[string]any, error) {
	if r.status != http.StatusOK {
		return nil, &mismatch{"status 200", r.String()}
	}
	v, err := wire.Parse(r.body)
	if err != nil {
		return nil, &mismatch{"a JSON object", fmt.Sprintf("%v in %.200s", err, r.body)}
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, &mismatch{"a JSON object", fmt.Sprintf("%.200s", r.body)}
	}
	return m, nil
}

func (r *reply) String() string { return fmt.Sprintf("status %d, %.200s", r.status, r.body) }

// member is a member of an object, of type T.
func member[T any](m map[string]any, name string) (T, error) {
	v, ok := m[name].(T)
	if !ok {
		return v, &mismatch{fmt.Sprintf("%q, a %T", name, v), fmt.Sprintf("%v", m[name])}
	}
	return v, nil
}

func modelPath(name string) string { return "/v2/models/" + url.PathEscape(name) }

// infer asks and expects an answer.
func (p *probe) infer(ctx context.Context, name string, r wire.Request) (*wire.Response, error) {
	reply, err := p.inferRaw(ctx, name, r, nil)
	if err != nil {
		return nil, err
	}
	return readInfer(reply)
}

func readInfer(r *reply) (*wire.Response, error) {
	if r.status != http.StatusOK {
		return nil, &mismatch{"status 200", r.String()}
	}
	answer, err := wire.ReadResponse(r.body, r.header.Get(wire.HeaderLength))
	if err != nil {
		return nil, &mismatch{"an inference response", fmt.Sprintf("%v in %.200q", err, r.body)}
	}
	return answer, nil
}

func (p *probe) inferRaw(ctx context.Context, name string, r wire.Request, header map[string]string) (*reply, error) {
	body, length, err := r.Body()
	if err != nil {
		return nil, err
	}
	h := map[string]string{"Content-Type": "application/json"}
	if length != "" {
		h["Content-Type"], h[wire.HeaderLength] = "application/octet-stream", length
	}
	for k, v := range header {
		h[k] = v
	}
	return p.send(ctx, call{method: http.MethodPost, path: modelPath(name) + "/infer", body: body, header: h})
}

// meet asks who the server is; nothing else makes sense before.
func (p *probe) meet(ctx context.Context) error {
	r, err := p.get(ctx, "/v2")
	if err != nil {
		return fairlead.Errorf(fairlead.CodeUnavailable, "no server answers at %s", p.base).Hintf("is the address right? %v", err).Cause(err)
	}
	m, err := r.object()
	if err != nil {
		return fairlead.Errorf(fairlead.CodeUnsupported, "%s/v2 is not the metadata of an Open Inference Protocol server: %v", p.base, err).
			Hintf("the address goes without a path, for example http://127.0.0.1:8080")
	}
	p.server, _ = m["name"].(string)
	p.version, _ = m["version"].(string)
	list, _ := m["extensions"].([]any)
	p.extensions = []string{}
	for _, e := range list {
		if s, ok := e.(string); ok {
			p.extensions = append(p.extensions, s)
		}
	}
	return nil
}
