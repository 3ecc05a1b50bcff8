// Package quality checks declared expectations of data: rules catch more of what goes wrong in production than any statistic
// does. A rule is data. Some rules judge every row (not_null, between, in_set …) and may be broken by a stated share of them, some judge
// a window as a whole (mean_between, rows_between, fresh …). Rules are independent: one that cannot be checked says why and
// never keeps the others from being checked.
//
// Suggest proposes rules that a reference keeps; FromGreatExpectations reads a suite of the other tool.
package quality
