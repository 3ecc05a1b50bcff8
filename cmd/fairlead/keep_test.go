package main

import (
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/fairlead-ml/fairlead/app"
)

func TestKeepFlags(t *testing.T) {
	parse := func(args ...string) (app.Config, error) {
		c := app.Defaults()
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		keepFlags(flags, &c)
		return c, flags.Parse(args)
	}
	if c, err := parse(); err != nil || c.Keep.Age != 0 || c.Keep.Bytes != 0 || c.Keep.Profiles != 0 || c.PartitionAfter != time.Hour {
		t.Errorf("by default all is kept: %+v %v", c.Keep, err)
	}
	c, err := parse("--keep-rows", "90d,flights=36h", "--keep-rows-mb=5000, flights=10,b=1", "--keep-profiles", "400d")
	if err != nil {
		t.Fatal(err)
	}
	if c.Keep.Age != 90*24*time.Hour || c.Keep.Bytes != 5000<<20 || c.Keep.Profiles != 400*24*time.Hour ||
		c.Keep.Each["flights"] != (app.KeepRows{Age: 36 * time.Hour, Bytes: 10 << 20}) || c.Keep.Each["b"] != (app.KeepRows{Bytes: 1 << 20}) {
		t.Errorf("read %+v", c.Keep)
	}
	for _, bad := range []string{"--keep-rows=", "--keep-rows=90", "--keep-rows=-1h", "--keep-rows=0d", "--keep-rows=1d,2d", "--keep-rows=A B=1d", "--keep-rows-mb=x", "--keep-rows-mb=0", "--keep-profiles=d"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
