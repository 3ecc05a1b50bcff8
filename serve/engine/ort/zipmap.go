package ort

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// zipMapClasses finds, in the bytes of a model, the class names of every output that a ZipMap node makes: sorted the
// way the maps iterate, numbers by value and strings by bytes. It walks the protobuf fields
// ModelProto.graph(7).node(1){output(2) op_type(4) attribute(5){name(1) ints(8) strings(9)}} and skips everything else;
// bytes that are not protobuf give nothing.
func zipMapClasses(model []byte) map[string][]string {
	classes := map[string][]string{}
	fields(model, func(field int, graph []byte, _ uint64) {
		if field != 7 {
			return
		}
		fields(graph, func(field int, node []byte, _ uint64) {
			if field == 1 {
				if output, names := zipMapNode(node); names != nil {
					classes[output] = names
				}
			}
		})
	})
	return classes
}

func zipMapNode(node []byte) (output string, names []string) {
	var op string
	var ints []int64
	fields(node, func(field int, b []byte, _ uint64) {
		switch field {
		case 2:
			output = string(b)
		case 4:
			op = string(b)
		case 5:
			fields(b, func(field int, b []byte, v uint64) {
				switch {
				case field == 9:
					names = append(names, string(b))
				case field == 8 && b != nil: // packed
					for len(b) > 0 {
						x, n := binary.Uvarint(b)
						if n <= 0 {
							return
						}
						ints, b = append(ints, int64(x)), b[n:]
					}
				case field == 8:
					ints = append(ints, int64(v))
				}
			})
		}
	})
	if op != "ZipMap" {
		return "", nil
	}
	slices.Sort(names)
	slices.Sort(ints)
	for _, v := range ints {
		names = append(names, strconv.FormatInt(v, 10))
	}
	return output, names
}

// externalWeights is the name of an initializer whose values are not in the model but in a file beside it, "" if there is
// none: ModelProto.graph(7).initializer(5){name(8) data_location(14)}. ONNX Runtime would look for that file in the
// server's working directory, where a stranger's model has no business.
func externalWeights(model []byte) (external string) {
	fields(model, func(field int, graph []byte, _ uint64) {
		if field != 7 {
			return
		}
		fields(graph, func(field int, tensor []byte, _ uint64) {
			if field != 5 {
				return
			}
			var name string
			fields(tensor, func(field int, b []byte, v uint64) {
				switch {
				case field == 8:
					name = string(b)
				case field == 14 && v == 1:
					external = "?"
				}
			})
			if external == "?" && name != "" {
				external = name
			}
		})
	})
	return external
}

// fields calls f with every field of a protobuf message: its bytes if it is length-delimited, else nil and its number
// if it is a varint. It stops at the first byte that makes no sense.
func fields(b []byte, f func(field int, b []byte, v uint64)) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return
			}
			f(int(tag>>3), nil, v)
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
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return
			}
			f(int(tag>>3), b[n:n+int(size):n+int(size)], 0)
			b = b[n+int(size):]
		default:
			return
		}
	}
}
