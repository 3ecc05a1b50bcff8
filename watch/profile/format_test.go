package profile

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// TestDocumentedEncodings compares the dumps of docs/format/profile.md with what is written.
func TestDocumentedEncodings(t *testing.T) {
	b, err := os.ReadFile("../../docs/format/profile.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := []fairlead.Field{{Name: "delay", Tensor: "x", Type: fairlead.FP32}, {Name: "origin", Tensor: "origin", Type: fairlead.Bytes}}
	table := &fairlead.Table{Rows: 4, Columns: []fairlead.TableColumn{
		{Name: "delay", Floats: []float64{1, 1.5, 1, -2}}, {Name: "origin", Strings: []string{"ATL", "ORD", "ATL", "ATL"}},
	}}
	reference, err := Learn(fields, table, Options{})
	if err != nil {
		t.Fatal(err)
	}
	window := NewCounts(reference.Layout)
	window.AddTable(reference.Layout, &fairlead.Table{Rows: 3, Columns: []fairlead.TableColumn{
		{Name: "delay", Floats: []float64{1, 1, 0}, Null: []bool{false, false, true}}, {Name: "origin", Strings: []string{"ATL", "XXX", "ATL"}},
	}}, 0, 3)
	none := NewCounts(&Layout{})
	none.N = 300
	for name, value := range map[string]interface{ MarshalBinary() ([]byte, error) }{"reference": reference, "window": window, "none": none} {
		want, err := value.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		_, dump, ok := strings.Cut(string(b), "```dump "+name+"\n")
		dump, _, _ = strings.Cut(dump, "```")
		var got strings.Builder
		for line := range strings.Lines(dump) {
			bytes, _, _ := strings.Cut(line, "  ") // what follows two spaces explains
			got.WriteString(strings.ReplaceAll(strings.TrimSpace(bytes), " ", ""))
		}
		if !ok || got.String() != hex.EncodeToString(want) {
			t.Errorf("%s: the page has\n%s\nwritten is\n% x", name, got.String(), want)
		}
	}
}
