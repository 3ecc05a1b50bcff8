package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

const binaryExtension = "binary_tensor_data"

func binaryChecks() []check {
	const rule = "Binary Tensor Data Extension"
	var cs []check
	add := func(level Level, name string, run func(context.Context, *probe) error) {
		cs = append(cs, check{group: "binary", name: name, rule: rule, level: level, extension: binaryExtension, run: run})
	}
	for _, datatype := range wire.Datatypes {
		add("", datatype+" both ways", func(ctx context.Context, p *probe) error {
			return binaryTrip(ctx, p, datatype, extremeTensor(datatype), true, map[string]any{"binary_data_output": true}, nil, true)
		})
	}
	add("", "binary in, JSON out", func(ctx context.Context, p *probe) error {
		return binaryTrip(ctx, p, "FP32", floats("x", 3), true, nil, nil, false)
	})
	add("", "JSON in, binary out by binary_data", func(ctx context.Context, p *probe) error {
		return binaryTrip(ctx, p, "FP32", floats("x", 3), false, nil, map[string]any{"binary_data": true}, true)
	})
	add("", "JSON in, binary out by binary_data_output", func(ctx context.Context, p *probe) error {
		return binaryTrip(ctx, p, "FP32", floats("x", 3), false, map[string]any{"binary_data_output": true}, nil, true)
	})
	add("", "binary_data overrides binary_data_output", func(ctx context.Context, p *probe) error {
		return binaryTrip(ctx, p, "FP32", floats("x", 3), false, map[string]any{"binary_data_output": true}, map[string]any{"binary_data": false}, false)
	})
	add("", "bytes that are no text", func(ctx context.Context, p *probe) error {
		in := wire.Tensor{Name: "x", Datatype: "BYTES", Shape: []int64{1, 4}, Raw: wire.BytesRaw("\xff\xfe", "", "a\x00b", "\x80")}
		return binaryTrip(ctx, p, "BYTES", in, true, map[string]any{"binary_data_output": true}, nil, true)
	})
	add("", "no rows", func(ctx context.Context, p *probe) error {
		return binaryTrip(ctx, p, "FP32", wire.Tensor{Name: "x", Datatype: "FP32", Shape: []int64{0, 4}}, true, map[string]any{"binary_data_output": true}, nil, true)
	})
	add("", "a mebibyte", func(ctx context.Context, p *probe) error {
		return binaryTrip(ctx, p, "FP32", floats("x", 65_536), true, map[string]any{"binary_data_output": true}, nil, true)
	})
	add("", "one input binary, one JSON", mixed)
	add("", "headers of a binary answer", binaryHeaders)
	add("", "raw request", rawRequest)
	for _, bad := range badBinary {
		add("", bad.name, refused(Must, bad.status, func(p *probe) (call, error) {
			name, err := p.identity("FP32")
			return call{method: http.MethodPost, path: modelPath(name) + "/infer", body: []byte(bad.body),
				header: map[string]string{"Content-Type": "application/octet-stream", wire.HeaderLength: bad.length}}, err
		}))
	}
	add("", "no header", refused(Must, 0, func(p *probe) (call, error) {
		name, err := p.identity("FP32")
		return call{method: http.MethodPost, path: modelPath(name) + "/infer", body: []byte(binaryHead(16) + strings.Repeat("\x00", 16)),
			header: map[string]string{"Content-Type": "application/octet-stream"}}, err
	}))
	return cs
}

func binaryHead(size int) string {
	return fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"parameters":{"binary_data_size":%d}}]}`, size)
}

var badBinary = []struct {
	name, length, body string
	status             int
}{
	{"size other than the shape's", strconv.Itoa(len(binaryHead(12))), binaryHead(12) + strings.Repeat("\x00", 12), 0},
	{"fewer bytes than said", strconv.Itoa(len(binaryHead(16))), binaryHead(16) + strings.Repeat("\x00", 8), 0},
	{"bytes left over", strconv.Itoa(len(binaryHead(16))), binaryHead(16) + strings.Repeat("\x00", 20), 0},
	{"header longer than the body", "100000", binaryHead(16) + strings.Repeat("\x00", 16), 0},
	{"header no number", "many", binaryHead(16) + strings.Repeat("\x00", 16), 0},
	{"header negative", "-1", binaryHead(16) + strings.Repeat("\x00", 16), 0},
	{"both data and binary_data_size", "113", `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4],"parameters":{"binary_data_size":16}}]}` + strings.Repeat("\x00", 16), 0},
}

// binaryTrip sends an input and wants it back, as binary or as JSON.
func binaryTrip(ctx context.Context, p *probe, datatype string, in wire.Tensor, send bool, request, output map[string]any, binary bool) error {
	name, err := p.identity(datatype)
	if err != nil {
		return err
	}
	r := wire.Request{ID: "b", Parameters: request, Inputs: []wire.Tensor{in}, Binary: []bool{send}}
	if output != nil {
		r.Outputs = []wire.Output{{Name: "y", Parameters: output}}
	}
	a, err := p.infer(ctx, name, r)
	if err != nil {
		return err
	}
	if err := sameTensor(a, "y", in); err != nil {
		return err
	}
	// An output without bytes may go either way.
	return want(a.Binary[0] == binary || len(in.Raw) == 0, fmt.Sprintf("binary output: %v", binary), "%v", a.Binary[0])
}

func mixed(ctx context.Context, p *probe) error {
	name, err := p.identity("pair")
	if err != nil {
		return err
	}
	for _, which := range [][]bool{{true, false}, {false, true}, {true, true}} {
		a, err := p.infer(ctx, name, wire.Request{Inputs: pairInputs("a", "b"), Binary: which,
			Outputs: []wire.Output{{Name: "a_out", Parameters: map[string]any{"binary_data": which[1]}}, {Name: "b_out", Parameters: map[string]any{"binary_data": which[0]}}}})
		if err != nil {
			return err
		}
		if err := sameTensor(a, "a_out", pairInputs("a")[0]); err != nil {
			return err
		}
		for i, t := range a.Outputs {
			if asked := which[1] && t.Name == "a_out" || which[0] && t.Name == "b_out"; a.Binary[i] != asked {
				return &mismatch{fmt.Sprintf("%s binary: %v", t.Name, asked), fmt.Sprint(a.Binary[i])}
			}
		}
	}
	return nil
}

func binaryHeaders(ctx context.Context, p *probe) error {
	name, err := p.identity("FP32")
	if err != nil {
		return err
	}
	r, err := p.inferRaw(ctx, name, wire.Request{Inputs: []wire.Tensor{floats("x", 2)}, Parameters: map[string]any{"binary_data_output": true}}, nil)
	if err != nil {
		return err
	}
	if _, err := readInfer(r); err != nil {
		return err
	}
	n, err := strconv.Atoi(r.header.Get(wire.HeaderLength))
	if err != nil || n != len(r.body)-2*width*4 {
		return &mismatch{fmt.Sprintf("%s: %d", wire.HeaderLength, len(r.body)-2*width*4), r.header.Get(wire.HeaderLength)}
	}
	if l := r.header.Get("Content-Length"); l != "" && l != strconv.Itoa(len(r.body)) {
		return &mismatch{"Content-Length of the whole body", l}
	}
	return want(strings.HasPrefix(r.header.Get("Content-Type"), "application/octet-stream"), "Content-Type: application/octet-stream", "%s", r.header.Get("Content-Type"))
}

func rawRequest(ctx context.Context, p *probe) error {
	name, err := p.identity("FP32")
	if err != nil {
		return err
	}
	in := floats("x", 1)
	r, err := p.send(ctx, call{method: http.MethodPost, path: modelPath(name) + "/infer", body: in.Raw,
		header: map[string]string{"Content-Type": "application/octet-stream", wire.HeaderLength: "0"}})
	if err != nil {
		return err
	}
	a, err := readInfer(r)
	if err != nil {
		return err
	}
	got, _ := a.Output("y")
	return want(bytes.Equal(got.Raw, in.Raw) && a.Binary[0], "the same 16 bytes, as binary", "%v %x, binary: %v", got.Shape, got.Raw, a.Binary)
}

func transportChecks() []check {
	cs := []check{
		{group: "transport", name: "chunked body", rule: "RFC 9112, 7.1", run: func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			return expectAnswer(p.send(ctx, call{method: http.MethodPost, path: modelPath(m.name) + "/infer", body: []byte(bodyOf(m)), chunked: true}))
		}},
		{group: "transport", name: "Expect: 100-continue", rule: "RFC 9110, 10.1.1", run: func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			return expectAnswer(p.send(ctx, call{method: http.MethodPost, path: modelPath(m.name) + "/infer", body: []byte(bodyOf(m)),
				header: map[string]string{"Expect": "100-continue"}}))
		}},
		{group: "transport", name: "an unknown coding is refused", rule: coding, run: refused(Advice, 0, codedCall("oip-none", nil))},
		{group: "transport", name: "an unknown coding is 415 or 501", rule: coding + "; 415 in RFC 9110, 501 in Triton", level: Advice, run: func(ctx context.Context, p *probe) error {
			c, err := codedCall("oip-none", nil)(p)
			if err != nil {
				return err
			}
			r, err := p.send(ctx, c)
			if err != nil {
				return err
			}
			return want(r.status == 415 || r.status == 501, "status 415 or 501", "%s", r)
		}},
		{group: "transport", name: "broken gzip", rule: coding, level: Advice, run: refused(Must, 0, codedCall("gzip", func([]byte) []byte { return []byte("\x1f\x8bnonsense") }))},
		{group: "transport", name: "gzip cut off", rule: coding, level: Advice, run: refused(Must, 0, codedCall("gzip", func(b []byte) []byte { return pack("gzip", b)[:20] }))},
	}
	cs[2].run = notAnswered(cs[2].run)
	return append(cs, compressionChecks()...)
}

// coding is the rule of compressed bodies.
const coding = "RFC 9110, 8.4: content codings; Triton takes gzip and deflate"

func compressionChecks() []check {
	var cs []check
	for _, encoding := range []string{"gzip", "deflate"} {
		cs = append(cs,
			check{group: "transport", name: encoding + " request", rule: coding, level: Advice, run: func(ctx context.Context, p *probe) error {
				c, err := codedCall(encoding, func(b []byte) []byte { return pack(encoding, b) })(p)
				if err != nil {
					return err
				}
				return expectAnswer(p.send(ctx, c))
			}},
			check{group: "transport", name: encoding + " answer", rule: "RFC 9110, 12.5.3: Accept-Encoding; Triton answers so", level: Advice, run: func(ctx context.Context, p *probe) error {
				m, err := p.any()
				if err != nil {
					return err
				}
				r, err := p.inferRaw(ctx, m.name, wire.Request{Inputs: m.inputs}, map[string]string{"Accept-Encoding": encoding})
				if err != nil {
					return err
				}
				if _, err := readInfer(r); err != nil {
					return err
				}
				return want(r.encoding == encoding || r.encoding == "", "an answer in "+encoding+" or plain", "%s", r.encoding)
			}})
	}
	return append(cs, check{group: "transport", name: "gzip around binary tensors", rule: coding + "; " + wire.HeaderLength + " counts before compression", level: Advice, extension: binaryExtension,
		run: func(ctx context.Context, p *probe) error {
			name, err := p.identity("FP32")
			if err != nil {
				return err
			}
			in := floats("x", 100)
			body, length, err := wire.Request{Inputs: []wire.Tensor{in}, Binary: []bool{true}, Parameters: map[string]any{"binary_data_output": true}}.Body()
			if err != nil {
				return err
			}
			r, err := p.send(ctx, call{method: http.MethodPost, path: modelPath(name) + "/infer", body: pack("gzip", body),
				header: map[string]string{"Content-Encoding": "gzip", "Accept-Encoding": "gzip", wire.HeaderLength: length}})
			if err != nil {
				return err
			}
			a, err := readInfer(r)
			if err != nil {
				return err
			}
			return sameTensor(a, "y", in)
		}})
}

// notAnswered takes any refusal, also one of 501.
func notAnswered(run func(context.Context, *probe) error) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		err := run(ctx, p)
		if m, ok := err.(*mismatch); ok && strings.HasPrefix(m.came, "status 5") {
			return nil
		}
		return err
	}
}

func codedCall(encoding string, pack func([]byte) []byte) func(*probe) (call, error) {
	return func(p *probe) (call, error) {
		m, err := p.any()
		if err != nil {
			return call{}, err
		}
		body := []byte(bodyOf(m))
		if pack != nil {
			body = pack(body)
		}
		return call{method: http.MethodPost, path: modelPath(m.name) + "/infer", body: body, header: map[string]string{"Content-Encoding": encoding}}, nil
	}
}

func expectAnswer(r *reply, err error) error {
	if err != nil {
		return err
	}
	_, err = readInfer(r)
	return err
}

func versionChecks() []check {
	const rule = "OIP REST: /v2/models/<name>/versions/<version>"
	at := func(suffix string) func(context.Context, *probe) error {
		return func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			if len(m.versions) == 0 {
				return skipf("the model's metadata name no version")
			}
			for _, v := range m.versions {
				if err := status200(modelPath(m.name)+"/versions/"+v+suffix)(ctx, p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	bad := func(name, version string) check {
		return check{group: "versions", name: name, rule: rule, run: func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			for _, c := range []call{
				{method: http.MethodGet, path: modelPath(m.name) + "/versions/" + version},
				{method: http.MethodPost, path: modelPath(m.name) + "/versions/" + version + "/infer", body: []byte(bodyOf(m))},
			} {
				if err := refused(Must, 0, func(*probe) (call, error) { return c, nil })(ctx, p); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	return []check{
		{group: "versions", name: "metadata of each", rule: rule, run: at("")},
		{group: "versions", name: "ready of each", rule: rule, run: at("/ready")},
		{group: "versions", name: "infer on one", rule: rule, run: func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			if len(m.versions) == 0 {
				return skipf("the model's metadata name no version")
			}
			v := m.versions[0]
			a, err := p.post(ctx, modelPath(m.name)+"/versions/"+v+"/infer", bodyOf(m))
			if err != nil {
				return err
			}
			answer, err := readInfer(a)
			if err != nil {
				return err
			}
			return want(answer.Object["model_version"] == v || answer.Object["model_version"] == nil, "model_version "+v, "%v", answer.Object["model_version"])
		}},
		bad("an unknown number", "987654321"),
		bad("a version in words", "v10-oip-none"),
	}
}

func extensionChecks() []check {
	return []check{
		{group: "extensions", name: "configuration", rule: "Model Configuration Extension", extension: "model_configuration", run: configuration},
		{group: "extensions", name: "statistics count a request", rule: "Statistics Extension", extension: "statistics", run: statistics},
		{group: "extensions", name: "statistics of all models", rule: "Statistics Extension", extension: "statistics", run: func(ctx context.Context, p *probe) error {
			_, err := modelStats(ctx, p, "/v2/models/stats", "")
			return err
		}},
		{group: "extensions", name: "classification", rule: "Classification Extension: \"<value>:<index>[:<label>]\"", extension: "classification", run: classification},
		{group: "extensions", name: "priority and timeout", rule: "Schedule Policy Extension", extension: "schedule_policy", run: asking(
			func(_ *model, r *wire.Request) { r.Parameters = map[string]any{"priority": 1, "timeout": 5_000_000} }, answered)},
	}
}

func configuration(ctx context.Context, p *probe) error {
	m, err := p.any()
	if err != nil {
		return err
	}
	r, err := p.get(ctx, modelPath(m.name)+"/config")
	if err != nil {
		return err
	}
	o, err := r.object()
	if err != nil {
		return err
	}
	_, err1 := member[wire.Number](o, "max_batch_size")
	inputs, err2 := member[[]any](o, "input")
	outputs, err3 := member[[]any](o, "output")
	if err := first(want(o["name"] == m.name, m.name, "%v", o["name"]), err1, err2, err3); err != nil {
		return err
	}
	for _, v := range slices.Concat(inputs, outputs) {
		t, _ := v.(map[string]any)
		datatype, err1 := member[string](t, "data_type")
		_, err2 := member[string](t, "name")
		_, err3 := member[[]any](t, "dims")
		if err := first(err1, err2, err3, want(strings.HasPrefix(datatype, "TYPE_"), "a data_type such as TYPE_FP32", "%s", datatype)); err != nil {
			return err
		}
	}
	return want(len(inputs) == len(m.inputs), fmt.Sprintf("%d inputs", len(m.inputs)), "%d", len(inputs))
}

// modelStats is the member of model_stats of that name, any if it is empty.
func modelStats(ctx context.Context, p *probe, path, name string) (map[string]any, error) {
	r, err := p.get(ctx, path)
	if err != nil {
		return nil, err
	}
	o, err := r.object()
	if err != nil {
		return nil, err
	}
	list, err := member[[]any](o, "model_stats")
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		if m, ok := v.(map[string]any); ok && (name == "" || m["name"] == name) {
			return m, nil
		}
	}
	return nil, &mismatch{"statistics of " + name, fmt.Sprintf("%.200s", r.body)}
}

func statistics(ctx context.Context, p *probe) error {
	m, err := p.any()
	if err != nil {
		return err
	}
	count := func() (int, error) {
		s, err := modelStats(ctx, p, modelPath(m.name)+"/stats", m.name)
		if err != nil {
			return 0, err
		}
		all, err := member[map[string]any](s, "inference_stats")
		if err != nil {
			return 0, err
		}
		success, err := member[map[string]any](all, "success")
		if err != nil {
			return 0, err
		}
		n, err := member[wire.Number](success, "count")
		if err != nil {
			return 0, err
		}
		_, err1 := member[wire.Number](success, "ns")
		_, err2 := member[wire.Number](s, "inference_count")
		_, err3 := member[wire.Number](s, "execution_count")
		_, err4 := member[wire.Number](s, "last_inference")
		c, err5 := strconv.Atoi(string(n))
		return c, first(err1, err2, err3, err4, err5)
	}
	before, err := count()
	if err != nil {
		return err
	}
	if _, err := p.infer(ctx, m.name, wire.Request{Inputs: m.inputs}); err != nil {
		return err
	}
	after, err := count()
	if err != nil {
		return err
	}
	// Others may ask the same model.
	return want(after > before, fmt.Sprintf("success.count above %d", before), "%d", after)
}

func classification(ctx context.Context, p *probe) error {
	name, err := p.identity("FP32")
	if err != nil {
		return err
	}
	v, _ := wire.Parse([]byte("[0.5,4.25,-1,2]"))
	in, err := wire.FromData("x", "FP32", []int64{1, 4}, v)
	if err != nil {
		return err
	}
	a, err := p.infer(ctx, name, wire.Request{Inputs: []wire.Tensor{in}, Outputs: []wire.Output{{Name: "y", Parameters: map[string]any{"classification": 2}}}})
	if err != nil {
		return err
	}
	return sameTensor(a, "y", wire.Tensor{Datatype: "BYTES", Shape: []int64{1, 2}, Raw: wire.BytesRaw("4.250000:1", "2.000000:3")})
}
