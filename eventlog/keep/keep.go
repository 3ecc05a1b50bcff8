// Package keep decides what of a prediction is written down: which rows, and what of their values. A Policy is applied before
// anything reaches the event log, so that what it leaves out is nowhere on disk.
//
// The package is pure: chance and the key are arguments.
package keep

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// DefaultValues is how many values of an input or output without named columns one row may have to be stored as they are.
const DefaultValues = 1024

// DefaultSlow is the latency from which a request belongs to the tail.
const DefaultSlow = time.Second

// Action is what happens to a redacted value.
type Action string

// The actions.
const (
	Drop     Action = "drop"     // NULL is stored
	Hash     Action = "hash"     // HMAC-SHA-256 with the server's key, its first 16 bytes in hex: equal values stay equal
	Truncate Action = "truncate" // the first Rule.Bytes bytes of a text, cut between characters; NULL for what is no text
)

// Rule redacts one feature, one input without named columns, or one tag.
type Rule struct {
	Name   string
	Action Action
	Bytes  int
}

// Policy is what a deployment's version wants. The zero Policy keeps no row but those of the tail; Default keeps all.
type Policy struct {
	// Sample is the probability with which a row is kept, 0 to 1. The tail is kept with probability 1.
	Sample float64
	// Slow is the latency from which all rows of a request belong to the tail.
	Slow time.Duration
	// Values bounds the values per row of an input or output that has no named columns; a longer one is stored as a Summary.
	// 0: no bound.
	Values int
	Redact []Rule
	// Key is what values are hashed with. Without one they are dropped.
	Key []byte
}

// Default is the policy of a version that asks for nothing.
func Default() *Policy { return &Policy{Sample: 1, Slow: DefaultSlow, Values: DefaultValues} }

// Rule gives the rule for a name, nil if there is none. A Hash without a key is a Drop: a value that was to be hidden is
// never stored because a key is missing.
func (p *Policy) Rule(name string) *Rule {
	i := slices.IndexFunc(p.Redact, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	r := p.Redact[i]
	if r.Action == Hash && len(p.Key) == 0 {
		r.Action = Drop
	}
	return &r
}

// Hashed is a value's keyed hash.
func (p *Policy) Hashed(value []byte) string {
	m := hmac.New(sha256.New, p.Key)
	m.Write(value)
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// Cut is the start of a text, at most n bytes and no part of a character.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Tags gives a row's tags as they may be stored: the same map where no rule touches it.
func (p *Policy) Tags(tags map[string]string) map[string]string {
	touched := false
	for _, r := range p.Redact {
		_, ok := tags[r.Name]
		touched = touched || ok
	}
	if !touched {
		return tags
	}
	out := make(map[string]string, len(tags))
	for name, v := range tags {
		switch r := p.Rule(name); {
		case r == nil:
			out[name] = v
		case r.Action == Hash:
			out[name] = p.Hashed([]byte(v))
		case r.Action == Truncate:
			out[name] = Cut(v, r.Bytes)
		}
	}
	return out
}

// Rows chooses the rows of a prediction that are kept, and gives each its probability of selection. tail says of a row that
// it is always kept; chance is the row's number in [0,1), the same whenever it is asked. The result is p itself when all rows
// are kept with probability 1, and nil when none is kept.
func (p *Policy) Rows(pred *fairlead.Prediction, tail func(row int) bool, chance func(id string) float64) *fairlead.Prediction {
	if p.Sample >= 1 {
		return pred
	}
	slow := p.Slow > 0 && pred.Latency.Total() >= p.Slow
	var rows []int
	var probability []float64
	for i := range pred.Rows {
		switch {
		case slow || tail(i):
			rows, probability = append(rows, i), append(probability, 1)
		case chance(pred.Rows[i].ID) < p.Sample:
			rows, probability = append(rows, i), append(probability, p.Sample)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	out := *pred
	out.Probability = probability
	if len(rows) == len(pred.Rows) {
		return &out
	}
	out.Rows = make([]fairlead.RowMeta, len(rows))
	for k, i := range rows {
		out.Rows[k] = pred.Rows[i]
	}
	out.Inputs, out.Outputs = pick(pred.Inputs, rows), pick(pred.Outputs, rows)
	return &out
}

// Chance gives every id a number in [0,1) that follows from the seed and the id: the row of a version and that of its shadow,
// which share an id, are kept together.
func Chance(seed uint64) func(id string) float64 {
	return func(id string) float64 {
		h := seed ^ 0xcbf29ce484222325
		for i := range len(id) {
			h = (h ^ uint64(id[i])) * 0x100000001b3
		}
		// splitmix64's finaliser: FNV alone hardly changes the high bits at the end of an id.
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		return float64((h^h>>31)>>11) / (1 << 53)
	}
}

func pick(all []fairlead.Tensor, rows []int) []fairlead.Tensor {
	out := make([]fairlead.Tensor, len(all))
	for i := range all {
		t := &all[i]
		out[i] = *t
		out[i].Shape = append([]int64{int64(len(rows))}, t.Shape[1:]...)
		out[i].Data = pickData(t, rows)
	}
	return out
}

func pickData(t *fairlead.Tensor, rows []int) any {
	w := t.Width()
	switch d := t.Data.(type) {
	case []bool:
		return pickFrom(d, w, rows)
	case []int8:
		return pickFrom(d, w, rows)
	case []int16:
		return pickFrom(d, w, rows)
	case []int32:
		return pickFrom(d, w, rows)
	case []int64:
		return pickFrom(d, w, rows)
	case []uint8:
		return pickFrom(d, w, rows)
	case []uint16:
		return pickFrom(d, w, rows)
	case []uint32:
		return pickFrom(d, w, rows)
	case []uint64:
		return pickFrom(d, w, rows)
	case []float32:
		return pickFrom(d, w, rows)
	case []float64:
		return pickFrom(d, w, rows)
	case []string:
		return pickFrom(d, w, rows)
	}
	return nil
}

func pickFrom[T any](d []T, width int, rows []int) []T {
	out := make([]T, 0, width*len(rows))
	for _, r := range rows {
		out = append(out, d[r*width:(r+1)*width]...)
	}
	return out
}

// Summary is what is stored of a row of many values. Mean, Std (of the population), Min and Max are of the finite ones and
// NaN without any, as for texts.
type Summary struct {
	Count               int
	Mean, Std, Min, Max float64
}

// Summarise looks at row i of a tensor.
func Summarise(t *fairlead.Tensor, i int) Summary {
	w := t.Width()
	from, to := i*w, (i+1)*w
	switch d := t.Data.(type) {
	case []float32:
		return summarise(d[from:to])
	case []float64:
		return summarise(d[from:to])
	case []uint8:
		return summarise(d[from:to])
	case []int64:
		return summarise(d[from:to])
	case []int32:
		return summarise(d[from:to])
	}
	values := make([]float64, 0, w)
	for k := from; k < to; k++ {
		if f, ok := t.Float(k); ok {
			values = append(values, f)
		}
	}
	s := summarise(values)
	s.Count = w
	return s
}

func summarise[T float32 | float64 | uint8 | int64 | int32](values []T) Summary {
	s := Summary{Count: len(values), Min: math.Inf(1), Max: math.Inf(-1)}
	// Around the first finite value, so that a large mean does not swallow the deviation.
	var shift, sum, squares float64
	n := 0
	for _, x := range values {
		v := float64(x)
		if v-v != 0 { // NaN or infinite
			continue
		}
		if n == 0 {
			shift = v
		}
		n++
		d := v - shift
		sum += d
		squares += d * d
		s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	}
	if n == 0 {
		nan := math.NaN()
		s.Mean, s.Std, s.Min, s.Max = nan, nan, nan, nan
		return s
	}
	mean := sum / float64(n)
	s.Mean, s.Std = shift+mean, math.Sqrt(max(0, squares/float64(n)-mean*mean))
	return s
}
