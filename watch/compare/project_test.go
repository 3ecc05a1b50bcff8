package compare_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/compare"
)

// letters are rows of free text beside a number.
func letters(seed uint64, rows int, vocabulary string) compare.Side {
	r := rand.New(rand.NewPCG(seed, 3))
	words := strings.Fields(vocabulary)
	comment := fairlead.TableColumn{Name: "comment", Strings: make([]string, rows)}
	stars := fairlead.TableColumn{Name: "stars", Floats: make([]float64, rows)}
	miles := fairlead.TableColumn{Name: "miles", Floats: make([]float64, rows)}
	for i := range rows {
		var text []string
		for range 4 + r.IntN(20) {
			text = append(text, words[r.IntN(len(words))])
		}
		comment.Strings[i] = fmt.Sprintf("%s %d", strings.Join(text, " "), r.IntN(1000))
		stars.Floats[i], miles.Floats[i] = float64(r.IntN(5)), 700+200*r.NormFloat64()
	}
	table := &fairlead.Table{Rows: rows, Columns: []fairlead.TableColumn{comment, stars, miles}}
	return compare.Side{Name: "letters", Rows: rows, Source: compare.Table{Table: table}}
}

const (
	english = "the flight was late and nobody at the gate told us why it had left before our bags were on board"
	german  = "die Verspätung wurde nicht angekündigt und für die Übernachtung gab es keine Entschädigung außer Gutscheinen"
)

// Comments that never repeat are compared by what they look like: other comments in the same language are no drift, neither alone
// nor together with the other columns; another language is.
func TestFreeTextIsComparedByItsProjections(t *testing.T) {
	past := letters(1, 4000, english)
	same := run(t, past, letters(2, 2000, english), compare.Options{Sample: 500}, 5)
	if same.Drifted != 0 {
		t.Errorf("%d columns drifted in the same language", same.Drifted)
	}
	if same.Together == nil || same.Together.Drifted {
		t.Errorf("the rows differ together: %+v", same.Together)
	}
	other := run(t, past, letters(3, 2000, german), compare.Options{Sample: 500}, 5)
	for name, drifted := range map[string]bool{
		"comment": false, "comment.words": false, "stars": false, "comment.non_ascii": true, "comment.word_length": true, "comment.length": true,
	} {
		if got := column(t, other, name); got.Drifted != drifted || got.Why != "" {
			t.Errorf("%s: drifted %v, want %v; %s", name, got.Drifted, drifted, got.Why)
		}
	}
}
