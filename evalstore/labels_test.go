package evalstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	truth "github.com/fairlead-ml/fairlead/learn/label"
)

func minute(n int) time.Time { return march.Add(time.Duration(n) * time.Minute) }

// about is a label of an entity, known at its time.
func about(key, value string, at time.Time, join fairlead.LabelJoin) fairlead.Label {
	return fairlead.Label{Deployment: "flights", Key: key, Value: value, Time: at, Received: at, Join: join}
}

const outcomesOf = `SELECT prediction_id, role, label FROM outcomes ORDER BY prediction_id, role`

func TestLabelsByKeyAndTime(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.labels(about("N1", "late", minute(20), fairlead.LabelJoin{})) // before any row
	f.rows(flights, keyed("p1", "N1", minute(0), 1, fairlead.RoleLive), keyed("p2", "N2", minute(0), 1, fairlead.RoleLive))
	expect(t, "the only one", table(t, s, outcomesOf), "p1 live late")
	expect(t, "hours", table(t, s, `SELECT sum(rows), sum(labelled) FROM hours`), "2 1")
	f.rows(flights, keyed("p3", "N1", minute(10), 1, fairlead.RoleLive))
	expect(t, "a later prediction takes the label", table(t, s, outcomesOf), "p3 live late")
	f.rows(flights, keyed("p4", "N1", minute(15), 1, fairlead.RoleShadow), keyed("p5", "N1", minute(30), 1, fairlead.RoleLive))
	f.rows(flights, keyed("p3", "N1", minute(10), 2, fairlead.RoleShadow))
	expect(t, "shadows get labels of what they are copies of", table(t, s, outcomesOf), "p3 live late\np3 shadow late")
	f.labels(about("N1", "on_time", minute(12), fairlead.LabelJoin{All: true, Within: 12 * time.Minute}))
	expect(t, "all within; the one received last counts", table(t, s, outcomesOf), "p1 live on_time\np3 live late\np3 shadow late")
	f.labels(about("N2", "late", minute(10), fairlead.LabelJoin{Within: 9 * time.Minute}))
	expect(t, "too long ago", table(t, s, `SELECT count(*) FROM outcomes WHERE prediction_id = 'p2'`), "0")
	expect(t, "hours", table(t, s, `SELECT version, role, sum(rows), sum(labelled) FROM hours GROUP BY ALL ORDER BY ALL`), "1 live 4 2\n1 shadow 1 0\n2 shadow 1 1")
}

func TestALabelIsTakenBack(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.rows(flights, keyed("p1", "", march, 1, fairlead.RoleLive))
	say := func(value string, received int) {
		f.labels(fairlead.Label{Deployment: "flights", PredictionID: "p1", Value: value, Time: march, Received: minute(received)})
	}
	say("late", 1)
	say("", 5)
	expect(t, "taken back", table(t, s, outcomesOf), "")
	say("on_time", 4) // was overtaken
	expect(t, "still taken back", table(t, s, outcomesOf), "")
	expect(t, "no outcome is counted", table(t, s, `SELECT labelled FROM hours`), "0")
	say("late", 6)
	expect(t, "said again", table(t, s, outcomesOf), "p1 live late")
	expect(t, "counted", table(t, s, `SELECT labelled FROM hours`), "1")
	expect(t, "history", table(t, s, `SELECT revision, value, retracted, previous, latest FROM label_history ORDER BY revision`), strings.Join([]string{
		"1 late false <nil> false", "2 on_time false late false", "3 <nil> true on_time false", "4 late false <nil> true",
	}, "\n"))
}

// Whatever comes first, in whatever portions and however often a message is corrected, every row ends with the label that
// package learn/label gives it.
func TestLabelsInAnyOrder(t *testing.T) {
	const seed = 23
	rng := rand.New(rand.NewPCG(seed, 1))
	var rows, labels [][]byte
	var plainRows []truth.Row
	var plainLabels []truth.Label
	for i := range 70 {
		role := []fairlead.Role{fairlead.RoleLive, fairlead.RoleCanary, fairlead.RoleShadow}[rng.IntN(3)]
		id, key, at := fmt.Sprint("p", i), fmt.Sprint("N", rng.IntN(5)), minute(rng.IntN(60))
		if rng.IntN(6) == 0 {
			key = ""
		}
		if i > 3 && rng.IntN(4) == 0 { // a copy
			r := plainRows[rng.IntN(i)]
			id, key, at, role = r.ID, r.Key, r.Time, fairlead.RoleShadow
		}
		plainRows = append(plainRows, truth.Row{ID: id, Key: key, Time: at, Shadow: role == fairlead.RoleShadow})
		rows = append(rows, encode(t, flights, keyed(id, key, at, fairlead.Version(1+i%2), role)))
	}
	for i := range 80 {
		l := about(fmt.Sprint("N", rng.IntN(6)), fmt.Sprint(i), minute(rng.IntN(90)),
			fairlead.LabelJoin{All: rng.IntN(3) == 0, Within: time.Duration(5+rng.IntN(40)) * time.Minute})
		if rng.IntN(2) == 0 {
			l.PredictionID, l.Key, l.Join = fmt.Sprint("p", rng.IntN(80)), "", fairlead.LabelJoin{}
		}
		if rng.IntN(7) == 0 {
			l.Value = ""
		}
		l.Received = minute(1000 + (i*37)%80) // each at another time, in another order
		plainLabels = append(plainLabels, truth.Label{Label: l})
		labels = append(labels, eventlog.EncodeLabels([]fairlead.Label{l}))
	}
	want := ownOutcomes(plainRows, plainLabels)
	for round := range 4 {
		s := open(t, t.TempDir())
		f := newFeed(t, s)
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
		deal(rng, f, rows, labels)
		got := sorted(table(t, s, `SELECT prediction_id, role = 'shadow', event_time, label FROM outcomes`))
		expect(t, fmt.Sprintf("round %d, seed %d", round, seed), got, want)
		expect(t, "hours agree with outcomes", table(t, s, `SELECT (SELECT sum(labelled) FROM hours) = (SELECT count(*) FROM outcomes),
			(SELECT sum(rows) FROM hours) = 70`), "true true")
	}
}

// deal ingests both in random portions.
func deal(rng *rand.Rand, f *feed, rows, labels [][]byte) {
	for len(rows)+len(labels) > 0 {
		n := 1 + rng.IntN(12)
		if len(labels) == 0 || len(rows) > 0 && rng.IntN(2) == 0 {
			n = min(n, len(rows))
			f.send(eventlog.Predictions, rows[:n]...)
			rows = rows[n:]
		} else {
			n = min(n, len(labels))
			f.send(eventlog.Labels, labels[:n]...)
			labels = labels[n:]
		}
	}
}

func ownOutcomes(rows []truth.Row, labels []truth.Label) string {
	var lines []string
	for i, l := range truth.Outcomes(rows, labels) {
		if l == nil {
			continue
		}
		r := rows[i]
		lines = append(lines, fmt.Sprint(r.ID, " ", r.Shadow, " ", r.Time.Format("01-02 15:04"), " ", l.Value))
	}
	return sorted(strings.Join(lines, "\n"))
}

func sorted(lines string) string {
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}
