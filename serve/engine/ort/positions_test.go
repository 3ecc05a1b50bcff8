package ort_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestPositions compares the positions in shim.h with the order of a header of the library's own,
// onnxruntime_c_api.h of 1.24 or later, whose path is in FAIRLEAD_ORT_HEADER.
func TestPositions(t *testing.T) {
	path := os.Getenv("FAIRLEAD_ORT_HEADER")
	if path == "" {
		t.Skip("FAIRLEAD_ORT_HEADER is not set")
	}
	header, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shim, err := os.ReadFile("shim.h")
	if err != nil {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`(?s)\nstruct OrtApi \{(.*?)\n\};`).FindSubmatch(header)
	if body == nil {
		t.Fatal("the header has no struct OrtApi")
	}
	member := regexp.MustCompile(`(?m)^  (?:ORT_API2_STATUS\((\w+)|ORT_CLASS_RELEASE\((\w+)|ORT_API_T\([^,]+, (\w+)|` +
		`[\w ]+\*?\s*\(ORT_API_CALL\*\s*(\w+)\))`)
	position := map[string]int{}
	for i, m := range member.FindAllSubmatch(body[1], -1) {
		name := string(m[1]) + string(m[3]) + string(m[4])
		if len(m[2]) > 0 {
			name = "Release" + string(m[2])
		}
		position[name] = i
	}
	functions := regexp.MustCompile(`F\((\w+), (\d+)\)`).FindAllSubmatch(shim, -1)
	if len(functions) < 50 {
		t.Fatalf("shim.h lists only %d functions", len(functions))
	}
	for _, f := range functions {
		want, known := position[string(f[1])]
		if got, _ := strconv.Atoi(string(f[2])); !known || got != want {
			t.Errorf("%s is at %d, shim.h says %d", f[1], want, got)
		}
	}
}
