package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/compare"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"verdict": Verdict, "count": count, "thousands": thousands, "number": number, "percent": percent, "chance": chance,
	"state": state, "course": course, "change": change, "together": together, "estimated": estimated,
	"cause": func(p *compare.Performance) string { return causes[p.Cause] },
	"bars":  bars, "strip": strip, "noise": noise,
	"day": func(s string) string { return moment(s, "day") },
}).Parse(page))

// HTML renders one file that needs nothing else: no script, no font, no picture from anywhere.
func HTML(r *compare.Report, made string) ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, struct {
		*compare.Report
		Made string
	}{r, made}); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return b.Bytes(), nil
}

// The numbers below are drawn by this package from finite numbers, so that they are safe to be taken as they are.

// mostBars of a column of categories.
const mostBars = 24

// bars draws the two distributions over each other: filled the reference, a line the current rows.
func bars(c compare.Column, width, height int) template.HTML {
	if len(c.Bins) == 0 {
		return ""
	}
	shown := c.Bins
	if len(shown) > mostBars && c.Kind != "numeric" { // the most frequent, and what is none of the reference's
		var rare []compare.Bin
		for _, bin := range shown[mostBars:] {
			if bin.Kind != "category" && bin.Kind != "value" {
				rare = append(rare, bin)
			}
		}
		shown = append(slices.Clone(shown[:mostBars]), rare...)
	}
	top := 1e-9
	for _, bin := range shown {
		top = math.Max(top, math.Max(float64(bin.Reference), float64(bin.Current)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" class="bars" role="img" aria-label="distributions of %s">`,
		width, height, width, height, template.HTMLEscapeString(c.Name))
	step := float64(width) / float64(len(shown))
	for i, bin := range shown {
		x, h, k := float64(i)*step, float64(bin.Reference)/top*float64(height-2), float64(bin.Current)/top*float64(height-2)
		fmt.Fprintf(&b, `<g><title>%s: %s → %s</title><rect class="was" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`,
			template.HTMLEscapeString(bin.Label), percent(bin.Reference), percent(bin.Current), x+0.5, float64(height)-h, math.Max(step-1, 0.5), h)
		fmt.Fprintf(&b, `<rect class="is" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/></g>`, x+step*0.25, float64(height)-k, math.Max(step*0.5, 0.5), k)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // #nosec G203 -- every text in it is escaped
}

// strip draws the drift of each window as a row of cells.
func strip(r *compare.Report, c compare.Column, width, height int) template.HTML {
	if len(c.Series) == 0 || r.Windows == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" class="strip" preserveAspectRatio="none" role="img" aria-label="drift of %s over time">`,
		width, height, width, height, template.HTMLEscapeString(c.Name))
	step := float64(width) / float64(len(c.Series))
	for i, v := range c.Series {
		x := float64(v)
		class := "few"
		switch {
		case math.IsNaN(x):
		case x >= 0.25:
			class = "strong"
		case x >= 0.1:
			class = "near"
		default:
			class = "quiet"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%.2f" y="0" width="%.2f" height="%d"><title>%s: PSI %s</title></rect>`,
			class, float64(i)*step, step+0.05, height, moment(r.Windows.Starts[i], r.Windows.Length), number(v))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // #nosec G203 -- every text in it is escaped
}

// noise draws PSI beside what chance alone gives, on a scale of roots: small values matter.
func noise(c compare.Column, width, height int) template.HTML {
	psi, floor := float64(c.PSI), float64(c.PSIFloor)
	if math.IsNaN(psi) || math.IsNaN(floor) {
		return ""
	}
	at := func(v float64) float64 { return math.Min(1, math.Sqrt(math.Max(v, 0))) * float64(width) }
	class := "ok"
	if c.Drifted {
		class = "bad"
	}
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" width="%d" height="%d" class="noise" role="img" aria-label="PSI %s, noise %s"><rect class="track" width="%d" height="%d" rx="3"/><rect class="%s" width="%.1f" height="%d" rx="3"/><rect class="floor" x="%.1f" width="2" height="%d"/></svg>`, // #nosec G203 -- numbers
		width, height, width, height, number(c.PSI), number(c.PSIFloor), width, height, class, at(psi), height, at(floor), height))
}
