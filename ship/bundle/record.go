package bundle

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// RecordFile says what of the predictions is stored, and when one may be answered. Profiles count every row whatever it says.
type RecordFile struct {
	Sample  *float64      `json:"sample,omitempty"`  // probability with which a row is stored; nil: 1
	Slow    time.Duration `json:"slow,omitempty"`    // requests as slow as this are always stored; 0: the server's default
	Values  *int          `json:"values,omitempty"`  // per row of a tensor without named columns, else a summary is stored; 0: no bound; nil: 1024
	Redact  []RedactFile  `json:"redact,omitempty"`  // sorted by name
	Durable bool          `json:"durable,omitempty"` // an answer waits until its rows are on disk
}

// RedactFile hides a feature, an input without named columns, or a tag.
type RedactFile struct {
	Name   string `json:"name"`
	Action string `json:"action"`          // drop, hash or truncate
	Bytes  int    `json:"bytes,omitempty"` // of truncate
}

func (f *File) readRecord(v node) error {
	return v.keys([]string{"sample", "slow", "values", "redact", "durable"}, func(key string, v node) (err error) {
		switch key {
		case "sample":
			var share float64
			if v.Kind != yaml.ScalarNode || v.Tag != "!!float" && v.Tag != "!!int" || v.Decode(&share) != nil || !(share >= 0 && share <= 1) {
				return v.expected("the probability with which a row is stored, from 0 to 1")
			}
			f.Record.Sample = &share
		case "slow":
			f.Record.Slow, err = v.duration()
		case "values":
			n := 0
			if v.Kind == yaml.ScalarNode && v.Value == "all" {
				f.Record.Values = &n
				return nil
			}
			if v.Kind != yaml.ScalarNode || v.Tag != "!!int" || v.Decode(&n) != nil || n < 1 {
				return v.expected("all or a number of values from 1")
			}
			f.Record.Values = &n
		case "durable":
			if v.Kind != yaml.ScalarNode || v.Tag != "!!bool" || v.Decode(&f.Record.Durable) != nil {
				return v.expected("true or false")
			}
		case "redact":
			return f.readRedact(v)
		}
		return err
	})
}

func (f *File) readRedact(v node) error {
	const what = "a mapping of features or tags to drop, hash or truncate N, such as {email: hash, note: truncate 40}"
	if v.Kind != yaml.MappingNode {
		return v.expected(what)
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		r := RedactFile{Name: v.Content[i].Value}
		how := v.child(r.Name, v.Content[i+1])
		text, err := how.text("drop, hash or truncate N")
		if err != nil {
			return err
		}
		action, size, _ := strings.Cut(text, " ")
		r.Action = action
		switch action {
		case "drop", "hash":
			if size != "" {
				return how.expected("drop, hash or truncate N")
			}
		case "truncate":
			if r.Bytes, err = strconv.Atoi(strings.TrimSpace(size)); err != nil || r.Bytes < 1 || r.Bytes > 1<<20 {
				return how.expected("truncate and a number of bytes, such as truncate 40")
			}
		default:
			return how.expected("drop, hash or truncate N")
		}
		if slices.ContainsFunc(f.Record.Redact, func(o RedactFile) bool { return o.Name == r.Name }) {
			return how.errorf("%s is redacted twice", r.Name)
		}
		f.Record.Redact = append(f.Record.Redact, r)
	}
	slices.SortFunc(f.Record.Redact, func(a, b RedactFile) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// Redactions are those of record and of log.
func (f *File) Redactions() []RedactFile {
	out := slices.Clone(f.Record.Redact)
	for _, name := range f.Log.Redact {
		if !slices.ContainsFunc(out, func(r RedactFile) bool { return r.Name == name }) {
			out = append(out, RedactFile{Name: name, Action: "drop"})
		}
	}
	return out
}

// SampleShare is the probability with which a row is stored.
func (f *File) SampleShare() float64 {
	if f.Record.Sample != nil {
		return *f.Record.Sample
	}
	return f.Log.Rows
}
