package rollout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count writes 12,345.
func count(n float64) string {
	s := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent writes a rate with the digits that matter: "2%", "0.04%", "12.3%".
func percent(r float64) string {
	p := r * 100
	switch a := math.Abs(p); {
	case a == 0:
		return "0%"
	case a >= 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	case a >= 0.1:
		return strconv.FormatFloat(p, 'f', 2, 64) + "%"
	}
	return strconv.FormatFloat(p, 'g', 2, 64) + "%"
}

// seconds writes "12 ms".
func seconds(s float64) string {
	switch a := math.Abs(s); {
	case a < 1e-3:
		return fmt.Sprintf("%.0f µs", s*1e6)
	case a < 1e-2:
		return fmt.Sprintf("%.1f ms", s*1e3)
	case a < 1:
		return fmt.Sprintf("%.0f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f s", s)
}

// value writes a number in the evidence's unit.
func (e Evidence) value(v float64) string {
	switch {
	case v < -1e300:
		return "-∞"
	case v > 1e300:
		return "∞"
	case e.Unit == "rate":
		return percent(v)
	case e.Unit == "seconds":
		return seconds(v)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// odds writes an e-value: "5,300 to 1".
func odds(log float64) string {
	switch {
	case log > math.Log(1e9):
		return "over a billion to 1"
	case log < 0:
		return "less than 1 to 1"
	case log < math.Log(10):
		return fmt.Sprintf("%.1f to 1", math.Exp(log))
	}
	return count(math.Exp(log)) + " to 1"
}

// describe says what a gate is about, as a phrase.
func describe(gate string) string {
	switch gate {
	case GateErrors:
		return "failed requests"
	case GateInvalid:
		return "answers with NaN or infinity"
	case GateLatencyP50:
		return "the median latency"
	case GateLatencyP95:
		return "the 95th percentile of latency"
	case GateLatencyP99:
		return "the 99th percentile of latency"
	case GateDrift:
		return "the distribution of the scores"
	case GateSegments:
		return "failures"
	case GateSegmentLatency:
		return "the median latency"
	case GateSegmentDifference:
		return "scores that moved by more than a quarter of their standard deviation"
	case GateFlips:
		return "answers of another class"
	case GateDifference:
		return "scores that moved by more than a quarter of their standard deviation"
	case GateMismatch:
		return "answers of another shape or type"
	case GateRatio:
		return "the canary's share of the requests"
	}
	return gate
}

// harmText says what is wrong, as a clause without a full stop.
func harmText(e Evidence, bake bool) string {
	reference := "the live version"
	switch {
	case e.Span > 0:
		reference = "both versions before that"
	case bake:
		reference = "the old version before"
	}
	proof := fmt.Sprintf("the evidence against “not worse” is %s, %s are enough", odds(e.LogE), odds(e.Threshold))
	of := func(s Side) string {
		return fmt.Sprintf("%s (%s of %s)", percent(s.Value), count(s.Events), count(s.N))
	}
	where := ""
	if e.Span > 0 {
		where = fmt.Sprintf("in the last %s, ", e.Span)
	}
	if e.Segment != "" {
		where += "in the segment " + e.Segment + ", "
	}
	switch {
	case e.Unit == "rate" && e.Live.N > 0 && e.Gate == GateRatio:
		return ratioText(e)
	case e.Unit == "rate" && e.Live.N > 0:
		return fmt.Sprintf("%s%s are %s of the canary's requests against %s of %s; %s", where, describe(e.Gate), of(e.Canary), of(e.Live), reference, proof)
	case e.Unit == "rate":
		return fmt.Sprintf("%s%s are %s where %s is tolerated; %s", where, describe(e.Gate), of(e.Canary), percent(e.Tolerance), proof)
	case e.Unit == "seconds":
		return fmt.Sprintf("%s%s is %s against %s of %s (%s and %s requests), more than the tolerated %s; %s", where, describe(e.Gate),
			seconds(e.Canary.Value), seconds(e.Live.Value), reference, count(e.Canary.N), count(e.Live.N), seconds(e.Live.Value+e.Tolerance), proof)
	case e.Unit == "distance":
		return fmt.Sprintf("%s differs from that of %s by %.3f where %.3g is tolerated (%s and %s scores); %s",
			describe(e.Gate), reference, e.Difference, e.Tolerance, count(e.Canary.N), count(e.Live.N), proof)
	}
	return fmt.Sprintf("%s is %s against %s of %s (%s and %s outcomes); %s", e.Gate, e.value(e.Canary.Value), e.value(e.Live.Value), reference,
		count(e.Canary.N), count(e.Live.N), proof)
}

func ratioText(e Evidence) string {
	return fmt.Sprintf("the canary got %s of %s requests where its weight is %s (evidence %s, %s are enough): routing or logging is broken, so that no comparison can be trusted",
		percent(e.Canary.Value), count(e.Canary.N), percent(e.Live.Value), odds(e.LogE), odds(e.Threshold))
}

// openText says which required gates have not concluded.
func openText(open []Evidence) string {
	var parts []string
	for _, e := range open {
		switch {
		case e.Canary.N == 0:
			parts = append(parts, "no "+describe(e.Gate)+" yet")
		default:
			parts = append(parts, fmt.Sprintf("%s may still be up to %s worse, %s is the margin", describe(e.Gate), e.value(e.worst()), e.value(e.Margin)))
		}
	}
	return strings.Join(parts, "; ")
}

// worst is the bad end of the interval.
func (e Evidence) worst() float64 {
	if e.Unit == "mean" && e.Better == Higher {
		return -e.Lower
	}
	return e.Upper
}

func holdText(reason, text, stage string) string {
	switch reason {
	case ReasonWaiting:
		return fmt.Sprintf("Too little traffic for a verdict: %s. Stage %s goes on.", text, stage)
	case ReasonGathering:
		return fmt.Sprintf("Not shown yet in stage %s: %s.", stage, text)
	}
	return fmt.Sprintf("Held in stage %s: %s.", stage, text)
}

// passText says what was shown in a stage.
func passText(evidence []Evidence, requests uint64, unit string, age Duration) string {
	shown, without := 0, 0
	for _, e := range evidence {
		switch {
		case e.Required && e.Finding == NonInferior:
			shown++
		case e.Required && e.Finding == NoData:
			without++
		}
	}
	text := fmt.Sprintf("After %s and %s %s the canary is shown to be no worse in %s", age, count(float64(requests)), unit, plural(shown, "required gate"))
	if without > 0 {
		text += fmt.Sprintf(" (%s had nothing to compare)", plural(without, "other"))
	}
	return text
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// sentence joins a clause and a statement: "why: statement." or "Statement."
func sentence(why, statement string) string {
	if why == "" {
		return statement + "."
	}
	return strings.ToUpper(why[:1]) + why[1:] + ". " + statement + "."
}

func joinClauses(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

func startText(p Policy) string {
	if p.Kind != KindRollout {
		var arms []string
		for _, a := range p.Arms {
			arms = append(arms, fmt.Sprintf("v%d %s", a.Version, a.Traffic))
		}
		return fmt.Sprintf("A new %s: %s.", p.Kind, strings.Join(arms, ", "))
	}
	var stages []string
	for _, s := range p.Stages {
		stages = append(stages, s.Traffic.String())
	}
	return fmt.Sprintf("A new rollout: %s, then a bake of %s; a harmless version is rolled back with a probability of at most %s.",
		strings.Join(stages, " → "), p.Bake, short(p.Budget))
}

// Explain prints decisions as a transcript: one paragraph each, the numbers below it.
func Explain(decisions []Decision) string {
	var b strings.Builder
	for i, d := range decisions {
		if i > 0 {
			b.WriteByte('\n')
		}
		stage := d.Stage
		if d.Next != "" {
			stage += " → " + d.Next
		}
		fmt.Fprintf(&b, "#%d  %s  %-8s  %s  (%s, by %s)\n", d.Sequence, d.Time.UTC().Format(time.DateTime), d.Action, stage, d.Reason, d.Actor)
		fmt.Fprintf(&b, "    %s\n", d.Text)
		if d.Why != "" {
			fmt.Fprintf(&b, "    %s says: %s\n", d.Actor, d.Why)
		}
		for _, e := range d.Evidence {
			if d.Action != ActHold || e.Finding == Harm || e.Finding == Open && e.Required { // a hold is about what is missing
				fmt.Fprintf(&b, "      %s\n", e.line())
			}
		}
	}
	return b.String()
}

// line is one gate in a table.
func (e Evidence) line() string {
	finding := map[Finding]string{Harm: "HARM", NonInferior: "no worse", Open: "open", NoData: "no data"}[e.Finding]
	if e.Finding == NoData {
		return fmt.Sprintf("%-18s  no data", e.Gate)
	}
	side := func(s Side) string {
		switch {
		case s.N == 0:
			return "-"
		case e.Unit == "distance":
			return count(s.N)
		}
		return fmt.Sprintf("%s of %s", e.value(s.Value), count(s.N))
	}
	text := fmt.Sprintf("%-18s  %-8s  canary %-17s live %-17s difference %s in [%s, %s]", e.Gate, finding,
		side(e.Canary), side(e.Live), e.value(e.Difference), e.value(e.Lower), e.value(e.Upper))
	if e.Margin > 0 {
		text += ", margin " + e.value(e.Margin)
	}
	if e.Threshold > 0 {
		text += fmt.Sprintf(", ln e %.2f of %.2f", e.LogE, e.Threshold)
	}
	text += fmt.Sprintf(", α %.2g", e.Alpha)
	if e.Segment != "" {
		text += ", worst in " + e.Segment
	}
	if e.Span > 0 {
		text += ", in the last " + e.Span.String()
	}
	return text
}
