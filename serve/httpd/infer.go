package httpd

import (
	"context"
	"net/http"
	"strconv"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// dialect is how requests are read and answers written.
type dialect struct {
	decode func([]byte, *codec.Schema) (*codec.Request, error)
	encode func([]byte, *codec.Request, *codec.Answer) ([]byte, error)
}

// oip is the Open Inference Protocol, with "instances" as an extension.
var oip = dialect{
	decode: codec.Decode,
	encode: func(dst []byte, r *codec.Request, a *codec.Answer) ([]byte, error) {
		if r.Instances {
			return codec.AppendPredictions(dst, a)
		}
		return codec.AppendInfer(dst, a), nil
	},
}

func (h *Handler) infer(w http.ResponseWriter, r *http.Request, name, version string) error {
	return h.predict(w, r, name, version, oip)
}

// predict answers one inference in the given dialect.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request, name, version string, d dialect) error {
	received := h.server.Now()
	in := serve.Input{}
	id, headers, err := codec.HeaderMeta(r.Header.Get)
	if in.ID = id; id == "" {
		in.ID = h.server.NewID()
	}
	w.Header().Set("Fairlead-Prediction-Id", in.ID)
	if err != nil {
		return h.count(name, version, in, err)
	}
	if _, err := h.server.Table().Deployment(name); err != nil {
		return h.count(name, version, in, err) // before a large body is read for nothing
	}
	body, out := getBuffer(), getBuffer()
	defer putBuffer(body)
	defer putBuffer(out)
	if err := h.read(w, r, body); err != nil {
		return h.count(name, version, in, err)
	}
	var decoded *codec.Request
	_, err = h.server.Predict(r.Context(), serve.Request{
		Deployment: name, Version: version, Received: received,
		Decode: func(t *route.Target) (_ serve.Input, err error) {
			decoded, err = d.decode(body.Bytes(), t.Schema())
			if err != nil {
				return in, err
			}
			merge(&in, headers, decoded)
			w.Header().Set("Fairlead-Prediction-Id", in.ID)
			return in, nil
		},
		Encode: func(resp *serve.Response) error {
			answer := &codec.Answer{ID: resp.ID, Model: name, Version: resp.Target.Version.String(), Outputs: resp.Outputs,
				Note: resp.Note, RowIDs: make([]string, len(resp.Rows))}
			for i, row := range resp.Rows {
				answer.RowIDs[i] = row.ID
			}
			encoded, err := d.encode(out.AvailableBuffer(), decoded, answer)
			if err == nil {
				out.Write(encoded) // in place where it fitted, so that the buffer grows for the next time
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = w.Write(out.Bytes()) // a client that went away
	return nil
}

// count lets the server count a request that failed before it got that far.
func (h *Handler) count(name, version string, in serve.Input, err error) error {
	_, routed := h.server.Predict(context.Background(), serve.Request{Deployment: name, Version: version, Input: in,
		Decode: func(*route.Target) (serve.Input, error) { return in, err }})
	return routed
}

// merge adds what the body says; it wins over the headers.
func merge(in *serve.Input, headers codec.Meta, r *codec.Request) {
	in.Tensors, in.Outputs, in.Rows = r.Inputs, r.Outputs, r.Rows
	if r.ID != "" {
		in.ID = r.ID
	}
	meta := r.Meta.Over(headers)
	in.Default = fairlead.RowMeta{Time: meta.Time, Key: meta.Key, Tags: meta.Tags}
	in.Deadline = meta.Deadline
}

// tensorMetadata is a tensor as the protocol describes it.
type tensorMetadata struct {
	Name     string            `json:"name"`
	Datatype fairlead.DataType `json:"datatype"`
	Shape    []int64           `json:"shape"`
}

func describe(specs []fairlead.TensorSpec) []tensorMetadata {
	ts := make([]tensorMetadata, len(specs))
	for i, s := range specs {
		ts[i] = tensorMetadata{Name: s.Name, Datatype: s.Type, Shape: s.Shape}
		if s.Shape == nil {
			ts[i].Shape = []int64{-1} // an unknown rank, which the protocol cannot say
		}
	}
	return ts
}
