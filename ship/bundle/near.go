package bundle

import (
	"fmt"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// near is the candidate that name was probably meant to be, "" if none is close. Upper and lower case are the same;
// beside that two letters may be wrong (two swapped letters are two wrong ones), fewer in a short name, a third in a
// long one.
func near(name string, candidates []string) string {
	best, least := "", min(len(name)/2, max(2, len(name)/3))+1
	for _, c := range candidates {
		if d := fairlead.Edits(strings.ToLower(name), strings.ToLower(c), least); d < least {
			best, least = c, d
		}
	}
	return best
}

// didYouMean is ", did you mean x?" or "".
func didYouMean(name string, candidates []string) string {
	if n := near(name, candidates); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

// list joins names for a message and cuts a long list short.
func list(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
