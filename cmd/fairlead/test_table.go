package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/check"
)

// mark is a verdict as one sign.
func mark(r api.TestResult) string {
	switch {
	case r.Fails:
		return "✗"
	case r.Verdict == "too_few":
		return "?"
	case r.Verdict == "skipped":
		return "–"
	}
	return "✓"
}

// testTable is a report for people.
func testTable(r api.TestReport, all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Subject)
	if r.Digest != "" {
		fmt.Fprintf(&b, " (%s)", fairlead.Digest(r.Digest).Short())
	}
	fmt.Fprintf(&b, " on %s\n", r.Host)
	if r.Rows > 0 {
		fmt.Fprintf(&b, "evaluation set of %d rows\n", r.Rows)
	}
	if r.Builtin {
		b.WriteString("it has no tests of its own: asked is what needs no numbers\n")
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "note: %s\n", w)
	}
	b.WriteByte('\n')
	asked, width, undecided := []api.TestResult{}, 0, 0
	for _, x := range r.Results {
		if x.Verdict == "too_few" && !x.Fails {
			undecided++
		}
		if x.Text != check.NotAsked {
			asked, width = append(asked, x), max(width, min(44, utf8.RuneCountInString(x.Name)))
		}
	}
	for _, x := range asked {
		name := clip(x.Name, width)
		fmt.Fprintf(&b, "%s %s%s %s  %s\n", mark(x), name, strings.Repeat(" ", width-utf8.RuneCountInString(name)), interval(x.Value, x.Low, x.High, x.Bound), x.Text)
		if x.Why != "" && x.Fails {
			fmt.Fprintf(&b, "    why it is asked: %s\n", x.Why)
		}
		writeGroups(&b, x, all)
		for _, w := range x.Worst {
			writeRow(&b, w)
		}
	}
	left := len(r.Results) - len(asked)
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d cannot tell, %d skipped", r.Passed, r.Failed, undecided, r.Skipped-left)
	if left > 0 {
		fmt.Fprintf(&b, ", %d not asked for", left)
	}
	fmt.Fprintf(&b, ", in %.1f s\n", r.Seconds)
	return b.String()
}

// clip is a text of at most so many letters.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most-1]) + "…"
	}
	return s
}

// writeGroups shows the segments that fail; with all, every one.
func writeGroups(b *strings.Builder, x api.TestResult, all bool) {
	width := 0
	show := func(g api.TestGroup) bool { return all || g.Verdict == "failed" }
	for _, g := range x.Groups {
		if show(g) {
			width = max(width, utf8.RuneCountInString(g.Name))
		}
	}
	for _, g := range x.Groups {
		if !show(g) {
			continue
		}
		sign := map[string]string{"passed": "✓", "failed": "✗", "too_few": "?"}[g.Verdict]
		value := "-"
		if g.Value != nil {
			value = fmt.Sprintf("%.4g", *g.Value)
			if g.Low != nil && g.High != nil {
				value += fmt.Sprintf(" [%.4g, %.4g]", *g.Low, *g.High)
			}
		}
		fmt.Fprintf(b, "    %s %s%s %s  %s  n %d\n", sign, g.Name, strings.Repeat(" ", width-utf8.RuneCountInString(g.Name)),
			interval(g.Value, g.Low, g.High, x.Bound), value, g.N)
	}
}

func writeRow(b *strings.Builder, w api.TestRow) {
	at := ""
	if w.Row >= 0 {
		at = fmt.Sprintf("row %d: ", w.Row)
	}
	if w.Group != "" {
		at = w.Group + ", " + at
		at = strings.TrimSuffix(at, ", ") + map[bool]string{true: "", false: ": "}[w.Row >= 0]
	}
	fmt.Fprintf(b, "      %s%s", at, w.Text)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(w.Inputs)) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, w.Inputs[k]))
	}
	if len(parts) > 8 {
		parts = append(parts[:8], "…")
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "  {%s}", strings.Join(parts, " "))
	}
	b.WriteByte('\n')
}

// interval draws a value ● with its interval ─ and the bound │ on a common scale of 20 places.
func interval(value, low, high, bound *float64) string {
	const places = 20
	var xs []float64
	for _, p := range []*float64{value, low, high, bound} {
		if p != nil {
			xs = append(xs, *p)
		}
	}
	if value == nil || bound == nil {
		return strings.Repeat(" ", places)
	}
	least, most := slices.Min(xs), slices.Max(xs)
	room := (most - least) / 4
	if room == 0 {
		room = math.Max(math.Abs(most)/4, 1e-9)
	}
	least, most = least-room, most+room
	place := func(x float64) int { return min(places-1, max(0, int((x-least)/(most-least)*places))) }
	line := []rune(strings.Repeat("·", places))
	if low != nil && high != nil {
		for i := place(*low); i <= place(*high); i++ {
			line[i] = '─'
		}
	}
	line[place(*bound)] = '│'
	line[place(*value)] = '●'
	return string(line)
}

// JUnit's report, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Hostname  string      `xml:"hostname,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",cdata"`
	}
)

func junitXML(w io.Writer, r api.TestReport) error {
	seconds := func(s float64) string { return fmt.Sprintf("%.3f", s) }
	s := junitSuite{
		Name: r.Subject, Tests: len(r.Results), Failures: r.Failed, Time: seconds(r.Seconds), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05"), Hostname: r.Host,
	}
	for _, x := range r.Results {
		c := junitCase{Name: x.Name, Class: r.Model + "." + x.Kind, Time: seconds(x.Seconds)}
		switch {
		case x.Fails:
			var b strings.Builder
			fmt.Fprintln(&b, x.Text)
			writeGroups(&b, x, false)
			for _, row := range x.Worst {
				writeRow(&b, row)
			}
			c.Failure = &junitMessage{Message: x.Text, Type: x.Verdict, Text: b.String()}
		case x.Verdict == "passed":
			c.Out = x.Text
		default: // a row count that cannot tell is no failure, and not a pass
			s.Skipped++
			c.Skipped = &junitMessage{Message: x.Text}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Tests: s.Tests, Failures: s.Failures, Skipped: s.Skipped, Time: s.Time, Suites: []junitSuite{s}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
