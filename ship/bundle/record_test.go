package bundle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	f, err := ParseFile([]byte(`name: a
log: {rows: 0.5, redact: [passenger, email]}
record:
  sample: 0.1
  slow: 250ms
  values: 4096
  durable: true
  redact: {note: truncate 40, email: hash}
`))
	if err != nil {
		t.Fatal(err)
	}
	share, values := 0.1, 4096
	want := RecordFile{Sample: &share, Slow: 250 * time.Millisecond, Values: &values, Durable: true,
		Redact: []RedactFile{{Name: "email", Action: "hash"}, {Name: "note", Action: "truncate", Bytes: 40}}}
	if d := cmp.Diff(want, f.Record); d != "" {
		t.Error(d)
	}
	if f.SampleShare() != 0.1 {
		t.Error("log.rows goes before record.sample")
	}
	if d := cmp.Diff(append(want.Redact, RedactFile{Name: "passenger", Action: "drop"}), f.Redactions()); d != "" {
		t.Error(d)
	}
	if f, err = ParseFile([]byte("name: a\nrecord: {values: all}")); err != nil || *f.Record.Values != 0 || f.SampleShare() != 1 {
		t.Error(f.Record, err)
	}
}

func TestParseRecordBad(t *testing.T) {
	for text, want := range map[string]string{
		"{sample: 1.1}":                "from 0 to 1",
		"{sample: .nan}":               "from 0 to 1",
		"{values: 0}":                  "all or a number",
		"{durable: 1}":                 "true or false",
		"{redact: [a]}":                "a mapping",
		"{redact: {a: burn}}":          "drop, hash or truncate N",
		"{redact: {a: truncate}}":      "truncate and a number",
		"{redact: {a: truncate -1}}":   "truncate and a number",
		"{redact: {a: drop 3}}":        "drop, hash or truncate N",
		"{redact: {a: drop, a: hash}}": "twice",
		"{redact: {a: {truncate: 3}}}": "drop, hash or truncate N",
		"{redcat: {a: drop}}":          `did you mean "redact"`,
	} {
		_, err := ParseFile([]byte("name: a\nrecord: " + text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
