package app

import (
	"testing"
	"time"
)

func TestTheMonitorWaitsForAnImport(t *testing.T) {
	var b backlog
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if b.waits(at) {
		t.Error("nothing streams in")
	}
	rounds := 0
	for range 150 { // seconds
		b.came(at)
		if !b.waits(at) {
			rounds++
		}
		at = at.Add(time.Second)
	}
	if rounds != 2 {
		t.Errorf("%d rounds during 150 s of import, want one a minute", rounds)
	}
	if b.waits(at.Add(importPause)) {
		t.Error("the import is over")
	}
}
