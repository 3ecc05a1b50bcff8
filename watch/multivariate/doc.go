// Package multivariate finds drift that no single column shows: a broken correlation, a new mixture. All of it works on a sample
// of rows of the reference and one of the window, columns[c][row], and is a pure function of them and of the chance it is given.
//
// PCA asks how well the window's rows are explained by the few directions that explain the reference. A domain classifier asks
// whether somebody can tell the two samples apart. MMD compares them through a kernel: exactly in quadratic time, or in
// one pass with a test that needs no permutations.
package multivariate

import "math"

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
