package e2e

import (
	"testing"

	"github.com/fairlead-ml/fairlead/conformance"
)

// TestServerConforms runs the whole suite against the real binary: nothing fails, no advice is ignored, nothing is skipped.
func TestServerConforms(t *testing.T) {
	address := freePort(t)
	p := start(t, t.TempDir(), freePort(t), "serve", "--grpc", address)
	r, err := conformance.Run(t.Context(), conformance.Options{URL: p.base, GRPC: address})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Results {
		if c.Verdict != conformance.Pass {
			t.Errorf("%s (%s): %s: %s\n  rule %s\n  expected %s\n  came %s %s", c.Verdict, c.Level, c.Group, c.Name, c.Rule, c.Expected, c.Came, c.Reason)
		}
	}
	t.Logf("%d checks passed", r.Passed)
	select {
	case err := <-p.done:
		t.Fatalf("the server ended by itself: %v\n%s", err, tail(p.output.String()))
	default:
	}
	p.stop()
}
