package backfill

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

type jsonSource struct {
	lines   *bufio.Scanner
	line    int64
	columns []string
	first   map[string]any
	read    int64
	size    int64
	fault   *Fault
}

// OpenJSONLines reads a flat JSON object from each line. The keys of the first one are the columns; what others have beside
// them is passed over.
func OpenJSONLines(in io.Reader, size int64) (Source, error) {
	s := &jsonSource{lines: bufio.NewScanner(in), size: size}
	s.lines.Buffer(nil, 1<<20)
	order, err := s.header()
	if err != nil {
		return nil, fairlead.Invalid("the first line is no JSON object").Hintf(`write one object on each line: {"prediction_id": "…", "value": "late"}`).Cause(err)
	}
	s.columns = order
	return s, nil
}

// header reads the first object, keeping the order of its keys.
func (s *jsonSource) header() ([]string, error) {
	object, err := s.object()
	if err != nil {
		return nil, err
	}
	s.first = object
	var order []string
	d := json.NewDecoder(bytes.NewReader(s.lines.Bytes()))
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return order, nil
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			continue
		}
		if key, ok := t.(string); ok && depth == 1 {
			order = append(order, key)
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return order, nil
			}
		}
	}
}

// object reads the next line that is not empty.
func (s *jsonSource) object() (map[string]any, error) {
	for s.lines.Scan() {
		s.line++
		s.read += int64(len(s.lines.Bytes())) + 1
		line := bytes.TrimSpace(s.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var object map[string]any
		if err := d.Decode(&object); err != nil || object == nil {
			return nil, &Fault{Line: s.line, Text: "it is no JSON object"}
		}
		return object, nil
	}
	if err := s.lines.Err(); err != nil {
		return nil, fairlead.Invalid("line %d cannot be read: %v", s.line+1, err)
	}
	return nil, io.EOF
}

func (s *jsonSource) Columns() []string { return s.columns }

func (s *jsonSource) Progress() (done, total int64) { return s.read, s.size }

func (s *jsonSource) Next() (*Batch, error) {
	if s.fault != nil {
		f := s.fault
		s.fault = nil
		return nil, f
	}
	b := &Batch{Columns: make([]Column, len(s.columns))}
	for i := range b.Columns {
		b.Columns[i].Texts = []string{}
	}
	for b.N < BatchRows {
		object := s.first
		s.first = nil
		if object == nil {
			var err error
			object, err = s.object()
			if f, ok := err.(*Fault); ok {
				if b.N == 0 {
					return nil, f
				}
				s.fault = f
				return b, nil
			}
			if err == io.EOF && b.N > 0 {
				return b, nil
			}
			if err != nil {
				return nil, err
			}
		}
		for i, name := range s.columns {
			b.Columns[i].Texts = append(b.Columns[i].Texts, jsonText(object[name]))
		}
		b.Lines = append(b.Lines, s.line)
		b.N++
	}
	return b, nil
}

// jsonText is a value as a label is written; numbers lose an exponent.
func jsonText(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case bool:
		if x {
			return "1"
		}
		return "0"
	case json.Number:
		if f, err := x.Float64(); err == nil && bytes.ContainsAny([]byte(x), "eE.") {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
		return x.String()
	}
	return fmt.Sprint(v)
}
