package evalstore

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

func minuteCounts(minute int, counts string) eventlog.ProfileDelta {
	return eventlog.ProfileDelta{Deployment: "flights", Version: 1, Role: fairlead.RoleLive,
		Minute: march.Add(time.Duration(minute) * time.Minute), Counts: []byte(counts)}
}

// A log of rows with their counts gives the same store however it is cut into transactions, and the rows and counts of one
// where both came apart.
func TestCountsComeWithTheirRows(t *testing.T) {
	rows := [][]byte{encode(t, flights, flight("a", march, 3, 0.1)), encode(t, flights, flight("b", march.Add(time.Hour), 2, 0.2))}
	deltas := [][]eventlog.ProfileDelta{{minuteCounts(0, "one"), minuteCounts(1, "two")}, {minuteCounts(61, "three")}}
	together := []eventlog.Message{
		{Stream: eventlog.Predictions, Seq: 1, Data: eventlog.WithCounts(rows[0], deltas[0])},
		{Stream: eventlog.Predictions, Seq: 2, Data: eventlog.WithCounts(rows[1], deltas[1])},
	}
	var first string
	for _, cut := range [][][]eventlog.Message{{together}, {together[:1], together[1:]}, {together[:1], together, together}} {
		s := open(t, t.TempDir())
		for _, msgs := range cut {
			if err := s.Ingest(t.Context(), string(eventlog.Predictions), msgs); err != nil {
				t.Fatal(err)
			}
		}
		var all []string
		for _, query := range []string{
			`SELECT prediction_id, seq FROM predictions ORDER BY ALL`, `SELECT minute, counts, seq FROM profiles ORDER BY ALL`,
			`SELECT hour, rows, first_time, last_time FROM hours ORDER BY ALL`,
		} {
			all = append(all, table(t, s, query))
		}
		got := strings.Join(all, "\n\n")
		if first == "" {
			first = got
		}
		expect(t, "the store", got, first)
		expect(t, "profiles", table(t, s, `SELECT count(*), count(DISTINCT seq), string_agg(counts::VARCHAR, ' ' ORDER BY minute) FROM profiles`), "3 3 one two three")
	}
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.send(eventlog.Predictions, rows...)
	f.send(eventlog.Profiles, eventlog.EncodeProfiles(deltas[0]), eventlog.EncodeProfiles(deltas[1]))
	expect(t, "a log of before", table(t, s, `SELECT (SELECT count(*) FROM predictions), (SELECT string_agg(counts::VARCHAR, ' ' ORDER BY minute) FROM profiles)`),
		"5 one two three")
}

// A message whose counts cannot be stored leaves no rows either.
func TestRowsWithBadCountsAreRejectedWhole(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	data := encode(t, flights, flight("a", march, 1, 0.1))
	late := minuteCounts(0, "x")
	late.Minute = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	other := minuteCounts(0, "x")
	other.Version = 2
	f.send(eventlog.Predictions, eventlog.WithCounts(data, []eventlog.ProfileDelta{late}),
		eventlog.WithCounts(data, []eventlog.ProfileDelta{other}), eventlog.WithCounts(data, []eventlog.ProfileDelta{minuteCounts(0, "y")}))
	expect(t, "stored", table(t, s, `SELECT (SELECT count(*) FROM predictions), (SELECT count(*) FROM profiles), (SELECT string_agg(seq, ' ' ORDER BY seq) FROM rejected)`), "1 1 1 2")
}
