package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/fairlead-ml/fairlead"
)

// Model is what a server of the Open Inference Protocol says about one of its models.
type Model struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []Spec   `json:"inputs"`
	Outputs  []Spec   `json:"outputs"`
}

// Spec is one input or output; a negative dimension may have any size.
type Spec struct {
	Name     string            `json:"name"`
	Datatype fairlead.DataType `json:"datatype"`
	Shape    []int64           `json:"shape"`
}

// Server asks one server of the Open Inference Protocol about itself.
type Server struct {
	URL  *url.URL
	HTTP *http.Client
}

// Path is where the model's requests go: "" after it for its metadata, "/infer", "/stats".
func (s *Server) Path(model, version string) string {
	p := strings.TrimRight(s.URL.EscapedPath(), "/") + "/v2/models/" + url.PathEscape(model)
	if version != "" {
		p += "/versions/" + url.PathEscape(version)
	}
	return p
}

// Model asks for a model's metadata. An empty version is the server's choice.
func (s *Server) Model(ctx context.Context, model, version string) (Model, error) {
	var m Model
	err := s.get(ctx, s.Path(model, version), &m)
	if fairlead.CodeOf(err) == fairlead.CodeNotFound {
		var e *fairlead.Error
		errors.As(err, &e)
		var known Model
		if version != "" && s.get(ctx, s.Path(model, ""), &known) == nil && len(known.Versions) > 0 {
			return m, e.Hintf("it has the version %s", strings.Join(known.Versions, ", "))
		}
		return m, e.Hintf("name one that it has: %s", s.names(ctx))
	}
	return m, err
}

// names lists the models of a server that can say so, for a hint.
func (s *Server) names(ctx context.Context) string {
	var list struct {
		Models []string `json:"models"`
	}
	base := strings.TrimRight(s.URL.EscapedPath(), "/")
	if s.get(ctx, base+"/v2/models", &list) == nil && len(list.Models) > 0 {
		return strings.Join(list.Models, ", ")
	}
	return "GET /v2/models or the server's log lists them"
}

// Example asks a fairlead server for a request that the model answers. It is nil, without an error, where a server has
// no such thing.
func (s *Server) Example(ctx context.Context, model, version string) (json.RawMessage, error) {
	var e struct {
		Request json.RawMessage `json:"request"`
	}
	base := strings.TrimRight(s.URL.EscapedPath(), "/")
	err := s.get(ctx, base+"/api/v1/models/"+url.PathEscape(model)+"/versions/"+url.PathEscape(version)+"/example", &e)
	var known *fairlead.Error
	if errors.As(err, &known) && known.Code != fairlead.CodeUnavailable {
		return nil, nil
	}
	return e.Request, err
}

// Try sends one request by an ordinary client, so that a refusal can be read before a million of it are counted.
func (s *Server) Try(ctx context.Context, path string, body []byte, headers ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address(path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.do(req, nil)
}

func (s *Server) address(path string) *url.URL {
	u := *s.URL
	u.RawPath, u.RawQuery = path, ""
	u.Path, _ = url.PathUnescape(path)
	return &u
}

func (s *Server) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address(path).String(), nil)
	if err != nil {
		return err
	}
	return s.do(req, out)
}

// do reads the answer into out, which may be nil.
func (s *Server) do(req *http.Request, out any) error {
	resp, err := s.HTTP.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return fairlead.Errorf(fairlead.CodeUnavailable, "no server answers at %s://%s", s.URL.Scheme, s.URL.Host).
				Hintf("start one with `fairlead serve`, or name another by --server or FAIRLEAD_SERVER").Cause(err)
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fairlead.Errorf(fairlead.CodeUnavailable, "%s %s: %v", req.Method, req.URL, err).Hintf("check the address and that the server is up").Cause(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return fairlead.Errorf(fairlead.CodeUnavailable, "%s %s: the answer broke off: %v", req.Method, req.URL.Path, err).Cause(err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(req, resp, raw)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fairlead.Invalid("%s %s: the answer is not the JSON of the Open Inference Protocol: %v", req.Method, req.URL.Path, err).
			Hintf("is %s a server of that protocol?", s.URL)
	}
	return nil
}

// refusal says what the server said.
func refusal(req *http.Request, resp *http.Response, raw []byte) error {
	code := fairlead.CodeInvalid
	switch {
	case resp.StatusCode == http.StatusNotFound:
		code = fairlead.CodeNotFound
	case resp.StatusCode == http.StatusTooManyRequests:
		code = fairlead.CodeExhausted
	case resp.StatusCode >= 500:
		code = fairlead.CodeInternal
	}
	var body struct{ Error, Hint string }
	if json.Unmarshal(raw, &body) != nil || body.Error == "" {
		text := strings.TrimSpace(string(raw[:min(len(raw), 500)]))
		return fairlead.Errorf(code, "%s %s: the server answered %s: %s", req.Method, req.URL.Path, resp.Status, text)
	}
	e := fairlead.Errorf(code, "the server answered %s: %s", resp.Status, body.Error)
	e.Hint = body.Hint
	return e
}

// MakeInputs makes a row count's worth of seeded values that fit the model's inputs: floats in [0,1), integers and booleans
// 0 or 1 (an index into a table of any size), BYTES of eight letters. A free first dimension becomes rows, any other 1.
func MakeInputs(m *Model, rows int, chance *rand.Rand) ([]fairlead.Tensor, error) {
	if len(m.Inputs) == 0 {
		return nil, fairlead.Invalid("the server does not say what inputs %s takes", m.Name).
			Hintf("give a request of your own by --input file.json")
	}
	tensors := make([]fairlead.Tensor, len(m.Inputs))
	for i, in := range m.Inputs {
		shape := make([]int64, len(in.Shape))
		for d, n := range in.Shape {
			if shape[d] = n; n < 0 {
				shape[d] = 1
			}
		}
		switch {
		case len(shape) > 0 && in.Shape[0] < 0:
			shape[0] = int64(rows)
		case rows > 1:
			return nil, fairlead.Invalid("input %q of %s takes %s: its first dimension is fixed", in.Name, m.Name, fairlead.ShapeString(in.Shape)).
				Hintf("leave --rows away, or export the model with a free first dimension")
		}
		data := fairlead.MakeData(in.Datatype, int(fairlead.Elements(shape)))
		if data == nil {
			return nil, fairlead.Invalid("input %q of %s has the datatype %q, which is not one of the Open Inference Protocol", in.Name, m.Name, in.Datatype).
				Hintf("give a request of your own by --input file.json")
		}
		fillWith(data, in.Datatype, chance)
		tensors[i] = fairlead.Tensor{Name: in.Name, Type: in.Datatype, Shape: shape, Data: data}
	}
	return tensors, nil
}

func fillWith(data any, t fairlead.DataType, chance *rand.Rand) {
	switch d := data.(type) {
	case []float32:
		each(d, chance.Float32)
	case []float64:
		each(d, chance.Float64)
	case []bool:
		each(d, func() bool { return chance.IntN(2) == 1 })
	case []int8:
		each(d, bit[int8](chance))
	case []int16:
		each(d, bit[int16](chance))
	case []int32:
		each(d, bit[int32](chance))
	case []int64:
		each(d, bit[int64](chance))
	case []uint8:
		each(d, bit[uint8](chance))
	case []uint16: // UINT16, or the bits of a half: 0, 0.5 or 1 is exact in both formats
		one := map[fairlead.DataType]uint16{fairlead.FP16: 0x3c00, fairlead.BF16: 0x3f80, fairlead.Uint16: 1}[t]
		each(d, func() uint16 { return one * uint16(chance.IntN(2)) })
	case []uint32:
		each(d, bit[uint32](chance))
	case []uint64:
		each(d, bit[uint64](chance))
	case []string:
		each(d, func() string {
			var b [8]byte
			for i := range b {
				b[i] = byte('a' + chance.IntN(26))
			}
			return string(b[:])
		})
	}
}

func each[T any](d []T, next func() T) {
	for i := range d {
		d[i] = next()
	}
}

func bit[T int8 | int16 | int32 | int64 | uint8 | uint32 | uint64](chance *rand.Rand) func() T {
	return func() T { return T(chance.IntN(2)) }
}
