package process

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the program the first of a group, and lets it end with the server even if that is killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
