// Package engine is the face of whatever computes a model's answer: one Session per loaded variant of a model.
package engine

import (
	"context"
	"errors"

	"github.com/fairlead-ml/fairlead"
)

// Session is one loaded model. All methods may be called from many goroutines at once. engine/enginetest holds the
// conformance suite that every implementation passes.
type Session interface {
	// Signature is what the graph itself says: names, types and shapes, -1 for a free dimension, a nil shape for an
	// unknown one. Classes are set where the graph names them. It does not change.
	Signature() fairlead.Signature

	// Run computes the outputs named, in that order; nil means all of them in the signature's order. The inputs may come
	// in any order and are not kept or changed. The tensors returned belong to the caller. Inputs that do not fit the
	// signature give CodeInvalid, a context that ends gives the error of ContextError and stops the computation, a
	// closed session gives ErrClosed.
	Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error)

	// Close waits for the runs in flight and frees the model. A second Close does nothing.
	Close() error
}

// ErrClosed is what Run gives on a closed session; test for it with errors.Is.
var ErrClosed = errors.New("the session is closed")

// Closed is the error of a run on a closed session.
func Closed() error {
	return fairlead.Errorf(fairlead.CodeUnavailable, "this version of the model was just unloaded").
		Hintf("send the request again").Cause(ErrClosed)
}

// ContextError is the error of a run whose context has ended: CodeDeadline or CodeCanceled, with the context's error
// as its cause.
func ContextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fairlead.Errorf(fairlead.CodeDeadline, "the deadline passed before the answer was ready").
			Cause(ctx.Err())
	}
	return fairlead.Errorf(fairlead.CodeCanceled, "the request was canceled").Cause(ctx.Err())
}
