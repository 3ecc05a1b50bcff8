package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// inStep names the step in an error, and keeps its code, hint and reason.
func inStep(step string, err error) error { return prefixed("step "+step, err) }

func inOutput(name string, err error) error { return prefixed(fmt.Sprintf("output %q", name), err) }

func prefixed(where string, err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", where, err)
	}
	named := *e
	named.Message = where + ": " + e.Message
	named.Err = err
	return &named
}

func unknownStep(name string, steps map[string]bool) *fairlead.Error {
	return fairlead.Invalid("there is no step %q", name).Hintf("%s", nearest(name, steps))
}

func nearest(name string, steps map[string]bool) string {
	return among(name, "step", slices.Sorted(maps.Keys(steps)))
}

// among proposes the name that was meant, or lists what there is.
func among(name, what string, known []string) string {
	if meant := closest(name, known); meant != "" {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	if len(known) == 0 {
		return fmt.Sprintf("there is no %s at all", what)
	}
	if len(known) > 20 {
		known = append(slices.Clone(known[:20]), "…")
	}
	return fmt.Sprintf("there %s %s", map[bool]string{true: "is", false: "are"}[len(known) == 1], strings.Join(known, ", "))
}

// closest is the name that differs in at most two letters, and in less than half of them; "" if there is none.
func closest(name string, known []string) string {
	best, at := min(3, len(name)/2+1), ""
	for _, k := range known {
		if n := fairlead.Edits(name, k, best); n < best {
			best, at = n, k
		}
	}
	return at
}
