package rollout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Share is a part of the traffic from 0 to 1. It is written "5%"; "shadow" is 0: copies only.
type Share float64

// ParseShare reads "5%", "0.5%" or "shadow". A bare number is refused: 1 could mean 1 % or all.
func ParseShare(s string) (Share, error) {
	if s == "shadow" {
		return 0, nil
	}
	digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	switch {
	case err != nil:
		return 0, fairlead.Invalid("expected a share of the traffic, got %q", s).Hintf(`write "5%%", or "shadow" for copies only`)
	case !percent:
		return 0, fairlead.Invalid("the share %q has no unit", s).Hintf(`write "%s%%"`, s)
	case !(v > 0 && v <= 100): // also NaN
		return 0, fairlead.Invalid("the share %q is not between 0%% and 100%%", s).Hintf(`write "shadow" for copies only`)
	}
	return Share(v / 100), nil
}

// String is "shadow" for 0, else percent.
func (s Share) String() string {
	if s == 0 {
		return "shadow"
	}
	return strconv.FormatFloat(math.Round(float64(s)*1e8)/1e6, 'f', -1, 64) + "%"
}

// MarshalText writes String.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseShare reads.
func (s *Share) UnmarshalText(b []byte) (err error) {
	*s, err = ParseShare(string(b))
	return err
}

// Duration is a time.Duration that is written "30m" or "7d".
type Duration time.Duration

// ParseDuration reads "250ms", "24h", "1h30m" or "7d". It is not negative.
func ParseDuration(s string) (Duration, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok && err != nil {
		var f float64
		if f, err = strconv.ParseFloat(days, 64); err == nil && !(math.Abs(f) <= 3650) {
			err = strconv.ErrRange
		}
		d = time.Duration(f * float64(24*time.Hour))
	}
	if err != nil || d < 0 {
		return 0, fairlead.Invalid("expected a duration, got %q", s).Hintf("write 30s, 15m, 24h or 7d")
	}
	return Duration(d), nil
}

// String is the shortest way to write d: "1h30m", "7d".
func (d Duration) String() string {
	t := time.Duration(d)
	if t >= 48*time.Hour && t%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", t/(24*time.Hour))
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}
