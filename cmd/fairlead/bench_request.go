package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
)

// Made requests differ from one another, so that no cache and no branch predictor knows them, within this memory.
const (
	mostRequests = 64
	mostBytes    = 8 << 20
)

// prepare makes the requests and sends one of them, whose refusal is told as the server told it.
func (b *bench) prepare(ctx context.Context, meta *loadgen.Model) error {
	bodies, tensors, err := b.inputs(ctx, meta)
	if err != nil {
		return err
	}
	if b.flags.grpc != "" {
		return b.prepareGRPC(ctx, tensors)
	}
	b.report.Transport = "REST, JSON"
	headers := func(int) []string { return []string{"Content-Type", "application/json"} }
	if b.flags.binary {
		b.report.Transport = "REST, binary tensors"
		lengths := make([]int, len(tensors))
		bodies = make([][]byte, len(tensors))
		for i, in := range tensors {
			if bodies[i], lengths[i], err = loadgen.BinaryBody(in); err != nil {
				return err
			}
		}
		headers = func(i int) []string {
			return []string{"Content-Type", "application/octet-stream", "Inference-Header-Content-Length", strconv.Itoa(lengths[i])}
		}
	}
	path := b.server.Path(b.report.Model, b.flags.version) + "/infer"
	if err := b.server.Try(ctx, path, bodies[0], headers(0)...); err != nil {
		return err
	}
	requests := make([]loadgen.Request, len(bodies))
	for i, body := range bodies {
		requests[i] = loadgen.NewRequest(b.server.URL, path, body, headers(i)...)
	}
	b.report.Bytes = requests[0].Len()
	target, err := loadgen.NewHTTP(b.server.URL, requests, b.flags.timeout)
	if err != nil {
		return err
	}
	b.dial = target.Dial
	return nil
}

// mostRequest bounds the values of one request: servers take less, and it is held in memory several times over.
const mostRequest = 256 << 20

// fits says whether as many rows as are asked for can be sent.
func (b *bench) fits(meta *loadgen.Model) error {
	one, err := loadgen.MakeInputs(meta, 1, rand.New(rand.NewPCG(0, 0)))
	if err != nil {
		return nil // the model's example may do
	}
	size := 0
	for i := range one {
		size += len(loadgen.Raw(&one[i]))
	}
	if b.flags.rows > mostRequest/max(size, 1) {
		return fairlead.Invalid("--rows %d: rows of %d bytes make a request of more than %d MiB", b.flags.rows, size, mostRequest>>20).
			Hintf("send fewer rows per request; servers take 64 MiB or so")
	}
	return nil
}

// inputs are the bodies to send as JSON, or the tensors to send in another form.
func (b *bench) inputs(ctx context.Context, meta *loadgen.Model) (bodies [][]byte, tensors [][]fairlead.Tensor, err error) {
	asTensors := b.flags.binary || b.flags.grpc != ""
	if b.flags.input != "" {
		body, err := os.ReadFile(b.flags.input)
		if err != nil {
			return nil, nil, fairlead.Invalid("--input: %v", err).Hintf("name a file with a JSON request")
		}
		if b.flags.rows > 1 {
			return nil, nil, fairlead.Invalid("--rows and --input exclude each other").Hintf("the file says how many rows there are")
		}
		b.report.Input = b.flags.input
		if !asTensors {
			return [][]byte{body}, nil, nil
		}
		in, err := loadgen.ParseInputs(body)
		return nil, [][]fairlead.Tensor{in}, err
	}
	if err := b.fits(meta); err != nil {
		return nil, nil, err
	}
	if body := b.example(ctx, meta); body != nil {
		b.report.Input = "the model's example"
		if !asTensors {
			return [][]byte{body}, nil, nil
		}
		if in, err := loadgen.ParseInputs(body); err == nil {
			return nil, [][]fairlead.Tensor{in}, nil
		} // named features are not tensors
	}
	b.report.Input = fmt.Sprintf("made values, seed %d", b.flags.seed)
	return b.made(meta, asTensors)
}

func (b *bench) made(meta *loadgen.Model, asTensors bool) (bodies [][]byte, tensors [][]fairlead.Tensor, err error) {
	chance := rand.New(rand.NewPCG(b.flags.seed, 1))
	for size := 0; len(bodies)+len(tensors) < mostRequests && size < mostBytes; {
		in, err := loadgen.MakeInputs(meta, b.flags.rows, chance)
		if err != nil {
			return nil, nil, err
		}
		if asTensors {
			tensors = append(tensors, in)
			for i := range in {
				size += len(loadgen.Raw(&in[i]))
			}
			continue
		}
		body, err := loadgen.JSONBody(in)
		if err != nil {
			return nil, nil, err
		}
		bodies, size = append(bodies, body), size+len(body)
	}
	return bodies, tensors, nil
}

// example is the request that a fairlead server shows for the model, with the rows asked for; nil where there is none.
func (b *bench) example(ctx context.Context, meta *loadgen.Model) []byte {
	version := b.flags.version
	if version == "" && len(meta.Versions) > 0 {
		version = meta.Versions[0]
	}
	if version == "" {
		return nil
	}
	body, err := b.server.Example(ctx, meta.Name, version)
	if err != nil || body == nil {
		return nil // values can be made instead
	}
	if b.flags.rows == 1 {
		return body
	}
	var request struct {
		Instances []json.RawMessage `json:"instances"`
	}
	if json.Unmarshal(body, &request) != nil || len(request.Instances) != 1 {
		return nil
	}
	request.Instances = slices.Repeat(request.Instances, b.flags.rows)
	if body, err = json.Marshal(request); err != nil {
		return nil
	}
	return body
}

func (b *bench) prepareGRPC(ctx context.Context, tensors [][]fairlead.Tensor) error {
	b.report.Transport = "gRPC"
	address := b.flags.grpc
	if address == "default" {
		address = net.JoinHostPort(b.server.URL.Hostname(), "8081")
	}
	questions := make([]*client.Question, len(tensors))
	for i, in := range tensors {
		raw := make([][]byte, len(in))
		for j := range in {
			raw[j] = loadgen.Raw(&in[j])
			if i == 0 {
				b.report.Bytes += len(raw[j])
			}
		}
		questions[i] = client.NewQuestion(b.report.Model, b.flags.version, in, raw)
	}
	dial := func(i int) (loadgen.Caller, error) {
		conn, err := client.NewGRPC(address)
		if err != nil {
			return nil, err
		}
		return &grpcCaller{GRPC: conn, questions: questions, next: i, timeout: b.flags.timeout}, nil
	}
	b.dial = dial
	conn, err := client.NewGRPC(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, b.flags.timeout)
	defer cancel()
	err = conn.Ask(ctx, questions[0])
	if fairlead.CodeOf(err) == fairlead.CodeUnavailable {
		return fairlead.Errorf(fairlead.CodeUnavailable, "no gRPC server answers at %s: %v", address, err).
			Hintf("name its address by --grpc=host:port (fairlead: 8081, Triton: 8001)")
	}
	return err
}

// grpcCaller is one connection of gRPC.
type grpcCaller struct {
	*client.GRPC
	questions []*client.Question
	next      int
	timeout   time.Duration
}

// Call implements loadgen.Caller.
func (c *grpcCaller) Call(ctx context.Context, budget time.Duration) loadgen.Outcome {
	if budget <= 0 {
		budget = c.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	c.next++
	err := c.Ask(ctx, c.questions[c.next%len(c.questions)])
	if err == nil {
		return loadgen.Outcome{OK: true}
	}
	code := fairlead.CodeOf(err)
	return loadgen.Outcome{Failure: "gRPC " + string(code), NoAnswer: code == fairlead.CodeUnavailable}
}
