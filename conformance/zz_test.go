package conformance

import (
	"context"
	"fmt"
	"os"
	"testing"
)

func TestZZ(t *testing.T) {
	r, err := Run(context.Background(), Options{URL: os.Getenv("U"), GRPC: os.Getenv("G")})
	fmt.Println(err, r.Server, r.Version, r.Extensions, r.Models, r.Passed, r.Failed, r.Advice, r.Skipped)
	for _, c := range r.Results {
		if c.Verdict != Pass {
			fmt.Printf("%s %s %s: %s | exp %s | came %.300s | %s\n", c.Verdict, c.Level, c.Group, c.Name, c.Expected, c.Came, c.Reason)
		}
	}
}
