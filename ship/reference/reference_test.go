package reference

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-ml/fairlead"
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The same thousand flights from Parquet and from CSV give the same table.
func TestReadFlights(t *testing.T) {
	fromParquet, err := Read("flights.parquet", testdata(t, "flights.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	fromCSV, err := Read("flights.csv", testdata(t, "flights.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fromParquet, fromCSV); d != "" {
		t.Error("Parquet and CSV differ:", d)
	}
	want := []string{"time", "hour", "weekday", "distance", "origin", "destination", "late"}
	if got := fromParquet.Names(); !cmp.Equal(got, want) || fromParquet.Rows != 1000 {
		t.Fatalf("%d rows of %v", fromParquet.Rows, got)
	}
	for i := range fromParquet.Rows {
		at := fromParquet.Column("time").Times[i]
		if h := fromParquet.Column("hour").Floats[i]; float64(at.Hour()) != h {
			t.Fatalf("row %d: hour %v at %v", i, h, at)
		}
		if at.Before(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)) || !at.Before(time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatalf("row %d: time %v", i, at)
		}
	}
	first := fromParquet.Column("origin").Strings[0] + fromParquet.Column("destination").Strings[0]
	if first != "LASPHL" || fromParquet.Column("distance").Floats[0] != 2176 || fromParquet.Column("late").Floats[0] != 1 {
		t.Errorf("first flight is %s over %v", first, fromParquet.Column("distance").Floats[0])
	}
}

func TestReadParquetTypes(t *testing.T) {
	nan := math.NaN()
	at := time.Date(2001, 3, 1, 12, 30, 15, 250e6, time.UTC)
	day := time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC)
	null := []bool{false, true, false}
	numbers := func(name string, v ...float64) fairlead.TableColumn {
		return fairlead.TableColumn{Name: name, Floats: v, Null: null}
	}
	words := func(name string, v ...string) fairlead.TableColumn {
		return fairlead.TableColumn{Name: name, Strings: v, Null: null}
	}
	times := func(name string, v time.Time) fairlead.TableColumn {
		return fairlead.TableColumn{Name: name, Times: []time.Time{v, {}, v}, Null: null}
	}
	want := []fairlead.TableColumn{
		numbers("int8", 1, nan, -3), numbers("int64", 1, nan, 1<<40), numbers("uint8", 1, nan, 255),
		numbers("uint32", 1, nan, math.MaxUint32), numbers("uint64", 1, nan, 1<<64),
		numbers("float16", .5, nan, -2), numbers("float32", float64(float32(.1)), nan, nan), numbers("float64", .1, nan, math.Inf(1)),
		numbers("bool", 1, nan, 0),
		words("string", "ATL", "", "é"), words("large_string", "ATL", "", ""), words("category", "ATL", "", "DFW"),
		times("timestamp_s", at), times("timestamp_us", at), times("timestamp_utc", at), times("timestamp_ns", at), times("date", day),
		{Name: "nothing", Floats: []float64{nan, nan, nan}, Null: []bool{true, true, true}},
	}
	got, err := Read("types.parquet", testdata(t, "types.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.Columns, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	for name, wantColumns := range map[string][]fairlead.TableColumn{
		"v2.parquet":    append(append([]fairlead.TableColumn{}, want[:5]...), want[6:]...),
		"int96.parquet": {times("timestamp_ns", at)},
	} {
		got, err := Read(name, testdata(t, name))
		if err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(wantColumns, got.Columns, cmpopts.EquateNaNs()); d != "" {
			t.Error(name, d)
		}
	}
}

func TestReadAsText(t *testing.T) {
	names := []string{"int8", "uint64", "float32", "bool", "timestamp_us"}
	got, err := Read("types.parquet", testdata(t, "types.parquet"), names...)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"1", "", "-3"}, {"1", "", "18446744073709551615"}, {"0.1", "", "NaN"}, {"true", "", "false"},
		{"2001-03-01T12:30:15.25Z", "", "2001-03-01T12:30:15.25Z"},
	}
	for i, name := range names {
		if d := cmp.Diff(want[i], got.Column(name).Strings); d != "" {
			t.Error(name, d)
		}
	}
	got, err = Read("zip.csv", []byte("zip,n\n02134,1\n00501,2\n"), "zip")
	if err != nil || !cmp.Equal(got.Column("zip").Strings, []string{"02134", "00501"}) || got.Column("n").Floats[1] != 2 {
		t.Error(got, err)
	}
}

func TestReadCSVTypes(t *testing.T) {
	const csv = "\ufeffn; when ;day;word;flag;mixed;none\r\n" +
		"1;2001-03-01T12:00:00+02:00;2001-03-01;\"a;b\";True;1;\r\n" +
		";;;;;x;\r\n" +
		"-2.5e3;2001-03-01 12:00:00.5;2001-03-02;c;false;0x10;\r\n"
	got, err := Read("x.csv", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	nan, null := math.NaN(), []bool{false, true, false}
	want := []fairlead.TableColumn{
		{Name: "n", Floats: []float64{1, nan, -2500}, Null: null},
		{Name: "when", Times: []time.Time{time.Date(2001, 3, 1, 10, 0, 0, 0, time.UTC), {}, time.Date(2001, 3, 1, 12, 0, 0, 5e8, time.UTC)}, Null: null},
		{Name: "day", Times: []time.Time{time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC), {}, time.Date(2001, 3, 2, 0, 0, 0, 0, time.UTC)}, Null: null},
		{Name: "word", Strings: []string{"a;b", "", "c"}, Null: null},
		{Name: "flag", Floats: []float64{1, nan, 0}, Null: null},
		{Name: "mixed", Strings: []string{"1", "x", "0x10"}},
		{Name: "none", Floats: []float64{nan, nan, nan}, Null: []bool{true, true, true}},
	}
	if d := cmp.Diff(want, got.Columns, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
}

func TestReadBad(t *testing.T) {
	flights := testdata(t, "flights.parquet")
	flipped := append([]byte{}, flights...)
	for i := 100; i < 4000; i += 7 {
		flipped[i] ^= 0x55
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"nothing":           {nil, "is empty"},
		"gzip":              {[]byte("\x1f\x8b\x08abc"), "looks like gzip"},
		"excel":             {[]byte("PK\x03\x04abc"), "Excel"},
		"json":              {[]byte(`[{"a":1}]`), "looks like JSON"},
		"binary":            {[]byte("a,b\n1,\x00\n"), "zero byte at offset 6"},
		"latin1":            {[]byte("a,b\n1,\xe9t\xe9\n"), "line 2 is not UTF-8"},
		"header only":       {[]byte("a,b\n"), "no rows"},
		"ragged":            {[]byte("a,b\n1,2\n3\n"), "line 3 has another number of cells than the header's 2"},
		"quote":             {[]byte("a,b\n1,\"2\n"), "line 2"},
		"nameless":          {[]byte("a,,c\n1,2,3\n"), "column 2 has no name"},
		"twice":             {[]byte("a,b,a\n1,2,3\n"), `two columns are named "a"`},
		"truncated parquet": {flights[:len(flights)/2], "truncated"},
		"tail of parquet":   {flights[len(flights)/2:], "truncated"},
		"flipped parquet":   {flipped, "damaged"},
		"encrypted":         {[]byte("PAREabcdefghijkPARE"), "encrypted"},
		"footer":            {[]byte("PAR1aaaaaaaa\xff\xff\xff\x7fPAR1"), "metadata claims"},
		"decimal":           {testdata(t, "unfit_decimal.parquet"), `column "amount" is a decimal`},
		"list":              {testdata(t, "unfit_list.parquet"), `column "amount" is a list`},
		"struct":            {testdata(t, "unfit_struct.parquet"), `column "amount" is a list, map or structure`},
		"clock":             {testdata(t, "unfit_clock.parquet"), `column "amount" is a time of day`},
		"bytes":             {testdata(t, "unfit_binary.parquet"), "not UTF-8"},
		"fixed":             {testdata(t, "unfit_fixed.parquet"), "raw bytes"},
		"delta":             {testdata(t, "unfit_delta.parquet"), "DELTA_BYTE_ARRAY"},
		"empty parquet":     {testdata(t, "unfit_empty.parquet"), "no rows"},
	} {
		table, err := Read("ref", c.b)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", name, table != nil, err, c.want)
		}
		if code := fairlead.CodeOf(err); code != fairlead.CodeInvalid {
			t.Errorf("%s: code %s", name, code)
		}
	}
}

// Truncations and flipped bytes of real files give a table or an error.
func TestReadDamaged(t *testing.T) {
	for name, step := range map[string]int{"int96.parquet": 1, "unfit_struct.parquet": 1, "v2.parquet": 11, "types.parquet": 41} {
		whole := testdata(t, name)
		for n := 0; n < len(whole); n += step {
			if _, err := Read("cut", whole[:n]); err == nil {
				t.Fatalf("%d of %d bytes of %s were read without an error", n, len(whole), name)
			}
			b := append([]byte{}, whole...)
			b[n] ^= 0xff
			check(t, b)
		}
	}
}

// check asserts what holds for any input.
func check(t *testing.T, b []byte) {
	table, err := Read("any", b)
	if err != nil {
		if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid && c != fairlead.CodeTooLarge {
			t.Fatalf("code %s: %v", c, err)
		}
		return
	}
	for _, c := range table.Columns {
		if n := len(c.Floats) + len(c.Strings) + len(c.Times); n != table.Rows {
			t.Fatalf("column %s has %d values for %d rows", c.Name, n, table.Rows)
		}
		if c.Null != nil && len(c.Null) != table.Rows {
			t.Fatalf("column %s has %d nulls for %d rows", c.Name, len(c.Null), table.Rows)
		}
	}
}

func TestBudget(t *testing.T) {
	defer func() {
		if _, ok := recover().(overBudget); !ok {
			t.Error("no panic beyond the budget")
		}
	}()
	b := &budget{left: 100}
	b.Free(b.Allocate(80))
	b.Reallocate(90, b.Allocate(60))
	b.Allocate(20)
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,x\n,2001-01-01\n"))
	f.Add([]byte("a;b\n1,5;\"x\"\n"))
	f.Add([]byte("\ufeffa\tb\ntrue\tNaN\n"))
	f.Add([]byte("\"a\"\"\",b\r\n\"\n\",1e400\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}

func FuzzReadParquet(f *testing.F) {
	for _, name := range []string{"types.parquet", "v2.parquet", "int96.parquet", "unfit_list.parquet", "unfit_delta.parquet"} {
		f.Add(testdata(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Keep the frame, so that the fuzzer spends its time behind it.
		if len(b) > 8 {
			copy(b, parquetMagic)
			copy(b[len(b)-4:], parquetMagic)
		}
		check(t, b)
	})
}
