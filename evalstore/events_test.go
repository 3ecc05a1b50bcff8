package evalstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

func (f *feed) events(events ...fairlead.BusinessEvent) {
	f.t.Helper()
	f.send(eventlog.Events, eventlog.EncodeEvents(events))
}

// revenue came of a prediction so many seconds after march began.
func revenue(prediction string, value float64, received int) fairlead.BusinessEvent {
	at := march.Add(time.Duration(received) * time.Second)
	return fairlead.BusinessEvent{Deployment: "flights", Name: "revenue", PredictionID: prediction, Value: value, Time: at, Received: at}
}

// visit is one of an entity.
func visit(key string, value float64, at time.Time) fairlead.BusinessEvent {
	return fairlead.BusinessEvent{Deployment: "flights", Name: "visit", Key: key, Value: value, Time: at, Received: at}
}

func keyed(id, key string, at time.Time, version fairlead.Version, role fairlead.Role) *fairlead.Prediction {
	p := flight(id, at, 1, 0.3)
	p.Rows[0].Key, p.Version, p.Role = key, version, role
	return p
}

func TestEventsFindTheirPredictions(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.events(revenue("a", 12.5, 1), revenue("nobody", 1, 2))
	shadow := keyed("a", "", march, 2, fairlead.RoleShadow)
	f.rows(flights, shadow) // a shadow's answer reached nobody
	f.rows(flights, keyed("a", "", march, 1, fairlead.RoleLive))
	f.rows(flights, keyed("b", "", march, 2, fairlead.RoleCanary))
	f.events(revenue("a", 2, 3), revenue("b", -3, 4))
	expect(t, "events", table(t, s, `SELECT prediction_id, value, version, role FROM events ORDER BY seq`), strings.Join([]string{
		"a 12.5 1 live", "nobody 1 <nil> <nil>", "a 2 1 live", "b -3 2 canary",
	}, "\n"))
}

func TestEventsByKeyAndTime(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	minute := func(n int) time.Time { return march.Add(time.Duration(n) * time.Minute) }
	f.rows(flights, keyed("p1", "N1", minute(0), 1, fairlead.RoleLive))
	f.rows(flights, keyed("p2", "N2", minute(0), 1, fairlead.RoleLive))
	f.events(visit("N1", 1, minute(5)), visit("N1", 2, minute(20)), visit("N1", 3, minute(-1)), visit("N2", 4, minute(0)),
		visit("N2", 5, minute(0).Add(keyReach+time.Second)))
	const q = `SELECT value, prediction_id FROM events ORDER BY value`
	expect(t, "events", table(t, s, q), "1 p1\n2 p1\n3 <nil>\n4 p2\n5 <nil>")
	f.rows(flights, keyed("p3", "N1", minute(10), 2, fairlead.RoleLive)) // later than the first event, earlier than the second
	f.rows(flights, keyed("p0", "N1", minute(-5), 2, fairlead.RoleLive))
	f.rows(flights, keyed("p4", "N1", minute(4), 2, fairlead.RoleShadow))
	expect(t, "events after late rows", table(t, s, q), "1 p1\n2 p3\n3 p0\n4 p2\n5 <nil>")
}

func TestAnEventWithAnIDIsCorrected(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	order := func(id string, value float64, received int) fairlead.BusinessEvent {
		e := revenue("a", value, received)
		e.ID = id
		return e
	}
	f.rows(flights, keyed("a", "", march, 1, fairlead.RoleLive))
	f.events(order("o1", 10, 1), order("o2", 1, 1), order("o1", 11, 1), revenue("a", 100, 1), revenue("a", 100, 1))
	f.events(order("o1", 12, 2))
	f.events(order("o1", 9, 0)) // was overtaken
	other := order("o1", 5, 3)
	other.Name = "tips"
	f.events(other)
	expect(t, "events", table(t, s, `SELECT name, id, value, version FROM events ORDER BY name, id, value`), strings.Join([]string{
		"revenue o1 12 1", "revenue o2 1 1", "revenue <nil> 100 1", "revenue <nil> 100 1", "tips o1 5 1",
	}, "\n"))
}

// Whatever is ingested first, and in whatever portions, the events end at the same predictions.
func TestEventsInAnyOrder(t *testing.T) {
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, 0))
	var rows [][]byte
	var events [][]byte
	for i := range 60 {
		at := march.Add(time.Duration(rng.IntN(600)) * time.Second)
		role := []fairlead.Role{fairlead.RoleLive, fairlead.RoleCanary, fairlead.RoleShadow}[rng.IntN(3)]
		rows = append(rows, encode(t, flights, keyed(fmt.Sprint("p", rng.IntN(50)), fmt.Sprint("N", rng.IntN(6)), at, fairlead.Version(1+i%2), role)))
		e := revenue(fmt.Sprint("p", rng.IntN(60)), float64(i), rng.IntN(600))
		if rng.IntN(2) == 0 {
			e = visit(fmt.Sprint("N", rng.IntN(7)), float64(i), march.Add(time.Duration(rng.IntN(900))*time.Second))
		}
		if rng.IntN(3) == 0 {
			e.ID = fmt.Sprint("e", rng.IntN(8))
		}
		events = append(events, eventlog.EncodeEvents([]fairlead.BusinessEvent{e}))
	}
	var want string
	for round := range 6 {
		s := open(t, t.TempDir())
		f := newFeed(t, s)
		r, e := rows, events
		for len(r)+len(e) > 0 {
			n := 1 + rng.IntN(20)
			rowsNext := len(e) == 0 || len(r) > 0 && rng.IntN(2) == 0
			if round == 0 {
				rowsNext, n = len(r) > 0, 60
			}
			if rowsNext {
				n = min(n, len(r))
				f.send(eventlog.Predictions, r[:n]...)
				r = r[n:]
			} else {
				n = min(n, len(e))
				f.send(eventlog.Events, e[:n]...)
				e = e[n:]
			}
		}
		got := table(t, s, `SELECT value, prediction_id, version, role, row_seq FROM events ORDER BY value`)
		if round == 0 {
			want = got
			found := table(t, s, `SELECT count(row_seq) > 20, count(*) > count(row_seq), count(*) < 60 FROM events`)
			expect(t, "the example has all cases", found, "true true true")
		}
		expect(t, fmt.Sprintf("round %d, seed %d", round, seed), got, want)
	}
}

func TestEventTotals(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	ask := func(after int64, at time.Duration, window time.Duration) string {
		t.Helper()
		totals, err := s.EventTotals(t.Context(), "flights", after, march.Add(at), []EventQuestion{{Name: "revenue", Window: window}})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, x := range totals {
			lines = append(lines, fmt.Sprintf("%d %s: %d of %d (%d pending), %d with, sum %g, squares %g",
				x.Version, x.Role, x.N, x.Predictions, x.Pending, x.With, x.Sum, x.SumSquares))
		}
		return strings.Join(lines, "\n")
	}
	expect(t, "no table", ask(0, 0, 0), "")
	old := keyed("old", "", march, 1, fairlead.RoleLive)
	f.rows(flights, old)
	late := keyed("a3", "", march, 1, fairlead.RoleLive)
	late.Received = march.Add(time.Hour)
	f.rows(flights, keyed("a1", "", march, 1, fairlead.RoleLive), keyed("a2", "", march, 1, fairlead.RoleLive), late)
	f.rows(flights, func() *fairlead.Prediction { return keyed("b1", "", march, 2, fairlead.RoleCanary) }())
	f.rows(flights, keyed("a1", "", march, 3, fairlead.RoleShadow))
	f.events(revenue("old", 1000, 1), revenue("a1", 3, 10), revenue("a1", 4, 20), revenue("a3", 8, 3610), revenue("b1", 5, 1200))
	const first = 2 << seqBits
	expect(t, "without a window: those with an event", ask(first-1, 2*time.Hour, 0), strings.Join([]string{
		"1 live: 2 of 3 (0 pending), 2 with, sum 15, squares 113",
		"2 canary: 1 of 1 (0 pending), 1 with, sum 5, squares 25",
	}, "\n"))
	expect(t, "a window that is not over", ask(first-1, time.Minute, 10*time.Minute), strings.Join([]string{
		"1 live: 0 of 3 (3 pending), 0 with, sum 0, squares 0",
		"2 canary: 0 of 1 (1 pending), 0 with, sum 0, squares 0",
	}, "\n"))
	expect(t, "over for two; what comes later does not count", ask(first-1, 30*time.Minute, 10*time.Minute), strings.Join([]string{
		"1 live: 2 of 3 (1 pending), 1 with, sum 7, squares 49",
		"2 canary: 1 of 1 (0 pending), 0 with, sum 0, squares 0",
	}, "\n"))
	expect(t, "all", ask(0, 3*time.Hour, time.Hour), strings.Join([]string{
		"1 live: 4 of 4 (0 pending), 3 with, sum 1015, squares 1.000113e+06",
		"2 canary: 1 of 1 (0 pending), 1 with, sum 5, squares 25",
	}, "\n"))
}

func BenchmarkEventTotals(b *testing.B) {
	const rows, events = 2_000_000, 400_000
	s := open(b, b.TempDir())
	newFeed(b, s).rows(flights, keyed("first", "", march, 1, fairlead.RoleLive))
	for _, q := range []string{
		fmt.Sprintf(`INSERT INTO hot.flights BY NAME SELECT i << 20 AS seq, 'p' || i AS prediction_id, 'p' || i AS request_id,
			TIMESTAMP '2001-03-01' + to_seconds(i) AS event_time, TIMESTAMP '2001-03-01' + to_seconds(i) AS received,
			(1 + i %% 2)::INTEGER AS version, 'live' AS role FROM range(2, %d) t(i)`, rows),
		fmt.Sprintf(`INSERT INTO events BY NAME SELECT 'flights' AS deployment, 'revenue' AS name, 1.5 AS value,
			TIMESTAMP '2001-03-01' + to_seconds(5 * i) AS time, TIMESTAMP '2001-03-01' + to_seconds(5 * i + 60) AS received,
			'p' || 5 * i AS prediction_id, (1 + 5 * i %% 2)::INTEGER AS version, 'live' AS role,
			TIMESTAMP '2001-03-01' + to_seconds(5 * i) AS row_received, (5 * i) << 20 AS row_seq, i AS seq FROM range(%d) t(i)`, events),
	} {
		if err := s.write(b.Context(), func(t *tx) error { _, err := t.exec(q); return err }); err != nil {
			b.Fatal(err)
		}
	}
	for _, share := range []int{100, 10, 1} {
		b.Run(fmt.Sprintf("since=%d%%", share), func(b *testing.B) {
			after := int64(rows-rows/100*share) << seqBits
			for range b.N {
				totals, err := s.EventTotals(b.Context(), "flights", after, march.Add(time.Hour*24*365), []EventQuestion{{Name: "revenue", Window: time.Hour}})
				if err != nil || len(totals) != 2 {
					b.Fatal(totals, err)
				}
			}
		})
	}
}
