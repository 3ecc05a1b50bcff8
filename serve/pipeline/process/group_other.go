//go:build !unix

package process

import "os/exec"

func ownGroup(*exec.Cmd) {}

// terminate and kill are the same where there are no signals.
func terminate(cmd *exec.Cmd) { kill(cmd) }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
