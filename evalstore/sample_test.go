package evalstore

import (
	"testing"
	"time"
)

func TestSpansJoin(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 1, 1, h, 0, 0, 0, time.UTC) }
	got := Spans([]Span{{at(5), at(6)}, {at(1), at(2)}, {at(2), at(4)}, {at(3), at(4)}})
	if len(got) != 2 || got[0] != (Span{at(1), at(4)}) || got[1] != (Span{at(5), at(6)}) {
		t.Errorf("%v", got)
	}
	if Spans(nil) != nil {
		t.Error("spans of nothing")
	}
}
