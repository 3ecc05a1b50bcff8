package main

import "slices"

// side is one half of a pair: a contestant and how it is asked.
type side struct {
	server string // of servers, or ortLoop
	form   string
}

// Forms of a request. openLoop is asked in JSON or, for the images, in binary tensors.
const (
	asJSON   = "json"
	asBinary = "binary"
	asGRPC   = "grpc"
	openLoop = "open"
	ortLoop  = "ort"
)

// pair is one comparison: the first side's throughput over the second's.
type pair struct {
	name        string
	title       string
	model       string
	a, b        side
	connections []int   // each side is measured at that of these which suits it best
	deadline    string  // of an open loop
	least       float64 // the ratio wanted; 0: none
}

var (
	few  = []int{1, 2, 4}
	many = []int{2, 8, 32}
)

func ours(form string) side { return side{"fairlead", form} }

// pairs are the comparisons of docs/benchmarks.md, in its order.
var pairs = slices.Concat(
	against("iris", asJSON, many, map[string]float64{"echo": 0.80, "mlserver-sklearn": 8, "mlserver": 8, "fastapi": 5, "fastify": 2, "ray": 0, "bentoml": 0, "triton": 0}),
	against("trees", asJSON, many, map[string]float64{"echo": 0, "mlserver": 0, "fastapi": 0, "fastify": 0}),
	against("mlp", asJSON, many, map[string]float64{"echo": 0, "mlserver": 0, "fastapi": 0, "fastify": 0}),
	against("mobilenet", asBinary, few, map[string]float64{"fastapi": 0, "fastify": 0}),
	[]pair{
		{name: "mobilenet-ort", title: "mobilenet, binary tensors: fairlead ÷ ORT's own Run loop", model: "mobilenet", a: ours(asBinary), b: side{ortLoop, ""}, connections: few, least: 0.95},
		{name: "trees-watched", title: "trees, JSON: recording and profiling on ÷ off", model: "trees", a: ours(asJSON), b: side{"fairlead-unwatched", asJSON}, connections: many, least: 0.98},
		{name: "iris-watched", title: "iris, JSON: recording and profiling on ÷ off", model: "iris", a: ours(asJSON), b: side{"fairlead-unwatched", asJSON}, connections: many},
		{name: "mlp-binary", title: "mlp: binary tensors ÷ JSON", model: "mlp", a: ours(asBinary), b: ours(asJSON), connections: many},
		{name: "iris-grpc", title: "iris: gRPC ÷ JSON", model: "iris", a: ours(asGRPC), b: ours(asJSON), connections: many},
		{name: "iris-overload", title: "iris, JSON: in-deadline goodput at 2 × capacity ÷ capacity, 50 ms", model: "iris", a: ours(openLoop), b: ours(asJSON), connections: many, deadline: "50ms", least: 0.90},
		{name: "trees-overload", title: "trees, JSON: in-deadline goodput at 2 × capacity ÷ capacity, 50 ms", model: "trees", a: ours(openLoop), b: ours(asJSON), connections: many, deadline: "50ms", least: 0.90},
		{name: "mobilenet-overload", title: "mobilenet, binary tensors: in-deadline goodput at 2 × capacity ÷ capacity, 500 ms", model: "mobilenet", a: ours(openLoop), b: ours(asBinary), connections: few, deadline: "500ms", least: 0.90},
	},
)

// against pairs us with each peer on one model; the map holds the ratios wanted.
func against(model, form string, connections []int, peers map[string]float64) []pair {
	var all []pair
	for _, s := range servers { // in that order
		least, named := peers[s.name]
		if !named {
			continue
		}
		how := "JSON"
		if form == asBinary {
			how = "binary tensors"
		}
		all = append(all, pair{name: model + "-" + s.name, title: model + ", " + how + ": fairlead ÷ " + s.title, model: model,
			a: ours(form), b: side{s.name, form}, connections: connections, least: least})
	}
	return all
}
