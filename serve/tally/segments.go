package tally

import (
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// Segments numbers the segments that a split's requests are in, the same for all of its arms: the first MaxSegments that
// come, and one for the rest. It may be used by many goroutines at once.
type Segments struct {
	fields []fairlead.Field
	known  atomic.Pointer[map[value]int]
	mu     sync.Mutex
	names  []string // under mu
}

// value is one value of one of the fields.
type value struct {
	field  int
	number float64
	text   string
}

// rest is the number of the segment for what did not fit.
const rest = fairlead.MaxSegments

// maxSegmentName bounds the bytes of a segment's value that are kept.
const maxSegmentName = 64

// NewSegments makes the table of a gauge's segments.
func NewSegments(g *Gauge) *Segments {
	s := &Segments{fields: g.segments}
	s.known.Store(&map[value]int{})
	return s
}

// append adds the segments of a row to dst, one for each feature that makes segments.
func (s *Segments) append(dst []int, inputs []fairlead.Tensor, row int) []int {
	for i := range s.fields {
		f := &s.fields[i]
		v := value{field: i}
		t := fairlead.Find(inputs, f.Tensor)
		if t == nil || f.Index >= t.Width() || row >= t.Rows() {
			continue
		}
		if texts, ok := t.Data.([]string); ok {
			v.text = texts[row*t.Width()+f.Index]
			if len(v.text) > maxSegmentName {
				v.text = strings.ToValidUTF8(v.text[:maxSegmentName], "")
			}
		} else if v.number, _ = t.Float(row*t.Width() + f.Index); math.IsNaN(v.number) {
			v.number, v.text = 0, "NaN" // or it would never be found again
		}
		dst = append(dst, s.number(v))
	}
	return dst
}

func (s *Segments) number(v value) int {
	known := *s.known.Load()
	if n, ok := known[v]; ok {
		return n
	}
	if len(known) >= fairlead.MaxSegments {
		return rest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known = *s.known.Load()
	if n, ok := known[v]; ok {
		return n
	}
	n := len(known)
	if n >= fairlead.MaxSegments {
		return rest
	}
	v.text = strings.Clone(v.text) // it may be part of a request's body
	more := maps.Clone(known)
	more[v] = n
	s.names = append(s.names, s.fields[v.field].Name+"="+v.String())
	s.known.Store(&more)
	return n
}

// String is the value as it stands in a segment's name.
func (v value) String() string {
	if v.text != "" {
		return strings.ToValidUTF8(v.text, string(utf8.RuneError))
	}
	return strconv.FormatFloat(v.number, 'g', -1, 64)
}

// name is what a segment is called.
func (s *Segments) name(n int) string {
	if n == rest {
		return fairlead.SegmentRest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[n]
}
