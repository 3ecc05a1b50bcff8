package label

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"
)

// testdata/golden.py made the values with lifelines.
func TestCurveAgreesWithLifelines(t *testing.T) {
	b, err := os.ReadFile("testdata/kaplan_meier.json")
	if err != nil {
		t.Fatal(err)
	}
	var examples []struct {
		Name             string
		Times            []float64
		Labelled         []int
		At               []float64
		Share, Low, High []float64
	}
	if err := json.Unmarshal(b, &examples); err != nil {
		t.Fatal(err)
	}
	for _, x := range examples {
		t.Run(x.Name, func(t *testing.T) {
			var counts []Delays
			for i, at := range x.Times {
				d := Delays{Delay: seconds(at), Waiting: 1}
				if x.Labelled[i] == 1 {
					d.Labelled, d.Waiting = 1, 0
				}
				counts = append(counts, d)
			}
			c := NewCurve(counts)
			if c.N() != uint64(len(x.Times)) {
				t.Errorf("n = %d, want %d", c.N(), len(x.Times))
			}
			for i, at := range x.At {
				near(t, "share", c.By(seconds(at)), x.Share[i])
				low, high := c.Interval(seconds(at))
				near(t, "low", low, x.Low[i])
				near(t, "high", high, x.High[i])
			}
		})
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%s = %.15g, want %.15g", what, got, want)
	}
}

func TestCurveSpecialCases(t *testing.T) {
	empty := NewCurve(nil)
	if empty.By(time.Hour) != 0 || empty.Final() != 0 || empty.Still(time.Hour) != 0 || len(empty.Points(5)) != 0 {
		t.Error("a curve of nothing says nothing")
	}
	never := NewCurve([]Delays{{Delay: time.Hour, Waiting: 5}})
	if never.Final() != 0 || never.Followed() != time.Hour {
		t.Error("without labels the share is 0, as far as predictions were followed")
	}
	early := NewCurve([]Delays{{Delay: -time.Hour, Labelled: 1}, {Delay: 0, Labelled: 1}})
	if early.By(0) != 1 || early.Final() != 1 || early.Still(0) != 0 {
		t.Error("a label before its prediction counts as at once")
	}
	// The same counts in pieces and in another order are the same curve.
	a := NewCurve([]Delays{{Delay: 3, Labelled: 2}, {Delay: 1, Labelled: 1, Waiting: 1}, {Delay: 3, Labelled: 1}})
	b := NewCurve([]Delays{{Delay: 1, Waiting: 1}, {Delay: 3, Labelled: 3}, {Delay: 1, Labelled: 1}})
	near(t, "share", a.By(1), b.By(1))
	near(t, "final", a.Final(), b.Final())
	if q, ok := a.Quantile(0.1); !ok || q != 1 {
		t.Errorf("quantile = %v %v", q, ok)
	}
	if _, ok := never.Quantile(0.1); ok {
		t.Error("a share that is never reached has no quantile")
	}
	if p := a.Points(2); len(p) != 2 || p[1].Delay != 3 || p[1].Share != a.Final() {
		t.Errorf("points = %+v", p)
	}
}

// Of 100 predictions, 40 have their label after an hour and 40 more after a day; the rest never.
func TestCompleteness(t *testing.T) {
	hour, day := time.Hour, 24*time.Hour
	c := NewCurve([]Delays{{Delay: hour, Labelled: 40}, {Delay: day, Labelled: 40}, {Delay: 30 * day, Waiting: 20}})
	near(t, "still coming, young", c.Still(0), 0.8)
	near(t, "still coming, after an hour", c.Still(hour), 2.0/3)
	near(t, "still coming, after a day", c.Still(day), 0)
	young := Complete(Window{Rows: 1000, Labelled: 400, Waiting: []Delays{{Delay: 2 * hour, Waiting: 600}}}, c)
	near(t, "share", young.Share, 0.4)
	near(t, "final", young.Final, 0.8)
	near(t, "of", young.Of, 0.5)
	old := Complete(Window{Rows: 1000, Labelled: 790, Waiting: []Delays{{Delay: 2 * day, Waiting: 210}}}, c)
	near(t, "of an old window", old.Of, 1)
	none := Complete(Window{Rows: 10, Waiting: []Delays{{Delay: 2 * hour, Waiting: 10}}}, NewCurve(nil))
	near(t, "nothing ever comes", none.Of, 1)
	near(t, "no rows", Complete(Window{}, c).Of, 1)
}

func TestProvisional(t *testing.T) {
	end := time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		what  string
		of    float64
		delay time.Duration
		now   time.Time
		want  bool
	}{
		{"the window is open", 1, time.Hour, end.Add(-1), true},
		{"labels are there", 0.96, 0, end, false},
		{"labels are missing", 0.94, 0, end.Add(1000 * time.Hour), true},
		{"labels are missing and may come", 0.5, time.Hour, end.Add(59 * time.Minute), true},
		{"their time is over", 0.5, time.Hour, end.Add(time.Hour), false},
	} {
		if got := Provisional(end, x.of, x.delay, x.now); got != x.want {
			t.Errorf("%s: provisional = %v", x.what, got)
		}
	}
}
