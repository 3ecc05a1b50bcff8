//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the program the first of a group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
