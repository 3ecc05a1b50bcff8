package codec

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// DecodeCSV reads rows as comma-separated values, the features in the model's order: those of the first input, then those
// of the second, and so on. If every cell of the first line is one of the model's features it is a header and says the
// order; if only most of them are, it is a mistaken header. An empty cell is a missing number or an empty text; nan, inf and -inf may be written in any case. The model's
// inputs must be rows of a fixed width. All errors are CodeInvalid.
func DecodeCSV(body []byte, s *Schema) (*Request, error) {
	cells, err := s.cells()
	if err != nil {
		return nil, err
	}
	rd := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	rd.FieldsPerRecord = -1 // told better below
	rd.TrimLeadingSpace = true
	rd.ReuseRecord = true
	t := csvTable{s: s, r: s.rows(), cells: cells}
	last := 0
	for first := true; ; first = false {
		record, err := rd.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fairlead.Invalid("the body is not CSV: %v", err).Hintf("separate cells by commas, and put text that has commas or quotes in double quotes")
		}
		if first {
			header, err := t.header(record)
			if err != nil {
				return nil, err
			}
			if header != nil {
				t.cells = header
				continue
			}
		}
		line, _ := rd.FieldPos(0)
		if len(cells) == 1 && last > 0 && line > last+1 { // the reader skips it, and the rows after it would be taken for others
			return nil, fairlead.Invalid("line %d of the CSV is empty", last+1).Hintf(`write "" for an empty text and nan for a missing number`)
		}
		last = line + strings.Count(record[0], "\n")
		if err := t.row(record, line); err != nil {
			return nil, err
		}
	}
	if t.r.n == 0 {
		return nil, fairlead.Invalid("the CSV has no rows").Hintf("expected %s on each line", t.names())
	}
	return &Request{Instances: true, Inputs: t.r.tensors()}, nil
}

// cell is where one column of the CSV goes.
type cell struct {
	name          string
	input, column int
}

// cells are the columns of a CSV for this model.
func (s *Schema) cells() ([]cell, error) {
	var cells []cell
	for i, in := range s.sig.Inputs {
		switch w := in.Width(); {
		case len(in.Features) > 0:
			for c, name := range in.Features {
				cells = append(cells, cell{name, i, c})
			}
		case w == 1 || len(in.Shape) == 2 && w > 0:
			for c := range w {
				name := in.Name
				if w > 1 {
					name += "[" + strconv.Itoa(c) + "]"
				}
				cells = append(cells, cell{name, i, c})
			}
		default:
			return nil, fairlead.Invalid("input %q has the shape %s, which CSV cannot give: its rows have no fixed number of values",
				in.Name, fairlead.ShapeString(in.Shape)).Hintf("send JSON, for example %s", s.Example())
		}
	}
	return cells, nil
}

type csvTable struct {
	s     *Schema
	r     *rows
	cells []cell
}

func (t *csvTable) names() string {
	names := make([]string, len(t.cells))
	for i, c := range t.cells {
		names[i] = c.name
	}
	return join(names, 30)
}

// header is the order of the columns if the record is one, else nil. A record that names more than half of the columns is
// meant as one: the error says what is wrong with it.
func (t *csvTable) header(record []string) ([]cell, error) {
	order, taken := make([]cell, len(record)), make([]bool, len(t.cells))
	wrong, named := "", 0
	for i, name := range record {
		name = strings.TrimSpace(name)
		at := slices.IndexFunc(t.cells, func(c cell) bool { return c.name == name })
		if at < 0 || taken[at] {
			wrong = cmp.Or(wrong, quote(name))
			continue
		}
		order[i], taken[at] = t.cells[at], true
		named++
	}
	switch {
	case wrong == "" && named == len(t.cells):
		return order, nil
	case 2*named <= len(t.cells): // rows of text may hold such words
		return nil, nil
	case wrong != "":
		return nil, fairlead.Invalid("the CSV's header has %s, which the model does not know or which is there twice", wrong).
			Hintf("its features are %s", t.names())
	}
	missing := slices.Index(taken, false)
	return nil, fairlead.Invalid("the CSV's header lacks %s", quote(t.cells[missing].name)).Hintf("its features are %s", t.names())
}

func (t *csvTable) row(record []string, line int) error {
	if len(record) != len(t.cells) {
		return fairlead.Invalid("line %d of the CSV has %d cells; expected %d: %s", line, len(record), len(t.cells), t.names())
	}
	t.r.start()
	for i, c := range t.r.columns {
		width := t.s.sig.Inputs[i].Width()
		if n := len(t.s.sig.Inputs[i].Features); n > 0 {
			width = n
		}
		c.grow(width)
	}
	for i, text := range record {
		c := t.cells[i]
		if err := t.set(c, text); err != nil {
			typ := t.s.sig.Inputs[c.input].Type
			e := fairlead.Invalid("line %d of the CSV: %s is %s; expected %s (%s)", line, c.name, quote(text), expectation(err, typ), typ)
			if err == errNull {
				return e.Hintf("%s has no missing value: send one that means \"missing\" to the model", typ)
			}
			return e
		}
	}
	t.r.n++
	return nil
}

// set puts one cell into its place.
func (t *csvTable) set(c cell, text string) error {
	at := t.r.at[c.input] + c.column
	if words, ok := t.r.columns[c.input].(*values[string]); ok {
		words.data[at] = text
		return nil
	}
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "":
		text = "null"
	case "nan":
		text = "NaN"
	case "inf", "+inf", "infinity":
		text = "Infinity"
	case "-inf", "-infinity":
		text = "-Infinity"
	case "true", "false":
		text = strings.ToLower(text)
	default:
		text = strings.TrimPrefix(text, "+")
	}
	p := &parser{b: []byte(text)}
	if err := t.r.columns[c.input].set(p, at); err != nil {
		return err
	}
	if p.i < len(p.b) {
		return errNumber
	}
	return nil
}

// AppendCSV appends one line per row: the values of all outputs in their order, without a header. The error is CodeInvalid
// where the outputs are not rows of one batch.
func AppendCSV(dst []byte, _ *Request, a *Answer) ([]byte, error) {
	rows := -1
	for i := range a.Outputs {
		t := &a.Outputs[i]
		if len(t.Shape) == 0 || rows >= 0 && t.Rows() != rows {
			return nil, fairlead.Invalid("output %q has the shape %s, which is not one row per row of the CSV", t.Name,
				fairlead.ShapeString(t.Shape)).Hintf("take the answer as JSON: Accept: application/json")
		}
		rows = t.Rows()
	}
	for row := range rows {
		before := len(dst)
		for i := range a.Outputs {
			t := &a.Outputs[i]
			width := t.Width()
			for at := row * width; at < (row+1)*width; at++ {
				if len(dst) > before {
					dst = append(dst, ',')
				}
				if words, ok := t.Data.([]string); ok {
					dst = appendCell(dst, words[at])
				} else {
					dst = appendValues(dst, t, at, at+1)
				}
			}
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}

// appendCell quotes text that needs it.
func appendCell(dst []byte, text string) []byte {
	if text != "" && !strings.ContainsAny(text, ",\"\r\n") && text == strings.TrimSpace(text) {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(text, `"`, `""`)...)
	return append(dst, '"')
}
