package flights

import "time"

// meter counts for Progress. It belongs to the goroutine that sends predictions.
type meter struct {
	opt    *Options
	outbox *outbox

	rows   int64
	errors int64
	event  int64 // reached

	reported time.Time // of the last report: wall time,
	day      int64     // day of event time,
	from     int64     // event time
	before   int64     // and rows
}

// begin starts a pass; what lies between two passes does not count as time for replaying.
func (m *meter) begin(now time.Time, event int64) {
	m.reported, m.event, m.from, m.day, m.before = now, event, event, event/1440, m.rows
}

// tick reports if a second or a day of event time is over.
func (m *meter) tick(now time.Time, event int64, air int) {
	m.event = event
	if wall := now.Sub(m.reported); wall > 0 && (wall >= time.Second || event/1440 != m.day) {
		p := m.progress()
		p.Pending += air
		p.RowsPerSecond = float64(m.rows-m.before) / wall.Seconds()
		if moved := event - m.from; moved > 0 {
			p.PerDay = wall * 1440 / time.Duration(moved)
		}
		p.Behind = m.opt.PerDay > 0 && p.PerDay > m.opt.PerDay+m.opt.PerDay/10
		m.begin(now, event)
		m.opt.Progress(p)
	}
}

// last is the report after everything was sent.
func (m *meter) last() Progress {
	p := m.progress()
	p.Done = true
	return p
}

func (m *meter) progress() Progress {
	return Progress{
		Event: at(m.event), Rows: m.rows, Labels: m.outbox.sent.Load(), Pending: m.outbox.pending(),
		Errors: m.errors + m.outbox.errors.Load(),
	}
}
