package grpcd

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fairlead-ml/fairlead"
)

// maxStatus bounds a status's message, which travels in a header that clients limit to 8 KiB or less.
const maxStatus = 2000

// domain of the ErrorInfo of every error.
const domain = "fairlead"

var statusCodes = map[fairlead.Code]codes.Code{
	fairlead.CodeInvalid: codes.InvalidArgument, fairlead.CodeNotFound: codes.NotFound, fairlead.CodeConflict: codes.Aborted,
	fairlead.CodeTooLarge: codes.ResourceExhausted, fairlead.CodeExhausted: codes.ResourceExhausted,
	fairlead.CodeCanceled: codes.Canceled, fairlead.CodeUnsupported: codes.Unimplemented,
	fairlead.CodeUnavailable: codes.Unavailable, fairlead.CodeDeadline: codes.DeadlineExceeded,
	fairlead.CodeInternal: codes.Internal,
}

// status is what the client is told of err. What is not a *fairlead.Error stays in the log.
func (s *Server) status(method string, err error) error {
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err // a service of the library, or one that was here before
	}
	code := fairlead.CodeOf(err)
	var e *fairlead.Error
	if !errors.As(err, &e) {
		e = failed()
	}
	if code == fairlead.CodeInternal {
		s.log.Error("a request failed", "method", method, "error", err, "cause", errors.Unwrap(e))
	}
	return statusOf(e)
}

func statusOf(e *fairlead.Error) error {
	code, ok := statusCodes[e.Code]
	if !ok {
		code = codes.Unknown
	}
	st := status.New(code, message(e))
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: strings.ToUpper(cmp.Or(e.Reason, string(e.Code))),
		Domain: domain, Metadata: map[string]string{"code": string(e.Code)}}}
	retry := e.Retry
	if retry == 0 && (e.Code == fairlead.CodeUnavailable || e.Code == fairlead.CodeExhausted) {
		retry = time.Second
	}
	if retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}

// message is the error's message and hint. A message that is too long is cut, the hint is kept.
func message(e *fairlead.Error) string {
	text := e.Error()
	if len(text) <= maxStatus {
		return text
	}
	short := *e
	keep := max(maxStatus/2, maxStatus-len(e.Hint))
	if len(short.Message) > keep {
		short.Message = short.Message[:keep] + "…"
	}
	if len(short.Hint) > maxStatus/2 {
		short.Hint = short.Hint[:maxStatus/2] + "…"
	}
	return strings.ToValidUTF8(short.Error(), "")
}
