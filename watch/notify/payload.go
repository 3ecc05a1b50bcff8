package notify

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// Signature is the header of a webhook's HMAC-SHA-256 of the body with the receiver's secret, in hex after "sha256=".
const Signature = "X-Fairlead-Signature"

// Sign is the value of that header.
func Sign(secret string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(body) // never fails
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// word says in one word, and with a sign that people see first.
func (i *Incident) word() string {
	switch {
	case i.State == Resolved:
		return "resolved"
	case i.Harm == "hurts":
		return "drift that hurts"
	}
	return "drift"
}

// subject is a line.
func (d *Delivery) subject() string {
	text := fmt.Sprintf("[%s] %s: %s", d.Incident.Deployment, d.Incident.word(), d.Incident.Title)
	if d.Again {
		text += " (still)"
	}
	return text
}

// plain is the message as text.
func (d *Delivery) plain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", d.subject(), d.Incident.Text)
	for _, a := range d.Incident.Advice {
		fmt.Fprintf(&b, "- %s\n", a)
	}
	if d.Incident.Link != "" {
		fmt.Fprintf(&b, "\n%s\n", d.Incident.Link)
	}
	return b.String()
}

// Body is what is sent over HTTP to a receiver of a type: JSON.
func (d *Delivery) Body(kind string, now time.Time) ([]byte, error) {
	switch kind {
	case "slack":
		return json.Marshal(map[string]any{
			"text":   d.subject(),
			"blocks": []any{map[string]any{"type": "section", "text": map[string]string{"type": "mrkdwn", "text": slackText(d)}}},
		})
	case "alertmanager":
		alert := map[string]any{
			"labels": map[string]string{
				"alertname": "FairleadDrift", "deployment": d.Incident.Deployment, "incident": d.Incident.ID, "severity": severity(d.Incident.Harm),
			},
			"annotations": map[string]string{"summary": d.Incident.Title, "description": d.Incident.Text},
			"startsAt":    d.Incident.Since.UTC().Format(time.RFC3339), "generatorURL": d.Incident.Link,
		}
		if d.Incident.State == Resolved {
			alert["endsAt"] = now.UTC().Format(time.RFC3339)
		}
		return json.Marshal([]any{alert})
	}
	return json.Marshal(struct {
		Version  int      `json:"version"`
		Again    bool     `json:"again,omitempty"`
		Incident Incident `json:"incident"`
	}{1, d.Again, d.Incident})
}

func severity(harm string) string {
	if harm == "hurts" {
		return "critical"
	}
	return "warning"
}

// slackText escapes what Slack gives a meaning.
func slackText(d *Delivery) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	text := "*" + escape.Replace(d.subject()) + "*\n" + escape.Replace(d.Incident.Text)
	for _, a := range d.Incident.Advice {
		text += "\n• " + escape.Replace(a)
	}
	if d.Incident.Link != "" {
		text += "\n<" + d.Incident.Link + "|Look at it>"
	}
	return text
}

// Mail is the message as an e-mail (RFC 5322), with its headers.
func (d *Delivery) Mail(from string, to []string, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	line := strings.NewReplacer("\r", " ", "\n", " ")
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\n", line.Replace(from), line.Replace(strings.Join(to, ", ")), mime.QEncoding.Encode("utf-8", line.Replace(d.subject())))
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%x.%d@fairlead>\r\nMIME-Version: 1.0\r\n", now.Format(time.RFC1123Z), sha256.Sum256([]byte(d.Incident.ID+string(d.Incident.State)+d.Receiver)), now.UnixNano())
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ReplaceAll(d.plain(), "\n", "\r\n"))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
