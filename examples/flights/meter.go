package flights

import "time"

// meter counts for Progress. It belongs to the goroutine that sends predictions.
type meter struct {
	opt    *Options
	outbox *outbox

	rows   int64
	errors int64
	event  int64 // reached

	day    int64     // of the last report, in event time
	since  time.Time // the rates are measured since: wall time,
	from   int64     // event time
	before int64     // and rows
	rates  Progress  // as last measured
}

// begin starts a pass; what lies between two passes does not count as time for replaying.
func (m *meter) begin(now time.Time, event int64) {
	m.event, m.day = event, event/1440
	m.since, m.from, m.before = now, event, m.rows
}

// tick reports if a second or a day of event time is over. Rates are measured over a second at least.
func (m *meter) tick(now time.Time, event int64, air int) {
	m.event = event
	wall := now.Sub(m.since)
	if wall < time.Second && event/1440 == m.day {
		return
	}
	m.day = event / 1440
	if wall >= time.Second {
		m.rates = Progress{RowsPerSecond: float64(m.rows-m.before) / wall.Seconds()}
		moved := event - m.from
		if moved > 0 {
			m.rates.PerDay = wall * 1440 / time.Duration(moved)
		}
		// A little more than asked for is rounding; the steps are not endlessly fine.
		m.rates.Behind = m.opt.PerDay > 0 && (moved == 0 || m.rates.PerDay > m.opt.PerDay+m.opt.PerDay/5)
		m.since, m.from, m.before = now, event, m.rows
	}
	p := m.progress()
	p.Pending += air
	m.opt.Progress(p)
}

// last is the report after everything was sent.
func (m *meter) last() Progress {
	p := m.progress()
	p.Done, p.RowsPerSecond, p.PerDay, p.Behind = true, 0, 0, false
	return p
}

func (m *meter) progress() Progress {
	p := m.rates
	p.Event, p.Rows, p.Labels, p.Pending = at(m.event), m.rows, m.outbox.sent.Load(), m.outbox.pending()
	p.Errors = m.errors + m.outbox.errors.Load()
	return p
}
