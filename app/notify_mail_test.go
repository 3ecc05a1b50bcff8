package app

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/watch/notify"
)

// mailServer speaks as much SMTP as a client needs.
type mailServer struct {
	listener net.Listener
	config   *tls.Config
	roots    *x509.CertPool
	tls      bool              // it offers STARTTLS
	auth     string            // mechanisms that it offers
	refuse   map[string]string // answers by beginning of the command

	mu       sync.Mutex
	letters  []string
	said     []string // by the client, without the letters
	sessions sync.WaitGroup
}

func newMailServer(t *testing.T, change func(*mailServer)) *mailServer {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	s := &mailServer{config: &tls.Config{Certificates: web.TLS.Certificates}, roots: x509.NewCertPool(), tls: true, auth: "PLAIN LOGIN"}
	s.roots.AddCert(web.Certificate())
	if change != nil {
		change(s)
	}
	var err error
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.sessions.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.sessions.Go(func() { s.session(conn) })
		}
	})
	t.Cleanup(func() {
		_ = s.listener.Close()
		s.sessions.Wait()
	})
	return s
}

func (s *mailServer) url() string { return "smtp://" + s.listener.Addr().String() }

func (s *mailServer) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.letters...)
}

func (s *mailServer) session(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	in := bufio.NewReader(conn)
	say := func(text string) { fmt.Fprintf(conn, "%s\r\n", text) }
	line := func() string {
		text, _ := in.ReadString('\n')
		s.mu.Lock()
		s.said = append(s.said, strings.TrimSpace(text))
		s.mu.Unlock()
		return strings.TrimSpace(text)
	}
	say("220 mail.example.com ESMTP")
	secure := false
	for {
		command := line()
		if command == "" {
			return
		}
		answer := ""
		for start, refusal := range s.refuse {
			if strings.HasPrefix(strings.ToUpper(command), start) {
				answer = refusal
			}
		}
		verb, _, _ := strings.Cut(strings.ToUpper(command), " ")
		switch {
		case answer != "":
			say(answer)
		case verb == "EHLO":
			say("250-mail.example.com")
			if s.tls && !secure {
				say("250-STARTTLS")
			}
			if s.auth != "" && (secure || !s.tls) {
				say("250-AUTH " + s.auth)
			}
			say("250 8BITMIME")
		case verb == "STARTTLS":
			say("220 go ahead")
			safe := tls.Server(conn, s.config)
			conn, in, secure = safe, bufio.NewReader(safe), true
		case verb == "AUTH":
			if strings.HasPrefix(strings.ToUpper(command), "AUTH LOGIN") {
				say("334 " + base64.StdEncoding.EncodeToString([]byte("Username:")))
				line()
				say("334 " + base64.StdEncoding.EncodeToString([]byte("Password:")))
				line()
			}
			say("235 welcome")
		case verb == "DATA":
			say("354 end with a dot")
			var b strings.Builder
			for {
				text, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if text == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(text, "."))
			}
			s.mu.Lock()
			s.letters = append(s.letters, b.String())
			s.mu.Unlock()
			say("250 queued")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *mailServer) heard(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.said, "\n"), text)
}

// What arrives is a mail with the text, over TLS where the server offers it, and a password goes nowhere else.
func TestMail(t *testing.T) {
	const user, password = "fairlead", "very-secret"
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	for name, x := range map[string]struct {
		change     func(*mailServer)
		receiver   func(*notify.Receiver)
		said, want string // the answer; part of the error
		heard      string
	}{
		"starttls and plain": {said: "taken for 2 of 2 addresses", heard: "AUTH PLAIN " + plain},
		"login":              {change: func(s *mailServer) { s.auth = "LOGIN" }, said: "taken for 2 of 2 addresses", heard: base64.StdEncoding.EncodeToString([]byte(password))},
		"nobody logs in":     {receiver: func(r *notify.Receiver) { r.User, r.Secret = "", "" }, said: "taken for 2 of 2 addresses", heard: "MAIL FROM:<fairlead@example.com>"},
		"on this machine":    {change: func(s *mailServer) { s.tls = false }, said: "taken for 2 of 2 addresses", heard: "AUTH PLAIN " + plain},
		"a strange mechanism": {
			change: func(s *mailServer) { s.auth = "NTLM" }, want: "offers none of PLAIN, LOGIN and CRAM-MD5",
		},
		"a certificate of nobody": {change: func(s *mailServer) { s.roots = x509.NewCertPool() }, want: "STARTTLS: tls: failed to verify certificate"},
		"the password is wrong":   {change: func(s *mailServer) { s.refuse = map[string]string{"AUTH": "535 no"} }, want: `log in: 535 "no"`},
		"one address is refused": {
			change: func(s *mailServer) { s.refuse = map[string]string{"RCPT TO:<ANN": "550 unknown"} }, said: `taken for 1 of 2 addresses; to Ann <ann@example.com>: 550 "unknown"`,
		},
		"all addresses are":   {change: func(s *mailServer) { s.refuse = map[string]string{"RCPT": "550 unknown"} }, want: `bob@example.com: 550 "unknown"`},
		"the sender is":       {change: func(s *mailServer) { s.refuse = map[string]string{"MAIL": "554 spam"} }, want: `from fairlead@example.com: 554 "spam"`},
		"the letter is":       {change: func(s *mailServer) { s.refuse = map[string]string{"DATA": "451 later"} }, want: `451 "later"`},
		"nobody answers":      {change: func(s *mailServer) { s.refuse = map[string]string{"EHLO": "421 busy", "HELO": "421 busy"} }, want: `421 "busy"`},
		"no TLS where needed": {receiver: func(r *notify.Receiver) { r.URL = strings.Replace(r.URL, "smtp:", "smtps:", 1) }, want: "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newMailServer(t, x.change)
			s := newSender("test", server.roots, func() time.Time { return noon })
			defer s.close()
			r := notify.Receiver{
				Name: "ops", Type: "email", URL: server.url(), User: user, Secret: password, From: "fairlead@example.com", To: []string{"Ann <ann@example.com>", "bob@example.com"},
			}
			if x.receiver != nil {
				x.receiver(&r)
			}
			d := notify.Delivery{ID: "4b7c", Incident: notify.Incident{
				Deployment: "flights", State: notify.Firing, Harm: "hurts", Title: "distance, é", Text: "…has drifted.\n.\nAnd more.", Advice: []string{"roll back"},
			}}
			said, err := s.send(t.Context(), &r, &d)
			if err != nil {
				var e *sendError
				if x.want == "" || !errors.As(err, &e) || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), password) {
					t.Errorf("%v, want %q", err, x.want)
				}
				if len(server.got()) > 0 {
					t.Error("there is a letter all the same")
				}
				return
			}
			if said != x.said || x.heard != "" && !server.heard(x.heard) {
				t.Errorf("said %q, want %q; heard %v, want %q", said, x.said, server.said, x.heard)
			}
			if got := server.got(); len(got) != 1 {
				t.Fatalf("%d letters", len(got))
			}
			m, err := mail.ReadMessage(strings.NewReader(server.got()[0]))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			want := "[flights] drift that hurts: distance, é\r\n\r\n…has drifted.\r\n.\r\nAnd more.\r\n- roll back\r\n"
			if string(body) != want || m.Header.Get("Message-Id") != "<4b7c@fairlead>" || m.Header.Get("To") != "Ann <ann@example.com>, bob@example.com" {
				t.Errorf("%v\n%q", m.Header, body)
			}
		})
	}
}

// Elsewhere than on this machine a password is not sent without TLS.
func TestPasswordNeedsTLS(t *testing.T) {
	server := newMailServer(t, func(s *mailServer) { s.tls = false })
	_, port, err := net.SplitHostPort(server.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.To4() == nil {
			continue
		}
		outside, err := net.Listen("tcp", net.JoinHostPort(n.IP.String(), port))
		if err != nil {
			continue
		}
		server.sessions.Go(func() {
			if conn, err := outside.Accept(); err == nil {
				server.session(conn)
			}
		})
		s := newSender("test", nil, time.Now)
		r := notify.Receiver{Name: "ops", Type: "email", URL: "smtp://" + outside.Addr().String(), User: "u", Secret: "very-secret", From: "a@example.com", To: []string{"b@example.com"}}
		d := notify.Test("", noon)
		_, err = s.send(t.Context(), &r, &d)
		if err == nil || !strings.Contains(err.Error(), "offers no TLS: the password was not sent") || server.heard("AUTH") {
			t.Errorf("%v; heard %v", err, server.said)
		}
		s.close()
		_ = outside.Close()
		return
	}
	t.Skip("this machine has no address beside loopback")
}
