// Package realised computes the performance of a model from the labels that have arrived: accuracy, AUROC, log loss,
// Brier score and rates for a binary task, accuracy for a multi-class one, MAE, RMSE and bias for a regression.
// It is pure: numbers in, numbers out.
package realised

// Outcome is one prediction and, if it has arrived, its label; or some without a label that were decided alike.
type Outcome struct {
	Score     float64 // probability of the positive class, or the regression's value; NaN: the model gave none
	Predicted string  // the served label; may be empty
	Label     string  // the truth; empty while no label has arrived
	Times     int     // predictions alike that it stands for, where it has no label; 0: it is one
}
