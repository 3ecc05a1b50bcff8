//go:build !linux

package loadgen

import "time"

func shortSleep(d time.Duration) { time.Sleep(d) }
