package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/app"
)

// keepFlags registers how much the evaluation store keeps.
func keepFlags(flags *pflag.FlagSet, c *app.Config) {
	flags.DurationVar(&c.PartitionAfter, "partition-after", c.PartitionAfter, "how long after the end of a day, by event time, its rows move from tables into Parquet files")
	flags.Var(&limitFlag{kind: "age", parse: func(v string) (func(*app.KeepRows), error) {
		age, err := parseAge(v)
		return func(k *app.KeepRows) { k.Age = age }, err
	}, keep: &c.Keep}, "keep-rows", "age of the days whose rows are kept with their labels, like 90d, or of some deployments: 90d,flights=30d (default: all)")
	flags.Var(&limitFlag{kind: "MB", parse: func(v string) (func(*app.KeepRows), error) {
		mb, err := strconv.ParseUint(v, 10, 40)
		if err != nil || mb == 0 {
			return nil, fairlead.Invalid("%q is no size", v).Hintf("megabytes, as in 50000")
		}
		return func(k *app.KeepRows) { k.Bytes = mb << 20 }, nil
	}, keep: &c.Keep}, "keep-rows-mb", "megabytes of rows in files that are kept, all together and of some deployments: 50000,flights=1000 (default: all)")
	flags.Var((*ageFlag)(&c.Keep.Profiles), "keep-profiles", "age of the profile counts that are kept, like 400d (default: all)")
}

// parseAge reads a duration that may be in days.
func parseAge(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour //nolint:gosec // at most 65,535 days
	}
	if err != nil || d <= 0 {
		return 0, fairlead.Invalid("%q is no age", s).Hintf("days or hours, as in 90d or 36h")
	}
	return d, nil
}

type ageFlag time.Duration

func (f *ageFlag) Set(s string) error {
	d, err := parseAge(s)
	*f = ageFlag(d)
	return err
}

func (f *ageFlag) String() string {
	if *f == 0 {
		return ""
	}
	return time.Duration(*f).String()
}

func (f *ageFlag) Type() string { return "age" }

// limitFlag is a limit of all rows and of those of some deployments, each set by what parse gives.
type limitFlag struct {
	kind  string
	parse func(string) (func(*app.KeepRows), error)
	keep  *app.Keep
	text  string
}

func (f *limitFlag) Set(s string) error {
	all := app.KeepRows{Age: f.keep.Age, Bytes: f.keep.Bytes}
	var seen []string
	for _, part := range strings.Split(s, ",") {
		name, value, of := strings.Cut(strings.TrimSpace(part), "=")
		if !of {
			name, value = "", name
		}
		set, err := f.parse(value)
		if err != nil {
			return err
		}
		if slices.Contains(seen, name) {
			return fairlead.Invalid("%q says something twice", s)
		}
		seen = append(seen, name)
		if !of {
			set(&all)
			continue
		}
		d, err := fairlead.ParseName(name)
		if err != nil {
			return err
		}
		if f.keep.Each == nil {
			f.keep.Each = make(map[fairlead.Name]app.KeepRows)
		}
		own := f.keep.Each[d]
		set(&own)
		f.keep.Each[d] = own
	}
	f.keep.Age, f.keep.Bytes, f.text = all.Age, all.Bytes, s
	return nil
}

func (f *limitFlag) String() string { return f.text }

func (f *limitFlag) Type() string { return f.kind }
