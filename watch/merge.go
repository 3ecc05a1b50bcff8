package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead/watch/profile"
)

// errDamaged marks a stored profile that cannot be read; reading it again does not heal it.
var errDamaged = errors.New("stored profile is damaged")

// Until is the end of the part of the window that can be compared with a reference that knows the phases of the week.
// An open day is compared as far as its hours are over, with the same hours of the reference: half a day against a whole
// one would differ in everything that follows the clock. It is the window's end for everything else, and its start when
// nothing can be compared yet. watermark is the latest event time of the deployment.
func (w Window) Until(ref *profile.Reference, closed bool, watermark time.Time) time.Time {
	if closed || w.Grain != Day || ref == nil || ref.Phases == nil {
		return w.End()
	}
	over := Hour.Start(watermark)
	switch {
	case over.Before(w.Start):
		return w.Start
	case over.After(w.End()):
		return w.End()
	}
	return over
}

// Merged adds up the counts of the window up to until, a full hour, as read gives them.
func Merged(ctx context.Context, read func(context.Context, Window) ([][]byte, error), l *profile.Layout, w Window, until time.Time) (*profile.Counts, error) {
	parts := []Window{w}
	if until.Before(w.End()) {
		parts = nil
		for h := w.Start; h.Before(until); h = h.Add(time.Hour) {
			part := w
			part.Grain, part.Start = Hour, h
			parts = append(parts, part)
		}
	}
	sum := profile.NewCounts(l)
	for _, part := range parts {
		blobs, err := read(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("read profiles: %w", err)
		}
		for _, b := range blobs {
			counts, err := profile.ParseCounts(l, b)
			if err == nil {
				err = sum.Merge(counts)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errDamaged, err)
			}
		}
	}
	return sum, nil
}
