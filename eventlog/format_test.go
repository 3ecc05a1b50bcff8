package eventlog

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/fairlead-ml/fairlead"
)

// TestDocumentedMessages compares the dumps and tables of docs/format/log.md with what is written.
func TestDocumentedMessages(t *testing.T) {
	b, err := os.ReadFile("../docs/format/log.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	at := time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string][]byte{
		"labels": EncodeLabels([]fairlead.Label{{Deployment: "flights", PredictionID: "01J.0", Value: "late", Time: at, Received: at.Add(time.Hour)}}),
		"keyed": EncodeLabels([]fairlead.Label{
			{Deployment: "flights", Key: "N1", Join: fairlead.LabelJoin{All: true, Within: time.Hour}, Value: "late", Time: at, Received: at},
			{Deployment: "flights", PredictionID: "01J.0", Time: at, Received: at},
		}),
		"events":   EncodeEvents([]fairlead.BusinessEvent{{Deployment: "flights", Name: "revenue", ID: "o-1", PredictionID: "01J.0", Value: 12.5, Time: at, Received: at}}),
		"profiles": EncodeProfiles([]ProfileDelta{{Deployment: "flights", Version: 3, Role: fairlead.RoleLive, Minute: at, Counts: []byte("FC\x01")}}),
	} {
		_, dump, ok := strings.Cut(page, "```dump "+name+"\n")
		dump, _, _ = strings.Cut(dump, "```")
		var got strings.Builder
		for line := range strings.Lines(dump) {
			bytes, _, _ := strings.Cut(line, "  ") // what follows two spaces explains
			got.WriteString(strings.ReplaceAll(strings.TrimSpace(bytes), " ", ""))
		}
		if !ok || got.String() != hex.EncodeToString(want) {
			t.Errorf("%s: the page has\n%s\nwritten is\n% x", name, got.String(), want)
		}
	}
	column := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (binary|int64|bool|float64) \\|")
	var said, written []string
	for _, m := range column.FindAllStringSubmatch(page, -1) {
		said = append(said, m[1]+" "+m[2])
	}
	for _, f := range append(append([]arrow.Field{}, metaFields...), probabilityField) {
		kind := f.Type.String()
		if f.Nullable {
			kind = "nullable " + kind
		}
		written = append(written, f.Name+" "+kind)
	}
	if got, want := strings.Join(said, "\n"), strings.Join(written, "\n"); got != want {
		t.Errorf("columns: the page has\n%s\nwritten is\n%s", got, want)
	}
	for form, example := range map[string][]byte{"R 1": {kindRows, 1}, "R 2": {kindRows, formatSampled}, "R 3": {kindRows, formatCounted}, "P 1": {kindProfiles, 1},
		"L 1": {kindLabels, 1}, "L 2": {kindLabels, keyedLabels}, "E 1": {kindEvents, 1}} {
		if kind, version, _ := strings.Cut(form, " "); !strings.Contains(page, "| `"+hex.EncodeToString(example[:1])+" 0"+version+"` | `"+kind+"` "+version+": ") {
			t.Errorf("the page does not tell of %s: % x", form, example)
		}
	}
}
