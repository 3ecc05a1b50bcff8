package fairlead

import (
	"errors"
	"fmt"
	"time"
)

// Code classifies an error for a caller, independent of transport.
type Code string

// Codes and the HTTP status each maps to at the edge.
const (
	CodeInvalid     Code = "invalid"     // 400: the request is malformed or does not fit the model
	CodeNotFound    Code = "not_found"   // 404
	CodeConflict    Code = "conflict"    // 409: somebody changed it first, or it exists
	CodeTooLarge    Code = "too_large"   // 413
	CodeExhausted   Code = "exhausted"   // 429: a queue or quota is full, or the deadline cannot be met
	CodeCanceled    Code = "canceled"    // 499: the client went away
	CodeUnsupported Code = "unsupported" // 501
	CodeUnavailable Code = "unavailable" // 503: loading, draining, or a dependency is not ready
	CodeDeadline    Code = "deadline"    // 504
	CodeInternal    Code = "internal"    // 500
)

// Error is an error whose text may be shown to a client: what was expected, what came, and how to fix it.
type Error struct {
	Code    Code
	Message string
	Hint    string        // how to fix it; may be empty
	Reason  string        // what programs may act on where Code is not enough: "queue_full", "deadline_predicted"; may be empty
	Retry   time.Duration // when trying again makes sense; 0: not said
	Err     error         // cause, for the operator; never shown to clients
}

// Error is message and hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// Unwrap gives the operator's cause.
func (e *Error) Unwrap() error { return e.Err }

// Hintf sets the hint and returns e.
func (e *Error) Hintf(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Cause keeps err for the log and returns e.
func (e *Error) Cause(err error) *Error {
	e.Err = err
	return e
}

// Errorf makes an Error of the given code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an Error of CodeInvalid.
func Invalid(format string, args ...any) *Error { return Errorf(CodeInvalid, format, args...) }

// NotFound makes an Error of CodeNotFound.
func NotFound(format string, args ...any) *Error { return Errorf(CodeNotFound, format, args...) }

// CodeOf is the code of the first Error in err's chain, CodeInternal for any other error, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
