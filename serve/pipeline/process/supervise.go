package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// steady is how long a program has to have been up for its next end to count as the first.
const steady = time.Minute

// supervise keeps the program running until ctx ends. first gets the outcome of the first start.
func (s *Session) supervise(ctx context.Context, first chan<- error) {
	defer close(s.done)
	// Linux tells a child of the end of the thread that started it, and ours must live on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wait := s.options.Backoff
	for starts := 0; ctx.Err() == nil; starts++ {
		began := time.Now()
		err := s.once(ctx, first)
		if ctx.Err() != nil {
			return
		}
		if starts == 0 && s.sig.Inputs == nil { // it has never been ready
			first <- fairlead.Invalid("process %s does not start: %v", s.options.Name, err).Cause(err)
			return
		}
		if time.Since(began) > steady {
			wait = s.options.Backoff
		}
		s.setDown(err, time.Now().Add(wait))
		s.options.Log.Warn("a process ended; it is started again", "step", s.options.Name, "after", wait, "err", err)
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		wait = min(2*wait, 100*s.options.Backoff)
	}
}

func (s *Session) setDown(err error, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up, s.again = false, again
	if err != nil {
		s.why = err.Error()
	}
}

// Starts is how often the program has been ready.
func (s *Session) Starts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// once runs the program from its start to its end, which is the error, or to the end of ctx.
func (s *Session) once(ctx context.Context, first chan<- error) error {
	output := &lines{log: func(line string) { s.options.Log.Info(line, "step", s.options.Name) }}
	cmd := s.command(output)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	var end error
	go func() {
		end = cmd.Wait()
		output.flush()
		s.setDown(fmt.Errorf("%s%s", exitText(end), output.last()), time.Now())
		close(ended)
	}()
	defer func() {
		s.setDown(nil, time.Now())
		s.stop(cmd, ended)
		s.client.CloseIdleConnections()
	}()
	died := func() error { return fmt.Errorf("%s%s", exitText(end), output.last()) }
	if err := s.awaitReady(ctx, ended); err != nil {
		select {
		case <-ended:
			return died()
		default:
			return fmt.Errorf("%w%s", err, output.last())
		}
	}
	s.mu.Lock()
	s.up = true
	s.starts++
	starts := s.starts
	s.mu.Unlock()
	if starts == 1 {
		first <- nil
	}
	if err := s.watch(ctx, ended); err != nil {
		return err
	}
	select {
	case <-ended:
		return died()
	default:
		return ctx.Err()
	}
}

func exitText(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "it ended by itself with status 0"
	case errors.As(err, &exit):
		return "it ended with " + exit.String()
	}
	return err.Error()
}

// command is the program with its own group, so that its children can be stopped with it.
func (s *Session) command(output *lines) *exec.Cmd {
	cmd := exec.Command(s.options.Command[0], s.options.Command[1:]...)
	cmd.Dir = s.options.Dir
	for _, name := range []string{"PATH", "HOME", "LANG", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if s.options.Port {
		cmd.Env = append(cmd.Env, "FAIRLEAD_PORT="+strconv.Itoa(s.port))
	} else {
		_ = os.Remove(s.socket()) // the one of the run before
		cmd.Env = append(cmd.Env, "FAIRLEAD_SOCKET="+s.socket())
	}
	cmd.Env = append(cmd.Env, "FAIRLEAD_MODEL="+s.options.Model, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Env = append(cmd.Env, s.options.Env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = time.Second // a child of it may hold its output open
	ownGroup(cmd)
	return cmd
}

// awaitReady asks until the program says what it takes and gives.
func (s *Session) awaitReady(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Start)
	defer cancel()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		sig, err := s.describe(ctx)
		if err == nil {
			return s.accept(sig)
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ended:
			pause.Stop()
			return err
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("it was not ready within %v: %w", s.options.Start, err)
		}
	}
}

// accept keeps the first signature; a later start has to have the same.
func (s *Session) accept(sig fairlead.Signature) error {
	if s.sig.Inputs == nil {
		s.sig = sig
		return nil
	}
	if !reflect.DeepEqual(s.sig, sig) {
		return errors.New("it takes or gives something else than when the pipeline was made")
	}
	return nil
}

// watch waits for the end of the program or of ctx, and checks its health meanwhile: three checks in a row without an
// answer are an error.
func (s *Session) watch(ctx context.Context, ended <-chan struct{}) error {
	tick := time.NewTicker(s.options.Health)
	defer tick.Stop()
	for missed := 0; ; {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.healthy(ctx)
		if err == nil {
			missed = 0
			continue
		}
		if missed++; missed == 3 && ctx.Err() == nil {
			select {
			case <-ended: // its end says more
				return nil
			default:
				return fmt.Errorf("it does not answer health checks: %w", err)
			}
		}
	}
}

func (s *Session) healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Health)
	defer cancel()
	status, _, err := s.call(ctx, http.MethodGet, "/v2/health/ready", nil)
	if err == nil && status >= 500 {
		err = fmt.Errorf("GET /v2/health/ready answers %d", status)
	}
	return err
}

// stop asks the program to end, and kills it when it does not.
func (s *Session) stop(cmd *exec.Cmd, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	default:
	}
	terminate(cmd)
	patience := time.NewTimer(s.options.Stop)
	defer patience.Stop()
	select {
	case <-ended:
		return
	case <-patience.C:
	}
	s.options.Log.Warn("a process did not end when it was asked to, and is killed", "step", s.options.Name)
	kill(cmd)
	<-ended
}

// lines passes what a program writes to the log, line by line, and remembers the last ones.
type lines struct {
	log func(string)

	mu      sync.Mutex
	partial []byte
	recent  []string
}

const (
	maxLine   = 4096
	maxRecent = 5
)

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range p {
		if c == '\n' || len(l.partial) == maxLine {
			l.end()
		}
		if c != '\n' {
			l.partial = append(l.partial, c)
		}
	}
	return len(p), nil
}

func (l *lines) end() {
	line := strings.TrimRight(strings.ToValidUTF8(string(l.partial), "?"), "\r ")
	l.partial = l.partial[:0]
	if line == "" {
		return
	}
	l.recent = append(l.recent[max(0, len(l.recent)-maxRecent+1):], line)
	l.log(line)
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

// last is the end of what the program wrote, for an error; "" if it wrote nothing.
func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 {
		return ""
	}
	return ": " + strings.Join(l.recent, " | ")
}
