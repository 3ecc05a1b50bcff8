package reference

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Column by column is the same as all at once, from Parquet and from CSV.
func TestOpen(t *testing.T) {
	for _, name := range []string{"flights.parquet", "flights.csv"} {
		b := testdata(t, name)
		want, err := Read(name, b)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Open(name, b)
		if err != nil {
			t.Fatal(err)
		}
		if f.Rows != want.Rows || !cmp.Equal(f.Names(), want.Names()) {
			t.Fatalf("%s: %d rows of %v", name, f.Rows, f.Names())
		}
		for i := range want.Columns {
			got, err := f.Column(want.Columns[i].Name)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&want.Columns[i], got); d != "" {
				t.Errorf("%s, column %s differs: %s", name, want.Columns[i].Name, d)
			}
			if f.HoldsTimes(got.Name) != (got.Times != nil) {
				t.Errorf("%s, column %s: times %v", name, got.Name, f.HoldsTimes(got.Name))
			}
		}
		if c, err := f.Column("gate"); c != nil || err != nil || f.HoldsTimes("gate") {
			t.Errorf("%s: a column that is not there: %v, %v", name, c, err)
		}
	}
}

// What Read refuses Open refuses too, if not earlier then at the column.
func TestOpenRefuses(t *testing.T) {
	b := testdata(t, "flights.parquet")
	for name, bytes := range map[string][]byte{"nothing": nil, "half": b[:len(b)/2], "text without rows": []byte("a,b\n")} {
		if _, err := Open(name, bytes); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	damaged := append([]byte(nil), b...)
	for i := 2000; i < 2100; i++ {
		damaged[i] ^= 0x5a
	}
	f, err := Open("damaged", damaged)
	if err != nil {
		return
	}
	for _, c := range f.Names() {
		if _, err = f.Column(c); err != nil {
			return
		}
	}
	t.Error("damaged pages were read")
}
