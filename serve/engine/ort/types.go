package ort

import "github.com/fairlead-ml/fairlead"

// Element types by their numbers in the C API (ONNXTensorElementDataType).
var types = map[int]fairlead.DataType{
	1: fairlead.FP32, 2: fairlead.Uint8, 3: fairlead.Int8, 4: fairlead.Uint16, 5: fairlead.Int16, 6: fairlead.Int32,
	7: fairlead.Int64, 8: fairlead.Bytes, 9: fairlead.Bool, 10: fairlead.FP16, 11: fairlead.FP64, 12: fairlead.Uint32,
	13: fairlead.Uint64, 16: fairlead.BF16,
}

var typeNumbers = func() map[fairlead.DataType]int {
	numbers := make(map[fairlead.DataType]int, len(types))
	for n, t := range types {
		numbers[t] = n
	}
	return numbers
}()

// The types that fairlead does not carry, for messages.
var foreignTypes = map[int]string{
	14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz",
	21: "uint4", 22: "int4", 23: "float4e2m1", 24: "uint2", 25: "int2",
}

// Kinds of values that fairlead does not carry, by their numbers (ONNXType).
var foreignKinds = map[int]string{2: "a sequence", 3: "a map", 1: "tensors", 4: "an opaque value", 5: "a sparse tensor", 6: "an optional value"}
