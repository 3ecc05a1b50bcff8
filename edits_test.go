package fairlead

import "testing"

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 3, 0},
		{"distance", "distance", 3, 0},
		{"distanse", "distance", 3, 1},
		{"orgin", "origin", 3, 1},
		{"nmae", "name", 3, 2}, // two swapped letters are two wrong ones
		{"kitten", "sitting", 99, 3},
		{"", "abc", 99, 3},
		{"abc", "abc", 99, 0},
		{"flaw", "lawn", 99, 2},
		{"kitten", "sitting", 3, 3},
		{"hour", "weekday", 3, 3}, // too far: the limit
		{"", "abc", 9, 3},
		{"abc", "", 2, 2},
	} {
		if got := Edits(c.a, c.b, c.limit); got != c.want {
			t.Errorf("Edits(%q, %q, %d) = %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
		if got := Edits(c.b, c.a, c.limit); got != c.want {
			t.Errorf("Edits(%q, %q, %d) = %d, want %d", c.b, c.a, c.limit, got, c.want)
		}
	}
}
