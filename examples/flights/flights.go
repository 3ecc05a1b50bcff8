// Package flights replays the US domestic flights of March to June 2001 against a server that holds the model of this
// folder: predictions as the aircraft leave the gate, labels when they would have landed, through the public HTTP API
// only. README.md says what the data are and how the model was made.
package flights

import (
	"embed"
	"io/fs"
	"time"
)

// Name is the name of the model and of its deployment.
const Name = "flights"

//go:embed bundle
var files embed.FS

// Bundle is the model's bundle folder: fairlead.yaml, model.onnx, reference.parquet.
var Bundle fs.FS = sub(files, "bundle")

func sub(fsys fs.FS, dir string) fs.FS {
	s, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(err) // dir is a constant that go:embed has found
	}
	return s
}

// The replay's span of event time: the months after those the model was trained on. Departures are local times, taken
// as UTC.
var (
	Start = time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC)
	End   = time.Date(2001, 7, 1, 0, 0, 0, 0, time.UTC)
)

// What the outcome of a flight is called.
const (
	late   = "late"
	onTime = "on_time"
)

// lateAfter and the bounds of a believable delay, in minutes, are those of train.py.
const (
	lateAfter = 15
	minDelay  = -120
	maxDelay  = 1200
)

// Flight is one row of the file with what is known about it when it leaves the gate. Its numbers are what the client
// sends; an incident changes them.
type Flight struct {
	Row         int64 // number in the file, from 0
	Minute      int64 // of departure, since 1970-01-01 00:00
	Hour        int
	Weekday     int // 0 is Monday
	Distance    int // miles
	Departures  int // from the same origin in the 60 minutes before Minute
	Origin      string
	Destination string

	Delay  int // minutes late on arrival
	Landed int64
}

// Outcome is the label of f, or "" where the recorded delay is a date error and says nothing.
func (f *Flight) Outcome() string {
	switch {
	case f.Delay < minDelay || f.Delay >= maxDelay:
		return ""
	case f.Delay > lateAfter:
		return late
	}
	return onTime
}

// landing estimates the minute of arrival at the gate: 25 minutes of taxiing and climbing, then 420 miles an hour. The
// delay is not added: the recorded departure is the actual one, so what a flight lost on the ground is in it already.
func landing(minute int64, miles int) int64 {
	return minute + 25 + int64(miles)*60/420
}

func at(minute int64) time.Time { return time.Unix(minute*60, 0).UTC() }

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }
