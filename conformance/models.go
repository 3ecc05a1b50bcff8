package conformance

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

// The models are made by testdata/make.py: y = x of shape [rows,4] for each type; and pair, a_out = a and b_out = -b.
//
//go:embed testdata/*.onnx
var models embed.FS

const (
	prefix = "oip-conformance-"
	width  = 4
)

func upload(name, file string) ([]byte, error) {
	model, err := models.ReadFile("testdata/" + file + ".onnx")
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{"name": name, "backend": "onnxruntime", "max_batch_size": 0})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"parameters": map[string]string{
		"config": string(config), "file:1/model.onnx": base64.StdEncoding.EncodeToString(model),
	}})
}

func (p *probe) load(ctx context.Context, name string, body []byte) (*reply, error) {
	return p.post(ctx, "/v2/repository/models/"+name+"/load", string(body))
}

// bringModels uploads the suite's models, or settles for one that is there.
func (p *probe) bringModels(ctx context.Context) {
	why := "the server does not list the extension model_repository"
	if slices.Contains(p.extensions, "model_repository") {
		why = ""
		for _, kind := range append([]string{"pair"}, wire.Datatypes...) {
			file := "pair"
			if kind != "pair" {
				file = "identity_" + strings.ToLower(kind)
			}
			name := prefix + strings.ToLower(kind)
			body, err := upload(name, file)
			if err != nil {
				why = err.Error()
				continue
			}
			r, err := p.load(ctx, name, body)
			switch {
			case err != nil:
				why = err.Error()
			case r.status != http.StatusOK:
				why = fmt.Sprintf("uploading the model for %s: %s", kind, r)
			default:
				p.brought[kind] = name
			}
		}
	}
	switch {
	case p.brought["FP32"] != "":
		p.story = "the suite's own, uploaded"
		if why != "" {
			p.story += "; " + why
		}
		p.subject = &model{name: p.brought["FP32"], inputs: []wire.Tensor{floats("x", 2)}, outputs: []string{"y"}, identity: true}
		p.subject.versions = p.versionsOf(ctx, p.subject.name)
	case p.settle(ctx):
		p.story = fmt.Sprintf("%s of the server: %s", p.subject.name, why)
	default:
		p.story = "none: " + why + "; and no model answers; name one with Model"
	}
}

func (p *probe) versionsOf(ctx context.Context, name string) []string {
	r, err := p.get(ctx, modelPath(name))
	if err != nil {
		return nil
	}
	m, err := r.object()
	if err != nil {
		return nil
	}
	list, _ := m["versions"].([]any)
	var versions []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			versions = append(versions, s)
		}
	}
	return versions
}

// takeModelsAway unloads what bringModels uploaded.
func (p *probe) takeModelsAway(ctx context.Context) {
	for _, name := range p.brought {
		_, _ = p.post(ctx, "/v2/repository/models/"+name+"/unload", "{}") // nobody is left to tell
	}
}

// settle looks for a model of the server's and makes up a request from its metadata.
func (p *probe) settle(ctx context.Context) bool {
	name := p.o.Model
	if name == "" {
		name = p.firstModel(ctx)
	}
	if name == "" {
		return false
	}
	r, err := p.get(ctx, modelPath(name))
	if err != nil {
		return false
	}
	m, err := r.object()
	if err != nil {
		return false
	}
	s := &model{name: name, versions: p.versionsOf(ctx, name)}
	inputs, _ := m["inputs"].([]any)
	for _, in := range inputs {
		t, ok := madeUp(in)
		if !ok {
			return false
		}
		s.inputs = append(s.inputs, t)
	}
	outputs, _ := m["outputs"].([]any)
	for _, out := range outputs {
		o, _ := out.(map[string]any)
		n, _ := o["name"].(string)
		s.outputs = append(s.outputs, n)
	}
	p.subject = s
	return len(s.inputs) > 0
}

// madeUp is an input of ones that fits its metadata, free dimensions being one.
func madeUp(metadata any) (wire.Tensor, bool) {
	m, _ := metadata.(map[string]any)
	t := wire.Tensor{}
	var ok1, ok2, ok3 bool
	t.Name, ok1 = m["name"].(string)
	t.Datatype, ok2 = m["datatype"].(string)
	dims, ok3 := m["shape"].([]any)
	shape, err := wire.Shape(dims)
	if !ok1 || !ok2 || !ok3 || err != nil {
		return t, false
	}
	for i, d := range shape {
		if d < 0 {
			shape[i] = 1
		}
	}
	t.Shape = shape
	ones := make([]any, min(wire.Elements(shape), 1<<24))
	for i := range ones {
		switch t.Datatype {
		case "BYTES":
			ones[i] = "1"
		case "BOOL":
			ones[i] = true
		default:
			ones[i] = wire.Number("1")
		}
	}
	t, err = wire.FromData(t.Name, t.Datatype, shape, ones)
	return t, err == nil
}

// firstModel is one that the server lists: by the repository's index, or by GET /v2/models, which is not in the protocol.
func (p *probe) firstModel(ctx context.Context) string {
	if slices.Contains(p.extensions, "model_repository") {
		if r, err := p.post(ctx, "/v2/repository/index", `{"ready":true}`); err == nil && r.status == http.StatusOK {
			v, _ := wire.Parse(r.body)
			list, _ := v.([]any)
			for _, e := range list {
				m, _ := e.(map[string]any)
				if name, ok := m["name"].(string); ok && !strings.HasPrefix(name, prefix) {
					return name
				}
			}
		}
	}
	if r, err := p.get(ctx, "/v2/models"); err == nil {
		if m, err := r.object(); err == nil {
			list, _ := m["models"].([]any)
			for _, e := range list {
				if name, ok := e.(string); ok {
					return name
				}
			}
		}
	}
	return ""
}

// floats is an FP32 tensor of so many rows, every element another.
func floats(name string, rows int) wire.Tensor {
	values := make([]any, rows*width)
	for i := range values {
		values[i] = wire.Number(fmt.Sprintf("%d.25", i-2))
	}
	t, err := wire.FromData(name, "FP32", []int64{int64(rows), width}, values)
	if err != nil {
		panic(err) // numbers of its own making
	}
	return t
}

// any is a model that answers.
func (p *probe) any() (*model, error) {
	if p.subject == nil {
		return nil, skipf("no model to ask: %s", p.story)
	}
	return p.subject, nil
}

// identity is the suite's own model of a type.
func (p *probe) identity(datatype string) (string, error) {
	if name := p.brought[datatype]; name != "" {
		return name, nil
	}
	return "", skipf("it needs a model of the suite's own: %s", p.story)
}
