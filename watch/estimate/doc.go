// Package estimate says how well a model does before its labels are there. A classifier that is calibrated says itself how often it
// is right: the mean of its calibrated probabilities is its expected accuracy, and the cells of its confusion matrix follow
// the same way (CBPE, NannyML). Calibration is fitted on labelled rows that the model was not trained on; fitted again with
// weights that make those rows look like the window's (PAPE), it holds under covariate shift too.
//
// All of it assumes that P(y|x) has not changed: what lies between an estimate and the metric of the labels that arrive later is
// concept drift. Probabilities are those of the positive class, in [0,1].
package estimate

import "math"

// valid says whether p is a number in [0,1].
func valid(p float64) bool { return p >= 0 && p <= 1 && !math.IsNaN(p) }
