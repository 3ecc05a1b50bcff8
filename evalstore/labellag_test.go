package evalstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
)

func TestLabelWindows(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	ask := func(now time.Time) string {
		t.Helper()
		windows, err := s.LabelWindows(t.Context(), "flights", watch.Hour, march, march.Add(24*time.Hour), now)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, w := range windows {
			var parts []string
			for _, d := range w.Delays {
				parts = append(parts, fmt.Sprintf("%s: %d, %d wait", d.Delay, d.Labelled, d.Waiting))
			}
			lines = append(lines, w.Start.Format("15:04")+" "+strings.Join(parts, "; "))
		}
		return strings.Join(lines, "\n")
	}
	expect(t, "no rows", ask(march), "")
	live := func(id string, at time.Time, role fairlead.Role) *fairlead.Prediction {
		p := keyed(id, "", at, 1, role)
		p.Received = at.Add(time.Second)
		return p
	}
	f.rows(flights, live("a", minute(0), fairlead.RoleLive), live("b", minute(1), fairlead.RoleLive), live("c", minute(70), fairlead.RoleLive), live("a", minute(0), fairlead.RoleShadow))
	// Replayed: it came a day after its own time.
	old := keyed("old", "", minute(0), 1, fairlead.RoleLive)
	old.Received = minute(24 * 60)
	older := keyed("older", "", minute(30), 1, fairlead.RoleLive)
	older.Received = minute(24 * 60)
	f.rows(flights, old, older)
	say := func(id string, at, received time.Time) {
		f.labels(fairlead.Label{Deployment: "flights", PredictionID: id, Value: "late", Time: at, Received: received})
	}
	say("a", minute(2), minute(10))         // known at 2, here at 10: that is when it counts
	say("old", minute(20), minute(24*60+5)) // replayed: 20 minutes of its own time
	expect(t, "delays", ask(minute(180)), strings.Join([]string{
		"00:00 10m0s: 1, 0 wait; 20m0s: 1, 0 wait; 40m0s: 0, 1 wait; 2h59m0s: 0, 1 wait",
		"01:00 1h50m0s: 0, 1 wait",
	}, "\n"))
}
