package httpd

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/protocol"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// dialect is how requests are read and answers written.
type dialect struct {
	decode func([]byte, *codec.Schema) (*codec.Request, error)
	encode func([]byte, *codec.Request, *codec.Answer) ([]byte, error)
	oip    bool // the Open Inference Protocol, which may have binary parts: the functions are not used
}

// oip is the Open Inference Protocol, with "instances" as an extension.
var oip = dialect{oip: true}

// exchange is one inference on its way through the handler. Exchanges and their buffers are used again.
type exchange struct {
	h        *Handler
	w        http.ResponseWriter
	r        *http.Request
	d        dialect
	in       serve.Input
	headers  codec.Meta
	received time.Time

	body    []byte
	header  int // bytes of JSON that the body starts with; -1: all
	decoded *codec.Request
	shared  bool // an input shares the body's memory
	answer  codec.Answer
	out     []byte
	jsonLen int // bytes of JSON that out starts with; -1: all

	// The exchange's methods, which would be allocated anew wherever they are passed on.
	get    func(string) string
	decode func(*route.Target) (serve.Input, error)
	encode func(*serve.Response) error
}

var exchanges = sync.Pool{New: func() any {
	x := new(exchange)
	x.get, x.decode, x.encode = x.headerValue, x.read, x.write
	return x
}}

// keepBuffer is the largest buffer that is used again. Larger ones are left to the garbage collector.
const keepBuffer = 1 << 20

// release gives x back. Nobody may have kept anything of it.
func (x *exchange) release() {
	body, out, ids := x.body, x.out, x.answer.RowIDs
	if cap(body) > keepBuffer || x.shared {
		body = nil
	}
	if cap(out) > keepBuffer {
		out = nil
	}
	clear(ids)
	*x = exchange{get: x.get, decode: x.decode, encode: x.encode, body: body[:0], out: out[:0],
		answer: codec.Answer{RowIDs: ids[:0]}}
	exchanges.Put(x)
}

// predict answers one inference in the given dialect.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request, name, version string, d dialect) error {
	x := exchanges.Get().(*exchange)
	x.h, x.w, x.r, x.d, x.received, x.header = h, w, r, d, h.server.Now(), -1
	err := x.predict(name, version)
	if err == nil {
		x.send()
	} else if len(w.Header()[predictionID]) == 0 {
		x.tellID()
	}
	x.release()
	return err
}

func (x *exchange) predict(name, version string) (err error) {
	x.in.ID, x.headers, err = codec.HeaderMeta(x.get)
	if err == nil {
		_, err = x.h.server.Table().Deployment(name) // before a large body is read for nothing
	}
	if err == nil {
		err = x.receive()
	}
	req := serve.Request{
		Deployment: name, Version: version, Received: x.received, Client: x.client(), Protocol: "http/tfs",
		Pin: x.headers.Pin, Decode: x.decode, Encode: x.encode,
	}
	if x.d.oip {
		req.Protocol = "http/oip"
	}
	ctx := x.h.o.Context(x.r)
	if err != nil { // let the server count it
		refused := err
		req.Decode = func(*route.Target) (serve.Input, error) { return x.in, refused }
		ctx = context.WithoutCancel(ctx)
	}
	_, err = x.h.server.Predict(ctx, req)
	return err
}

// headerValue is the value of a header whose name is written as the standard library writes it.
func (x *exchange) headerValue(name string) string {
	if v := x.r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// client says who asks.
func (x *exchange) client() string {
	if name := x.h.o.ClientHeader; name != "" {
		if values := x.r.Header[name]; len(values) > 0 {
			last := values[len(values)-1]
			return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		}
	}
	host, _, err := net.SplitHostPort(x.r.RemoteAddr)
	if err != nil {
		return x.r.RemoteAddr
	}
	return host
}

const predictionID = "Fairlead-Prediction-Id"

// role is the header that says as what the version answered, where several do or the client named one.
const role = "Fairlead-Role"

// tellID puts the request's id in the answer's header.
func (x *exchange) tellID() {
	if x.in.ID == "" {
		x.in.ID = x.h.server.NewID()
	}
	x.w.Header()[predictionID] = []string{codec.HeaderID(x.in.ID)}
}

// read makes the input of the body, once it is known who answers.
func (x *exchange) read(t *route.Target) (_ serve.Input, err error) {
	if x.d.oip {
		x.decoded, err = codec.DecodeInferOwned(x.body, x.header, t.Schema())
	} else {
		x.decoded, err = x.d.decode(x.body, t.Schema())
	}
	if err != nil {
		return x.in, err
	}
	r := x.decoded
	x.shared = x.shared || r.KeepsBody // it may be read for a second version, when a run of the first goes on
	x.in.Tensors, x.in.Outputs, x.in.Rows = r.Inputs, r.Outputs, r.Rows
	if r.ID != "" {
		x.in.ID = r.ID
	}
	meta := r.Meta.Over(x.headers)
	x.in.Unrecorded = meta.Unrecorded
	x.in.Default = fairlead.RowMeta{Time: meta.Time, Key: meta.Key, Tags: meta.Tags}
	x.in.Deadline, x.in.Priority = meta.Deadline, meta.Priority
	x.in.RoutingKey, x.in.Pin = meta.RoutingKey, meta.Pin
	x.tellID()
	return x.in, nil
}

// write encodes the answer.
func (x *exchange) write(resp *serve.Response) (err error) {
	a := &x.answer
	a.ID, a.Model, a.Version, a.Note = resp.ID, string(resp.Target.Deployment), resp.Target.Version.String(), resp.Note
	if a.Outputs, err = protocol.Classify(resp, x.decoded.OutputOptions); err != nil {
		return err
	}
	a.RowIDs = a.RowIDs[:0]
	if !x.d.oip || x.decoded.Instances {
		for i := range resp.Rows {
			a.RowIDs = append(a.RowIDs, resp.Rows[i].ID)
		}
	}
	if resp.Role != "" {
		x.w.Header()[role] = []string{string(resp.Role)}
	}
	x.jsonLen = -1
	var out []byte
	switch {
	case !x.d.oip:
		out, err = x.d.encode(x.out, x.decoded, a)
	case x.decoded.Instances:
		out, err = codec.AppendPredictions(x.out, a)
	default:
		out, x.jsonLen = codec.AppendInferBody(x.out, x.decoded, a)
	}
	if err == nil {
		x.out = out
	}
	return err
}

// Values of headers, which nobody changes.
var (
	jsonType  = []string{"application/json"}
	bytesType = []string{"application/octet-stream"}
)

const headerLength = "Inference-Header-Content-Length"

// ownLength is the length from which net/http needs to be told the Content-Length, because it does not hold the body back
// until the handler is done.
const ownLength = 2048

// send writes the answer, in one piece.
func (x *exchange) send() {
	header := x.w.Header()
	header["Content-Type"] = jsonType
	if x.jsonLen >= 0 {
		header["Content-Type"] = bytesType
		header[headerLength] = []string{strconv.Itoa(x.jsonLen)}
	}
	out := x.out
	if from := x.h.o.CompressFrom; from > 0 && len(out) >= from {
		out = x.compressed(header)
	}
	if len(out) >= ownLength {
		header["Content-Length"] = []string{strconv.Itoa(len(out))}
	}
	_, _ = x.w.Write(out) // a client that went away
}
