package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fairlead-ml/fairlead/watch/notify"
)

const (
	sendTime    = 10 * time.Second // for one message, whatever the receiver does
	sendAnswer  = 200              // characters of an answer that are repeated
	mostHops    = 3                // redirects, all of one host
	alertsV2    = "/api/v2/alerts" // of an Alertmanager
	deliveryID  = "X-Fairlead-Delivery"
	sendIdleFor = time.Minute
)

// sendError is why a receiver was not told. It does not repeat URLs: they may hold a secret.
type sendError struct {
	what  string
	after time.Duration // it asks not to be tried again before
}

func (e *sendError) Error() string { return e.what }

// sender hands messages to receivers.
type sender struct {
	client  *http.Client
	roots   *x509.CertPool // that vouch for mail servers; nil: the system's
	version string
	now     func() time.Time
}

func newSender(version string, roots *x509.CertPool, now func() time.Time) *sender {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.IdleConnTimeout, transport.MaxIdleConnsPerHost = sendIdleFor, 1
	if roots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &sender{client: &http.Client{Transport: transport, CheckRedirect: sameHost}, roots: roots, version: version, now: now}
}

func (s *sender) close() { s.client.CloseIdleConnections() }

// sameHost follows only redirects that keep the message and its host: whoever answers must not choose who is told.
func sameHost(r *http.Request, via []*http.Request) error {
	switch first := via[0]; {
	case r.Method != first.Method:
		return errors.New("it answered with a redirect that drops the message (only 307 and 308 keep it): give its final url")
	case r.URL.Host != first.URL.Host || r.URL.Scheme != first.URL.Scheme && r.URL.Scheme != "https":
		return fmt.Errorf("it answered with a redirect to %s://%s, another host: give its final url", r.URL.Scheme, r.URL.Host)
	case len(via) > mostHops:
		return fmt.Errorf("it answered with more than %d redirects", mostHops)
	}
	return nil
}

// send tells one receiver and gives what it said. The error is a *sendError.
func (s *sender) send(ctx context.Context, r *notify.Receiver, d *notify.Delivery) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if r.Type == "email" {
		said, err = s.mail(ctx, r, d)
	} else {
		said, err = s.post(ctx, r, d)
	}
	if known := (*sendError)(nil); err == nil || errors.As(err, &known) {
		return said, err
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", &sendError{what: fmt.Sprintf("it did not answer within %s", sendTime)}
	}
	return "", &sendError{what: oneLine(err.Error())}
}

func (s *sender) post(ctx context.Context, r *notify.Receiver, d *notify.Delivery) (string, error) {
	body, err := d.Body(r.Type, s.now())
	if err != nil {
		return "", err
	}
	address, err := url.Parse(r.URL)
	if err != nil {
		return "", &sendError{what: "its url cannot be read"}
	}
	if r.Type == "alertmanager" && !strings.HasSuffix(address.Path, alertsV2) {
		address = address.JoinPath(alertsV2)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return "", &sendError{what: "its url cannot be read"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "fairlead/"+s.version)
	req.Header.Set(deliveryID, d.ID)
	if r.Secret != "" {
		req.Header.Set(notify.Signature, notify.Sign(r.Secret, body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // it would repeat the URL
		}
		return "", err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4*sendAnswer)) // what it says beside its status is for people
	said := strings.TrimSuffix(resp.Status+": "+oneLine(string(answer)), ": ")
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", &sendError{what: "it answered " + said, after: retryAfter(resp.Header.Get("Retry-After"), s.now())}
	}
	return said, nil
}

// retryAfter reads seconds or a date; 0 for anything else.
func retryAfter(header string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(header); err == nil && n > 0 && n < 1<<30 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// oneLine makes a short line of what somebody else said.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > sendAnswer {
		return string(r[:sendAnswer]) + "…"
	}
	return text
}
