package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

func TestEventsAreKept(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	got := read[api.EventsAnswer](t, s, "POST", "/api/v1/deployments/flights/events", `{"events":[
		{"name":"revenue","value":12.5,"id":"o1","prediction_id":"a"},
		{"name":"booking.completed","value":0,"key":"customer-7","time":"2001-03-01T10:00:00+01:00"}]}`)
	var lines []string
	for _, e := range w.events {
		lines = append(lines, fmt.Sprintf("%s %s %q %q %q %g %s %s", e.Deployment, e.Name, e.ID, e.PredictionID, e.Key, e.Value,
			e.Time.Format(time.RFC3339), e.Received.Format(time.RFC3339)))
	}
	at := noon.Format(time.RFC3339)
	want := []string{
		`flights revenue "o1" "a" "" 12.5 ` + at + " " + at,
		`flights booking.completed "" "" "customer-7" 0 2001-03-01T09:00:00Z ` + at,
	}
	if got.Accepted != 2 || strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d events:\n%s\nwant\n%s", got.Accepted, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventsRefused(t *testing.T) {
	w := &world{}
	s := serve(t, w)
	for _, c := range []struct{ event, says string }{
		{`{"name":"revenue","value":1}`, "events[1]: revenue says not which prediction it belongs to"},
		{`{"name":"revenue","value":1,"prediction_id":"a","key":"b"}`, "has both prediction_id"},
		{`{"name":"revenue","prediction_id":"a"}`, "value"},
		{`{"name":"revenue","value":null,"prediction_id":"a"}`, "value"},
		{`{"name":"revenue","value":1e999,"prediction_id":"a"}`, ""},
		{`{"name":"revenue","value":"much","prediction_id":"a"}`, "value"},
		{`{"value":1,"prediction_id":"a"}`, "name"},
		{`{"name":"","value":1,"prediction_id":"a"}`, "events[1]: an event needs a name"},
		{`{"name":"net revenue","value":1,"prediction_id":"a"}`, "is not a name of an event"},
		{`{"name":"7up","value":1,"prediction_id":"a"}`, "is not a name of an event"},
		{`{"name":"` + strings.Repeat("x", 65) + `","value":1,"prediction_id":"a"}`, "longer than 64 bytes"},
		{`{"name":"accuracy","value":1,"prediction_id":"a"}`, "cannot be called accuracy"},
		{`{"name":"revenue","value":1,"prediction_id":"a","colour":"red"}`, "colour"},
	} {
		resp, raw := ask(t, s, "POST", "/api/v1/deployments/flights/events", "application/json",
			`{"events":[{"name":"revenue","value":1,"prediction_id":"a"},`+c.event+`]}`)
		if resp.StatusCode != 400 || !strings.Contains(string(raw), c.says) {
			t.Errorf("%s: %s %s", c.event, resp.Status, raw)
		}
	}
	if len(w.events) > 0 {
		t.Errorf("%d events of refused requests were stored", len(w.events))
	}
}
