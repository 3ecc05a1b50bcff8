package tree

// Thresholds are the values that the trees compare each column with.
func Thresholds(m *Model) [][]float32 { return m.thresholds() }
