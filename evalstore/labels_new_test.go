package evalstore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// TestNewLabelsGoTheSameWay: labels of which nothing was said before take a shorter way into the outcomes. However rows,
// labels, corrections and retractions follow each other, the outcomes are the same as when each label comes alone.
func TestNewLabelsGoTheSameWay(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	whole, alone := open(t, t.TempDir()), open(t, t.TempDir())
	var seq, aloneSeq, rowSeq uint64
	for round := range 30 {
		first := rng.IntN(40)
		if rng.IntN(3) > 0 {
			for i := range 5 {
				rowSeq++
				p := flight(fmt.Sprintf("p%02d", first+i), march.Add(time.Duration(round)*time.Hour), 1, 0.1)
				msg := []eventlog.Message{{Stream: eventlog.Predictions, Seq: rowSeq, Data: encode(t, flights, p)}}
				for _, s := range []*Store{whole, alone} {
					if err := s.Ingest(t.Context(), "PREDICTIONS", msg); err != nil {
						t.Fatal(err)
					}
				}
			}
			continue
		}
		var labels []fairlead.Label
		received := march.Add(time.Duration(round) * time.Minute)
		for i := range 1 + rng.IntN(8) {
			l := fairlead.Label{Deployment: "flights", PredictionID: fmt.Sprintf("p%02d", first+i), Value: []string{"late", "on_time"}[rng.IntN(2)], Time: received, Received: received}
			switch rng.IntN(12) {
			case 0:
				l.PredictionID = fmt.Sprintf("p%02d", rng.IntN(45))
			case 1:
				l.Value = ""
			}
			labels = append(labels, l)
		}
		seq++
		if err := whole.Ingest(t.Context(), "LABELS", []eventlog.Message{{Stream: eventlog.Labels, Seq: seq, Time: received, Data: eventlog.EncodeLabels(labels)}}); err != nil {
			t.Fatal(err)
		}
		for _, l := range labels {
			aloneSeq++
			if err := alone.Ingest(t.Context(), "LABELS", []eventlog.Message{{Stream: eventlog.Labels, Seq: aloneSeq, Time: received, Data: eventlog.EncodeLabels([]fairlead.Label{l})}}); err != nil {
				t.Fatal(err)
			}
		}
		const outcomes = `SELECT prediction_id, version, event_time, label FROM outcomes ORDER BY ALL`
		expect(t, fmt.Sprintf("outcomes after round %d", round), table(t, whole, outcomes), table(t, alone, outcomes))
		const hours = `SELECT hour, rows, labelled FROM hours ORDER BY ALL`
		expect(t, fmt.Sprintf("hours after round %d", round), table(t, whole, hours), table(t, alone, hours))
	}
	if n := table(t, whole, `SELECT count(*) > 20 FROM outcomes`); n != "true" {
		t.Errorf("too few outcomes to say anything: %s", table(t, whole, `SELECT count(*) FROM outcomes`))
	}
}
