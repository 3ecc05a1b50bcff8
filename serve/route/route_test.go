package route_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

func table(t *testing.T) *route.Table {
	t.Helper()
	table, err := route.NewTable([]route.Deployment{
		{
			Name:    "flights",
			Live:    &route.Target{Model: "flights", Version: 3},
			Others:  []*route.Target{{Model: "flights", Version: 12}, {Model: "flights", Version: 2}},
			Aliases: map[string]fairlead.Version{"champion": 2, "old": 1},
		},
		{Name: "iris"},
		{Name: "broken", Reason: "the model file is damaged"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLookup(t *testing.T) {
	table := table(t)
	for version, want := range map[string]fairlead.Version{"": 3, "3": 3, "v3": 3, "2": 2, "champion": 2, "v12": 12} {
		target, err := table.Lookup("flights", version)
		if err != nil || target.Version != want || target.Deployment != "flights" || target.Schema() == nil {
			t.Errorf("version %q: %+v, %v", version, target, err)
		}
	}
	for call, want := range map[string]struct {
		code fairlead.Code
		text string
	}{
		"nothing/":      {fairlead.CodeNotFound, `no model or deployment is called "nothing" (there are broken, flights, iris)`},
		"flights/7":     {fairlead.CodeNotFound, `flights has no version or alias "7" loaded (there are 12, 3, 2, champion)`},
		"flights/x":     {fairlead.CodeNotFound, `flights has no version or alias "x" loaded (there are 12, 3, 2, champion)`},
		"flights/old":   {fairlead.CodeNotFound, `flights:old is version 1, which is not loaded (there are 12, 3, 2, champion)`},
		"iris/":         {fairlead.CodeUnavailable, `iris is not ready: loading`},
		"broken/":       {fairlead.CodeUnavailable, `broken is not ready: the model file is damaged`},
		"broken/1":      {fairlead.CodeNotFound, `broken has no version or alias "1" loaded (no version of it is loaded)`},
		"Bad Name!\n/1": {fairlead.CodeNotFound, `no model or deployment is called "Bad Name!\n" (there are broken, flights, iris)`},
	} {
		name, version, _ := strings.Cut(call, "/")
		_, err := table.Lookup(name, version)
		if fairlead.CodeOf(err) != want.code || err.Error() != want.text {
			t.Errorf("%q: %v (%s), want %s", call, err, fairlead.CodeOf(err), want.text)
		}
	}
}

func TestManyNames(t *testing.T) {
	var ds []route.Deployment
	for i := range 15 {
		ds = append(ds, route.Deployment{Name: fairlead.Name(fmt.Sprintf("m%02d", i))})
	}
	table, err := route.NewTable(ds)
	if err != nil {
		t.Fatal(err)
	}
	_, err = table.Lookup("x", "")
	if want := "m09 and 5 more"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want it to end after %q", err, want)
	}
	if _, err := route.NewTable(append(ds, ds[0])); err == nil {
		t.Error("a table with one name twice was made")
	}
}

func TestRouter(t *testing.T) {
	var r route.Router
	_, err := r.Load().Lookup("flights", "")
	if err == nil || !strings.Contains(err.Error(), "fairlead push") {
		t.Errorf("an empty router: %v", err)
	}
	first := table(t)
	r.Swap(first)
	if old := r.Swap(table(t)); old != first || r.Load() == first {
		t.Error("Swap does not give the table before")
	}
}
