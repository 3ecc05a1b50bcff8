package codec

import (
	"fmt"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Schema is what decoding needs to know of a model, worked out once. It does not change once it decodes.
type Schema struct {
	Model string // its name in messages; "" leaves it out

	sig   *fairlead.Signature
	slots []slot
	index map[string]int // slot by key
}

// slot is one key of a row: a named feature, or a whole input.
type slot struct {
	name   string
	input  int
	column int // of a feature in its input; -1 for a whole input
}

// NewSchema reads a signature, which it keeps.
func NewSchema(sig *fairlead.Signature) *Schema {
	s := &Schema{sig: sig, index: map[string]int{}}
	add := func(sl slot) {
		if _, taken := s.index[sl.name]; !taken {
			s.index[sl.name] = len(s.slots)
			s.slots = append(s.slots, sl)
		}
	}
	for i, in := range sig.Inputs {
		for c, name := range in.Features {
			add(slot{name: name, input: i, column: c})
		}
	}
	for i, in := range sig.Inputs {
		add(slot{name: in.Name, input: i, column: -1})
	}
	return s
}

// keys are what a row needs, features in place of the inputs they make up.
func (s *Schema) keys() []string {
	var keys []string
	for i, in := range s.sig.Inputs {
		if len(in.Features) == 0 {
			keys = append(keys, in.Name)
			continue
		}
		for _, sl := range s.slots {
			if sl.input == i && sl.column >= 0 {
				keys = append(keys, sl.name)
			}
		}
	}
	return keys
}

// Example is the body of a request with one row, for messages and documentation.
func (s *Schema) Example() string {
	var b strings.Builder
	b.WriteString(`{"instances":[{`)
	keys := s.keys()
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == 12 {
			b.WriteString("…")
			break
		}
		sl := s.slots[s.index[key]]
		fmt.Fprintf(&b, "%q:%s", key, example(s.sig.Inputs[sl.input], sl.column >= 0))
	}
	b.WriteString("}]}")
	return b.String()
}

func example(in fairlead.TensorSpec, feature bool) string {
	value := "0"
	switch in.Type {
	case fairlead.Bytes:
		value = `"…"`
	case fairlead.Bool:
		value = "true"
	}
	if feature || len(in.Shape) < 2 || in.Width() == 1 {
		return value
	}
	for range in.Shape[1:] {
		value = "[" + value + "]"
	}
	if w := in.Width(); w > 1 && len(in.Shape) == 2 {
		value = strings.Repeat(value[1:len(value)-1]+",", min(w, 4))
		value = "[" + strings.TrimSuffix(value, ",")
		if w > 4 {
			value += ",…"
		}
		value += "]"
	}
	return value
}

// what names a slot in a message.
func (s *Schema) what(i int) string {
	if s.feature(i) {
		return fmt.Sprintf("feature %q", s.slots[i].name)
	}
	return fmt.Sprintf("input %q", s.slots[i].name)
}

// feature says whether people call a slot a feature: a named column, or an input of one value per row.
func (s *Schema) feature(i int) bool {
	in := s.sig.Inputs[s.slots[i].input]
	return s.slots[i].column >= 0 || len(in.Features) == 0 && in.Width() == 1
}

// unknownKey is the error of a key that the model does not have.
func (s *Schema) unknownKey(row int, key string) error {
	keys := s.keys()
	err := fairlead.Invalid("row %d has %s, which the model does not know", row, quote(key))
	if near := closest(key, keys); near != "" {
		err = fairlead.Invalid("row %d has %s, which the model does not know; did you mean %q?", row, quote(key), near)
	}
	return err.Hintf("it takes %s", join(keys, 30))
}

// closest is the name that a person most likely meant, "" if none is near.
func closest(key string, names []string) string {
	best, distance := "", 3
	folded := fold(key)
	for _, name := range names {
		f := fold(name)
		d := fairlead.Edits(folded, f, distance)
		if d < distance && d*2 < max(len(folded), len(f)) {
			best, distance = name, d
		}
	}
	return best
}

// fold drops what people spell differently: case, blanks, underscores, dashes.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(shorten(s)))
}

func join(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(", … (%d in all)", len(names))
	}
	return strings.Join(names, ", ")
}

// missing lists what a row did not have.
func (s *Schema) missing(row int, seen []int) error {
	var names []string
	things := "feature"
	whole := map[int]bool{}
	for i, sl := range s.slots {
		if sl.column < 0 && seen[i] == row+1 {
			whole[sl.input] = true
		}
	}
	for _, key := range s.keys() {
		i := s.index[key]
		if seen[i] != row+1 && !whole[s.slots[i].input] {
			names = append(names, fmt.Sprintf("%q", key))
			if !s.feature(i) {
				things = "input"
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	if len(names) > 1 {
		things += "s"
	}
	return fairlead.Invalid("row %d lacks the %s %s", row, things, join(names, 10)).
		Hintf("every row needs %s; null stands for a missing number or text", join(s.keys(), 30))
}
