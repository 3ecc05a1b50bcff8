package estimate

import "math"

// Normalise makes the calibrated one-against-rest probabilities of a row sum to one, in place. A row without any mass becomes
// even.
func Normalise(p []float64) {
	sum := 0.0
	for _, v := range p {
		sum += v
	}
	for i := range p {
		if sum > 0 {
			p[i] /= sum
		} else {
			p[i] = 1 / float64(len(p))
		}
	}
}

// Multiclass are the expected accuracy and macro averages of a window.
type Multiclass struct {
	Rows, Skipped             int
	Accuracy                  Interval
	Precision, Recall, F1     float64   // macro: the plain mean over classes that occur
	ByClass                   []Cells   // one class against the rest
	Served                    []float64 // rows that were given each class
	expectedRight, spreadOfIt float64
}

// EstimateMulticlass is CBPE for several classes: accuracy is the mean calibrated probability of the class that was served. p is
// [rows][classes], each row summing to one; predicted is the served class of each row. calibrated and level are as in EstimateBinary.
func EstimateMulticlass(p [][]float64, predicted []int, classes int, calibrated, level float64) Multiclass {
	m := Multiclass{ByClass: make([]Cells, classes), Served: make([]float64, classes)}
	for i, row := range p {
		k := predicted[i]
		if k < 0 || k >= classes || len(row) != classes || !valid(row[k]) {
			m.Skipped++
			continue
		}
		m.Rows++
		m.Served[k]++
		m.expectedRight += row[k]
		m.spreadOfIt += row[k] * (1 - row[k])
		for c, q := range row {
			cell := &m.ByClass[c]
			if c == k {
				cell.TP, cell.FP = cell.TP+q, cell.FP+1-q
			} else {
				cell.FN, cell.TN = cell.FN+q, cell.TN+1-q
			}
		}
	}
	n, wider := float64(m.Rows), 1.0
	if calibrated > 0 {
		wider += n / calibrated
	}
	m.Accuracy = interval(m.expectedRight/n, math.Sqrt(wider*m.spreadOfIt)/n, level)
	m.Precision = macro(m.ByClass, func(c Cells) float64 { return c.TP / (c.TP + c.FP) })
	m.Recall = macro(m.ByClass, func(c Cells) float64 { return c.TP / (c.TP + c.FN) })
	m.F1 = macro(m.ByClass, func(c Cells) float64 { return 2 * c.TP / (2*c.TP + c.FP + c.FN) })
	return m
}

func macro(cells []Cells, f func(Cells) float64) float64 {
	sum, n := 0.0, 0.0
	for _, c := range cells {
		if v := f(c); !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	return sum / n
}
