package bundle

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-ml/fairlead"
)

func flightsSignature(t *testing.T) fairlead.Signature {
	t.Helper()
	sig, _, err := Merge(flightsGraph(), parse(t, `
inputs: [{name: features, features: [hour, weekday, distance]}]
outputs: [{name: probabilities, classes: [on_time, late]}]
task: binary
label: {name: late}`))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func flightsTable() *fairlead.Table {
	day := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	return &fairlead.Table{Rows: 3, Columns: []fairlead.TableColumn{
		{Name: "time", Times: []time.Time{day, day, day}},
		{Name: "distance", Floats: []float64{733, math.NaN(), 0.1}, Null: []bool{false, true, false}},
		{Name: "origin", Strings: []string{"ATL", "", "DFW"}, Null: []bool{false, true, false}},
		{Name: "weekday", Floats: []float64{1, 2, 3}},
		{Name: "hour", Floats: []float64{9, 10, 11}},
	}}
}

// with gives the flights table with a column put in place of, or added to, its own.
func with(c fairlead.TableColumn) *fairlead.Table {
	t := flightsTable()
	if have := t.Column(c.Name); have != nil {
		*have = c
	} else {
		t.Columns = append(t.Columns, c)
	}
	return t
}

func TestCheckReference(t *testing.T) {
	sig := flightsSignature(t)
	fits := []*fairlead.Table{
		flightsTable(),
		with(fairlead.TableColumn{Name: "probabilities", Floats: []float64{.1, .2, .3}}),
		with(fairlead.TableColumn{Name: "extra", Times: make([]time.Time, 3)}),
		with(fairlead.TableColumn{Name: "origin", Floats: make([]float64, 3), Null: []bool{true, true, true}}),
	}
	for i, table := range fits {
		if err := CheckReference(sig, table); err != nil {
			t.Error(i, err)
		}
	}
	renamed := flightsTable()
	renamed.Column("hour").Name = "Hours"
	renamed.Column("origin").Name = "airport"
	image := fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "pixels", Type: fairlead.FP32, Shape: []int64{-1, 3, 8, 8}}}}
	for name, c := range map[string]struct {
		sig   fairlead.Signature
		table *fairlead.Table
		want  string
	}{
		"missing":        {sig, renamed, `lacks 2 of the model's features: hour ("Hours" is close), origin (its columns are time, distance, airport, weekday, Hours`},
		"text":           {sig, with(fairlead.TableColumn{Name: "distance", Strings: []string{"1", "n/a", "3"}}), `distance: expected numbers for FP32, got text (row 2: "n/a")`},
		"times":          {sig, with(fairlead.TableColumn{Name: "hour", Times: make([]time.Time, 3)}), "hour: expected numbers for FP32, got timestamps"},
		"numbers":        {sig, with(fairlead.TableColumn{Name: "origin", Floats: make([]float64, 3)}), "origin: expected text for BYTES, got numbers"},
		"text for score": {sig, with(fairlead.TableColumn{Name: "probabilities", Strings: []string{"a", "b", "c"}}), "probabilities: expected numbers"},
		"nothing named":  {image, flightsTable(), "inputs: [{name: pixels, features: […]}]"},
	} {
		err := CheckReference(c.sig, c.table)
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want %q", name, err, c.want)
		}
	}
	if d := cmp.Diff([]string{"origin"}, TextColumns(sig)); d != "" {
		t.Error(d)
	}
}

func TestTimeColumn(t *testing.T) {
	sig := flightsSignature(t)
	for file, want := range map[string]string{
		"": "time", "reference: {file: r.csv, time: time}": "time",
		"reference: {file: r.csv, time: tyme}":   `no such column; did you mean "time"?`,
		"reference: {file: r.csv, time: origin}": `"origin" holds text (row 1: "ATL"), expected timestamps`,
	} {
		got, err := TimeColumn(parse(t, file), sig, flightsTable())
		if err != nil && strings.Contains(err.Error(), want) || err == nil && got == want {
			continue
		}
		t.Errorf("%q: got %q, %v; want %q", file, got, err, want)
	}
	if got, err := TimeColumn(NewFile("a"), sig, with(fairlead.TableColumn{Name: "time", Floats: make([]float64, 3)})); got != "" || err != nil {
		t.Error(got, err)
	}
}

func TestInputs(t *testing.T) {
	got, err := Inputs(flightsSignature(t), flightsTable(), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []fairlead.Tensor{
		{Name: "features", Type: fairlead.FP32, Shape: []int64{2, 3}, Data: []float32{10, 2, float32(math.NaN()), 11, 3, 0.1}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{2, 1}, Data: []string{"", "DFW"}},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	if got, err := Inputs(flightsSignature(t), flightsTable(), 2, 2); err != nil || got[0].Rows() != 0 || got[0].Len() != 0 {
		t.Error(got, err)
	}
}

func TestInputsTypes(t *testing.T) {
	for typ, c := range map[fairlead.DataType]struct {
		in   []float64
		want any
		bad  []float64
	}{
		fairlead.Bool:   {[]float64{0, 1}, []bool{false, true}, []float64{2, 0.5}},
		fairlead.Int8:   {[]float64{-128, 127}, []int8{-128, 127}, []float64{128, -129, 0.5}},
		fairlead.Int16:  {[]float64{-32768, 32767}, []int16{-32768, 32767}, []float64{32768}},
		fairlead.Int32:  {[]float64{math.MinInt32, math.MaxInt32}, []int32{math.MinInt32, math.MaxInt32}, []float64{1 << 31}},
		fairlead.Int64:  {[]float64{math.MinInt64, 1 << 53}, []int64{math.MinInt64, 1 << 53}, []float64{1 << 63, math.Inf(1)}},
		fairlead.Uint8:  {[]float64{0, 255}, []uint8{0, 255}, []float64{-1, 256}},
		fairlead.Uint16: {[]float64{0, 65535}, []uint16{0, 65535}, []float64{65536}},
		fairlead.Uint32: {[]float64{0, math.MaxUint32}, []uint32{0, math.MaxUint32}, []float64{1 << 32}},
		fairlead.Uint64: {[]float64{0, 1 << 63}, []uint64{0, 1 << 63}, []float64{1 << 64, -1}},
		fairlead.FP64:   {[]float64{0.1, math.Inf(1)}, []float64{0.1, math.Inf(1)}, nil},
		fairlead.FP16:   {[]float64{1, -2.5}, []uint16{0x3c00, 0xc100}, nil},
		fairlead.BF16:   {[]float64{1, -2.5}, []uint16{0x3f80, 0xc020}, nil},
	} {
		sig := fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "x", Type: typ, Shape: []int64{-1}}}}
		table := func(v ...float64) *fairlead.Table {
			return &fairlead.Table{Rows: len(v), Columns: []fairlead.TableColumn{{Name: "x", Floats: v}}}
		}
		got, err := Inputs(sig, table(c.in...), 0, len(c.in))
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if d := cmp.Diff(c.want, got[0].Data); d != "" {
			t.Errorf("%s: %s", typ, d)
		}
		for _, bad := range c.bad {
			if _, err := Inputs(sig, table(0, bad), 0, 2); err == nil || !strings.Contains(err.Error(), `column "x", row 2 has`) {
				t.Errorf("%s: %v gives %v", typ, bad, err)
			}
		}
		null := table(math.NaN())
		null.Columns[0].Null = []bool{true}
		_, err = Inputs(sig, null, 0, 1)
		isFloating := isFloat(typ)
		if isFloating != (err == nil) || err != nil && !strings.Contains(err.Error(), "has no value, which "+string(typ)+" cannot hold") {
			t.Errorf("%s: a null gives %v", typ, err)
		}
	}
}

func TestInputsBad(t *testing.T) {
	sig := flightsSignature(t)
	missing := flightsTable()
	missing.Column("hour").Name = "hours"
	for name, c := range map[string]struct {
		sig      fairlead.Signature
		table    *fairlead.Table
		from, to int
		want     string
	}{
		"range":   {sig, flightsTable(), 2, 4, "rows 2 to 4 of a table of 3"},
		"missing": {sig, missing, 0, 3, `no column "hour"; did you mean "hours"?`},
		"type":    {sig, with(fairlead.TableColumn{Name: "hour", Strings: []string{"x", "", ""}}), 0, 3, "expected numbers"},
		"image":   {fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 9}}}}, flightsTable(), 0, 1, "its columns have no names"},
		"scalar":  {fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "hour", Type: fairlead.FP32}}}, flightsTable(), 0, 1, "is a scalar"},
	} {
		if _, err := Inputs(c.sig, c.table, c.from, c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want %q", name, err, c.want)
		}
	}
}

// Every half-precision pattern survives the way there and back, and what lies between two goes to the nearer one.
func TestHalfBits(t *testing.T) {
	for _, typ := range []fairlead.DataType{fairlead.FP16, fairlead.BF16} {
		last := float32(0)
		for i := range 1 << 16 {
			v := fairlead.HalfToFloat(uint16(i), typ)
			if v != v {
				if back := fairlead.HalfToFloat(halfBits(v, typ), typ); back == back {
					t.Fatalf("%s: NaN %04x became %v", typ, i, back)
				}
				continue
			}
			if got := halfBits(v, typ); got != uint16(i) {
				t.Fatalf("%s: %04x is %v, which became %04x", typ, i, v, got)
			}
			if i > 0 && i < 1<<15 && !math.IsInf(float64(v), 0) {
				mid := (float64(last) + float64(v)) / 2
				even := uint16(i) &^ 1
				if got := halfBits(float32(mid), typ); float64(float32(mid)) == mid && got != even && got != even+2*uint16(i&1) {
					t.Fatalf("%s: the middle %v of %04x and %04x became %04x", typ, mid, i-1, i, got)
				}
			}
			last = v
		}
	}
	for v, want := range map[float32]uint16{65504: 0x7bff, 65519: 0x7bff, 65520: 0x7c00, -1e9: 0xfc00, 5.9604645e-8: 1, 1e-8: 0} {
		if got := halfBits(v, fairlead.FP16); got != want {
			t.Errorf("%v is %04x, want %04x", v, got, want)
		}
	}
}
