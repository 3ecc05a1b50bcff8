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

// word says what it is about.
func (d *Delivery) word() string {
	switch {
	case d.Test:
		return "test"
	case d.Incident.State == Resolved:
		return "resolved"
	case d.Incident.Harm == worst:
		return "drift that hurts"
	}
	return "drift"
}

// subject is a line.
func (d *Delivery) subject() string {
	text := fmt.Sprintf("[%s] %s: %s", d.Incident.Deployment, d.word(), d.Incident.Title)
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
			"text":   slackEscape.Replace(d.subject()),
			"blocks": []any{map[string]any{"type": "section", "text": map[string]string{"type": "mrkdwn", "text": slackText(d)}}},
		})
	case "alertmanager":
		return json.Marshal([]any{d.alert(now)})
	}
	return json.Marshal(struct {
		Version  int       `json:"version"`
		Delivery string    `json:"delivery"`
		Sent     time.Time `json:"sent"`
		Test     bool      `json:"test,omitempty"`
		Again    bool      `json:"again,omitempty"`
		Incident Incident  `json:"incident"`
	}{1, d.ID, now.UTC(), d.Test, d.Again, d.Incident})
}

// Test is a message that says nothing but that it came. page is where the server's page is, "" if that is not known.
func Test(page string, now time.Time) Delivery {
	return Delivery{Test: true, Incident: Incident{
		ID: "test", Deployment: "test", State: Firing, Harm: "quiet", Title: "a message to try the receiver out",
		Text: "Somebody asked for this message. Nothing has drifted.", Columns: []string{}, Alerts: []Member{}, Since: now.UTC(), Link: page,
	}}
}

// alert is one of Alertmanager's. Its labels, by which alerts are told apart, change when it begins to hurt, and
// not again until it is over.
func (d *Delivery) alert(now time.Time) map[string]any {
	name := "FairleadDrift"
	if d.Test {
		name = "FairleadTest"
	}
	alert := map[string]any{
		"labels":      map[string]string{"alertname": name, "deployment": d.Incident.Deployment, "incident": d.Incident.ID, "severity": d.severity()},
		"annotations": map[string]string{"summary": d.subject(), "description": d.Incident.Text, "harm": d.Incident.Harm},
		"startsAt":    d.Incident.Since.UTC().Format(time.RFC3339),
	}
	if d.Incident.Link != "" {
		alert["generatorURL"] = d.Incident.Link
	}
	switch {
	case d.Incident.State == Resolved:
		alert["endsAt"] = now.UTC().Format(time.RFC3339)
	case d.Test:
		alert["endsAt"] = now.UTC().Add(time.Minute).Format(time.RFC3339)
	}
	return alert
}

func (d *Delivery) severity() string {
	if d.Incident.Harm == worst || d.hurt {
		return "critical"
	}
	return "warning"
}

// mostSlack is how long a section of a Slack message may be: a longer one is refused, again and again.
const mostSlack = 3000

// slackEscape takes their meaning from what calls people and makes links.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackText escapes what Slack gives a meaning, and leaves out what would be too much.
func slackText(d *Delivery) string {
	end := ""
	if d.Incident.Link != "" {
		end = "\n<" + d.Incident.Link + "|Look at it>"
	}
	var b strings.Builder
	room := mostSlack - len(end) - len("…")
	add := func(text string) bool {
		for _, r := range text { // by characters: an escaped one is not cut in two
			piece := slackEscape.Replace(string(r))
			if b.Len()+len(piece) > room {
				b.WriteString("…")
				return false
			}
			b.WriteString(piece)
		}
		return true
	}
	title := []rune(strings.NewReplacer("\r", " ", "\n", " ").Replace(d.subject()))
	whole := add("*"+string(title[:min(len(title), 300)])+"*") && add("\n"+d.Incident.Text)
	for i := 0; whole && i < len(d.Incident.Advice); i++ {
		whole = add("\n• " + d.Incident.Advice[i])
	}
	return b.String() + end
}

// Mail is the message as an e-mail (RFC 5322), with its headers.
func (d *Delivery) Mail(from string, to []string, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	line := strings.NewReplacer("\r", " ", "\n", " ")
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\n", line.Replace(from), line.Replace(strings.Join(to, ", ")), mime.QEncoding.Encode("utf-8", line.Replace(d.subject())))
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%s@fairlead>\r\nMIME-Version: 1.0\r\n", now.Format(time.RFC1123Z), d.ID)
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
