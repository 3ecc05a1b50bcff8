package flights

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

const slice = "testdata/slice.parquet"

// golden reads testdata/features.csv, which golden.py wrote: what train.py computes from the slice.
func golden(t *testing.T) []Flight {
	t.Helper()
	f, err := os.Open("testdata/features.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := strings.Join(records[0], ","); got != "row,minute,hour,weekday,distance,departures,origin,destination,label" {
		t.Fatalf("features.csv has columns %s", got)
	}
	var flights []Flight
	for _, r := range records[1:] {
		f := Flight{
			Row: int64(number(r[0])), Minute: int64(number(r[1])), Hour: number(r[2]), Weekday: number(r[3]),
			Distance: number(r[4]), Departures: number(r[5]), Origin: r[6], Destination: r[7],
			Delay: map[string]int{"": maxDelay, late: lateAfter + 1, onTime: lateAfter}[r[8]],
		}
		f.Landed = landing(f.Minute, f.Distance)
		flights = append(flights, f)
	}
	return flights
}

func readAll(t *testing.T, path string, from, to time.Time) []Flight {
	t.Helper()
	r, err := OpenReader(context.Background(), path, from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var flights []Flight
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return flights
		}
		if err != nil {
			t.Fatal(err)
		}
		flights = append(flights, f)
	}
}

func TestFeaturesAreThoseOfTraining(t *testing.T) {
	want := golden(t)
	outcomes := map[string]int{}
	for _, span := range []struct {
		name     string
		from, to time.Time
	}{
		{"all", time.Time{}, End},
		{"March to June", Start, End},
		{"from the middle of a busy hour", Start.Add(7*time.Hour + 13*time.Minute), End},
		{"a day and a half", Start.Add(24 * time.Hour), Start.Add(60 * time.Hour)},
		{"after the last flight", End.AddDate(0, 0, -1), End},
	} {
		t.Run(span.name, func(t *testing.T) {
			got := readAll(t, slice, span.from, span.to)
			i := 0
			for _, w := range want {
				if w.Minute < minuteOf(span.from) || w.Minute >= minuteOf(span.to) {
					continue
				}
				if i == len(got) {
					t.Fatalf("got %d flights, then there should be %+v", i, w)
				}
				g := got[i]
				i++
				if g.Outcome() != w.Outcome() {
					t.Errorf("row %d: outcome %q after a delay of %d, want %q", g.Row, g.Outcome(), g.Delay, w.Outcome())
				}
				outcomes[g.Outcome()]++
				if g.Delay = w.Delay; g != w {
					t.Errorf("got  %+v\nwant %+v", g, w)
				}
			}
			if i != len(got) {
				t.Errorf("%d flights too many, the first %+v", len(got)-i, got[i])
			}
		})
	}
	if outcomes[late] == 0 || outcomes[onTime] == 0 || outcomes[""] == 0 {
		t.Errorf("the slice has outcomes %v: one is missing", outcomes)
	}
}

func TestWindow(t *testing.T) {
	var w window
	for _, step := range []struct {
		minute int64
		want   int
	}{
		{1000, 0}, {1000, 0}, {1001, 2}, {1060, 3}, {1061, 2}, {1062, 2}, {1062, 2}, {1122, 2}, {1183, 0}, {1243, 1},
	} {
		if got := w.add(step.minute); got != step.want {
			t.Errorf("a departure at minute %d had %d before it, want %d", step.minute, got, step.want)
		}
	}
}

func TestOpenReaderRefuses(t *testing.T) {
	noise := filepath.Join(t.TempDir(), "noise.parquet")
	if err := os.WriteFile(noise, []byte("PAR1 not really PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{"testdata/absent.parquet", "cannot be read"},
		{noise, "cannot be read"},
		{"bundle/reference.parquet", `no column "date"`},
	} {
		_, err := OpenReader(context.Background(), c.path, Start, End)
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.path, err, c.want)
		}
	}
}

func TestBundle(t *testing.T) {
	size := int64(0)
	for _, name := range []string{"fairlead.yaml", "model.onnx", "reference.parquet"} {
		info, err := fs.Stat(Bundle, name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 2<<20 {
		t.Errorf("the bundle has %d bytes, more than 2 MiB", size)
	}
}
