package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scrape is what a server said of its rows at /metrics.
type scrape struct {
	began                     time.Time // when it was asked
	pending, dropped, sampled int
}

// lastWord asks a server for its counters until ctx ends, and gives the last answer.
func lastWord(ctx context.Context, base string) (last scrape) {
	for ctx.Err() == nil {
		if s, err := scrapeOf(base); err == nil {
			last = s
		}
		rest(ctx, 10*time.Millisecond)
	}
	return last
}

func scrapeOf(base string) (scrape, error) {
	s := scrape{began: time.Now()}
	resp, err := http.Get(base + "/metrics")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	for name, to := range map[string]*int{
		"fairlead_rows_pending": &s.pending, "fairlead_rows_dropped_total": &s.dropped, "fairlead_rows_sampled_out_total": &s.sampled,
	} {
		_, after, ok := strings.Cut(string(text), "\n"+name+" ")
		line, _, _ := strings.Cut(after, "\n")
		n, err := strconv.ParseFloat(line, 64)
		if !ok || err != nil {
			return s, fmt.Errorf("%s is %q: %v", name, line, err)
		}
		*to = int(n)
	}
	return s, nil
}

// rowCount is how many of a load's rows are stored, and how many of those that were sent after the last kill.
type rowCount struct{ all, last int }

// loss is what a kill cost.
type loss struct {
	rows   int
	before int           // of them, answered before the server was last asked for its counters
	age    time.Duration // of the oldest of them, when it was killed
}

// checkRows holds the stored rows against what was sent and answered, kill by kill.
func (l *load) checkRows(t *testing.T, p *process, kills []kill) rowCount {
	t.Helper()
	answer, err := p.client.SQL(t.Context(), `SELECT prediction_id, count(*) FROM rows."flights" GROUP BY ALL`, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]bool, len(answer.Rows))
	for _, r := range answer.Rows {
		id := r[0].(string)
		stored[id] = true
		_, number, _ := strings.Cut(id, "-")
		if n, err := strconv.Atoi(number); err != nil || n >= int(l.next.Load()) {
			t.Errorf("the row %s was never sent", id)
		}
		if times := r[1].(float64); times != 1 {
			t.Errorf("the row %s is stored %v times", id, times)
		}
	}
	losses := make([]loss, len(kills))
	for _, a := range l.answers {
		gone := 0
		for _, id := range a.ids {
			if !stored[id] {
				gone++
			}
		}
		if gone == 0 {
			continue
		}
		if a.round == len(kills) {
			t.Errorf("%d rows answered after the last kill are not stored", gone)
			continue
		}
		k, lost := kills[a.round], &losses[a.round]
		lost.rows += gone
		lost.age = max(lost.age, k.at.Sub(a.at))
		if a.at.Before(k.said.began) {
			lost.before += gone
		}
	}
	for round, lost := range losses {
		k := kills[round]
		if may := killWindow + killSlack + 2*k.write; lost.age > may {
			t.Errorf("kill %d: a row is lost that was answered %s before; the window is %s, and a write took up to %s", round, lost.age, killWindow, k.write)
		}
		if lost.before > k.said.pending || k.said.dropped != 0 {
			t.Errorf("kill %d: %d rows are lost that were answered before the server said that %d are pending and %d dropped", round, lost.before, k.said.pending, k.said.dropped)
		}
	}
	count := rowCount{all: len(stored)}
	for id := range stored {
		if l.after(id) {
			count.last++
		}
	}
	l.logLosses(t, len(stored), losses, kills)
	return count
}

func (l *load) logLosses(t *testing.T, stored int, losses []loss, kills []kill) {
	var rows, write []int
	var age []time.Duration
	total, before, pending := 0, 0, 0
	for i, lost := range losses {
		rows, age, write = append(rows, lost.rows), append(age, lost.age.Round(time.Millisecond)), append(write, int(kills[i].write.Milliseconds()))
		total, before, pending = total+lost.rows, before+lost.before, pending+kills[i].said.pending
	}
	slices.Sort(rows)
	slices.Sort(age)
	slices.Sort(write)
	last, middle := len(rows)-1, len(rows)/2
	t.Logf("%d kills: %d rows answered, %d stored, %d lost: per kill median %d, max %d", len(kills), l.answered.Load(), stored, total, rows[middle], rows[last])
	t.Logf("oldest lost row before the kill: median %s, max %s (window %s); slowest label of a round: median %d ms, max %d ms", age[middle], age[last], killWindow, write[middle], write[last])
	t.Logf("%d rows were pending by the servers' last words, %d of those answered before them are lost", pending, before)
}

// answersOf is how many requests of a round were answered.
func (l *load) answersOf(round int) (n int) {
	for _, a := range l.answers {
		if a.round == round {
			n++
		}
	}
	return n
}

// after says whether a row was sent in the last round.
func (l *load) after(id string) bool {
	_, number, _ := strings.Cut(id, "-")
	n, _ := strconv.Atoi(number)
	return n >= int(l.from)
}

// checkLabels looks for every acknowledged label and business event: it is there once, with its value.
func (l *load) checkLabels(t *testing.T, p *process) {
	t.Helper()
	answer, err := p.client.SQL(t.Context(), `SELECT prediction_id, count(*), max("value") FROM labels GROUP BY ALL`, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]string, len(answer.Rows))
	for _, r := range answer.Rows {
		id := r[0].(string)
		have[id] = fmt.Sprint(r[2])
		if times := r[1].(float64); times != 1 {
			t.Errorf("the label of %s is stored %v times", id, times)
		}
	}
	var gone []string
	for id, value := range l.acked {
		if want := map[bool]string{false: "0", true: "1"}[value]; have[id] != want {
			gone = append(gone, fmt.Sprintf("%s is %q, acknowledged was %s", id, have[id], want))
		}
	}
	if answer, err = p.client.SQL(t.Context(), `SELECT id FROM events`, 1_000_000); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range answer.Rows {
		seen[r[0].(string)]++
	}
	lost := 0
	for _, id := range l.events {
		if seen[id] != 1 {
			lost++
		}
	}
	t.Logf("%d labels acknowledged, %d stored, %d missing; %d events acknowledged, %d stored, %d missing or doubled",
		len(l.acked), len(have), len(gone), len(l.events), len(seen), lost)
	if len(gone) > 0 || lost > 0 {
		t.Errorf("%d acknowledged labels are gone or wrong, %d events: %v", len(gone), lost, gone[:min(3, len(gone))])
	}
	if len(l.acked) == 0 || len(l.events) == 0 {
		t.Fatal("no label or no event was acknowledged: the test shows nothing")
	}
	if twice := p.number(`SELECT count(*) - count(DISTINCT prediction_id) FROM outcomes`); twice != 0 {
		t.Errorf("%d predictions are joined twice", twice)
	}
}
