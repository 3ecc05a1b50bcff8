package conformance

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

func healthChecks() []check {
	const group, rule = "health", "OIP REST, Server Live / Server Ready / Model Ready"
	return []check{
		{group: group, name: "live", rule: rule, run: status200("/v2/health/live")},
		{group: group, name: "live body", rule: rule, level: Advice, run: boolBody("/v2/health/live", "live")},
		{group: group, name: "ready", rule: rule, run: status200("/v2/health/ready")},
		{group: group, name: "ready body", rule: rule + " (the text prints \"live\" where it means \"ready\")", level: Advice,
			run: boolBody("/v2/health/ready", "ready")},
		{group: group, name: "model ready", rule: rule, run: func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			return status200(modelPath(m.name)+"/ready")(ctx, p)
		}},
		{group: group, name: "model ready body", rule: rule, level: Advice, run: func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			r, err := p.get(ctx, modelPath(m.name)+"/ready")
			if err != nil {
				return err
			}
			o, err := r.object()
			if err != nil {
				return err
			}
			return want(o["name"] == m.name && o["ready"] == true, fmt.Sprintf(`{"name":%q,"ready":true}`, m.name), "%s", r.body)
		}},
		{group: group, name: "unknown model is not ready", rule: rule, run: func(ctx context.Context, p *probe) error {
			r, err := p.get(ctx, modelPath(unknown)+"/ready")
			if err != nil {
				return err
			}
			return want(r.status >= 400 && r.status < 600, "an error status", "%s", r)
		}},
	}
}

// unknown is a model that no server has.
const unknown = "oip-conformance-no-such-model"

func status200(path string) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		r, err := p.get(ctx, path)
		if err != nil {
			return err
		}
		return want(r.status == http.StatusOK, "status 200", "%s", r)
	}
}

func boolBody(path, key string) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		r, err := p.get(ctx, path)
		if err != nil {
			return err
		}
		m, err := r.object()
		if err != nil {
			return err
		}
		return want(m[key] == true, fmt.Sprintf(`{%q:true}`, key), "%s", r.body)
	}
}

func metadataChecks() []check {
	const group = "metadata"
	const server = "OIP REST, Server Metadata"
	return append([]check{
		{group: group, name: "server", rule: server, run: func(ctx context.Context, p *probe) error {
			r, err := p.get(ctx, "/v2")
			if err != nil {
				return err
			}
			m, err := r.object()
			if err != nil {
				return err
			}
			_, err1 := member[string](m, "name")
			_, err2 := member[string](m, "version")
			list, err3 := member[[]any](m, "extensions")
			for _, e := range list {
				if _, ok := e.(string); !ok {
					err3 = &mismatch{"extensions, strings", fmt.Sprint(e)}
				}
			}
			return first(err1, err2, err3)
		}},
		{group: group, name: "content type", rule: server, level: Advice, run: func(ctx context.Context, p *probe) error {
			r, err := p.get(ctx, "/v2")
			if err != nil {
				return err
			}
			return want(strings.HasPrefix(r.header.Get("Content-Type"), "application/json"), "Content-Type: application/json", "%q", r.header.Get("Content-Type"))
		}},
	}, modelMetadataChecks()...)
}

func modelMetadataChecks() []check {
	const group, modelRule = "metadata", "OIP REST, Model Metadata"
	return []check{
		{group: group, name: "model", rule: modelRule, run: withMetadata(func(m *model, o map[string]any) error {
			name, err := member[string](o, "name")
			if err != nil {
				return err
			}
			_, err1 := member[string](o, "platform")
			_, err2 := member[[]any](o, "inputs")
			_, err3 := member[[]any](o, "outputs")
			return first(want(name == m.name, m.name, "%s", name), err1, err2, err3)
		})},
		{group: group, name: "versions are strings", rule: modelRule, run: withMetadata(func(_ *model, o map[string]any) error {
			if _, ok := o["versions"]; !ok {
				return skipf("versions are optional, and this server gives none")
			}
			list, err := member[[]any](o, "versions")
			for _, v := range list {
				if _, ok := v.(string); !ok {
					return &mismatch{"strings", fmt.Sprint(list)}
				}
			}
			return err
		})},
		{group: group, name: "tensors", rule: "OIP REST, Model Metadata: $metadata_tensor", run: withMetadata(func(_ *model, o map[string]any) error {
			inputs, _ := o["inputs"].([]any)
			outputs, _ := o["outputs"].([]any)
			for _, t := range slices.Concat(inputs, outputs) {
				if err := checkTensor(t); err != nil {
					return err
				}
			}
			return want(len(inputs) > 0 && len(outputs) > 0, "inputs and outputs", "%v", o)
		})},
		{group: group, name: "of a known model", rule: modelRule + ": variable dimensions are -1", run: withMetadata(func(m *model, o map[string]any) error {
			if !m.identity {
				return skipf("it needs a model of the suite's own")
			}
			inputs, _ := o["inputs"].([]any)
			if len(inputs) != 1 {
				return &mismatch{"one input", fmt.Sprint(inputs)}
			}
			in, _ := inputs[0].(map[string]any)
			return want(in["name"] == "x" && in["datatype"] == "FP32" && fmt.Sprint(in["shape"]) == "[-1 4]", "x FP32 [-1,4]", "%v", in)
		})},
		{group: group, name: "platform", rule: "OIP gRPC, Platforms: <project>_<format>", level: Advice, run: withMetadata(func(_ *model, o map[string]any) error {
			s, _ := o["platform"].(string)
			return want(platform.MatchString(s), "a name such as onnx_onnxv1", "%q", s)
		})},
		{group: group, name: "unknown model", rule: modelRule + ", Error Object", run: refused(Must, 0, func(p *probe) (call, error) {
			return call{method: http.MethodGet, path: modelPath(unknown)}, nil
		})},
		{group: group, name: "unknown model is 404", rule: modelRule, level: Advice, run: refused(Advice, 404, func(p *probe) (call, error) {
			return call{method: http.MethodGet, path: modelPath(unknown)}, nil
		})},
	}
}

var platform = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)+$`)

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkTensor(v any) error {
	t, ok := v.(map[string]any)
	if !ok {
		return &mismatch{"a tensor's metadata", fmt.Sprint(v)}
	}
	name, err1 := member[string](t, "name")
	datatype, err2 := member[string](t, "datatype")
	dims, err3 := member[[]any](t, "shape")
	if err := first(err1, err2, err3); err != nil {
		return err
	}
	shape, err := wire.Shape(dims)
	if err != nil || slices.ContainsFunc(shape, func(d int64) bool { return d < -1 }) {
		return &mismatch{"dimensions of -1 or more", fmt.Sprintf("%v of %s", dims, name)}
	}
	return want(slices.Contains(wire.Datatypes, datatype), "one of "+strings.Join(wire.Datatypes, " "), "%s of %s", datatype, name)
}

func withMetadata(f func(*model, map[string]any) error) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		m, err := p.any()
		if err != nil {
			return err
		}
		r, err := p.get(ctx, modelPath(m.name))
		if err != nil {
			return err
		}
		o, err := r.object()
		if err != nil {
			return err
		}
		return f(m, o)
	}
}

// asking runs f on the answer to a request made from the subject's own.
func asking(change func(*model, *wire.Request), f func(*model, *wire.Response) error) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		m, err := p.any()
		if err != nil {
			return err
		}
		r := wire.Request{Inputs: m.inputs}
		change(m, &r)
		answer, err := p.infer(ctx, m.name, r)
		if err != nil {
			return err
		}
		return f(m, answer)
	}
}

func asItIs(*model, *wire.Request) {}

func answered(*model, *wire.Response) error { return nil }

func inferChecks() []check {
	const group, rule = "infer", "OIP REST, Inference"
	id := func(id string) check {
		return check{group: group, name: fmt.Sprintf("id %q comes back", id), rule: rule + ": id must be returned", run: asking(
			func(_ *model, r *wire.Request) { r.ID = id },
			func(_ *model, a *wire.Response) error { return want(a.Object["id"] == id, id, "%v", a.Object["id"]) })}
	}
	return []check{
		{group: group, name: "answer", rule: rule, run: asking(asItIs, answered)},
		{group: group, name: "without outputs all come", rule: rule + ": outputs", run: asking(asItIs, func(m *model, a *wire.Response) error {
			var got []string
			for _, t := range a.Outputs {
				got = append(got, t.Name)
			}
			slices.Sort(got)
			all := slices.Sorted(slices.Values(m.outputs))
			return want(slices.Equal(got, all), fmt.Sprint(all), "%v", got)
		})},
		{group: group, name: "an asked output comes alone", rule: rule + ": Request Output", run: asking(
			func(m *model, r *wire.Request) { r.Outputs = []wire.Output{{Name: m.outputs[len(m.outputs)-1]}} },
			func(m *model, a *wire.Response) error {
				name := m.outputs[len(m.outputs)-1]
				return want(len(a.Outputs) == 1 && a.Outputs[0].Name == name, name+" alone", "%v", a.Object["outputs"])
			})},
		{group: group, name: "the identity's answer", rule: rule, run: asking(asItIs, func(m *model, a *wire.Response) error {
			if !m.identity {
				return skipf("it needs a model of the suite's own")
			}
			return sameTensor(a, "y", m.inputs[0])
		})},
		id("42"), id(`quo"te, Ünï, \ and 東京`),
		{group: group, name: "model_name", rule: rule + ": model_name", run: asking(asItIs, func(m *model, a *wire.Response) error {
			return want(a.Object["model_name"] == m.name, m.name, "%v", a.Object["model_name"])
		})},
		{group: group, name: "model_version", rule: rule + ": model_version, a string", run: asking(asItIs, func(_ *model, a *wire.Response) error {
			v, given := a.Object["model_version"]
			_, ok := v.(string)
			return want(ok || !given, "a string", "%v", v)
		})},
		{group: group, name: "parameters are taken", rule: "OIP REST, Parameters: values are strings, numbers, booleans", run: asking(
			func(_ *model, r *wire.Request) {
				r.Parameters = map[string]any{"oip_text": "a", "oip_number": 1.5, "oip_flag": true, "oip_count": -3}
			}, answered)},
		{group: group, name: "no Content-Type", rule: "tritonclient's HTTP client sends none", level: Advice, run: asWritten(func(body string) string { return body }, "")},
		{group: group, name: "spaces and line breaks", rule: "RFC 8259, 2", run: asWritten(func(body string) string {
			return "\r\n\t " + strings.ReplaceAll(strings.ReplaceAll(body, ":", " :\n "), "]", "\t]\r\n") + " \n"
		}, "application/json")},
		{group: group, name: "escaped names", rule: "RFC 8259, 7", run: asWritten(func(body string) string {
			return strings.ReplaceAll(body, `"inputs"`, "\"\\u0069nputs\"")
		}, "application/json")},
		{group: group, name: "Content-Type with a charset", rule: rule, level: Advice, run: asWritten(func(body string) string { return body }, "application/json; charset=utf-8")},
		{group: group, name: "two inputs in either order", rule: rule + ": inputs are named", run: pairChecks("b", "a")},
		{group: group, name: "outputs in the order asked", rule: rule + ": outputs", level: Advice, run: func(ctx context.Context, p *probe) error {
			name, err := p.identity("pair")
			if err != nil {
				return err
			}
			a, err := p.infer(ctx, name, wire.Request{Inputs: pairInputs("a", "b"), Outputs: []wire.Output{{Name: "b_out"}, {Name: "a_out"}}})
			if err != nil {
				return err
			}
			return want(len(a.Outputs) == 2 && a.Outputs[0].Name == "b_out", "b_out, a_out", "%v", a.Object["outputs"])
		}},
		{group: group, name: "one row and many", rule: rule + ": shape and data are those of the whole batch", run: oneAndMany},
		{group: group, name: "a megabyte", rule: rule, run: megabyte},
		{group: group, name: "each caller gets its own answer", rule: rule + ": id and outputs belong to the request", run: concurrent},
	}
}

func sameTensor(a *wire.Response, name string, in wire.Tensor) error {
	got, ok := a.Output(name)
	if !ok {
		return &mismatch{"output " + name, fmt.Sprint(a.Object["outputs"])}
	}
	return want(got.Datatype == in.Datatype && slices.Equal(got.Shape, in.Shape) && string(got.Raw) == string(in.Raw),
		fmt.Sprintf("%s %v %s", in.Datatype, in.Shape, brief(in)), "%s %v %s", got.Datatype, got.Shape, brief(got))
}

func brief(t wire.Tensor) string {
	data, err := t.AppendData(nil, false)
	if err != nil {
		data = fmt.Appendf(nil, "%x", t.Raw)
	}
	return fmt.Sprintf("%.120s", data)
}

// asWritten sends the subject's request with its text changed.
func asWritten(change func(string) string, contentType string) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		m, err := p.any()
		if err != nil {
			return err
		}
		body, _, err := wire.Request{Inputs: m.inputs}.Body()
		if err != nil {
			return err
		}
		c := call{method: http.MethodPost, path: modelPath(m.name) + "/infer", body: []byte(change(string(body)))}
		if contentType != "" {
			c.header = map[string]string{"Content-Type": contentType}
		}
		r, err := p.send(ctx, c)
		if err != nil {
			return err
		}
		_, err = readInfer(r)
		return err
	}
}

func pairInputs(names ...string) []wire.Tensor {
	both := map[string]wire.Tensor{
		"a": {Name: "a", Datatype: "FP32", Shape: []int64{1, 2}, Raw: []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}}, // 1, -2
		"b": {Name: "b", Datatype: "INT32", Shape: []int64{1, 2}, Raw: []byte{7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
	}
	var ts []wire.Tensor
	for _, n := range names {
		ts = append(ts, both[n])
	}
	return ts
}

func pairChecks(names ...string) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		name, err := p.identity("pair")
		if err != nil {
			return err
		}
		a, err := p.infer(ctx, name, wire.Request{Inputs: pairInputs(names...)})
		if err != nil {
			return err
		}
		if err := sameTensor(a, "a_out", pairInputs("a")[0]); err != nil {
			return err
		}
		return sameTensor(a, "b_out", wire.Tensor{Datatype: "INT32", Shape: []int64{1, 2}, Raw: []byte{0xf9, 0xff, 0xff, 0xff, 1, 0, 0, 0}})
	}
}

// oneAndMany compares the rows of a batch with the same rows alone.
func oneAndMany(ctx context.Context, p *probe) error {
	name, err := p.identity("FP32")
	if err != nil {
		return err
	}
	all := floats("x", 5)
	a, err := p.infer(ctx, name, wire.Request{Inputs: []wire.Tensor{all}})
	if err != nil {
		return err
	}
	if err := sameTensor(a, "y", all); err != nil {
		return err
	}
	row := all
	row.Shape, row.Raw = []int64{1, width}, all.Raw[3*width*4:4*width*4]
	if a, err = p.infer(ctx, name, wire.Request{Inputs: []wire.Tensor{row}}); err != nil {
		return err
	}
	return sameTensor(a, "y", row)
}

func megabyte(ctx context.Context, p *probe) error {
	name, err := p.identity("FP32")
	if err != nil {
		return err
	}
	big := floats("x", 40_000)
	a, err := p.infer(ctx, name, wire.Request{Inputs: []wire.Tensor{big}})
	if err != nil {
		return err
	}
	return sameTensor(a, "y", big)
}

// concurrent has 16 callers with values of their own, some of them with several rows.
func concurrent(ctx context.Context, p *probe) error {
	name, err := p.identity("INT32")
	if err != nil {
		return err
	}
	errs := make([]error, 16)
	var callers sync.WaitGroup
	for caller := range errs {
		callers.Go(func() {
			for round := range 8 {
				rows := 1 + caller%3
				in := wire.Tensor{Name: "x", Datatype: "INT32", Shape: []int64{int64(rows), width}}
				for i := range rows * width {
					in.Raw = append(in.Raw, byte(caller), byte(round), byte(i), 0)
				}
				id := fmt.Sprintf("caller-%d.%d", caller, round)
				a, err := p.infer(ctx, name, wire.Request{ID: id, Inputs: []wire.Tensor{in}})
				if err == nil {
					err = first(want(a.Object["id"] == id, id, "%v", a.Object["id"]), sameTensor(a, "y", in))
				}
				if err != nil {
					errs[caller] = err
					return
				}
			}
		})
	}
	callers.Wait()
	return first(errs...)
}
