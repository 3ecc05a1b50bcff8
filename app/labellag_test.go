package app

import (
	"math"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	truth "github.com/fairlead-ml/fairlead/learn/label"
)

// Three days of 100 predictions of which 80 get a label, half of them after an hour and half after ten; the last day has just
// ended.
func TestLagOfWindows(t *testing.T) {
	day := func(n int, delays ...truth.Delays) evalstore.LabelWindow {
		start := time.Date(2001, 3, n, 0, 0, 0, 0, time.UTC)
		return evalstore.LabelWindow{Start: start, End: start.Add(24 * time.Hour), Delays: delays}
	}
	whole := []truth.Delays{{Delay: time.Hour, Labelled: 40}, {Delay: 10 * time.Hour, Labelled: 40}, {Delay: 40 * time.Hour, Waiting: 20}}
	windows := []evalstore.LabelWindow{day(1, whole...), day(2, whole...),
		day(3, truth.Delays{Delay: time.Hour, Labelled: 40}, truth.Delays{Delay: 2 * time.Hour, Waiting: 60})}
	latest := time.Date(2001, 3, 4, 0, 0, 0, 0, time.UTC)
	lag := lagOf(windows, fairlead.LabelSpec{Delay: 12 * time.Hour}, latest, 2)
	if lag.N != 300 || math.Abs(lag.Final-0.8) > 1e-9 || *lag.Median != 3600 || *lag.P95 != 36000 {
		t.Errorf("curve %+v", lag)
	}
	if len(lag.Windows) != 2 || lag.Windows[0].Provisional || lag.Windows[0].Completeness != 1 {
		t.Errorf("a whole day: %+v", lag.Windows)
	}
	young := lag.Windows[1]
	if math.Abs(young.Final-0.8) > 1e-9 || math.Abs(young.Completeness-0.5) > 1e-9 || !young.Provisional {
		t.Errorf("a young day: %+v", young)
	}
	if later := lagOf(windows, fairlead.LabelSpec{Delay: 12 * time.Hour}, latest.Add(12*time.Hour), 1); later.Windows[0].Provisional {
		t.Error("the declared delay is over")
	}
}
