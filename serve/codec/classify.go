package codec

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// Classify gives the k best classes of each row of t, which has one score per class: a BYTES tensor of shape [rows,k], or
// [rows,classes] where there are fewer. An element is "<value>:<index>" or "<value>:<index>:<label>", floats with six
// decimals, the best first, equals in the order of their index and NaN last. classes are the labels, as far as known.
// Errors are CodeInvalid: a k below 1, and scores that are not numbers.
func Classify(t fairlead.Tensor, k int, classes []string) (fairlead.Tensor, error) {
	if k < 1 {
		return t, fairlead.Invalid("classification of output %s wants %d classes; expected at least 1", quote(t.Name), k)
	}
	rows, width := t.Rows(), t.Width()
	k = min(k, width)
	out := fairlead.Tensor{Name: t.Name, Type: fairlead.Bytes, Shape: []int64{int64(rows), int64(k)}}
	var best []string
	switch d := t.Data.(type) {
	case []float32:
		best = classify(d, rows, k, classes, appendScore[float32])
	case []float64:
		best = classify(d, rows, k, classes, appendScore[float64])
	case []int8:
		best = classify(d, rows, k, classes, appendInt[int8])
	case []int16:
		best = classify(d, rows, k, classes, appendInt[int16])
	case []int32:
		best = classify(d, rows, k, classes, appendInt[int32])
	case []int64:
		best = classify(d, rows, k, classes, appendInt[int64])
	case []uint8:
		best = classify(d, rows, k, classes, appendUint[uint8])
	case []uint32:
		best = classify(d, rows, k, classes, appendUint[uint32])
	case []uint64:
		best = classify(d, rows, k, classes, appendUint[uint64])
	case []uint16:
		if t.Type == fairlead.Uint16 {
			best = classify(d, rows, k, classes, appendUint[uint16])
			break
		}
		wide := make([]float32, len(d))
		for i, v := range d {
			wide[i] = fairlead.HalfToFloat(v, t.Type)
		}
		best = classify(wide, rows, k, classes, appendScore[float32])
	default:
		return t, fairlead.Invalid("output %s is %s, which has no scores to classify by", quote(t.Name), t.Type).
			Hintf("leave the parameter \"classification\" away")
	}
	out.Data = best
	return out, nil
}

func classify[T cmp.Ordered](scores []T, rows, k int, classes []string, score func([]byte, T) []byte) []string {
	best := make([]string, 0, rows*k)
	if k == 0 || rows == 0 {
		return best
	}
	order := make([]int, len(scores)/rows)
	var text []byte
	for row := range slices.Chunk(scores, len(order)) {
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(row[b], row[a]) }) // NaN is below all
		for _, i := range order[:k] {
			text = append(score(text[:0], row[i]), ':')
			text = strconv.AppendInt(text, int64(i), 10)
			if i < len(classes) && classes[i] != "" {
				text = append(append(text, ':'), classes[i]...)
			}
			best = append(best, string(text))
		}
	}
	return best
}

// appendScore writes as C's printf("%f") does.
func appendScore[T float32 | float64](dst []byte, v T) []byte {
	f := float64(v)
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, f, 'f', 6, 64)
}
