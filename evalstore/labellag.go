package evalstore

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	truth "github.com/fairlead-ml/fairlead/learn/label"
	"github.com/fairlead-ml/fairlead/watch"
)

// LabelWindows are the windows of a deployment's predictions with what is known of their labels, in order of time.
// Shadows' copies are left out: their labels are those of what they copy.
//
// A prediction made live waits for its label by the server's clock: the delay is from the prediction to the arrival of the
// label that counts, for a prediction without one to now. One that was replayed or imported came long after its own time,
// when it arrived says nothing: its delay is to the time that the label itself gives, and it was followed up to the latest
// event time of the deployment.
func (s *Store) LabelWindows(ctx context.Context, d fairlead.Name, grain watch.Grain, from, to, now time.Time) ([]LabelWindow, error) {
	stats, err := s.Stats(ctx, d)
	if err != nil || stats.Rows == 0 {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, `
		WITH served AS (
			SELECT seq, event_time, received - event_time BETWEEN INTERVAL (-10) MINUTE AND INTERVAL 1 HOUR AS live
			FROM predictions WHERE deployment = ? AND role <> 'shadow' AND event_time >= ? AND event_time < ?),
		delays AS (
			SELECT date_trunc(?, event_time) AS start, o.seq IS NOT NULL AS labelled,
				greatest(0, epoch_us(CASE WHEN o.seq IS NULL AND live THEN ?::TIMESTAMP WHEN o.seq IS NULL THEN ?::TIMESTAMP
					WHEN live THEN o.label_received ELSE o.label_time END) - epoch_us(served.event_time)) AS us
			FROM served LEFT JOIN (SELECT seq, label_time, label_received FROM outcomes WHERE deployment = ?) o USING (seq)),
		steps AS (
			SELECT start, labelled, CASE WHEN us < 3600000000 THEN us // 1000000 * 1000000 WHEN us < 604800000000 THEN us // 60000000 * 60000000
				ELSE us // 3600000000 * 3600000000 END AS us FROM delays)
		SELECT start, us, count(*) FILTER (labelled), count(*) FILTER (NOT labelled) FROM steps GROUP BY ALL ORDER BY ALL`,
		string(d), from.UTC(), to.UTC(), string(grain), now.UTC(), stats.To.UTC(), string(d))
	if err != nil {
		return nil, fmt.Errorf("read label delays of %s: %w", d, err)
	}
	defer rows.Close()
	var windows []LabelWindow
	for rows.Next() {
		var start time.Time
		var us int64
		var n truth.Delays
		if err := rows.Scan(&start, &us, &n.Labelled, &n.Waiting); err != nil {
			return nil, fmt.Errorf("read label delays of %s: %w", d, err)
		}
		n.Delay = time.Duration(us) * time.Microsecond
		if len(windows) == 0 || !windows[len(windows)-1].Start.Equal(start) {
			windows = append(windows, LabelWindow{Start: start.UTC(), End: grain.End(start)})
		}
		w := &windows[len(windows)-1]
		w.Delays = append(w.Delays, n)
	}
	return windows, rows.Err()
}

// LabelWindow is one window of predictions by the delay of their labels: to the second within an hour, to the minute
// within a week, else to the hour.
type LabelWindow struct {
	Start, End time.Time
	Delays     []truth.Delays
}

// Window adds the delays up.
func (w LabelWindow) Window() truth.Window {
	out := truth.Window{Start: w.Start, End: w.End, Waiting: w.Delays}
	for _, d := range w.Delays {
		out.Rows += d.Labelled + d.Waiting
		out.Labelled += d.Labelled
	}
	return out
}
