package segment_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

var flights = map[string]segment.Kind{
	"distance": segment.Number, "dep_delay": segment.Number, "arr_delay": segment.Number, "origin": segment.Text, "late": segment.Truth,
	"event_time": segment.Time, "scheduled hour": segment.Number,
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	for text, want := range map[string]string{
		`distanse > 1000`:               `there is no column "distanse" (is it distance?)`,
		`Origin == "ATL"`:               `there is no column "Origin" (is it origin?)`,
		`ar_delay > 1`:                  `there is no column "ar_delay" (is it arr_delay or dep_delay?)`,
		`row["scheduled_hour"] > 6`:     `is it row["scheduled hour"]?`,
		`even_time.getHours() > 6`:      `is it event_time?`,
		`weather == "rain"`:             `there is no column "weather" (the inputs and outputs of the model are columns`,
		`distance >`:                    `the predicate cannot be read`,
		`distance`:                      `distance is a number, and a predicate needs a truth (compare it: distance > 0)`,
		`"ATL"`:                         `a predicate needs a truth`,
		`distance > "far"`:              `distance is a number, and a constant is a text`,
		`origin == 7`:                   `origin is a text, and a constant is a number`,
		`distance > dep_delay`:          `are both columns`,
		`1 < 2`:                         `are both constants`,
		`late > false`:                  `neither less nor more (use == or !=)`,
		`origin in []`:                  `in needs a list of constants (origin in ["ATL", "ORD"])`,
		`origin in "ATL"`:               `in needs a list of constants`,
		`distance.startsWith("1")`:      `startsWith needs a column of texts and a text`,
		`origin.startsWith(7)`:          `startsWith needs a column of texts and a text`,
		`origin.matches("A.*")`:         `matches cannot be used in a predicate (there are &&`,
		`distance + 1 > 2`:              `cannot be used as a value`,
		`distance.getHours() > 2`:       `getHours needs a column of times (event_time.getHours())`,
		`event_time > timestamp("now")`: `"now" is no time (timestamp("2001-03-01T00:00:00Z"))`,
		`event_time > timestamp("0000-01-01T00:00:00Z")`: `outside the years 1 to 9999`,
		`origin == "a\u0000b"`:                           `zero byte`,
		`has(1)`:                                         `has needs a column`,
		`origin == null`:                                 `a constant of this type`,
		strings.Repeat("!(late && ", 60) + "late" + strings.Repeat(")", 60): `nested too deeply`,
		strings.Repeat(" ", 5000): `a predicate of 5000 bytes is too long`,
		"":                        `the predicate cannot be read`,
	} {
		_, err := segment.Compile(text, flights)
		var user *fairlead.Error
		if !errors.As(err, &user) || user.Code != fairlead.CodeInvalid {
			t.Errorf("%.60s: %v is no message to a user", text, err)
			continue
		}
		if said := user.Message + " (" + user.Hint + ")"; !strings.Contains(said, want) {
			t.Errorf("%.60s:\n got %s\nwant %s", text, said, want)
		}
	}
}

// A value that is missing or of another kind than the column's fits no comparison, and fits its negation.
func TestWhatIsMissingFitsNoComparison(t *testing.T) {
	for _, text := range []string{`distance > 0`, `distance != 7`, `!(!(distance <= 0))`, `origin.contains("")`, `late`, `has(distance)`, `event_time.getHours() >= 0`} {
		for says, not := range map[string]bool{text: false, "!(" + text + ")": true} {
			p, err := segment.Compile(says, flights)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []any{nil, struct{}{}} {
				if got := p.Match(func(segment.Column) any { return v }); got != not {
					t.Errorf("%s of %v is %v", says, v, got)
				}
			}
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`distance > 1000 && origin in ["ATL", "ORD"]`, `!late || has(tags.region)`, `tags["it's"].contains("'; DROP TABLE rows; --")`,
		`row["scheduled hour"] <= -1.5e300`, `event_time.getDayOfWeek() == 6`, `event_time < timestamp("2001-03-01T00:00:00+14:00")`,
		`"\u00fc" < origin`, `[1][0] > 2`, `{"a": 1}.a == 1`, `distance == 1u`, `b"x" == origin`, `tags[1] == "a"`, `a.b.c`, `((((true))))`, `x ? y : z`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := segment.Compile(text, flights)
		if err != nil {
			var user *fairlead.Error
			if !errors.As(err, &user) || user.Code != fairlead.CodeInvalid {
				t.Fatalf("%q: %v is no message to a user", text, err)
			}
			return
		}
		condition := p.SQL(func(segment.Column) string { return "c" })
		// Outside of its quoted texts a condition has nothing but names, numbers and operators.
		for i, piece := range strings.Split(condition, "'") {
			if i%2 == 0 && strings.ContainsAny(piece, ";\"\x00\\") || strings.Count(condition, "'")%2 != 0 {
				t.Fatalf("%q became %s", text, condition)
			}
		}
		for _, v := range []any{nil, 1.0, "x", true} {
			p.Match(func(segment.Column) any { return v })
		}
	})
}
