package loadgen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// DeadlineHeader carries what is left of a request's deadline to a fairlead server, in microseconds: "00000050000us".
const DeadlineHeader = "Fairlead-Deadline"

const deadlineDigits = 11

// Request is an HTTP/1.1 request as it goes out, made once and sent many times.
type Request struct {
	head, body []byte
	digits     int // where the deadline's digits begin in head
}

// NewRequest makes a POST to path of u's host. Headers are name, value, name, value.
func NewRequest(u *url.URL, path string, body []byte, headers ...string) Request {
	var b strings.Builder
	b.WriteString("POST " + path + " HTTP/1.1\r\nHost: " + u.Host + "\r\n")
	for i := 0; i+1 < len(headers); i += 2 {
		b.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n" + DeadlineHeader + ": ")
	digits := b.Len()
	b.WriteString(strings.Repeat("0", deadlineDigits) + "us\r\n\r\n")
	return Request{head: []byte(b.String()), body: body, digits: digits}
}

// Len is the bytes of the body.
func (r *Request) Len() int { return len(r.body) }

// append writes the head for that budget, without the deadline's line for none.
func (r *Request) append(to []byte, budget time.Duration) []byte {
	if budget <= 0 {
		return append(append(to, r.head[:r.digits-len(DeadlineHeader)-2]...), "\r\n"...)
	}
	at := len(to) + r.digits
	to = append(to, r.head...)
	left := max(budget.Microseconds(), 1)
	for i := deadlineDigits - 1; i >= 0; i-- {
		to[at+i] = byte('0' + left%10)
		left /= 10
	}
	return to
}

// HTTP is a server to load over HTTP/1.1, with its own client: one write and as a rule one read per request, and no
// allocation, because the generator shares the machine with the server.
type HTTP struct {
	address  string
	tls      *tls.Config
	requests []Request
	timeout  time.Duration
}

// NewHTTP makes a target of the server's address. Each connection sends the requests in turn, from a place of its own.
// A request without an answer after timeout (up to a quarter later) has failed.
func NewHTTP(u *url.URL, requests []Request, timeout time.Duration) (*HTTP, error) {
	if len(requests) == 0 {
		return nil, fairlead.Invalid("there is no request to send")
	}
	if timeout <= 0 {
		return nil, fairlead.Invalid("a timeout of %s lets no request succeed", timeout).Hintf("use for example 10s")
	}
	h := &HTTP{requests: requests, timeout: timeout}
	port := u.Port()
	switch {
	case u.Scheme == "https":
		h.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
		if port == "" {
			port = "443"
		}
	case u.Scheme != "http":
		return nil, fairlead.Invalid("%q is not a server address", u).Hintf("write for example http://127.0.0.1:8080")
	case port == "":
		port = "80"
	}
	h.address = net.JoinHostPort(u.Hostname(), port)
	return h, nil
}

// Dial implements Dialer.
func (h *HTTP) Dial(i int) (Caller, error) {
	return &httpCaller{target: h, next: i * 7919 % len(h.requests), in: make([]byte, 16<<10)}, nil
}

func failureOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	}
	var op *net.OpError // its own text has the connection's port, and failures are counted by their text
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
