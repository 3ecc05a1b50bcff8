// Package codec turns the bytes of a request into tensors and tensors into the bytes of an answer: the JSON of the
// Open Inference Protocol v2, and rows of named features ("instances"). It reads numbers itself, because JSON is most of
// the cost of a small request. It does no I/O.
//
// An error is a *fairlead.Error that says which input, row and feature it is about, what was expected and what came.
package codec

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

const maxDepth = 100

type parser struct {
	b     []byte
	i     int
	blobs *blobs // nil where the body has no binary part
	plain []int  // outputs that do not say whether they go in binary form

	lengths, path []int // of the array that is read: memory to be used again
}

// space skips white space and gives the byte after it, 0 at the end.
func (p *parser) space() byte {
	for p.i < len(p.b) {
		switch c := p.b[p.i]; c {
		case ' ', '\n', '\r', '\t':
			p.i++
		default:
			return c
		}
	}
	return 0
}

// word moves over w if it is next.
func (p *parser) word(w string) bool {
	if len(p.b)-p.i < len(w) || string(p.b[p.i:p.i+len(w)]) != w {
		return false
	}
	p.i += len(w)
	return true
}

// syntax is the error of bytes that are not JSON.
func (p *parser) syntax(expected string) error {
	line := 1 + bytes.Count(p.b[:p.i], []byte{'\n'})
	column := p.i - bytes.LastIndexByte(p.b[:p.i], '\n')
	return fairlead.Invalid("the body is not valid JSON: expected %s but found %s at line %d, column %d",
		expected, p.found(), line, column)
}

// malformed is the error of a string that is not one.
func (p *parser) malformed(problem string) error {
	line := 1 + bytes.Count(p.b[:p.i], []byte{'\n'})
	return fairlead.Invalid("the body is not valid JSON: %s at line %d, column %d", problem, line,
		p.i-bytes.LastIndexByte(p.b[:p.i], '\n'))
}

// found names what is at p.i, for a message.
func (p *parser) found() string {
	c := p.space()
	switch {
	case c == 0 && p.i >= len(p.b):
		return "the end of the body"
	case c < 0x20:
		return fmt.Sprintf("the byte 0x%02x", c)
	case c == '"':
		q := parser{b: p.b, i: p.i}
		if s, problem := q.text(); problem == "" {
			return "the string " + quote(s)
		}
		return "a quote"
	case c == '[':
		return "an array"
	case c == '{':
		return "an object"
	}
	end := p.i
	for end < len(p.b) && !strings.ContainsRune(" \n\r\t,:[]{}\"", rune(p.b[end])) {
		end++
	}
	if end == p.i {
		end++
	}
	return shorten(strings.ToValidUTF8(string(p.b[p.i:end]), "?"))
}

// quote is s in double quotes, cut where it gets long.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s)) }

func shorten(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// string reads a string, which must be UTF-8. A lone half of a surrogate pair becomes U+FFFD.
func (p *parser) string() (string, error) {
	if p.i >= len(p.b) || p.b[p.i] != '"' {
		return "", p.syntax("a string")
	}
	s, problem := p.text()
	if problem != "" {
		return "", p.malformed(problem)
	}
	return s, nil
}

const (
	notClosed  = "a string has no closing quote"
	notEscaped = `a string has a control character that is not written as an escape like \n`
	notUTF8    = "a string is not UTF-8"
	badEscape  = `a string has a backslash without an escape like \n or \u00e5`
)

// text reads the string whose opening quote is at p.i. If it is not one, p.i is where it goes wrong and the answer says
// how.
func (p *parser) text() (s, problem string) {
	start := p.i + 1
	for i := start; i < len(p.b); i++ {
		switch c := p.b[i]; {
		case c == '"':
			return p.checked(p.b[start:i], i+1)
		case c == '\\':
			return p.escaped(start, i)
		case c < 0x20:
			p.i = i
			return "", notEscaped
		}
	}
	p.i = len(p.b)
	return "", notClosed
}

func (p *parser) checked(text []byte, end int) (s, problem string) {
	if !utf8.Valid(text) {
		p.i = end - 1
		return "", notUTF8
	}
	p.i = end
	return intern(text), ""
}

// intern is string(text), without a new string for the words of the protocol.
func intern(text []byte) string {
	switch string(text) {
	case "inputs":
		return "inputs"
	case "name":
		return "name"
	case "shape":
		return "shape"
	case "datatype":
		return "datatype"
	case "data":
		return "data"
	case "parameters":
		return "parameters"
	case "binary_data_size":
		return "binary_data_size"
	case "outputs":
		return "outputs"
	case "binary_data":
		return "binary_data"
	case "FP32":
		return "FP32"
	case "INT64":
		return "INT64"
	case "id":
		return "id"
	}
	return string(text)
}

// escaped reads the rest of a string whose first backslash is at i.
func (p *parser) escaped(start, i int) (s, problem string) {
	text := append(make([]byte, 0, 2*(i-start)+16), p.b[start:i]...)
	for i < len(p.b) {
		c := p.b[i]
		switch {
		case c == '"':
			return p.checked(text, i+1)
		case c < 0x20:
			p.i = i
			return "", notEscaped
		case c != '\\':
			text = append(text, c)
			i++
			continue
		}
		if i+1 >= len(p.b) {
			break
		}
		if at := strings.IndexByte(`"\/bfnrt`, p.b[i+1]); at >= 0 {
			text = append(text, "\"\\/\b\f\n\r\t"[at])
			i += 2
			continue
		}
		r, ok := unicodeEscape(p.b[i:])
		if !ok {
			p.i = i
			return "", badEscape
		}
		i += 6
		if utf16.IsSurrogate(r) {
			low, ok := unicodeEscape(p.b[i:])
			if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
				r = pair
				i += 6
			}
		}
		text = utf8.AppendRune(text, r)
	}
	p.i = len(p.b)
	return "", notClosed
}

func unicodeEscape(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c-'0' < 10:
			c -= '0'
		case c|0x20-'a' < 6:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// skip moves over one value of any kind.
func (p *parser) skip(depth int) error {
	if depth > maxDepth {
		return tooDeep()
	}
	switch c := p.space(); {
	case c == '"':
		_, err := p.string()
		return err
	case c == '[':
		return p.array(func(int) error { return p.skip(depth + 1) })
	case c == '{':
		return p.object(func(string) error { return p.skip(depth + 1) })
	case p.word("true"), p.word("false"), p.word("null"):
		return nil
	}
	if _, ok := p.scan(); ok {
		return nil
	}
	if _, err := p.token(); err == nil {
		return nil
	}
	return p.syntax("a value")
}

func tooDeep() error {
	return fairlead.Invalid("the body is nested more than %d deep", maxDepth)
}

// object reads an object; f reads the value of each key.
func (p *parser) object(f func(key string) error) error {
	if p.space() != '{' {
		return p.syntax("an object {…}")
	}
	p.i++
	if p.space() == '}' {
		p.i++
		return nil
	}
	for {
		if p.space() != '"' {
			return p.syntax("a key in double quotes")
		}
		key, err := p.string()
		if err != nil {
			return err
		}
		if p.space() != ':' {
			return p.syntax("':' after the key " + quote(key))
		}
		p.i++
		if p.space() == 0 && p.i >= len(p.b) {
			return p.syntax("a value")
		}
		if err := f(key); err != nil {
			return err
		}
		switch p.space() {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return p.syntax("',' or '}'")
		}
	}
}

// array reads an array; f reads element i.
func (p *parser) array(f func(i int) error) error {
	if p.space() != '[' {
		return p.syntax("an array […]")
	}
	p.i++
	if p.space() == ']' {
		p.i++
		return nil
	}
	for i := 0; ; i++ {
		if p.space() == 0 && p.i >= len(p.b) {
			return p.syntax("a value or ']'")
		}
		if err := f(i); err != nil {
			return err
		}
		switch p.space() {
		case ',':
			p.i++
		case ']':
			p.i++
			return nil
		default:
			return p.syntax("',' or ']'")
		}
	}
}
