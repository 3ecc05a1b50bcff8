package rollout

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
)

// Parse reads a policy in YAML or JSON, fills in the defaults and checks it. "{}" and an empty document are Default().
// An error is CodeInvalid and names the line, the key and, for an unknown key, the nearest known one.
func Parse(document []byte) (Policy, error) {
	const most = 1 << 20
	if len(document) > most {
		return Policy{}, fairlead.Errorf(fairlead.CodeTooLarge, "the rollout policy has %d bytes; at most %d are read", len(document), most)
	}
	if json.Valid(document) { // tabs are white space in JSON but not in YAML; inside strings they are escaped
		document = bytes.ReplaceAll(document, []byte{'\t'}, []byte{' '})
	}
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return Policy{}, fairlead.Invalid("the rollout policy is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: ")).Cause(err)
	}
	if root.Kind == 0 {
		return Default(), nil
	}
	return ParseNode(root.Content[0])
}

// ParseNode is Parse for a part of a larger YAML document, whose line numbers its errors keep.
func ParseNode(n *yaml.Node) (Policy, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return Default(), nil
	}
	p, err := readPolicy(node{n, ""})
	if err != nil {
		return Policy{}, err
	}
	p.fill()
	return p, p.Validate()
}

func readPolicy(n node) (Policy, error) {
	p := Policy{Gates: defaultGates()}
	known := []string{
		"kind", "stages", "bake", "budget", "promotion", "undecided", "gates", "metrics", "zone", "freeze", "arms", "bandit", "duration",
	}
	err := n.fields(known, func(key string, v node) (err error) {
		switch key {
		case "kind":
			return oneOf(v, &p.Kind, KindRollout, KindExperiment, KindBandit)
		case "stages":
			p.Stages = []Stage{}
			return v.items("a list of stages such as [shadow, 1%, 5%, 25%, 50%, 100%]", func(v node) error {
				s, err := readStage(v)
				p.Stages = append(p.Stages, s)
				return err
			})
		case "bake":
			return v.duration(&p.Bake)
		case "budget":
			return v.fraction(&p.Budget, 1e-6, 0.5)
		case "promotion":
			return v.fraction(&p.Promotion, 1e-6, 0.5)
		case "undecided":
			return oneOf(v, &p.Undecided, Hold, Promote, Abort)
		case "gates":
			return v.fields(GateNames(), func(name string, v node) error {
				g := p.Gates[name]
				err := readGate(v, &g)
				p.Gates[name] = g
				return err
			})
		case "metrics":
			return v.items("a list of metrics", func(v node) error {
				m, err := readMetric(v)
				p.Metrics = append(p.Metrics, m)
				return err
			})
		case "zone":
			p.Zone, err = v.text("a time zone such as Europe/Berlin")
			return err
		case "freeze":
			return v.items("a list of freeze windows", func(v node) error {
				f, err := readFreeze(v)
				p.Freeze = append(p.Freeze, f)
				return err
			})
		case "arms":
			return v.items("a list of versions and weights", func(v node) error {
				a, err := readArm(v)
				p.Arms = append(p.Arms, a)
				return err
			})
		case "bandit":
			p.Bandit, err = readBandit(v)
			return err
		}
		return v.duration(&p.Duration)
	})
	return p, err
}

func readStage(n node) (s Stage, err error) {
	if n.Kind == yaml.ScalarNode {
		return s, n.share(&s.Traffic)
	}
	given := false
	err = n.fields([]string{"traffic", "requests", "time", "max", "undecided", "slack", "approve"}, func(key string, v node) error {
		switch key {
		case "traffic":
			given = true
			return v.share(&s.Traffic)
		case "requests":
			return v.count(&s.Requests)
		case "time":
			return v.duration(&s.Time)
		case "max":
			return v.duration(&s.Max)
		case "undecided":
			return oneOf(v, &s.Undecided, Hold, Promote, Abort)
		case "slack":
			return v.fraction(&s.Slack, 1, 100)
		}
		return v.boolean(&s.Approve)
	})
	if err == nil && !given {
		err = n.errorf("%s: the key traffic is missing", n.key).Hintf("write {traffic: 5%%, …}")
	}
	return s, err
}

// readGate changes g by what is said: "off", "report", "hold", "abort" or a mapping.
func readGate(n node, g *Gate) error {
	if n.Kind == yaml.ScalarNode {
		if n.Value == "false" {
			g.Mode = ModeOff
			return nil
		}
		return oneOf(n, &g.Mode, ModeAbort, ModeHold, ModeReport, ModeOff)
	}
	return n.fields(gateKeys, g.read)
}

var gateKeys = []string{"mode", "required", "relative", "absolute", "weight"}

func (g *Gate) read(key string, v node) error {
	switch key {
	case "mode":
		return oneOf(v, &g.Mode, ModeAbort, ModeHold, ModeReport, ModeOff)
	case "required":
		return v.boolean(&g.Required)
	case "relative":
		return v.fraction(&g.Relative, 0, 100)
	case "absolute":
		return v.fraction(&g.Absolute, 0, 1e12)
	}
	return v.fraction(&g.Weight, 0, 1000)
}

func readMetric(n node) (m Metric, err error) {
	m = Metric{Least: 200, Gate: Gate{Mode: ModeAbort, Weight: 1}}
	err = n.fields(append([]string{"name", "better", "least", "window"}, gateKeys...), func(key string, v node) error {
		switch key {
		case "name":
			m.Name, err = v.text("the name of a metric or business event")
			return err
		case "better":
			return oneOf(v, &m.Better, Higher, Lower)
		case "least":
			return v.count(&m.Least)
		case "window":
			return v.duration(&m.Window)
		}
		return m.read(key, v)
	})
	switch {
	case err != nil:
	case m.Name == "":
		err = n.errorf("%s: the key name is missing", n.key)
	case m.Better == "":
		err = n.errorf("%s: say which direction is good", n.key).Hintf("better: higher, or better: lower")
	case m.Relative == 0 && m.Absolute == 0:
		m.Relative = 0.05
	}
	return m, err
}

func readFreeze(n node) (f Freeze, err error) {
	err = n.fields([]string{"from", "to", "weekly", "why"}, func(key string, v node) error {
		switch key {
		case "from":
			return v.instant(&f.From)
		case "to":
			return v.instant(&f.To)
		case "weekly":
			f.Weekly = v.Value
			if _, _, err := parseWeekly(v.Value); err != nil || v.Kind != yaml.ScalarNode {
				return v.expected("a weekly range such as fri 16:00 - mon 08:00")
			}
			return nil
		}
		f.Why, err = v.text("a reason")
		return err
	})
	switch {
	case err != nil:
	case f.Weekly != "" && (!f.From.IsZero() || !f.To.IsZero()), f.Weekly == "" && (f.From.IsZero() || f.To.IsZero()):
		err = n.errorf("%s: expected either from and to, or weekly", n.key)
	case f.Weekly == "" && !f.From.Before(f.To):
		err = n.errorf("%s: from (%s) is not before to (%s)", n.key, f.From.Format("2006-01-02 15:04"), f.To.Format("2006-01-02 15:04"))
	}
	return f, err
}

func readArm(n node) (a ArmWeight, err error) {
	err = n.fields([]string{"version", "traffic"}, func(key string, v node) error {
		if key == "traffic" {
			return v.share(&a.Traffic)
		}
		a.Version, err = fairlead.ParseVersion(v.Value)
		if err != nil {
			return v.expected("a version such as 3 or v3")
		}
		return nil
	})
	if err == nil && a.Version == 0 {
		err = n.errorf("%s: the key version is missing", n.key)
	}
	return a, err
}

func readBandit(n node) (*Bandit, error) {
	b := &Bandit{}
	err := n.fields([]string{"event", "better", "posterior", "window", "floor", "every"}, func(key string, v node) (err error) {
		switch key {
		case "event":
			b.Event, err = v.text("the name of a business event")
			return err
		case "better":
			return oneOf(v, &b.Better, Higher, Lower)
		case "posterior":
			return oneOf(v, &b.Posterior, "beta", "normal")
		case "window":
			return v.duration(&b.Window)
		case "floor":
			return v.share(&b.Floor)
		}
		return v.duration(&b.Every)
	})
	return b, err
}

var weekly = regexp.MustCompile(`^(mon|tue|wed|thu|fri|sat|sun) (\d\d):(\d\d) ?- ?(mon|tue|wed|thu|fri|sat|sun) (\d\d):(\d\d)$`)

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// parseWeekly gives the minutes since Monday 00:00 at which the range begins and ends. It may wrap around Sunday.
func parseWeekly(s string) (from, to int, err error) {
	m := weekly.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return 0, 0, fairlead.Invalid("%q is not a weekly range", s).Hintf("write fri 16:00 - mon 08:00")
	}
	minute := func(day, hour, min string) int {
		h, _ := strconv.Atoi(hour)
		i, _ := strconv.Atoi(min)
		if h > 24 || i > 59 || h == 24 && i > 0 {
			return -1
		}
		return slices.Index(weekdays, day)*24*60 + h*60 + i
	}
	from, to = minute(m[1], m[2], m[3]), minute(m[4], m[5], m[6])
	if from < 0 || to < 0 || from == to {
		return 0, 0, fairlead.Invalid("%q is not a weekly range", s).Hintf("hours go from 00:00 to 24:00, and it ends when it begins")
	}
	return from, to, nil
}
