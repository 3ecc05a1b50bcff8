package api

import "time"

// TestRequest is the body of POST /api/v1/models/{name}/versions/{version}/test.
type TestRequest struct {
	Skip    []string `json:"skip,omitempty" doc:"kinds of tests that are not asked: latency"`
	Only    []string `json:"only,omitempty" doc:"kinds of tests that are asked; absent: all"`
	Against string   `json:"against,omitempty" doc:"the version that not_worse_than compares with, whatever it says"`
	Variant string   `json:"variant,omitempty" doc:"absent: the one that this host runs"`
}

// TestReport is what came of the tests of a version.
type TestReport struct {
	Subject  string       `json:"subject" doc:"flights@3, or the folder"`
	Model    string       `json:"model"`
	Version  int          `json:"version,omitempty" doc:"absent: it is in no registry yet"`
	Digest   string       `json:"digest,omitempty"`
	Variant  string       `json:"variant,omitempty"`
	Host     string       `json:"host" doc:"where it ran: system, instruction sets, runtime"`
	Engine   string       `json:"engine,omitempty" doc:"which engine computed, where that was a choice"`
	Builtin  bool         `json:"builtin,omitempty" doc:"the version has no tests: those that need no numbers were asked"`
	Rows     int          `json:"rows" doc:"of the evaluation set"`
	Began    time.Time    `json:"began"`
	Seconds  float64      `json:"seconds"`
	OK       bool         `json:"ok" doc:"no test fails it"`
	Passed   int          `json:"passed"`
	Failed   int          `json:"failed" doc:"tests by which it fails, those with too few rows that must not included"`
	TooFew   int          `json:"too_few" doc:"tests whose rows cannot tell"`
	Skipped  int          `json:"skipped"`
	Warnings []string     `json:"warnings,omitempty"`
	Results  []TestResult `json:"results"`
}

// TestResult is what came of one test.
type TestResult struct {
	Name    string      `json:"name"`
	Kind    string      `json:"kind"`
	Why     string      `json:"why,omitempty"`
	Verdict string      `json:"verdict" enum:"passed,failed,too_few,skipped"`
	Fails   bool        `json:"fails" doc:"the version fails by it"`
	Text    string      `json:"text" doc:"what was measured and what was asked for"`
	Value   *float64    `json:"value,omitempty"`
	Low     *float64    `json:"low,omitempty" doc:"of the confidence interval"`
	High    *float64    `json:"high,omitempty"`
	Bound   *float64    `json:"bound,omitempty"`
	N       int         `json:"n" doc:"rows, or calls"`
	Groups  []TestGroup `json:"groups,omitempty"`
	Worst   []TestRow   `json:"worst,omitempty" doc:"rows that show what went wrong"`
	Seconds float64     `json:"seconds"`
}

// TestGroup is the part of a result that is about one segment.
type TestGroup struct {
	Name    string   `json:"name"`
	Verdict string   `json:"verdict" enum:"passed,failed,too_few,skipped"`
	Value   *float64 `json:"value,omitempty"`
	Low     *float64 `json:"low,omitempty"`
	High    *float64 `json:"high,omitempty"`
	N       int      `json:"n"`
}

// TestRow is a row that shows what went wrong.
type TestRow struct {
	Row    int            `json:"row" doc:"of the evaluation set, from 0; -1: of none"`
	Group  string         `json:"group,omitempty"`
	Inputs map[string]any `json:"inputs,omitempty"`
	Text   string         `json:"text"`
	By     *float64       `json:"by,omitempty" doc:"how far off it is"`
}

// Verification is what came of a version's golden vectors on one host: POST
// /api/v1/models/{name}/versions/{version}/verify.
type Verification struct {
	Subject  string           `json:"subject"`
	Digest   string           `json:"digest,omitempty"`
	Variant  string           `json:"variant,omitempty"`
	Host     string           `json:"host"`
	Engine   string           `json:"engine,omitempty"`
	Absolute float64          `json:"absolute" doc:"an answer may differ by absolute + relative·|expected|"`
	Relative float64          `json:"relative"`
	OK       bool             `json:"ok" doc:"this host computes as it should"`
	Cases    int              `json:"cases"`
	Outputs  []VerifiedOutput `json:"outputs"`
}

// VerifiedOutput is one output of one golden case.
type VerifiedOutput struct {
	Case     int      `json:"case"`
	Output   string   `json:"output"`
	OK       bool     `json:"ok"`
	Elements int      `json:"elements"`
	Beyond   int      `json:"beyond" doc:"elements that differ by more than the tolerance"`
	Largest  *float64 `json:"largest_difference,omitempty" doc:"absent: one is NaN, or no number"`
	Share    *float64 `json:"share_of_tolerance,omitempty" doc:"that the worst element takes"`
	Element  int      `json:"element" doc:"the worst one"`
	Expected string   `json:"expected,omitempty"`
	Got      string   `json:"got,omitempty"`
	Problem  string   `json:"problem,omitempty"`
}
