package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

const repository = "model_repository"

func repositoryChecks() []check {
	const rule = "Model Repository Extension"
	c := func(level Level, name, section string, run func(context.Context, *probe) error) check {
		return check{group: "repository", name: name, rule: rule + ", " + section, level: level, extension: repository, run: run}
	}
	return []check{
		c("", "index", "Index", func(ctx context.Context, p *probe) error {
			m, err := p.any()
			if err != nil {
				return err
			}
			state, err := p.indexState(ctx, m.name, "{}")
			if err != nil {
				return err
			}
			return want(state == "READY", m.name+" READY", "%q", state)
		}),
		c("", "index of what is ready", "Index", func(ctx context.Context, p *probe) error {
			_, err := p.indexState(ctx, "", `{"ready":true}`)
			return err
		}),
		c("", "index without a body", "Index", func(ctx context.Context, p *probe) error {
			r, err := p.send(ctx, call{method: http.MethodPost, path: "/v2/repository/index"})
			if err != nil {
				return err
			}
			return want(r.status == http.StatusOK, "status 200", "%s", r)
		}),
		c("", "load of an unknown model", "Load", refused(Must, 0, func(*probe) (call, error) {
			return call{method: http.MethodPost, path: "/v2/repository/models/" + unknown + "/load", body: []byte("{}")}, nil
		})),
		c("", "unload takes it away, load brings it back", "Unload and Load", unloadAndBack),
		c("", "upload of a file that is no model", "Load", func(ctx context.Context, p *probe) error {
			name, err := p.identity("INT8")
			if err != nil {
				return err
			}
			if err := refused(Must, 0, func(*probe) (call, error) {
				return call{method: http.MethodPost, path: "/v2/repository/models/" + name + "/load",
					body: []byte(`{"parameters":{"config":"{\"name\":\"` + name + `\",\"backend\":\"onnxruntime\"}","file:1/model.onnx":"bm8gbW9kZWw="}}`)}, nil
			})(ctx, p); err != nil {
				return err
			}
			a, err := p.infer(ctx, name, wire.Request{Inputs: []wire.Tensor{extremeTensor("INT8")}})
			if err != nil {
				return fmt.Errorf("and the model that was loaded no longer answers: %w", err)
			}
			return sameTensor(a, "y", extremeTensor("INT8"))
		}),
		c("", "upload that is not base64", "Load", refused(Must, 0, func(*probe) (call, error) {
			return call{method: http.MethodPost, path: "/v2/repository/models/" + unknown + "/load",
				body: []byte(`{"parameters":{"config":"{}","file:1/model.onnx":"%%%"}}`)}, nil
		})),
	}
}

var states = []string{"READY", "UNAVAILABLE", "LOADING", "UNLOADING", "UNKNOWN"}

// indexState asks for the index and gives the state of a model, "" if it is not listed. A model with several versions is
// ready if one of them is.
func (p *probe) indexState(ctx context.Context, name, body string) (string, error) {
	r, err := p.post(ctx, "/v2/repository/index", body)
	if err != nil {
		return "", err
	}
	if r.status != http.StatusOK {
		return "", &mismatch{"status 200", r.String()}
	}
	v, err := wire.Parse(r.body)
	list, ok := v.([]any)
	if err != nil || !ok {
		return "", &mismatch{"an array", r.String()}
	}
	found := ""
	for _, e := range list {
		m, _ := e.(map[string]any)
		n, err := member[string](m, "name")
		if err != nil {
			return "", err
		}
		state, given := m["state"].(string)
		if given && !slices.Contains(states, state) {
			return "", &mismatch{"a state of " + strings.Join(states, ", "), state}
		}
		if strings.Contains(body, "true") && state != "READY" {
			return "", &mismatch{"READY alone", fmt.Sprintf("%s %s", n, state)}
		}
		if n == name && found != "READY" {
			found = state
		}
	}
	return found, nil
}

func unloadAndBack(ctx context.Context, p *probe) error {
	name, err := p.identity("UINT16")
	if err != nil {
		return err
	}
	r, err := p.post(ctx, "/v2/repository/models/"+name+"/unload", "")
	if err != nil {
		return err
	}
	if r.status != http.StatusOK {
		return &mismatch{"unload: status 200", r.String()}
	}
	if r, err = p.get(ctx, modelPath(name)+"/ready"); err != nil {
		return err
	}
	gone := want(r.status != http.StatusOK, "not ready after unload", "%s", r)
	state, indexErr := p.indexState(ctx, name, "{}")
	still := want(state != "READY", "not READY in the index after unload", "%s", state)
	infer, err := p.inferRaw(ctx, name, wire.Request{Inputs: []wire.Tensor{extremeTensor("UINT16")}}, nil)
	if err != nil {
		return err
	}
	answers := want(infer.status >= 400 && infer.status < 600, "an error after unload", "%s", infer)
	body, err := upload(name, "identity_uint16")
	if err != nil {
		return err
	}
	if r, err = p.load(ctx, name, body); err != nil {
		return err
	}
	if err := first(gone, indexErr, still, answers, want(r.status == http.StatusOK, "load: status 200", "%s", r)); err != nil {
		return err
	}
	a, err := p.infer(ctx, name, wire.Request{Inputs: []wire.Tensor{extremeTensor("UINT16")}})
	if err != nil {
		return err
	}
	return sameTensor(a, "y", extremeTensor("UINT16"))
}
