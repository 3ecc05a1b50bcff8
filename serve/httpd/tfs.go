package httpd

import (
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// tensorFlow is TensorFlow Serving's predict, by rows or by columns.
var tensorFlow = dialect{decode: codec.DecodePredict, encode: codec.AppendPredict}

// tfsPath is what a path under /v1/models says.
type tfsPath struct {
	name    string
	version string // "" for the live one
	label   bool   // version is an alias
	verb    string // after the colon, in lower case
	rest    string // "metadata" or ""
}

// parseTFS reads models/NAME[/versions/V|/labels/L][/metadata][:verb], in any case but for the names.
func parseTFS(parts []string) (p tfsPath, ok bool) {
	if len(parts) == 0 {
		return p, false
	}
	last, verb, _ := strings.Cut(parts[len(parts)-1], ":")
	p.verb = strings.ToLower(verb)
	parts[len(parts)-1] = last
	if !strings.EqualFold(parts[0], "models") {
		return p, false
	}
	if parts = parts[1:]; len(parts) == 0 {
		return p, true
	}
	p.name, parts = parts[0], parts[1:]
	if len(parts) >= 2 && (strings.EqualFold(parts[0], "versions") || strings.EqualFold(parts[0], "labels")) {
		p.version, p.label, parts = parts[1], strings.EqualFold(parts[0], "labels"), parts[2:]
		if p.version == "" {
			return p, false
		}
	}
	if len(parts) == 1 && strings.EqualFold(parts[0], "metadata") && p.verb == "" {
		p.rest, parts = "metadata", nil
	}
	return p, len(parts) == 0
}

// tfs answers everything under /v1.
func (h *Handler) tfs(w http.ResponseWriter, r *http.Request, parts []string) error {
	p, ok := parseTFS(parts)
	if !ok {
		return malformed(r)
	}
	if p.name == "" {
		return fairlead.Invalid("Missing model name in request.").Hintf("for example %s /v1/models/flights", r.Method)
	}
	if err := h.checkVersion(p); err != nil {
		return err
	}
	var d dialect
	switch p.verb {
	case "":
		answer := h.status
		if p.rest != "" {
			answer = h.tfsMetadata
		}
		return h.get(w, r, func(w http.ResponseWriter, r *http.Request) error { return answer(w, r, p) })
	case "predict":
		w, d = tfsDialect(w, r)
	case "classify", "regress":
		examples := codec.Examples{Classify: p.verb == "classify"}
		d = dialect{decode: examples.Decode, encode: examples.Append}
	default:
		return malformed(r)
	}
	if r.Method != http.MethodPost {
		return &methodError{allowed: "POST"}
	}
	return h.predict(w, r, p.name, p.version, d)
}

// malformed is TensorFlow Serving's answer to a path that it does not have.
func malformed(r *http.Request) error {
	return fairlead.Invalid("Malformed request: %s %s", r.Method, r.URL.Path).
		Hintf("POST /v1/models/NAME[/versions/N|/labels/ALIAS]:predict, :classify or :regress; GET /v1/models/NAME[/metadata]")
}

// checkVersion says whether a label is an alias and a version a number: the one may not stand for the other.
func (h *Handler) checkVersion(p tfsPath) error {
	if p.version == "" {
		return nil
	}
	d, err := h.server.Table().Deployment(p.name)
	if err != nil {
		return err
	}
	_, isAlias := d.Aliases[p.version]
	if p.label && !isAlias {
		e := fairlead.Invalid("Unrecognized servable version label: %.80s", p.version)
		if _, err := fairlead.ParseVersion(p.version); err == nil {
			return e.Hintf("a number goes as /versions/%s", p.version)
		}
		if len(d.Aliases) == 0 {
			return e.Hintf("labels are aliases, and %s has none", d.Name)
		}
		return e.Hintf("labels are the aliases of %s: %s", d.Name, strings.Join(slices.Sorted(maps.Keys(d.Aliases)), ", "))
	}
	if _, err := fairlead.ParseVersion(p.version); !p.label && err != nil {
		e := fairlead.Invalid("Failed to convert version: %.80s to numeric.", p.version)
		if isAlias {
			return e.Hintf("an alias goes as /labels/%s", p.version)
		}
		return e.Hintf("versions are counted from 1")
	}
	return nil
}

// tfsDialect is JSON, or CSV where the request says so by Content-Type, and by Accept for its answer.
func tfsDialect(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, dialect) {
	d := tensorFlow
	if isCSV(r.Header.Get("Content-Type")) {
		d.decode = codec.DecodeCSV
	}
	for accepted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if isCSV(accepted) {
			d.encode = codec.AppendCSV
			return &retyped{ResponseWriter: w}, d
		}
	}
	return w, d
}

func isCSV(contentType string) bool {
	if contentType == "" {
		return false
	}
	t, _, _ := mime.ParseMediaType(contentType)
	return t == "text/csv"
}

// retyped marks an answer that is no error as CSV.
type retyped struct {
	http.ResponseWriter
	begun bool
}

func (w *retyped) WriteHeader(status int) {
	if !w.begun && status < 300 {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	}
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *retyped) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController see the writer.
func (w *retyped) Unwrap() http.ResponseWriter { return w.ResponseWriter }
