package multivariate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/fairlead-ml/fairlead/watch/gbdt"
)

// Classified is how well a classifier tells a window from the reference.
type Classified struct {
	AUROC float64 // of rows it was not fitted on; 0.5: it cannot
	SE    float64 // of the AUROC when it cannot: √((m+n+1)/(12mn)), Mann and Whitney
	Score float64 // 2·AUROC − 1, at least 0: share of pairs told apart beyond chance
	// Window is, of each row of the reference and then of the window, the probability that it is of the window, from a model that has not seen
	// it; of a reference row it makes the weight of estimate.ShiftWeight.
	Window []float64
	// Importance is the loss of AUROC when a column is shuffled, by column.
	Importance []float64
}

const folds = 5

// Classify fits boosted trees that tell the window from the reference, in five folds, so that every row is judged by a model that has not seen
// it. perm draws permutations. Both samples need at least ten rows.
func Classify(reference, window [][]float64, o gbdt.Options, perm func(n int) []int) (*Classified, error) {
	m, n := rows(reference), rows(window)
	if len(reference) != len(window) || m < 2*folds || n < 2*folds {
		return nil, fmt.Errorf("a domain classifier needs the same columns and %d rows on each side; there are %d and %d columns, %d and %d rows",
			2*folds, len(reference), len(window), m, n)
	}
	columns, target := make([][]float64, len(reference)), make([]float64, m+n)
	for c := range columns {
		columns[c] = slices.Concat(reference[c], window[c])
	}
	for i := m; i < m+n; i++ {
		target[i] = 1
	}
	fold := make([]int, m+n)
	for k, i := range perm(m) {
		fold[i] = k % folds
	}
	for k, i := range perm(n) {
		fold[m+i] = k % folds
	}
	out := &Classified{Window: make([]float64, m+n), Importance: make([]float64, len(columns))}
	shuffled := make([][]float64, len(columns)) // of each column the predictions with it shuffled
	for c := range shuffled {
		shuffled[c] = make([]float64, m+n)
	}
	var orders [folds][]int
	for k := range folds {
		n := 0
		for _, f := range fold {
			if f == k {
				n++
			}
		}
		orders[k] = perm(n)
	}
	// The folds are worked on side by side: each is a pure function of its rows and its permutation, and writes to its own rows.
	var errs [folds]error
	var wg sync.WaitGroup
	for k := range folds {
		wg.Go(func() {
			model, held, err := fitWithout(columns, target, fold, k, o)
			if errs[k] = err; err == nil {
				judge(model, columns, held, out.Window, shuffled, orders[k])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	out.AUROC = AUROC(out.Window, target)
	out.SE = math.Sqrt(float64(m+n+1) / (12 * float64(m) * float64(n)))
	out.Score = math.Max(0, 2*out.AUROC-1)
	for c := range shuffled {
		out.Importance[c] = out.AUROC - AUROC(shuffled[c], target)
	}
	return out, nil
}

// fitWithout fits on all folds but one and gives the rows of that one.
func fitWithout(columns [][]float64, target []float64, fold []int, k int, o gbdt.Options) (*gbdt.Model, []int, error) {
	var held, used []int
	for i, f := range fold {
		if f == k {
			held = append(held, i)
		} else {
			used = append(used, i)
		}
	}
	part, y := make([][]float64, len(columns)), make([]float64, len(used))
	for c := range columns {
		part[c] = make([]float64, len(used))
		for j, i := range used {
			part[c][j] = columns[c][i]
		}
	}
	for j, i := range used {
		y[j] = target[i]
	}
	model, err := gbdt.Fit(part, y, nil, gbdt.Logistic, o)
	return model, held, err
}

// judge predicts the held rows, and each again with one column taken from another of them.
func judge(model *gbdt.Model, columns [][]float64, held []int, plain []float64, shuffled [][]float64, order []int) {
	row := make([]float64, len(columns))
	for j, i := range held {
		for c := range columns {
			row[c] = columns[c][i]
		}
		plain[i] = model.Predict(row)
		for c := range columns {
			own := row[c]
			row[c] = columns[c][held[order[j]]]
			shuffled[c][i] = model.Predict(row)
			row[c] = own
		}
	}
}

// AUROC is the probability that a row with target 1 scores above one with target 0, ties counting ½; NaN where one of them is
// missing.
func AUROC(scores, target []float64) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var below, wins, ones float64
	for i := 0; i < len(order); {
		j, positive, negative := i, 0.0, 0.0
		for ; j < len(order) && scores[order[j]] == scores[order[i]]; j++ {
			positive += target[order[j]]
			negative += 1 - target[order[j]]
		}
		wins += positive * (below + negative/2)
		below += negative
		ones += positive
		i = j
	}
	return wins / (ones * below)
}
