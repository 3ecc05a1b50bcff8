package detect

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

type golden struct {
	Streams struct {
		Bernoulli struct {
			First  int   `json:"ones_first_half"`
			Second int   `json:"ones_second_half"`
			DDM    flags `json:"ddm"`
			EDDM   flags `json:"eddm"`
			Page   flags `json:"page_hinkley_lambda_20"`
			ADWIN  flags `json:"adwin"`
		} `json:"bernoulli"`
		Uniform struct {
			Page  []int `json:"page_hinkley_lambda_20"`
			ADWIN []int `json:"adwin"`
		} `json:"uniform_shift"`
		River struct {
			Levels string   `json:"level_shift_digits"`
			Page   []int    `json:"page_hinkley_default"`
			ADWIN  []int    `json:"adwin_default"`
			Bits   string   `json:"bernoulli_digits"`
			DDM    []string `json:"ddm"`
			EDDM   []string `json:"eddm_alpha_0_8_beta_0_75"`
		} `json:"river_documentation"`
	} `json:"streams"`
	EDetector struct {
		Rowwise struct {
			Alarm int                `json:"alarm_index"`
			Mean  map[string]float64 `json:"mean_at"`
			Last  float64            `json:"mean_at_alarm"`
		} `json:"rowwise"`
		Batches struct {
			Alarm int                `json:"alarm_after_rows"`
			Mean  map[string]float64 `json:"mean_at"`
		} `json:"batches_of_100"`
	} `json:"e_detector"`
	AnytimeKS struct {
		Radius []struct {
			Alpha float64 `json:"alpha"`
			T     uint64  `json:"t"`
			R     float64 `json:"r"`
		} `json:"radius"`
		C []struct {
			Alpha float64 `json:"alpha"`
			C     float64 `json:"C"`
		} `json:"C"`
		Verdict []struct {
			D       float64 `json:"d_hat"`
			T       uint64  `json:"t"`
			M       uint64  `json:"m_ref"`
			Alpha   float64 `json:"alpha"`
			Delta   float64 `json:"delta"`
			Verdict Verdict `json:"verdict"`
		} `json:"verdict"`
	} `json:"anytime_ks"`
}

type flags struct {
	Drift    []int `json:"drift"`
	Warnings []int `json:"warning_onsets"`
}

func load(t *testing.T) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// uniforms is the portable stream of the golden file.
func uniforms(n int) []float64 {
	out, x := make([]float64, n), uint64(1)
	for i := range out {
		x = (1103515245*x + 12345) % (1 << 31)
		out[i] = float64(x) / (1 << 31)
	}
	return out
}

// watch runs a detector over a stream: where it said drift and where a warning began.
func watch[T any](stream []T, add func(T) State) flags {
	var f flags
	before := Stable
	for i, x := range stream {
		now := add(x)
		if now == Drift {
			f.Drift = append(f.Drift, i)
		}
		if now == Warning && before != Warning {
			f.Warnings = append(f.Warnings, i)
		}
		before = now
	}
	return f
}

func same(t *testing.T, what string, got, want []int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestErrorStreams(t *testing.T) {
	g := load(t).Streams.Bernoulli
	wrong, ones := make([]bool, 4000), [2]int{}
	for i, u := range uniforms(4000) {
		wrong[i] = u < 0.1 || i >= 2000 && u < 0.3
		ones[i/2000] += int(indicator(wrong[i]))
	}
	same(t, "ones", ones[:], []int{g.First, g.Second})
	ddm := watch(wrong, NewDDM().Add)
	same(t, "DDM drift", ddm.Drift, g.DDM.Drift)
	same(t, "DDM warnings", ddm.Warnings, g.DDM.Warnings)
	eddm := watch(wrong, NewEDDM().Add)
	same(t, "EDDM drift", eddm.Drift, g.EDDM.Drift)
	same(t, "EDDM warnings", eddm.Warnings, g.EDDM.Warnings)
	value := func(add func(float64) State) func(bool) State {
		return func(w bool) State { return add(indicator(w)) }
	}
	page := NewPageHinkley(20)
	page.Only = 1
	same(t, "Page-Hinkley", watch(wrong, value(page.Add)).Drift, g.Page.Drift)
	same(t, "ADWIN", watch(wrong, value(NewADWIN(0.002).Add)).Drift, g.ADWIN.Drift)
}

func TestValueStreams(t *testing.T) {
	g := load(t).Streams
	shifted := uniforms(4000)
	for i := 2000; i < len(shifted); i++ {
		shifted[i] += 0.3
	}
	page := NewPageHinkley(20)
	page.Only = 1
	same(t, "Page-Hinkley", watch(shifted, page.Add).Drift, g.Uniform.Page)
	same(t, "ADWIN", watch(shifted, NewADWIN(0.002).Add).Drift, g.Uniform.ADWIN)

	page = NewPageHinkley(50)
	page.Only = 1
	same(t, "Page-Hinkley of river's documentation", watch(digits(g.River.Levels), page.Add).Drift, g.River.Page)
	same(t, "ADWIN of river's documentation", watch(digits(g.River.Levels), NewADWIN(0.002).Add).Drift, g.River.ADWIN)
	bits := make([]bool, len(g.River.Bits))
	for i, c := range g.River.Bits {
		bits[i] = c == '1'
	}
	if got := firsts(bits, NewDDM().Add); !slices.Equal(got, g.River.DDM) {
		t.Errorf("DDM of river's documentation: %v, want %v", got, g.River.DDM)
	}
	eddm := NewEDDM()
	eddm.Warn, eddm.Alarm = 0.8, 0.75
	if got := firsts(bits, eddm.Add); !slices.Equal(got, g.River.EDDM) {
		t.Errorf("EDDM of river's documentation: %v, want %v", got, g.River.EDDM)
	}
}

// firsts lists each drift and the first warning since the one before, as W and D with their places.
func firsts(stream []bool, add func(bool) State) []string {
	var out []string
	warned := false
	for i, x := range stream {
		switch add(x) {
		case Drift:
			out, warned = append(out, fmt.Sprintf("D%d", i)), false
		case Warning:
			if !warned {
				out, warned = append(out, fmt.Sprintf("W%d", i)), true
			}
		}
	}
	return out
}

func digits(s string) []float64 {
	out := make([]float64, len(s))
	for i, c := range s {
		out[i] = float64(c - '0')
	}
	return out
}

func TestEDetectorGolden(t *testing.T) {
	g := load(t).EDetector
	stream := uniforms(4000)
	for i := 2000; i < len(stream); i++ {
		stream[i] *= 0.8
	}
	points := make([]float64, 15)
	for j := range points {
		points[j] = float64(j+1) / 16
	}
	count := func(block []float64) []uint64 {
		below := make([]uint64, len(points))
		for _, x := range block {
			for j, p := range points {
				if x <= p {
					below[j]++
				}
			}
		}
		return below
	}
	run := func(size int, mean map[string]float64) (rows int) {
		e, err := NewEDetector(points, 0.02, 1e6)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(stream); i += size {
			if e.Add(uint64(size), count(stream[i:i+size])) == Drift {
				return i + size
			}
			if want, ok := mean[key(i+size)]; ok {
				if got := math.Exp(e.Level()); math.Abs(got/want-1) > 1e-9 {
					t.Errorf("blocks of %d, mean after %d rows: %v, want %v", size, i+size, got, want)
				}
			}
		}
		return 0
	}
	if got := run(1, g.Rowwise.Mean); got-1 != g.Rowwise.Alarm {
		t.Errorf("row by row: alarm after %d rows, want index %d", got, g.Rowwise.Alarm)
	}
	if got := run(100, g.Batches.Mean); got != g.Batches.Alarm {
		t.Errorf("blocks of 100: alarm after %d rows, want %d", got, g.Batches.Alarm)
	}
}

func key(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestTolerantKSGolden(t *testing.T) {
	g := load(t).AnytimeKS
	for _, r := range g.Radius {
		// The golden radius is of the exact C, ours of the one rounded up.
		if got := Radius(r.T, r.Alpha); got < r.R || got > r.R*1.0005 {
			t.Errorf("radius(%d, %v) = %v, want %v and not below", r.T, r.Alpha, got, r.R)
		}
	}
	for _, c := range g.C {
		if got := radiusConstant(c.Alpha); got < c.C || got > c.C*1.08 {
			t.Errorf("C(%v) = %v, want a little above %v", c.Alpha, got, c.C)
		}
	}
	for _, v := range g.Verdict {
		if got := (TolerantKS{Tolerance: v.Delta, Alpha: v.Alpha}).Judge(v.D, v.T, v.M); got != v.Verdict {
			t.Errorf("%+v: %s", v, got)
		}
	}
}
