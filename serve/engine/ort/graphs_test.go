package ort_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// The graphs that are too large to be committed are written here, field by field of ONNX's protobuf, with seeded weights.

type message []byte

func (m *message) number(field int, v int64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

func (m *message) text(field int, s string) { m.bytes(field, []byte(s)) }

// graphBuilder writes a graph of FP32 tensors, each node named by its output.
type graphBuilder struct {
	graph message
	rng   *rand.Rand
	last  string // the tensor that the next node reads
	n     int
}

func newGraph(seed uint64, input ...int64) *graphBuilder {
	g := &graphBuilder{rng: rand.New(rand.NewPCG(seed, 1)), last: "x"}
	g.graph.text(2, "g")
	g.graph.bytes(11, valueInfo("x", input))
	return g
}

// valueInfo has a free first dimension before dims.
func valueInfo(name string, dims []int64) message {
	var first, shape, tensor, kind, v message
	first.text(2, "n")
	shape.bytes(1, first)
	for _, d := range dims {
		var dim message
		dim.number(1, d)
		shape.bytes(1, dim)
	}
	tensor.number(1, 1)
	tensor.bytes(2, shape)
	kind.bytes(1, tensor)
	v.text(1, name)
	v.bytes(2, kind)
	return v
}

// weights adds an initializer of that standard deviation and gives its name.
func (g *graphBuilder) weights(deviation float64, dims ...int64) string {
	g.n++
	name := fmt.Sprintf("w%d", g.n)
	size := int64(1)
	var t message
	for _, d := range dims {
		t.number(1, d)
		size *= d
	}
	t.number(2, 1)
	t.text(8, name)
	raw := make([]byte, 4*size)
	for i := range size {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(float32(g.rng.NormFloat64()*deviation)))
	}
	t.bytes(9, raw)
	g.graph.bytes(5, t)
	return name
}

// node adds an operator that reads the last tensor and these.
func (g *graphBuilder) node(op string, attributes []message, more ...string) {
	g.n++
	out := fmt.Sprintf("t%d", g.n)
	var n message
	for _, in := range append([]string{g.last}, more...) {
		n.text(1, in)
	}
	n.text(2, out)
	n.text(4, op)
	for _, a := range attributes {
		n.bytes(5, a)
	}
	g.graph.bytes(1, n)
	g.last = out
}

func intsAttribute(name string, values ...int64) message {
	var a message
	a.text(1, name)
	for _, v := range values {
		a.number(8, v)
	}
	a.number(20, 7)
	return a
}

func intAttribute(name string, v int64) message {
	var a message
	a.text(1, name)
	a.number(3, v)
	a.number(20, 2)
	return a
}

// model finishes the graph, whose output "y" has these dimensions after the first.
func (g *graphBuilder) model(output ...int64) []byte {
	var n, opset, m message
	n.text(1, g.last)
	n.text(2, "y")
	n.text(4, "Identity")
	g.graph.bytes(1, n)
	g.graph.bytes(12, valueInfo("y", output))
	opset.number(2, 17)
	m.number(1, 8)
	m.bytes(7, g.graph)
	m.bytes(8, opset)
	return m
}

func identityGraph(width int64) []byte {
	g := newGraph(1, width)
	return g.model(width)
}

// mlpGraph is dense layers with ReLU between them.
func mlpGraph(widths ...int64) []byte {
	g := newGraph(2, widths[0])
	for i, to := range widths[1:] {
		from := widths[i]
		w := g.weights(math.Sqrt(2/float64(from)), from, to)
		b := g.weights(0.01, to)
		g.node("Gemm", nil, w, b)
		if i < len(widths)-2 {
			g.node("Relu", nil)
		}
	}
	return g.model(widths[len(widths)-1])
}

// mobileNetGraph has the layers of MobileNet v1 (Howard et al. 2017) over 224×224 images: 4.2 million weights, 569 million
// multiplications, batch normalization folded.
func mobileNetGraph() []byte {
	g := newGraph(3, 3, 224, 224)
	conv := func(in, out, kernel, stride, group int64) {
		pad := kernel / 2
		w := g.weights(math.Sqrt(2/float64(in/group*kernel*kernel)), out, in/group, kernel, kernel)
		g.node("Conv", []message{
			intsAttribute("kernel_shape", kernel, kernel), intsAttribute("strides", stride, stride),
			intsAttribute("pads", pad, pad, pad, pad), intAttribute("group", group),
		}, w, g.weights(0.01, out))
		g.node("Relu", nil)
	}
	conv(3, 32, 3, 2, 1)
	in := int64(32)
	for _, block := range [][2]int64{
		{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
	} {
		conv(in, in, 3, block[1], in)
		conv(in, block[0], 1, 1, 1)
		in = block[0]
	}
	g.node("GlobalAveragePool", nil)
	g.node("Flatten", nil)
	g.node("Gemm", nil, g.weights(0.03, 1024, 1000), g.weights(0.01, 1000))
	return g.model(1000)
}
