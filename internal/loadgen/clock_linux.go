package loadgen

import (
	"syscall"
	"time"
)

func shortSleep(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // a signal ends it early, which costs an early request at worst
}
