package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/notify"
)

// mail hands a message to a mail server: over TLS from the start (smtps), or as soon as the server offers it (smtp). A password is
// never sent without.
func (s *sender) mail(ctx context.Context, r *notify.Receiver, d *notify.Delivery) (string, error) {
	message, err := d.Mail(r.From, r.To, s.now())
	if err != nil {
		return "", err
	}
	address, err := url.Parse(r.URL)
	if err != nil {
		return "", &sendError{what: "its url cannot be read"}
	}
	host, port := address.Hostname(), cmp.Or(address.Port(), map[string]string{"smtps": "465", "smtp": "587"}[address.Scheme])
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends whatever waits
	trust := &tls.Config{ServerName: host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if address.Scheme == "smtps" {
		conn = tls.Client(conn, trust)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := greet(c, r, host, trust); err != nil {
		return "", err
	}
	return deliver(c, r, message)
}

// greet says who calls, and logs in.
func greet(c *smtp.Client, r *notify.Receiver, host string, trust *tls.Config) error {
	if name, err := os.Hostname(); err == nil && !strings.ContainsAny(name, "\r\n ") {
		if err := c.Hello(name); err != nil {
			return err
		}
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		if err := c.StartTLS(trust); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if r.User == "" {
		return nil
	}
	_, safe := c.TLSConnectionState()
	if !safe && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return &sendError{what: "the mail server offers no TLS: the password was not sent"}
	}
	_, ways := c.Extension("AUTH")
	var how smtp.Auth
	switch offered := strings.Fields(strings.ToUpper(ways)); {
	case slices.Contains(offered, "PLAIN"):
		how = smtp.PlainAuth("", r.User, r.Secret, host)
	case slices.Contains(offered, "LOGIN"):
		how = &loginAuth{r.User, r.Secret}
	case slices.Contains(offered, "CRAM-MD5"):
		how = smtp.CRAMMD5Auth(r.User, r.Secret)
	default:
		return &sendError{what: fmt.Sprintf("the mail server offers none of PLAIN, LOGIN and CRAM-MD5 to log in (it offers %q)", oneLine(ways))}
	}
	if err := c.Auth(how); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// deliver hands it over for every address that the server takes: one that is refused does not keep it from the others.
func deliver(c *smtp.Client, r *notify.Receiver, message []byte) (string, error) {
	from, err := mail.ParseAddress(r.From)
	if err != nil {
		return "", err
	}
	if err := c.Mail(from.Address); err != nil {
		return "", fmt.Errorf("from %s: %w", from.Address, err)
	}
	var refused []error
	for _, to := range r.To {
		a, err := mail.ParseAddress(to)
		if err == nil {
			err = c.Rcpt(a.Address)
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("to %s: %w", to, err))
		}
	}
	if len(refused) == len(r.To) {
		return "", errors.Join(refused...)
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil { // the server's answer to the message
		return "", err
	}
	_ = c.Quit() // it has the message
	said := fmt.Sprintf("taken for %d of %d addresses", len(r.To)-len(refused), len(r.To))
	if len(refused) > 0 {
		said += "; " + oneLine(errors.Join(refused...).Error())
	}
	return said, nil
}

// loginAuth is the LOGIN mechanism, which some servers offer alone.
type loginAuth struct{ user, password string }

func (a *loginAuth) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (a *loginAuth) Next(question []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch strings.ToLower(strings.TrimSpace(string(question))) {
	case "username:", "user name":
		return []byte(a.user), nil
	case "password:", "password":
		return []byte(a.password), nil
	}
	return nil, fmt.Errorf("the mail server asks for %q", oneLine(string(question)))
}
