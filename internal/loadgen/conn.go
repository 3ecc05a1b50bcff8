package loadgen

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// httpCaller is one connection. It connects at its first call and again after a failure.
type httpCaller struct {
	target *HTTP
	next   int       // request
	limit  time.Time // of the connection's reads and writes
	used   time.Time // when it was last used, as far as it was looked at
	out    []byte
	in     []byte
	r, w   int  // unread part of in
	began  bool // something of the answer has come
	answer answer

	mu     sync.Mutex // of what follows: Close comes from another goroutine
	conn   net.Conn
	closed bool
}

// answer is the part of a response that counts.
type answer struct {
	status  int
	length  int64 // of the body; -1: not said
	chunked bool
	last    bool   // the server closes the connection
	keep    []byte // the beginning of an error's body
}

const (
	smallBody = 64 << 10        // copied behind the head, so that one write sends both
	mostKept  = 2 << 10         // of an error's body
	idle      = 3 * time.Second // a connection unused for that long may have been closed by the server
)

var errProtocol = errors.New("answer is not HTTP/1.1")

// Call implements Caller.
func (c *httpCaller) Call(ctx context.Context, budget time.Duration) Outcome {
	request := &c.target.requests[c.next]
	if c.next++; c.next == len(c.target.requests) {
		c.next = 0
	}
	resting := c.conn != nil && c.refresh()
	var outcome Outcome
	for {
		err := c.exchange(ctx, request, budget)
		if err == nil {
			break
		}
		c.drop()
		// An idle connection that was closed before a byte of the answer came says nothing about this request.
		if resting && !c.began && failureOf(err) != "timeout" {
			resting, outcome.Reconnects = false, 1
			continue
		}
		outcome.Failure, outcome.NoAnswer = failureOf(err), true
		return outcome
	}
	if c.answer.last {
		c.drop()
	}
	outcome.OK = c.answer.status/100 == 2
	if !outcome.OK {
		outcome.Failure = c.answer.failure()
	}
	return outcome
}

// refresh moves the connection's deadline now and then: moving it for each request costs more than it tells. It says
// whether the connection may have been idle for long.
func (c *httpCaller) refresh() (resting bool) {
	now := time.Now()
	resting = now.Sub(c.used) > idle
	if c.used = now; c.limit.Sub(now) < c.target.timeout {
		c.limit = now.Add(c.target.timeout * 5 / 4)
		_ = c.conn.SetDeadline(c.limit) // a closed connection says so at the write
	}
	return resting
}

func (c *httpCaller) exchange(ctx context.Context, request *Request, budget time.Duration) error {
	c.r, c.w, c.began = 0, 0, false
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return err
		}
	}
	if err := c.send(request, budget); err != nil {
		// A server that refuses a body may answer and close before it has read it.
		if c.read() == nil && c.answer.status >= 400 {
			c.answer.last = true
			return nil
		}
		return err
	}
	return c.read()
}

func (c *httpCaller) send(request *Request, budget time.Duration) error {
	c.out = request.append(c.out[:0], budget)
	if len(request.body) <= smallBody {
		c.out = append(c.out, request.body...)
		_, err := c.conn.Write(c.out)
		return err
	}
	both := net.Buffers{c.out, request.body}
	_, err := both.WriteTo(c.conn)
	return err
}

func (c *httpCaller) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: c.target.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.target.address)
	if err != nil {
		return err
	}
	if c.target.tls != nil {
		conn = tls.Client(conn, c.target.tls)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.Join(net.ErrClosed, conn.Close())
	}
	c.conn = conn
	c.limit = time.Time{}
	c.refresh()
	return nil
}

func (c *httpCaller) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close() // what it had to say was read
		c.conn = nil
	}
}

// Close implements Caller.
func (c *httpCaller) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	return c.conn.Close() // Call forgets it
}

// read takes one whole response off the connection.
func (c *httpCaller) read() error {
	for {
		if err := c.head(); err != nil {
			return err
		}
		if c.answer.status >= 200 {
			break
		} // an interim response comes before the real one
	}
	c.answer.keep = c.answer.keep[:0]
	switch {
	case c.answer.status == 204 || c.answer.status == 304:
		return nil
	case c.answer.chunked:
		return c.chunks()
	case c.answer.length >= 0:
		return c.skip(c.answer.length)
	}
	c.answer.last = true
	err := c.skip(1 << 62)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *httpCaller) head() error {
	for {
		if end := bytes.Index(c.in[c.r:c.w], []byte("\r\n\r\n")); end >= 0 {
			err := c.answer.parse(c.in[c.r : c.r+end])
			c.r += end + 4
			return err
		}
		if c.w-c.r == len(c.in) {
			return errProtocol // a head of more than 16 KiB
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads what is there behind the unread part, of which it makes room.
func (c *httpCaller) fill() error {
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	n, err := c.conn.Read(c.in[c.w:])
	c.w += n
	if n > 0 {
		c.began = true
		return nil
	}
	if errors.Is(err, io.EOF) && c.w > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skip passes over n bytes of body.
func (c *httpCaller) skip(n int64) error {
	for {
		have := min(int64(c.w-c.r), n)
		c.keep(c.in[c.r : c.r+int(have)])
		c.r += int(have)
		if n -= have; n == 0 {
			return nil
		}
		c.r, c.w = 0, 0
		if err := c.fill(); err != nil {
			return err
		}
	}
}

func (c *httpCaller) keep(body []byte) {
	if c.answer.status >= 300 {
		c.answer.keep = append(c.answer.keep, body[:min(len(body), mostKept-len(c.answer.keep))]...)
	}
}

func (c *httpCaller) chunks() error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 62)
		if err != nil {
			return errProtocol
		}
		if n == 0 {
			break
		}
		if err := c.skip(int64(n)); err != nil {
			return err
		}
		if line, err = c.line(); err != nil || len(line) > 0 {
			return errors.Join(err, errProtocol)
		}
	}
	for { // trailers
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

// line is good until the next read.
func (c *httpCaller) line() ([]byte, error) {
	for {
		if end := bytes.Index(c.in[c.r:c.w], []byte("\r\n")); end >= 0 {
			line := c.in[c.r : c.r+end]
			c.r += end + 2
			return line, nil
		}
		if c.w-c.r == len(c.in) {
			return nil, errProtocol
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// parse reads a response's head, without the empty line.
func (a *answer) parse(head []byte) error {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return errProtocol
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil || status < 100 {
		return errProtocol
	}
	a.status, a.length, a.chunked, a.last = status, -1, false, line[7] == '0'
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return errProtocol
		}
		// Most headers have another length than these three.
		switch name := line[:colon]; {
		case colon == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.ParseUint(string(bytes.TrimSpace(line[colon+1:])), 10, 62)
			if err != nil {
				return errProtocol
			}
			a.length = int64(n)
		case colon == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			a.chunked = bytes.Contains(bytes.ToLower(line), []byte("chunked"))
		case colon == 10 && bytes.EqualFold(name, []byte("Connection")):
			a.last = bytes.EqualFold(bytes.TrimSpace(line[colon+1:]), []byte("close"))
		}
	}
	return nil
}

// failure is the status, and the reason if the error's body names one.
func (a *answer) failure() string {
	status := strconv.Itoa(a.status)
	var body struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(a.keep, &body) == nil && body.Reason != "" {
		return status + " " + body.Reason
	}
	return status
}
