package cloud

import (
	"fmt"
	"strconv"
	"testing"
)

func FuzzContentType(f *testing.F) {
	for _, s := range []string{
		"", "application/json", "application/json; charset=utf-8", "text/csv", "text/csv;header=present", "TEXT/CSV",
		sageMakerBinary + ";json-header-size=17", vertexBinary + "; json-header-size=0", sageMakerBinary,
		sageMakerBinary + ";json-header-size=-1", sageMakerBinary + ";json-header-size=99999999999999999999",
		sageMakerBinary + ";json-header-size=\"12\"", "x " + sageMakerBinary + ";json-header-size=12", "/", ";", "text/csv;;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseContentType(s)
		if err != nil && (got.csv || got.binary != "") {
			t.Fatalf("%q: %+v besides the error %v", s, got, err)
		}
		if got.binary != "" {
			if n, err := strconv.Atoi(got.length); err != nil || n < 0 {
				t.Fatalf("%q: length %q", s, got.length)
			}
			again, err := parseContentType(fmt.Sprintf("%s;json-header-size=%s", got.binary, got.length))
			if err != nil || again != got {
				t.Fatalf("%q: %+v, written again %+v, %v", s, got, again, err)
			}
		}
	})
}
