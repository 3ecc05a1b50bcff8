package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mark is the environment variable that every process of a run carries. Some peers start processes of their own that
// leave their group; by the mark they are found and ended all the same.
const mark = "FAIRLEAD_BENCH_RUN"

// process is one running server with all that it started.
type process struct {
	name string
	id   string // its mark
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
}

// launch starts a command whose output goes to a file. It runs until stop, which ends its whole family.
func launch(name, logFile, folder string, env []string, args ...string) (*process, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	p := &process{name: name, id: fmt.Sprintf("%d.%s", os.Getpid(), name), log: log, done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), args[0], args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = folder, log, log
	p.cmd.Env = append(append(os.Environ(), env...), mark+"="+p.id)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// ended says whether the command has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the command and everything it started.
func (p *process) stop() {
	p.signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
	}
	for range 50 {
		if p.signal(syscall.SIGKILL) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	<-p.done
	_ = p.log.Close() // it is read by its name
}

// signal sends s to every process that carries the mark and returns their number.
func (p *process) signal(s syscall.Signal) int {
	n := 0
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(mark+"="+p.id+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil && pid != os.Getpid() && syscall.Kill(pid, s) == nil {
			n++
		}
	}
	return n
}

// tail is the end of the process's log, for an error.
func (p *process) tail() string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw[max(0, len(raw)-1500):]))
}

// output runs a command to its end.
func output(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
