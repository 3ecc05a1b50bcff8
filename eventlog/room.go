package eventlog

import (
	"github.com/fairlead-ml/fairlead"
)

// minFree is how many bytes the log leaves free on its disk. A store that meets a full disk in the middle of a write stops
// for good: it has to be kept from getting there. What small state and the evaluation store's own end of a transaction
// need comes out of it.
const minFree = 64 << 20

// ReasonDiskFull is the Reason of an error that ends when there is room on the disk again.
const ReasonDiskFull = "disk_full"

// Room is nil while the log's disk has room for more, else an error of CodeExhausted that says how much is missing. A log on
// a cluster always has: its servers know their own disks.
func (l *Log) Room() error {
	if l.opt.Cluster != nil {
		return nil
	}
	free, err := freeBytes(l.opt.Dir)
	if err != nil || free >= l.opt.MinFree { // an unknown disk stops nothing
		return nil
	}
	e := fairlead.Errorf(fairlead.CodeExhausted, "the disk of the event log is full: %d MB free, %d MB are kept free", free>>20, l.opt.MinFree>>20).
		Hintf("make room on the disk of %s: it goes on by itself", l.opt.Dir)
	e.Reason = ReasonDiskFull
	return e
}
