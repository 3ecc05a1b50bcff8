package app

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// said are comments of several words, in one of two languages.
func said(r *rand.Rand, language string, rows int) []string {
	words := map[string][]string{
		"en": strings.Fields("the flight was late and nobody at the gate told us why it had left before our bags were on board"),
		"de": strings.Fields("die Verspätung wurde nicht angekündigt und für die Übernachtung gab es keine Entschädigung außer Gutscheinen"),
	}[language]
	out := make([]string, rows)
	for i := range out {
		var text []string
		for range 4 + r.IntN(20) {
			text = append(text, words[r.IntN(len(words))])
		}
		out[i] = fmt.Sprintf("%s %d", strings.Join(text, " "), r.IntN(1000))
	}
	return out
}

// ask sends one input, all rows at one hour of event time.
func ask(t *testing.T, base, model string, input map[string]any, rows int, at time.Time) {
	t.Helper()
	var times []map[string]any
	for range rows {
		times = append(times, map[string]any{"time": at})
	}
	raw, err := json.Marshal(map[string]any{"inputs": []any{input}, "rows": times})
	if err != nil {
		t.Fatal(err)
	}
	call(t, base+"/v2/models/"+model+"/infer", "application/json", raw, &map[string]any{})
}

// verdicts waits until a day has so many rows and gives the columns' verdicts, each followed by its mean where it has one.
func verdicts(t *testing.T, base, model string, day time.Time, rows uint64, columns ...string) map[string]api.Distribution {
	t.Helper()
	out := map[string]api.Distribution{}
	for _, name := range columns {
		wait(t, fmt.Sprintf("%d rows of %s on %s", rows, name, day), func() bool {
			var d api.Distribution
			get(t, base+"/api/v1/deployments/"+model+"/drift/"+name+"?grain=day&start="+day.Format(time.RFC3339), &d)
			out[name] = d
			return d.Cell.N == rows && d.Cell.Verdict != ""
		})
	}
	return out
}

// Comments that never repeat turn from English to German: their letters tell, and an English day raises nothing.
func TestALanguageThatChangesIsFound(t *testing.T) {
	const rows = 600
	r := rand.New(rand.NewPCG(6, 40))
	a := open(t, t.TempDir())
	base := "http://" + a.Address()
	reference := "city\n" + strings.Join(said(r, "en", 2000), "\n") + "\n"
	settings := "name: comments\nmodel: model.onnx\nreference: reference.csv\n"
	call(t, base+"/api/v1/models/comments/versions", "application/x-tar", folder(t, testModel(t, "strings"), settings, reference), &map[string]any{})
	day := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for i, language := range []string{"en", "de"} {
		input := map[string]any{"name": "city", "datatype": "BYTES", "shape": []int{rows, 1}, "data": said(r, language, rows)}
		ask(t, base, "comments", input, rows, day.AddDate(0, 0, i))
	}
	columns := []string{"city", "city.length", "city.letters", "city.digits", "city.non_ascii", "city.words", "city.word_length"}
	for name, d := range verdicts(t, base, "comments", day.Truncate(24*time.Hour), rows, columns...) {
		if d.Cell.Verdict == "drifted" || d.Cell.Unseen > 0.02 {
			t.Errorf("an English day: %s is %s, unseen %v", name, d.Cell.Verdict, d.Cell.Unseen)
		}
	}
	german := verdicts(t, base, "comments", day.AddDate(0, 0, 1).Truncate(24*time.Hour), rows, columns...)
	for _, name := range []string{"city.non_ascii", "city.word_length"} {
		if german[name].Cell.Verdict != "drifted" {
			t.Errorf("a German day: %s is %s", name, german[name].Cell.Verdict)
		}
	}
	if v := german["city.words"].Cell.Verdict; v == "drifted" {
		t.Errorf("a German day: as many words as before are %s", v)
	}
}

// A wide input without named columns is watched through the projections that the reference has.
func TestAVectorThatGrowsIsFound(t *testing.T) {
	const rows = 600
	r := rand.New(rand.NewPCG(6, 41))
	a := open(t, t.TempDir())
	base := "http://" + a.Address()
	vectors := func(n int, scale float64) (data []float64) {
		for range 2 * n {
			data = append(data, scale*(1+0.3*r.NormFloat64()))
		}
		return data
	}
	reference := "label,X.mean,X.norm\n"
	for past := vectors(2000, 1); len(past) > 0; past = past[2:] {
		reference += fmt.Sprintf("%d,%v,%v\n", r.IntN(2), (past[0]+past[1])/2, math.Hypot(past[0], past[1]))
	}
	settings := "name: vectors\nmodel: model.onnx\nreference: reference.csv\n"
	call(t, base+"/api/v1/models/vectors/versions", "application/x-tar", folder(t, testModel(t, "tree"), settings, reference), &map[string]any{})
	day := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for i, scale := range []float64{1, 1.3} {
		input := map[string]any{"name": "X", "datatype": "FP32", "shape": []int{rows, 2}, "data": vectors(rows, scale)}
		ask(t, base, "vectors", input, rows, day.AddDate(0, 0, i))
	}
	for i, want := range []string{"ok", "drifted"} {
		for name, d := range verdicts(t, base, "vectors", day.AddDate(0, 0, i).Truncate(24*time.Hour), rows, "X.mean", "X.norm") {
			if d.Cell.Verdict != want {
				t.Errorf("day %d: %s is %s, want %s", i, name, d.Cell.Verdict, want)
			}
		}
	}
}
