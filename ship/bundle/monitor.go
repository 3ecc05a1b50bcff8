package bundle

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// MonitorFile says when drift of a version becomes an alert. What is not said here is the server's default.
type MonitorFile struct {
	Measure   string   `json:"measure,omitempty"`   // psi or ks
	Tolerance float64  `json:"tolerance,omitempty"` // of the measure; smaller changes are nobody's business
	FDR       *float64 `json:"fdr,omitempty"`       // false discovery rate over the columns; 0: each against its own noise
	Grain     string   `json:"grain,omitempty"`     // hour or day
	Windows   int      `json:"windows,omitempty"`   // drifted ones before the alert
	Of        int      `json:"of,omitempty"`        // among so many of the latest
	Clear     int      `json:"clear,omitempty"`     // clean windows in a row before it is over
}

// Bounds of MonitorFile.
const (
	maxMonitorWindows = 24
	maxMonitorFDR     = 0.2
)

func (f *File) readMonitor(v node) error {
	m := &f.Monitor
	err := v.keys([]string{"measure", "tolerance", "fdr", "grain", "windows", "clear"}, func(key string, v node) (err error) {
		switch key {
		case "measure":
			m.Measure, err = v.oneOf("psi", "ks")
		case "grain":
			m.Grain, err = v.oneOf("hour", "day")
		case "tolerance":
			x, ok := v.number()
			if !ok || !(x > 0 && x <= 100) {
				return v.expected("a number above 0, such as 0.1")
			}
			m.Tolerance = x
		case "fdr":
			x, ok := v.number()
			if !ok || !(x >= 0 && x <= maxMonitorFDR) {
				return v.expected(fmt.Sprintf("a share from 0 to %v, such as 0.01", maxMonitorFDR))
			}
			m.FDR = &x
		case "windows":
			return m.readWindows(v)
		case "clear":
			if v.Kind != yaml.ScalarNode || v.Tag != "!!int" || v.Decode(&m.Clear) != nil || m.Clear < 1 || m.Clear > maxMonitorWindows {
				return v.expected(fmt.Sprintf("a number of windows from 1 to %d", maxMonitorWindows))
			}
		}
		return err
	})
	if err == nil && m.Measure == "ks" && !(m.Tolerance > 0 && m.Tolerance < 1) {
		return v.errorf("monitor: ks needs a tolerance between 0 and 1").Hintf("for example monitor: {measure: ks, tolerance: 0.1}")
	}
	return err
}

// readWindows reads "2 of 3", or 2 for two in a row.
func (m *MonitorFile) readWindows(v node) error {
	what := fmt.Sprintf("a number of windows in a row or N of M, such as 2 of 3, at most %d", maxMonitorWindows)
	if v.Kind != yaml.ScalarNode {
		return v.expected(what)
	}
	switch _, err := fmt.Sscanf(v.Value, "%d of %d", &m.Windows, &m.Of); {
	case err != nil && v.Tag == "!!int" && v.Decode(&m.Windows) == nil:
		m.Of = m.Windows
	case err != nil || fmt.Sprintf("%d of %d", m.Windows, m.Of) != v.Value:
		return v.expected(what)
	}
	if m.Windows < 1 || m.Of < m.Windows || m.Of > maxMonitorWindows {
		return v.expected(what)
	}
	return nil
}

func (n node) number() (x float64, ok bool) {
	ok = n.Kind == yaml.ScalarNode && (n.Tag == "!!float" || n.Tag == "!!int") && n.Decode(&x) == nil
	return x, ok
}

func (n node) oneOf(a, b string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Value != a && n.Value != b {
		return "", n.expected(a + " or " + b)
	}
	return n.Value, nil
}
