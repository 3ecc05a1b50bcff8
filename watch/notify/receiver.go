package notify

import (
	"cmp"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

const (
	maxReceivers = 32          // each has a worker and metrics of its own
	minRepeat    = time.Minute // more often is noise
)

var receiverName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// schemes by type, the usual one first.
var schemes = map[string][]string{
	"webhook": {"https", "http"}, "slack": {"https", "http"}, "alertmanager": {"http", "https"}, "email": {"smtp", "smtps"},
}

// Check says what is wrong with receivers; the error is CodeInvalid.
func Check(receivers []Receiver) error {
	if len(receivers) > maxReceivers {
		return fairlead.Invalid("notify: there are %d receivers, at most %d are possible", len(receivers), maxReceivers)
	}
	names := map[string]bool{}
	for n := range receivers {
		r := &receivers[n]
		fail := func(hint, format string, args ...any) error {
			return fairlead.Invalid("notify: receiver %s: "+format, append([]any{cmp.Or(r.Name, "number "+strconv.Itoa(n+1))}, args...)...).Hintf("%s", hint)
		}
		switch {
		case r.Name == "" || names[r.Name]:
			return fail("each needs a name of its own", "it has no name, or another one's")
		case !receiverName.MatchString(r.Name):
			return fail("up to 63 letters, digits, dots, dashes and underscores", "the name cannot be used")
		case r.MinHarm != "" && !slices.Contains(harms, r.MinHarm):
			return fail("quiet, unknown, moves or hurts", "min_harm %q is not known", r.MinHarm)
		case schemes[r.Type] == nil:
			return fail("webhook, slack, email or alertmanager", "type %q is not known", r.Type)
		case r.Repeat < 0 || r.Repeat > 0 && r.Repeat < minRepeat:
			return fail("for example 4h", "repeat is %s, 1m or more was expected", r.Repeat)
		case slices.Contains(r.Deployments, ""):
			return fail("* stands for any text, as in shop-*", "a pattern of deployments is empty")
		}
		if err := r.checkAddress(fail); err != nil {
			return err
		}
		names[r.Name] = true
	}
	return nil
}

// checkAddress looks at what says where messages go, and in whose name. It does not repeat a URL: that may be a secret.
func (r *Receiver) checkAddress(fail func(hint, format string, args ...any) error) error {
	example := map[string]string{
		"webhook": "https://hooks.example.com/fairlead", "slack": "https://hooks.slack.com/services/…",
		"alertmanager": "http://alertmanager:9093", "email": "smtp://mail.example.com:587",
	}[r.Type]
	if r.URL == "" {
		return fail("for example "+example, "it has no url")
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes[r.Type], u.Scheme) {
		return fail("for example "+example, "the url of %s begins with %s and a host", article(r.Type), strings.Join(schemes[r.Type], ":// or ")+"://")
	}
	if r.Type != "email" {
		switch {
		case r.From != "" || len(r.To) > 0 || r.User != "":
			return fail("remove them, or say type: email", "user, from and to are those of an e-mail")
		case r.Secret != "" && r.Type != "webhook":
			return fail("user and password of basic authentication go into the url", "%s takes no secret", article(r.Type))
		}
		return nil
	}
	const hint = "from: fairlead@example.com, to: [oncall@example.com]"
	switch {
	case r.From == "" || len(r.To) == 0:
		return fail(hint, "an e-mail needs from and to")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return fail("user: and secret: say who logs in", "the url of an e-mail has a host and a port only")
	case (r.User == "") != (r.Secret == ""):
		return fail("secret: ${SMTP_PASSWORD} takes it from the environment", "a user needs a secret, a secret a user")
	}
	for _, a := range append([]string{r.From}, r.To...) {
		if _, err := mail.ParseAddress(a); err != nil {
			return fail(hint, "%q is no address", a)
		}
	}
	return nil
}

func article(kind string) string {
	if kind == "email" || kind == "alertmanager" {
		return "an " + kind
	}
	return "a " + kind
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// Fill replaces ${NAME} in url, secret and user by what lookup gives; by custom file:PATH is the name of a file. The error is CodeInvalid and names what is not set.
func Fill(receivers []Receiver, lookup func(name string) (string, bool)) ([]Receiver, error) {
	out := slices.Clone(receivers)
	for i := range out {
		r := &out[i]
		for _, field := range []struct {
			name  string
			value *string
		}{{"url", &r.URL}, {"secret", &r.Secret}, {"user", &r.User}} {
			missing := ""
			*field.value = variable.ReplaceAllStringFunc(*field.value, func(m string) string {
				name := m[2 : len(m)-1]
				value, ok := lookup(name)
				if !ok || value == "" {
					missing = m
				}
				return value
			})
			if missing != "" {
				what, hint := "is not set in the environment", "set it before the server starts"
				if strings.HasPrefix(missing, "${file:") {
					what, hint = "is empty or cannot be read", "a file with the value alone, which the server may read"
				}
				return nil, fairlead.Invalid("notify: receiver %s: %s needs %s, which %s", cmp.Or(r.Name, "number "+strconv.Itoa(i+1)), field.name, missing, what).
					Hintf("%s", hint)
			}
		}
	}
	return out, nil
}
