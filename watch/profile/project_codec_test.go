package profile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// projectedReference is one of free text, with its columns changed before it is encoded.
func projectedReference(t testing.TB, change func(*Column)) []byte {
	t.Helper()
	texts := make([]string, 300)
	for i := range texts {
		texts[i] = fmt.Sprintf("comment number %d of many%s", i, strings.Repeat("!", i%40))
	}
	ref, err := Learn([]fairlead.Field{{Name: "said", Tensor: "said", Type: fairlead.Bytes}},
		&fairlead.Table{Rows: 300, Columns: []fairlead.TableColumn{{Name: "said", Strings: texts}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	change(&ref.Layout.Columns[1])
	b, err := ref.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDamagedProjectionsAreRefused(t *testing.T) {
	for what, change := range map[string]func(*Column){
		"unknown projection": func(c *Column) { c.Projection, c.Name = "colour", "said.colour" },
		"another name":       func(c *Column) { c.Name = "said.words" },
		"another type":       func(c *Column) { c.Field.Type = fairlead.FP32 },
		"of a text":          func(c *Column) { c.Field.Type = fairlead.Bytes },
	} {
		if _, err := ParseReference(projectedReference(t, change)); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ParseReference(projectedReference(t, func(*Column) {})); err != nil {
		t.Error(err)
	}
}
