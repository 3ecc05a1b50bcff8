package pressure

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// System reads what this machine says. Only Linux says anything.
func System() Reading { return Read(os.DirFS("/"), time.Now()) }

// Read finds a reading in the files of a Linux system with that root. What is not there or not understood is left out.
func Read(root fs.FS, now time.Time) Reading {
	r := Reading{At: now}
	group := "sys/fs/cgroup"
	if own := lineAfter(text(root, "proc/self/cgroup"), "0::"); own != "" {
		group = path.Join(group, own)
	}
	for _, file := range []string{path.Join(group, "cpu.pressure"), "sys/fs/cgroup/cpu.pressure", "proc/pressure/cpu"} {
		if micros, ok := number(field(lineAfter(text(root, file), "some "), "total=")); ok {
			r.Waiting, r.WaitingRead = time.Duration(micros)*time.Microsecond, true
			break
		}
	}
	r.Idle, r.Total = processorTime(lineAfter(text(root, "proc/stat"), "cpu "))
	if micros, ok := number(lineAfter(text(root, path.Join(group, "cpu.stat")), "throttled_usec ")); ok {
		r.Throttled = time.Duration(micros) * time.Microsecond
	} else if nanos, ok := number(lineAfter(text(root, "sys/fs/cgroup/cpu/cpu.stat"), "throttled_time ")); ok { // version 1
		r.Throttled = time.Duration(nanos)
	}
	return r
}

func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// lineAfter is the rest of the first line with that prefix.
func lineAfter(text, prefix string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// field is the value of one key=value of a line.
func field(line, key string) string {
	for word := range strings.FieldsSeq(line) {
		if v, ok := strings.CutPrefix(word, key); ok {
			return v
		}
	}
	return ""
}

func number(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}

// processorTime reads /proc/stat's sums: user, nice, system, idle, iowait, irq, softirq, steal.
func processorTime(line string) (idle, total uint64) {
	for i, word := range strings.Fields(line) {
		n, ok := number(word)
		if !ok || i >= 8 { // guests are counted in user already
			break
		}
		total += n
		if i == 3 || i == 4 {
			idle += n
		}
	}
	return idle, total
}
