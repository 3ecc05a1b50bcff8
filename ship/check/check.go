// Package check holds the test suites of model versions: what the list tests in fairlead.yaml means, and what a version's
// answers make of it. A suite is a gate before a version goes live; its metric tests speak of rows with outcomes, wherever
// these come from, so that the same definitions can watch it afterwards.
//
// The package does no I/O: running the model, the clock and the rows are arguments, and what looks like chance follows
// from the seed in a test's definition.
package check

import (
	"time"

	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Kind is what a test is about. It is the key of fairlead.yaml that makes the test.
type Kind string

// Kinds of tests.
const (
	KindMetric        Kind = "metric"        // a floor, or a comparison with another version, on rows with labels
	KindInvariance    Kind = "invariance"    // a change of the input must not change the answer
	KindDirection     Kind = "direction"     // a change of the input must move the score one way
	KindExample       Kind = "example"       // an input with its answer
	KindLatency       Kind = "latency"       // a budget of time
	KindSize          Kind = "size"          // a budget of bytes
	KindBatch         Kind = "batch"         // rows get the answers together that they get alone
	KindDeterministic Kind = "deterministic" // the same row gets the same answer
	KindFinite        Kind = "finite"        // no answer is NaN or infinite
	KindMissing       Kind = "missing"       // a feature without a value is no error
	KindUnseen        Kind = "unseen"        // neither is a category that training did not have
	KindGolden        Kind = "golden"        // the golden vectors
)

// Kinds lists them in the order of the documentation.
func Kinds() []Kind {
	return []Kind{
		KindMetric, KindInvariance, KindDirection, KindExample, KindLatency, KindSize, KindBatch, KindDeterministic, KindFinite,
		KindMissing, KindUnseen, KindGolden,
	}
}

// Test is one test. Only the field of its kind is set.
type Test struct {
	Kind Kind
	Name string // unique in its suite; made from the definition where the author gave none
	Why  string // for people; may be empty

	Metric     *Metric
	Behaviour  *Behaviour // of KindInvariance and KindDirection
	Example    *Example
	Latency    *Latency
	Size       *Size
	Robustness *Robustness       // of KindBatch, KindDeterministic, KindFinite, KindMissing and KindUnseen
	Golden     *bundle.Tolerance // of KindGolden; nil: the tolerance of the vectors
}

// Suite is the tests of a version.
type Suite []Test

// Decide says how sure a metric test must be.
type Decide string

// Ways to decide. Value looks at the measured value alone. Harm fails only where the whole confidence interval is beyond
// the bound. Proof passes only where the whole interval keeps it.
const (
	DecideValue Decide = "value"
	DecideHarm  Decide = "harm"
	DecideProof Decide = "proof"
)

// Metric is a test of a metric on rows with labels.
type Metric struct {
	Metric     string   // one of Metrics
	AtLeast    *float64 // nil: no such bound
	AtMost     *float64
	OtherThan  string  // not_worse_than: champion, live, a version; empty: no comparison
	Margin     float64 // by which it may be worse
	Threshold  float64 // of the decision of a binary task; 0.5
	Cut        bool    // the threshold was given: it decides even where the model has an output that says the class
	Class      string  // of a multi-class task: one against the rest; empty: mean over classes, where the metric needs two
	Quantile   float64 // of pinball; 0.5
	Bins       int     // of ece; 10
	Where      []Condition
	By         []Grouping // each column by itself; empty: all rows together
	Cluster    string     // column whose rows belong together (a customer, a device): the interval takes them as one draw
	Span       string     // of a Cluster of timestamps: those of one hour, day or week belong together; empty: equal ones
	MinRows    int        // below, the verdict is too_few; 100
	Confidence float64    // of the interval; over all groups together; 0.95
	Decide     Decide     // value; with By harm; with OtherThan proof
	TooFew     bool       // too few rows fail the test; true without By and DecideHarm
	Seed       uint64
}

// Behaviour is a test that changes inputs and looks at the answers.
type Behaviour struct {
	Features  []string
	Change    Change
	Expect    Expect // of KindDirection
	Class     string // whose score moves, of several; empty: the positive one, or the value
	Tolerance float64
	Allowed   float64 // share of rows that may break it
	Where     []Condition
	Rows      int // that are tried; 500
	Seed      uint64
}

// Expect is how the score must move.
type Expect string

// Directions.
const (
	Rise    Expect = "rise"
	Fall    Expect = "fall"
	NotRise Expect = "not_rise"
	NotFall Expect = "not_fall"
)

// Example is an input with the answer that it must get.
type Example struct {
	Given     map[string]any // by feature: numbers, texts and booleans; features left out have no value
	Class     string         // the predicted class; empty: it does not matter
	Of        string         // the class whose score the bounds are for; empty: the positive one, or the value
	Value     *float64       // within Tolerance
	Tolerance float64
	AtLeast   *float64
	AtMost    *float64
	Threshold float64 // of the decision; 0.5
	Cut       bool    // it was given: it decides even where the model has an output that says the class
}

// Latency is a budget of computing time: of the model alone, without network and queue.
type Latency struct {
	Rows int           // of one call
	P50  time.Duration // 0: no budget
	P99  time.Duration
	Runs int // of each of five rounds, whose median counts; 200
}

// Size is a budget of bytes; 0: none.
type Size struct {
	Model, Bundle, Memory int64
}

// Robustness is a test that needs no labels.
type Robustness struct {
	Features  []string // of KindMissing and KindUnseen; empty: all that can be
	Sizes     []int    // of KindBatch
	Times     int      // of KindDeterministic
	Tolerance *float64 // of answers, absolute; nil: that of golden vectors, or any finite answer
	Rows      int      // that are tried
}

// Verdict is what came of a test.
type Verdict string

// Verdicts.
const (
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
	TooFew  Verdict = "too_few" // too few rows to tell
	Skipped Verdict = "skipped" // it could not be asked here
)

// Result is what came of one test.
type Result struct {
	Name    string
	Kind    Kind
	Why     string
	Verdict Verdict
	Fails   bool     // the suite fails by it
	Text    string   // what was measured and what was asked for, one line
	Value   *float64 // of groups the worst; nil where the verdict is not about a number
	Low     *float64 // of the confidence interval
	High    *float64
	Bound   *float64
	N       int // rows, or calls
	Groups  []Group
	Worst   []Row // at most MaxWorst
	Took    time.Duration
}

// Group is the part of a result that is about one segment.
type Group struct {
	Name    string // origin=ATL
	Verdict Verdict
	Value   *float64
	Low     *float64
	High    *float64
	N       int
}

// Row is a row that shows what went wrong.
type Row struct {
	Row    int // of the evaluation set, from 0; -1: of none
	Group  string
	Inputs map[string]any
	Text   string // what came and what was expected
	By     float64
}

// MaxWorst is how many rows a result shows.
const MaxWorst = 5

// Report is what came of a suite, in its order.
type Report struct {
	Results []Result
	Rows    int // of the evaluation set
	Took    time.Duration
}

// Failed lists the tests by which the suite fails.
func (r *Report) Failed() []Result {
	var out []Result
	for _, x := range r.Results {
		if x.Fails {
			out = append(out, x)
		}
	}
	return out
}

// Count is the number of results of a verdict.
func (r *Report) Count(v Verdict) int {
	n := 0
	for _, x := range r.Results {
		if x.Verdict == v {
			n++
		}
	}
	return n
}
