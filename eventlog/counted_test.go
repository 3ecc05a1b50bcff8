package eventlog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
)

// Rows come back as they are without counts, sampled or not, and their counts beside them.
func TestCountsComeBackWithTheirRows(t *testing.T) {
	p, sig := visit()
	deltas := func(role fairlead.Role) ProfileDelta {
		return ProfileDelta{Deployment: p.Deployment, Version: p.Version, Role: role, Minute: noon, Counts: []byte(role)}
	}
	want := []ProfileDelta{deltas(fairlead.RoleLive), deltas(fairlead.RoleShadow)}
	for _, probability := range [][]float64{nil, {0.25, 1}} {
		p.Probability = probability
		rows, err := EncodeKept([]*fairlead.Prediction{p}, sig, keep.Default())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(WithCounts(rows, nil), rows) {
			t.Error("rows without counts are another message")
		}
		plain, err := DecodePredictions(rows)
		if err != nil {
			t.Fatal(err)
		}
		b := WithCounts(rows, want)
		got, err := DecodePredictions(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if !cmp.Equal(got.Counts, want) {
			t.Error(cmp.Diff(want, got.Counts))
		}
		got.Counts = nil
		if !cmp.Equal(got, plain) {
			t.Error(cmp.Diff(plain, got))
		}
	}
}

func TestCountsThatDoNotBelongToTheRowsAreRefused(t *testing.T) {
	p, sig := visit()
	rows, err := EncodePredictions([]*fairlead.Prediction{p}, sig)
	if err != nil {
		t.Fatal(err)
	}
	good := WithCounts(rows, []ProfileDelta{{Deployment: p.Deployment, Version: p.Version, Role: p.Role, Minute: noon, Counts: []byte{1}}})
	for what, bad := range map[string]struct {
		b    []byte
		says string
	}{
		"another version":  {WithCounts(rows, []ProfileDelta{{Deployment: p.Deployment, Version: 9}}), "counts of d@9"},
		"another name":     {WithCounts(rows, []ProfileDelta{{Deployment: "e", Version: p.Version}}), "counts of e@1"},
		"counts in counts": {WithCounts(good, []ProfileDelta{{Deployment: p.Deployment, Version: p.Version}}), "versions 1 to 2"},
		"no rows":          {WithCounts(nil, []ProfileDelta{{Deployment: p.Deployment, Version: p.Version}}), "does not start with"},
		"no counts":        {append([]byte{kindRows, formatCounted, 3, kindProfiles, 1, 0}, rows...), "without counts"},
		"not counts":       {append([]byte{kindRows, formatCounted, 2, kindLabels, 1}, rows...), "decode profiles"},
		"a long length":    {append([]byte{kindRows, formatCounted, 0xff, 0xff, 0xff, 0x7f}, rows...), "does not fit"},
		"only a head":      {[]byte{kindRows, formatCounted}, "expected a number"},
		"later version":    {[]byte{kindRows, 4}, "versions 1 to 3"},
		"cut":              {good[:len(good)-1], "decode predictions"},
	} {
		if _, err := DecodePredictions(bad.b); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
