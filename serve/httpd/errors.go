package httpd

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// ErrorBody is every error's body.
type ErrorBody struct {
	Error  string `json:"error"` // what was expected and what came
	Code   string `json:"code"`
	Reason string `json:"reason,omitempty"` // what programs may act on where the code is not enough, like "queue_full"
	Hint   string `json:"hint,omitempty"`   // how to fix it
}

var statuses = map[fairlead.Code]int{
	fairlead.CodeInvalid: 400, fairlead.CodeNotFound: 404, fairlead.CodeConflict: 409, fairlead.CodeTooLarge: 413,
	fairlead.CodeExhausted: 429, fairlead.CodeCanceled: 499, fairlead.CodeUnsupported: 501,
	fairlead.CodeUnavailable: 503, fairlead.CodeDeadline: 504, fairlead.CodeInternal: 500,
}

// noMemory is the reason of a model that cannot be loaded because it does not fit, which has a status of its own.
const noMemory = "no_memory"

// fail answers with an error. What is not a *fairlead.Error stays in the log.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var method *methodError
	if errors.As(err, &method) {
		w.Header().Set("Allow", method.allowed)
		writeError(w, http.StatusMethodNotAllowed, ErrorBody{
			Error: fmt.Sprintf("%s takes %s, but %s came", r.URL.Path, method.allowed, r.Method), Code: "method_not_allowed",
			Hint: "send it with " + method.allowed})
		return
	}
	code := fairlead.CodeOf(err)
	status := statuses[code]
	var e *fairlead.Error
	if !errors.As(err, &e) {
		e = fairlead.Errorf(fairlead.CodeInternal, "the server failed on this request").Hintf("the server's log says more")
	}
	if e.Reason == noMemory {
		status = http.StatusInsufficientStorage
	}
	if status >= 500 && code == fairlead.CodeInternal {
		h.o.Log.Error("a request failed", "path", r.URL.Path, "error", err, "cause", errors.Unwrap(e))
	}
	retry := e.Retry.Seconds()
	if retry == 0 && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
		retry = 1
	}
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(retry))))
	}
	writeError(w, status, ErrorBody{Error: e.Message, Code: string(code), Reason: e.Reason, Hint: e.Hint})
}

func writeError(w http.ResponseWriter, status int, body ErrorBody) {
	w.Header().Del("Content-Encoding")
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // a client that went away
}
