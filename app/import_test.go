package app

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/learn/backfill"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

func TestTheMonitorWaitsForAnImport(t *testing.T) {
	var b backlog
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if b.waits(at) {
		t.Error("nothing streams in")
	}
	rounds := 0
	for range 150 { // seconds
		b.came(at)
		if !b.waits(at) {
			rounds++
		}
		at = at.Add(time.Second)
	}
	if rounds != 2 {
		t.Errorf("%d rounds during 150 s of import, want one a minute", rounds)
	}
	if b.waits(at.Add(importPause)) {
		t.Error("the import is over")
	}
}

// pastFlights is a message of the rows from ≤ i < to of a file of past predictions by version 1 of the example.
func pastFlights(t *testing.T, v *version, from, to int) []byte {
	t.Helper()
	id, at := fairlead.TableColumn{Name: "prediction_id"}, fairlead.TableColumn{Name: "event_time"}
	number, airport := fairlead.TableColumn{}, fairlead.TableColumn{}
	for i := from; i < to; i++ {
		id.Strings = append(id.Strings, fmt.Sprint("past-", i))
		at.Times = append(at.Times, time.Date(2001, 3, 1, 0, i, 0, 0, time.UTC))
		number.Floats, airport.Strings = append(number.Floats, float64(i%10)/10), append(airport.Strings, "ATL")
	}
	table := &fairlead.Table{Rows: to - from, Columns: []fairlead.TableColumn{id, at}}
	for _, number.Name = range []string{"hour", "weekday", "distance", "departures", "probability"} {
		table.Columns = append(table.Columns, number)
	}
	for _, airport.Name = range []string{"origin", "destination"} {
		table.Columns = append(table.Columns, airport)
	}
	src := backfill.FromTable(table)
	m, err := backfill.Predictions(src.Columns(), &v.sig, backfill.Wanted{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := backfill.NewReader(src, backfill.Version{Deployment: "flights", Model: "flights", Version: 1, Digest: v.digest, Signature: v.sig}, m)
	if err != nil {
		t.Fatal(err)
	}
	part, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	message, err := part.Message(&v.sig)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// What comes again is said and counted once, whether a whole message does or some of its rows.
func TestAnImportThatIsPartlyThere(t *testing.T) {
	a := open(t, t.TempDir())
	folder, err := bundle.Tar(os.DirFS("../examples/flights/bundle"))
	if err != nil {
		t.Fatal(err)
	}
	call(t, "http://"+a.Address()+"/api/v1/models/flights/versions?alias=champion", "application/x-tar", folder, new(map[string]any))
	v, err := a.deployer.describe(t.Context(), "flights", "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			answer, err := a.SQL(t.Context(), `SELECT count(*), count(DISTINCT prediction_id) FROM predictions`, 1)
			if err == nil && fmt.Sprint(answer.Rows[0]) == fmt.Sprintf("[%d %d]", want, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v, %v; want %d rows", answer.Rows, err, want)
			}
		}
	}
	for _, step := range []struct{ from, to, accepted, repeated, rows int }{
		{0, 30, 30, 0, 30},
		{0, 30, 0, 30, 30},
		{10, 50, 20, 20, 50}, // some of them
		{10, 50, 0, 40, 50},
		{0, 50, 0, 50, 50}, // none is new, as another message
	} {
		got, err := a.Import(t.Context(), "flights", pastFlights(t, v, step.from, step.to))
		if err != nil || got.Accepted != step.accepted || got.Repeated != step.repeated || got.Rows != step.to-step.from {
			t.Fatalf("rows %d to %d: %+v %v, want %+v", step.from, step.to, got, err, step)
		}
		stored(step.rows)
	}
}
