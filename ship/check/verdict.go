package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// verdict holds what was found against the bound.
func (m *Metric) verdict(f found) Verdict {
	if f.n < m.MinRows || math.IsNaN(f.value) {
		return TooFew
	}
	low, high := math.Inf(-1), math.Inf(1) // what the value may be
	if m.OtherThan != "" {
		high = m.Margin
	}
	if m.AtLeast != nil {
		low = *m.AtLeast
	}
	if m.AtMost != nil {
		high = *m.AtMost
	}
	within := f.value >= low && f.value <= high
	switch {
	case m.Decide == DecideProof && within && f.low >= low && f.high <= high:
		return Passed
	case m.Decide == DecideProof:
		return Failed
	case within:
		return Passed
	case m.Decide == DecideHarm && f.high >= low && f.low <= high:
		return TooFew // the value is beyond the bound, but these rows cannot tell it from one that is not
	}
	return Failed
}

// all judges the rows together.
func (j *judged) all() (Result, error) {
	m := j.m
	f := j.find(sequence(j.rows.n()), m.Confidence)
	v := m.verdict(f)
	r := Result{
		Verdict: v, Fails: v == Failed || v == TooFew && m.TooFew, Value: finite(f.value), Low: finite(f.low), High: finite(f.high), Bound: m.bound(f.value),
		N: f.n, Text: m.tell(f),
	}
	switch {
	case f.n == 0 && len(m.Where) > 0:
		r.Text = "no row with a label" + strings.Replace(among(m.Where), " where ", " has ", 1)
	case f.n == 0:
		r.Text = "no row has a label"
	case v == TooFew && f.n < m.MinRows:
		r.Text += fmt.Sprintf("; %s too few, min_rows is %d", counted(f.n, "labelled row")+map[bool]string{true: " is", false: " are"}[f.n == 1], m.MinRows)
	case v == TooFew && math.IsNaN(f.value):
		r.Text += "; it is not defined on these rows"
	case v == TooFew && f.clusters == 1:
		r.Text += fmt.Sprintf("; all rows have the same %s: there is nothing to take an interval from", cmp.Or(m.Span, m.Cluster))
	case v == TooFew:
		r.Text += "; the interval reaches the bound: these rows cannot tell"
	case v == Failed && m.Decide == DecideProof && j.holds(f.value):
		r.Text += "; not shown: the interval reaches beyond"
	}
	if v == Failed {
		r.Worst = j.worst("", sequence(j.rows.n()), MaxWorst)
	}
	return r, nil
}

func (j *judged) holds(value float64) bool {
	m := *j.m
	m.Decide, m.MinRows = DecideValue, 0
	return m.verdict(found{value: value}) == Passed
}

// groups judges every group by itself. The confidence is that of all intervals together: with so many groups one would be
// beyond its bound by chance (Bonferroni).
func (j *judged) groups() (Result, error) {
	m := j.m
	var all []group
	for _, g := range m.By {
		// The grouping sees places in the sample; find wants places among the rows with labels.
		split, err := g.groups(gather(j.sample.Rows, j.row), sequence(len(j.row)))
		if err != nil {
			return wrong(err)
		}
		all = append(all, split...)
	}
	judgeable := 0
	for _, g := range all {
		if len(g.rows) >= m.MinRows {
			judgeable++
		}
	}
	confidence := 1 - (1-m.Confidence)/float64(max(1, judgeable))
	r := Result{Verdict: Passed, N: j.rows.n(), Bound: m.bound(math.NaN())}
	var failed, few int
	var worst found // of those that fail, else of all that have enough rows
	var where string
	for _, g := range all {
		f := found{value: math.NaN(), low: math.NaN(), high: math.NaN(), n: len(g.rows)}
		if f.n >= m.MinRows {
			f = j.find(g.rows, confidence)
		}
		v := m.verdict(f)
		r.Groups = append(r.Groups, Group{Name: g.name, Verdict: v, Value: finite(f.value), Low: finite(f.low), High: finite(f.high), N: f.n})
		if f.n >= m.MinRows && !math.IsNaN(f.value) && (v == Failed || failed == 0) &&
			(worst.n == 0 || v == Failed && failed == 0 || m.beyond(f.value) > m.beyond(worst.value)) {
			worst, where = f, g.name
		}
		switch v {
		case Failed:
			failed++
			r.Worst = append(r.Worst, j.worst(g.name, g.rows, 2)...)
		case TooFew:
			few++
		}
	}
	slices.SortStableFunc(r.Worst, func(a, b Row) int { return cmp.Compare(b.By, a.By) })
	r.Worst = r.Worst[:min(len(r.Worst), MaxWorst)]
	kept := len(all) - failed - few
	r.Text = fmt.Sprintf("%s %s %s", counted(kept, "group"), map[bool]string{true: "keeps", false: "keep"}[kept == 1], m.boundText())
	if failed > 0 {
		r.Verdict, r.Text = Failed, fmt.Sprintf("%d of %s do not keep %s", failed, counted(len(all), "group"), m.boundText())
	} else if len(all) == few {
		r.Verdict, r.Text = TooFew, "no group has enough rows to tell"
	}
	if few > 0 && few < len(all) {
		r.Text += fmt.Sprintf("; %d cannot tell, for too few rows", few)
	}
	if worst.n > 0 {
		r.Value, r.Low, r.High, r.Bound = finite(worst.value), finite(worst.low), finite(worst.high), m.bound(worst.value)
		r.Text += fmt.Sprintf("; the worst is %s with %s", where, formatNumber(worst.value))
	}
	r.Fails = r.Verdict == Failed || m.TooFew && few > 0
	return r, nil
}

// beyond is by how much a value exceeds its bounds; less than 0: it is within.
func (m *Metric) beyond(value float64) float64 {
	by := math.Inf(-1)
	if m.OtherThan != "" {
		by = value - m.Margin
	}
	if m.AtLeast != nil {
		by = *m.AtLeast - value
	}
	if m.AtMost != nil {
		by = max(by, value-*m.AtMost)
	}
	return by
}

// bound is the one that counts for a value: of two the nearer.
func (m *Metric) bound(value float64) *float64 {
	switch {
	case m.OtherThan != "":
		return &m.Margin
	case m.AtLeast == nil || m.AtMost != nil && math.Abs(value-*m.AtMost) < math.Abs(value-*m.AtLeast):
		return m.AtMost
	}
	return m.AtLeast
}

func (m *Metric) boundText() string {
	switch {
	case m.OtherThan != "":
		return fmt.Sprintf("the %s of %s within %s", m.Metric, m.OtherThan, formatNumber(m.Margin))
	case m.AtLeast != nil && m.AtMost != nil:
		return fmt.Sprintf("%s ≤ %s ≤ %s", formatNumber(*m.AtLeast), m.Metric, formatNumber(*m.AtMost))
	case m.AtLeast != nil:
		return fmt.Sprintf("%s ≥ %s", m.Metric, formatNumber(*m.AtLeast))
	}
	return fmt.Sprintf("%s ≤ %s", m.Metric, formatNumber(*m.AtMost))
}

// tell says what was found.
func (m *Metric) tell(f found) string {
	interval := fmt.Sprintf("[%s, %s]", formatNumber(f.low), formatNumber(f.high))
	if math.IsNaN(f.low) {
		interval = ""
	}
	if m.OtherThan == "" {
		return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s, wanted %s", formatNumber(f.value), interval, m.rows(f), m.boundText())), " ")
	}
	return fmt.Sprintf("%s here, %s of %s: worse by %s %s, %s, at most %s",
		formatNumber(f.this), formatNumber(f.that), m.OtherThan, formatNumber(f.value), interval, m.rows(f), formatNumber(m.Margin))
}

// rows says how many rows there were, and how many draws they are worth taking them for.
func (m *Metric) rows(f found) string {
	switch {
	case m.Cluster == "":
		return fmt.Sprintf("n %d", f.n)
	case m.Span != "":
		return fmt.Sprintf("n %d in %s", f.n, counted(f.clusters, m.Span))
	}
	return fmt.Sprintf("n %d of %d %s", f.n, f.clusters, m.Cluster)
}

// counted is "1 group", "2 groups".
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// worst lists the rows that the model is most wrong about.
func (j *judged) worst(name string, at []int, most int) []Row {
	type miss struct {
		i  int
		by float64
	}
	var all []miss
	for _, i := range at {
		if by := j.missed(i); by > 0 {
			all = append(all, miss{i, by})
		}
	}
	slices.SortStableFunc(all, func(a, b miss) int { return cmp.Compare(b.by, a.by) })
	var out []Row
	for _, x := range all[:min(len(all), most)] {
		row := j.row[x.i]
		out = append(out, Row{
			Row: row, Group: name, Inputs: inputsAt(j.sample.Rows, j.sample.Shown, row), By: x.by,
			Text: fmt.Sprintf("answer %s, truth %s", j.sample.Answers.text(row), valueAt(j.sample.Rows.Column(j.sample.Label), row)),
		})
	}
	return out
}

// missed is how far row i is from its truth.
func (j *judged) missed(i int) float64 {
	y := j.rows.truth[i]
	switch {
	case j.sample.Task == fairlead.TaskMulticlass && j.rows.score != nil && int(y) < j.rows.width && j.rows.width > 1:
		return 1 - j.rows.score[i*j.rows.width+int(y)]
	case j.rows.score != nil && j.rows.width == 1:
		return math.Abs(j.rows.score[i] - y)
	}
	return number(j.rows.class[i] != y)
}

func sequence(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
