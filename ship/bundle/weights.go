package bundle

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Weights is what the bytes of an ONNX file say about its parameters, without running it.
type Weights struct {
	Opset    int              // of the standard operators; 0: not said
	Elements map[string]int64 // parameters by precision: float32, int8
}

// precisions are ONNX's element types (TensorProto.DataType) as the ModelPack specification calls them.
var precisions = map[uint64]string{
	1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16",
	17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "uint4", 22: "int4", 23: "float4",
}

// ReadWeights looks at the initializers of a graph. What is not ONNX gives nothing, and is no error: whether the file is
// a model is the engine's to say.
func ReadWeights(onnx []byte) Weights {
	w := Weights{Elements: map[string]int64{}}
	fields(onnx, func(model field) {
		switch model.number {
		case 7: // graph
			fields(model.bytes, func(graph field) {
				if graph.number == 5 { // initializer
					w.tensor(graph.bytes)
				}
			})
		case 8: // opset_import
			var domain string
			var version uint64
			fields(model.bytes, func(f field) {
				switch f.number {
				case 1:
					domain = string(f.bytes)
				case 2:
					version = f.varint
				}
			})
			if domain == "" || domain == "ai.onnx" {
				w.Opset = int(min(version, math.MaxInt32))
			}
		}
	})
	return w
}

func (w *Weights) tensor(b []byte) {
	count, kind := int64(1), uint64(0)
	dim := func(d uint64) {
		if d > 0 && count > math.MaxInt32*64/int64(min(d, math.MaxInt32)) {
			count = 0
			return
		}
		count *= int64(min(d, math.MaxInt32))
	}
	fields(b, func(f field) {
		switch {
		case f.number == 1 && f.bytes != nil: // packed
			for rest := f.bytes; len(rest) > 0; {
				d, n := binary.Uvarint(rest)
				if n <= 0 {
					return
				}
				dim(d)
				rest = rest[n:]
			}
		case f.number == 1:
			dim(f.varint)
		case f.number == 2:
			kind = f.varint
		}
	})
	if name := precisions[kind]; name != "" {
		w.Elements[name] += count
	}
}

// Precision is that of most parameters, "" if there are none. Indices and shapes (int32, int64) count only where there
// is nothing else.
func (w Weights) Precision() string {
	best := ""
	for _, p := range slices.Sorted(maps.Keys(w.Elements)) {
		if w.Elements[p] > 0 && p != "int32" && p != "int64" && (best == "" || w.Elements[p] > w.Elements[best]) {
			best = p
		}
	}
	return best
}

// ParamSize is the number of parameters as people say it, "6.7B"; "" for none.
func (w Weights) ParamSize() string {
	var n int64
	for _, c := range w.Elements {
		n += c
	}
	if n == 0 {
		return ""
	}
	for _, unit := range []struct {
		size   float64
		letter string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if x := float64(n) / unit.size; x >= 1 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") + unit.letter
		}
	}
	return fmt.Sprint(n)
}

// short is how a variant of that precision is called where its author gave no name.
func short(precision string) string {
	switch precision {
	case "float64":
		return "fp64"
	case "float16":
		return "fp16"
	case "bfloat16":
		return "bf16"
	case "float8":
		return "fp8"
	case "int8", "uint8":
		return "int8"
	case "int4", "uint4":
		return "int4"
	}
	return "fp32"
}

// field is one of a protobuf message: varint for wire type 0, bytes for wire type 2.
type field struct {
	number int
	varint uint64
	bytes  []byte
}

// fields calls f for each field of a message, and stops at what is none.
func fields(b []byte, f func(field)) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 > math.MaxInt32 {
			return
		}
		b = b[n:]
		at := field{number: int(tag >> 3)}
		switch tag & 7 {
		case 0:
			if at.varint, n = binary.Uvarint(b); n <= 0 {
				return
			}
			b = b[n:]
		case 1, 5:
			size := 8
			if tag&7 == 5 {
				size = 4
			}
			if len(b) < size {
				return
			}
			b = b[size:]
		case 2:
			length, n := binary.Uvarint(b)
			if n <= 0 || length > uint64(len(b)-n) {
				return
			}
			at.bytes, b = b[n:n+int(length):n+int(length)], b[n+int(length):]
		default:
			return
		}
		f(at)
	}
}
