package label

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var noon = time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func TestAbout(t *testing.T) {
	rows := []Row{
		{ID: "a", Key: "N1", Time: at(0)},
		{ID: "b", Key: "N1", Time: at(10)},
		{ID: "c", Key: "N2", Time: at(5)},
		{ID: "b", Key: "N1", Time: at(10), Shadow: true},
		{ID: "d", Key: "N1", Time: at(10)}, // of the same moment as b
		{ID: "e", Key: "N1", Time: at(20), Shadow: true},
	}
	key := func(k string, minutes int, join fairlead.LabelJoin) fairlead.Label {
		return fairlead.Label{Key: k, Time: at(minutes), Join: join, Value: "late"}
	}
	all := fairlead.LabelJoin{All: true, Within: 15 * time.Minute}
	for _, x := range []struct {
		what string
		l    fairlead.Label
		want string
	}{
		{"by id, the shadow's copy too", fairlead.Label{PredictionID: "b"}, "[1 3]"},
		{"an id that nobody has", fairlead.Label{PredictionID: "x"}, "[]"},
		{"the latest, of one moment the greatest id", key("N1", 30, fairlead.LabelJoin{}), "[4]"},
		{"at the moment itself", key("N2", 5, fairlead.LabelJoin{}), "[2]"},
		{"before the later ones", key("N1", 9, fairlead.LabelJoin{}), "[0]"},
		{"before all", key("N1", -1, fairlead.LabelJoin{}), "[]"},
		{"too late", key("N2", 10, fairlead.LabelJoin{Within: 4 * time.Minute}), "[]"},
		{"in the last moment", key("N2", 10, fairlead.LabelJoin{Within: 5 * time.Minute}), "[2]"},
		{"all, with copies", key("N1", 12, all), "[0 1 3 4]"},
		{"all in reach", key("N1", 16, all), "[1 3 4]"},
	} {
		if got := fmt.Sprint(About(x.l, rows)); got != x.want {
			t.Errorf("%s: %s, want %s", x.what, got, x.want)
		}
	}
}

func TestOutcomesDoNotDependOnOrder(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	var rows []Row
	var labels []Label
	for i := range 40 {
		rows = append(rows, Row{ID: fmt.Sprint("p", i), Key: fmt.Sprint("N", rng.IntN(4)), Time: at(rng.IntN(100))})
	}
	for i := range 60 {
		l := Label{Label: fairlead.Label{Key: fmt.Sprint("N", rng.IntN(5)), Time: at(rng.IntN(120)), Value: fmt.Sprint(i), Received: at(rng.IntN(200)),
			Join: fairlead.LabelJoin{All: rng.IntN(3) == 0, Within: time.Duration(10+rng.IntN(60)) * time.Minute}}, Seq: int64(i)}
		if rng.IntN(2) == 0 {
			l.Key, l.PredictionID = "", fmt.Sprint("p", rng.IntN(45))
		}
		if rng.IntN(6) == 0 {
			l.Value = ""
		}
		labels = append(labels, l)
	}
	result := func() map[string]string {
		out := map[string]string{}
		for i, l := range Outcomes(rows, labels) {
			if l != nil {
				out[rows[i].ID] = l.Value
			}
		}
		return out
	}
	want := fmt.Sprint(result())
	for range 20 {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
		if got := fmt.Sprint(result()); got != want {
			t.Fatalf("seed %d: %s, want %s", seed, got, want)
		}
	}
}
