package profile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

func encoded(t testing.TB, r *Reference) []byte {
	t.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReferenceRoundTrip(t *testing.T) {
	r := learnFlights(t, 28, 20_000)
	r.Skipped = []string{"delay"}
	b := encoded(t, r)
	back, err := ParseReference(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, back), b) {
		t.Error("the encoding changed on the way")
	}
	if back.Rows != r.Rows || !back.From.Equal(r.From) || !back.To.Equal(r.To) || back.Skipped[0] != "delay" || back.Layout.id != r.Layout.id {
		t.Errorf("got %d rows, %v to %v, skipped %v", back.Rows, back.From, back.To, back.Skipped)
	}
	// The parsed layout bins live values like the learnt one.
	live := prediction(flights(rand.New(rand.NewPCG(5, 5)), monday, 1, 500))
	a, c := NewCounts(r.Layout), NewCounts(back.Layout)
	a.Add(r.Layout, live, nil)
	c.Add(back.Layout, live, nil)
	sameBytes(t, "live counts", a, c)
	if err := a.Merge(back.Total); err != nil {
		t.Errorf("learnt and parsed layouts should be one: %v", err)
	}
	t.Logf("%d columns, %d phases: %d bytes", len(r.Layout.Columns), len(r.Phases), len(b))
}

// Eight columns with all phases must leave room in a bundle of 2 MB.
func TestReferenceSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	fs := flights(rng, monday, 60, 150_000)
	table := flightTable(fs)
	fields := flightFields()
	for _, name := range []string{"a", "b", "c"} {
		table.Columns = append(table.Columns, fairlead.TableColumn{Name: name, Floats: normals(rng, len(fs))})
		fields = append(fields, fairlead.Field{Name: name, Tensor: name, Type: fairlead.FP32})
	}
	r, err := Learn(fields, table, Options{TimeColumn: "time"})
	if err != nil {
		t.Fatal(err)
	}
	b := encoded(t, r)
	t.Logf("%d columns, %d phases: %d bytes", len(r.Layout.Columns), len(r.Phases), len(b))
	if len(r.Layout.Columns) != 8 || r.Phases == nil || len(b) > 400_000 {
		t.Errorf("%d bytes for %d columns", len(b), len(r.Layout.Columns))
	}
}

func TestCountsRoundTrip(t *testing.T) {
	r := learnFlights(t, 7, 3000)
	rng := rand.New(rand.NewPCG(7, 7))
	for _, n := range []int{0, 1, 3, 1000} {
		c := NewCounts(r.Layout)
		c.Add(r.Layout, prediction(flights(rng, monday, 1, n)), nil)
		b := marshal(t, c)
		back, err := ParseCounts(r.Layout, b)
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, "round trip", back, c)
		t.Logf("%d rows of %d columns: %d bytes", n, len(r.Layout.Columns), len(b))
	}
	other := learnFlights(t, 7, 2999)
	if _, err := ParseCounts(other.Layout, marshal(t, r.Total)); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("counts of another layout: %v", err)
	}
}

// reseal puts the right checksum on changed bytes, so that the checks behind it are reached.
func reseal(b []byte) []byte {
	if len(b) < frameBytes {
		return b
	}
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

// No change of a byte and no cut is taken for good data, and none panics even with a right checksum.
func TestDamagedBytes(t *testing.T) {
	r := learnOne(t, fairlead.FP32, normals(rand.New(rand.NewPCG(8, 8)), 500)...)
	ref, counts := encoded(t, r), marshal(t, r.Total)
	for name, c := range map[string]struct {
		b     []byte
		parse func(b []byte) error
	}{
		"reference": {ref, func(b []byte) error { _, err := ParseReference(b); return err }},
		"counts":    {counts, func(b []byte) error { _, err := ParseCounts(r.Layout, b); return err }},
	} {
		for i := range c.b {
			if fairlead.CodeOf(c.parse(c.b[:i])) != fairlead.CodeInvalid {
				t.Fatalf("%s cut at %d is accepted", name, i)
			}
			for _, bit := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(c.b)
				bad[i] ^= bit
				if fairlead.CodeOf(c.parse(bad)) != fairlead.CodeInvalid {
					t.Fatalf("%s with byte %d changed is accepted", name, i)
				}
				_ = c.parse(reseal(bad))
			}
			_ = c.parse(reseal(c.b[:i]))
		}
		if fairlead.CodeOf(c.parse(reseal(append(bytes.Clone(c.b), 0)))) != fairlead.CodeInvalid {
			t.Errorf("%s with a byte too many is accepted", name)
		}
	}
}

func TestBadBytes(t *testing.T) {
	counts := func(body ...byte) []byte {
		return frame(magicCounts, func(w *writer) { w.b = append(w.b, body...) })
	}
	l := &Layout{}
	for name, b := range map[string][]byte{
		"empty":         nil,
		"a reference":   encoded(t, learnOne(t, fairlead.FP32, 1, 2)),
		"no body":       counts(),
		"other layout":  counts(1, 5),
		"long varint":   counts(0, 0x85, 0x00),
		"huge varint":   counts(0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2),
		"trailing byte": counts(0, 5, 0),
	} {
		if _, err := ParseCounts(l, b); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := ParseCounts(l, counts(0, 5)); err != nil || c.N != 5 {
		t.Errorf("five rows without columns: %v", err)
	}
	version := counts(0, 5)
	version[2] = 9
	if _, err := ParseCounts(l, version); err == nil {
		t.Error("format version 9 is accepted")
	}
}

func FuzzParseReference(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 9))
	numeric := learnOne(f, fairlead.FP32, normals(rng, 100)...)
	f.Add(encoded(f, numeric))
	f.Add(encoded(f, learnOne(f, fairlead.Int64, 0, 1, 1)))
	f.Add(encoded(f, learnText1(f, "a", "b", "a")))
	f.Add(encoded(f, learnFlights(f, 15, 60)))
	f.Add(projectedReference(f, func(*Column) {}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReference(reseal(b))
		if err != nil {
			return
		}
		again, err := ParseReference(encoded(t, r))
		if err != nil {
			t.Fatalf("what was parsed cannot be parsed again: %v", err)
		}
		if !bytes.Equal(encoded(t, again), encoded(t, r)) {
			t.Fatal("the encoding is not stable")
		}
		for i := range r.Layout.Columns {
			if len(r.Layout.Bins(i)) != len(r.Total.BinCounts(r.Layout, i)) || sum(r.Total.AlertBins(r.Layout, i)) != r.Total.N {
				t.Fatal("bins and counts disagree")
			}
		}
		if err := NewCounts(r.Layout).Merge(r.Total); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParseCounts(f *testing.F) {
	r := learnFlights(f, 7, 500)
	f.Add(marshal(f, r.Total))
	f.Add(marshal(f, NewCounts(r.Layout)))
	one := NewCounts(r.Layout)
	one.AddTable(r.Layout, flightTable(flights(rand.New(rand.NewPCG(1, 1)), monday, 1, 1)), 0, 1)
	f.Add(marshal(f, one))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = reseal(b)
		c, err := ParseCounts(r.Layout, b)
		if err != nil {
			return
		}
		if !bytes.Equal(marshal(t, c), b) {
			t.Fatal("one value has two encodings")
		}
	})
}
