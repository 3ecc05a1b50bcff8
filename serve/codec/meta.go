package codec

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// Meta is what a client may say about a whole request, in headers or in the "parameters" of the body.
type Meta struct {
	Time     time.Time         // event time of all rows
	Key      string            // entity key of all rows
	Tags     map[string]string // of all rows
	Deadline time.Duration     // from arrival; 0: none
	Priority int               // 1 is the most urgent, larger numbers less so; 0: the model's default

	// RoutingKey keeps requests together where several versions answer: equal keys get the same one.
	RoutingKey string
	// Pin is the version that is to answer: "canary", "live", a number or an alias.
	Pin string

	// Unrecorded asks that the rows are neither counted nor stored, for people who try a model out and for probes.
	Unrecorded bool
}

// HeaderMeta reads what headers, or gRPC's metadata, say about a request: its id, "" if they do not say, and its Meta.
// get gives the value of a header, "" for one that is absent. On error the id is still the client's if it can be one.
func HeaderMeta(get func(key string) string) (id string, m Meta, err error) {
	if s := get("Fairlead-Request-Id"); s != "" {
		if err := CheckID("header Fairlead-Request-Id", s); err != nil {
			return "", m, err
		}
		id = s
	}
	if s := get("Fairlead-Event-Time"); s != "" {
		if m.Time, err = ParseTime("header Fairlead-Event-Time", s); err != nil {
			return id, m, err
		}
	}
	m.Key = get("Fairlead-Entity-Key")
	m.RoutingKey, m.Pin = get("Fairlead-Routing-Key"), get("Fairlead-Pin")
	if m.Tags, err = ParseTags("header Fairlead-Tags", get("Fairlead-Tags")); err != nil {
		return id, m, err
	}
	if s := get("Fairlead-Deadline"); s != "" {
		if m.Deadline, err = ParseDeadline("header Fairlead-Deadline", s); err != nil {
			return id, m, err
		}
	}
	if s := get("Fairlead-Record"); s != "" {
		recorded, parseErr := strconv.ParseBool(s)
		if parseErr != nil {
			err = fairlead.Invalid("header Fairlead-Record is %s; expected true or false", quote(s))
		}
		m.Unrecorded = !recorded
	}
	return id, m, err
}

// Over is m, completed from below where m does not say.
func (m Meta) Over(below Meta) Meta {
	if m.Time.IsZero() {
		m.Time = below.Time
	}
	if m.Key == "" {
		m.Key = below.Key
	}
	if m.Tags == nil {
		m.Tags = below.Tags
	}
	if m.Deadline == 0 {
		m.Deadline = below.Deadline
	}
	if m.Priority == 0 {
		m.Priority = below.Priority
	}
	if m.RoutingKey == "" {
		m.RoutingKey = below.RoutingKey
	}
	if m.Pin == "" {
		m.Pin = below.Pin
	}
	m.Unrecorded = m.Unrecorded || below.Unrecorded
	return m
}

// ParseTime reads an event time. where is the header or parameter that it came in, for the error.
func ParseTime(where, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fairlead.Invalid("%s is %s; expected a time with its zone", where, quote(s)).
			Hintf("RFC 3339, for example 2001-03-01T06:55:00Z")
	}
	return t.UTC(), nil
}

// ParseTags reads k=v,k2=v2.
func ParseTags(where, s string) (map[string]string, error) {
	if s == "" {
		return nil, nil
	}
	tags := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || k == "" {
			return nil, fairlead.Invalid("%s is %s; expected tags as k=v,k2=v2", where, quote(s))
		}
		tags[k] = v
	}
	return tags, nil
}

// ParseDeadline reads a positive duration.
func ParseDeadline(where, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fairlead.Invalid("%s is %s; expected how long the answer may take", where, quote(s)).
			Hintf("a duration from the request's arrival, for example 50ms or 2s")
	}
	return d, nil
}

// parameters reads an object of strings, numbers and booleans. Numbers are int64 where they are integers that fit,
// else float64.
func (p *parser) parameters(of string) (map[string]any, error) {
	if p.word("null") {
		return nil, nil
	}
	if p.space() != '{' {
		return nil, fairlead.Invalid("%s is %s; expected an object", of, p.found())
	}
	m := map[string]any{}
	err := p.object(func(key string) error {
		if p.b[p.i] == '"' {
			s, err := p.string()
			m[key] = s
			return err
		}
		if b, err := parseBool(p); err == nil {
			m[key] = b
			return nil
		}
		start := p.i
		if v, err := parseSigned[int64](p); err == nil {
			m[key] = v
			return nil
		}
		p.i = start
		f, err := p.float64()
		if err != nil {
			return fairlead.Invalid("%s: %s is %s; expected a string, a number or a boolean", of, quote(key), p.found())
		}
		m[key] = f
		return nil
	})
	return m, err
}

// ReadMeta takes from a request's parameters what they say about it and its rows: Fairlead's own event_time, entity_key,
// tags, deadline, record, routing_key and pin, and the protocol's priority and timeout. The errors are CodeInvalid, and CodeUnsupported for a
// request that belongs to a sequence.
func ReadMeta(parameters map[string]any) (m Meta, err error) {
	if len(parameters) == 0 {
		return m, nil
	}
	for key := range parameters {
		if strings.HasPrefix(key, "triton_") {
			return m, fairlead.Invalid("parameter %s: parameter keys starting with 'triton_' are reserved for Triton usage "+
				"and should not be specified", quote(key)).Hintf("give it another name")
		}
	}
	if id, ok := parameters["sequence_id"]; ok && id != "" && id != int64(0) {
		return m, fairlead.Errorf(fairlead.CodeUnsupported, `parameter "sequence_id" is %#v; requests of a sequence are not supported`, id).
			Hintf("this server keeps nothing between requests: leave sequence_id away")
	}
	if v, ok := parameters["record"]; ok {
		recorded, isBool := v.(bool)
		if !isBool {
			return m, fairlead.Invalid(`parameter "record" is %#v; expected true or false`, v)
		}
		m.Unrecorded = !recorded
	}
	for _, key := range []string{"event_time", "entity_key", "tags", "deadline", "routing_key", "pin"} {
		if v, ok := parameters[key]; ok {
			if err := m.text(key, v); err != nil {
				return m, err
			}
		}
	}
	return m, m.schedule(parameters)
}

// text takes one of Fairlead's own parameters.
func (m *Meta) text(key string, v any) (err error) {
	where := fmt.Sprintf("parameter %q", key)
	s, ok := v.(string)
	if n, isInt := v.(int64); isInt && (key == "entity_key" || key == "routing_key" || key == "pin") {
		s, ok = strconv.FormatInt(n, 10), true
	}
	if !ok {
		return fairlead.Invalid("%s is %v; expected a string", where, v)
	}
	switch key {
	case "event_time":
		m.Time, err = ParseTime(where, s)
	case "entity_key":
		m.Key = s
	case "tags":
		m.Tags, err = ParseTags(where, s)
	case "deadline":
		m.Deadline, err = ParseDeadline(where, s)
	case "routing_key":
		m.RoutingKey = s
	case "pin":
		m.Pin = s
	}
	return err
}

// schedule takes the protocol's priority, and timeout in microseconds, which counts where there is no deadline.
func (m *Meta) schedule(parameters map[string]any) error {
	if v, ok := parameters["priority"]; ok {
		n, isInt := v.(int64)
		if !isInt || n < 0 || n > math.MaxInt32 {
			return fairlead.Invalid(`parameter "priority" is %#v; expected an integer from 0 to 2147483647`, v).
				Hintf("1 is the most urgent, 0 is the model's default")
		}
		m.Priority = int(n)
	}
	if v, ok := parameters["timeout"]; ok {
		n, isInt := v.(int64)
		if !isInt || n < 0 {
			return fairlead.Invalid(`parameter "timeout" is %#v; expected an integer, the microseconds that the answer may take`, v).
				Hintf("2000000 is 2 s and 0 is no timeout; the parameter \"deadline\" takes a duration like \"2s\"")
		}
		if m.Deadline == 0 {
			m.Deadline = time.Duration(min(n, math.MaxInt64/int64(time.Microsecond))) * time.Microsecond
		}
	}
	return nil
}

// rowMetas reads "rows", what a client says about single rows.
func (p *parser) rowMetas() ([]fairlead.RowMeta, error) {
	if p.space() != '[' {
		return nil, fairlead.Invalid(`"rows" is %s; expected an array with one object per row`, p.found())
	}
	metas := []fairlead.RowMeta{}
	err := p.array(func(i int) error {
		var m fairlead.RowMeta
		if p.space() != '{' {
			return fairlead.Invalid(`"rows"[%d] is %s; expected an object`, i, p.found()).
				Hintf(`for example {"id":"b-17","time":"2001-03-01T06:55:00Z","key":"N123","tags":{"desk":"3"}}`)
		}
		err := p.object(func(key string) error { return p.rowMeta(i, key, &m) })
		metas = append(metas, m)
		return err
	})
	return metas, err
}

func (p *parser) rowMeta(i int, key string, m *fairlead.RowMeta) (err error) {
	if p.word("null") {
		return nil
	}
	where := fmt.Sprintf(`"rows"[%d]: %s`, i, quote(key))
	if key == "tags" {
		if p.b[p.i] != '{' {
			return fairlead.Invalid("%s is %s; expected an object of strings", where, p.found())
		}
		m.Tags = map[string]string{}
		return p.object(func(tag string) error {
			if p.b[p.i] != '"' {
				return fairlead.Invalid("%s: %s is %s; expected a string", where, quote(tag), p.found())
			}
			m.Tags[tag], err = p.string()
			return err
		})
	}
	if key != "id" && key != "time" && key != "key" {
		return fairlead.Invalid("%s is not known", where).Hintf("a row has id, time, key and tags")
	}
	if p.b[p.i] != '"' {
		return fairlead.Invalid("%s is %s; expected a string", where, p.found())
	}
	s, err := p.string()
	if err != nil {
		return err
	}
	switch key {
	case "id":
		if err := CheckID(where, s); err != nil {
			return err
		}
		m.ID = s
	case "time":
		m.Time, err = ParseTime(where, s)
	case "key":
		m.Key = s
	}
	return err
}

// CheckID says whether s can be the id of a request or of a row: 1 to 256 bytes of UTF-8 without control characters.
func CheckID(where, s string) error {
	bad := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError })
	if s == "" || len(s) > 256 || bad >= 0 {
		return fairlead.Invalid("%s is %s, which cannot be an id", where, quote(s)).
			Hintf("an id has 1 to 256 bytes of UTF-8 and no control characters")
	}
	return nil
}

// HeaderID is an id as a header or gRPC's metadata can carry it: what is not printable ASCII is percent-encoded, as in a
// URL's path.
func HeaderID(id string) string {
	if strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) < 0 {
		return id
	}
	return url.PathEscape(id)
}
