package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string, opts ...func(*Options)) *Log {
	t.Helper()
	opt := Options{Dir: dir}
	for _, o := range opts {
		o(&opt)
	}
	l, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func appendText(t testing.TB, l *Log, s Stream, id, text string) uint64 {
	t.Helper()
	seq, err := l.Append(t.Context(), s, id, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// read gives everything after a position as "seq text".
func read(t testing.TB, l *Log, s Stream, after uint64) []string {
	t.Helper()
	last, err := l.Last(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if last <= after {
		return nil
	}
	var got []string
	done := errors.New("done")
	err = l.Follow(t.Context(), s, after, 100, func(msgs []Message) error {
		for _, m := range msgs {
			got = append(got, fmt.Sprintf("%d %s", m.Seq, m.Data))
			if m.Seq >= last {
				return done
			}
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatalf("follow ended with %v", err)
	}
	return got
}

func TestAppendIsKeptOnceAcrossReopen(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if got := appendText(t, l, Labels, "a", "one"); got != 1 {
		t.Errorf("first append got number %d", got)
	}
	appendText(t, l, Labels, "b", "two")
	if got := appendText(t, l, Labels, "a", "one again"); got != 1 {
		t.Errorf("a repeated id got number %d, want that of the first", got)
	}
	appendText(t, l, Predictions, "a", "other stream")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	l = open(t, dir)
	if got := appendText(t, l, Labels, "b", "two again"); got != 2 {
		t.Errorf("after a restart a repeated id got number %d, want 2", got)
	}
	appendText(t, l, Labels, "", "three")
	appendText(t, l, Labels, "", "three")
	want := "1 one,2 two,3 three,4 three"
	if got := strings.Join(read(t, l, Labels, 0), ","); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := strings.Join(read(t, l, Labels, 3), ","); got != "4 three" {
		t.Errorf("after 3: %s", got)
	}
}

func TestFollowGivesNewMessagesInOrderAndEndsWithItsContext(t *testing.T) {
	l := open(t, t.TempDir())
	const n = 3000
	ctx, cancel := context.WithCancel(t.Context())
	var got []uint64
	largest := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		err := l.Follow(ctx, Profiles, 0, 64, func(msgs []Message) error {
			largest = max(largest, len(msgs))
			for _, m := range msgs {
				got = append(got, m.Seq)
				if m.Stream != Profiles || string(m.Data) != fmt.Sprint(m.Seq) || time.Since(m.Time) > time.Minute {
					t.Errorf("message %+v", m)
				}
			}
			if len(got) == n {
				cancel()
			}
			return nil
		})
		if err != nil {
			t.Errorf("follow ended with %v", err)
		}
	})
	for i := range n {
		appendText(t, l, Profiles, "", fmt.Sprint(i+1))
	}
	wg.Wait()
	for i, seq := range got {
		if seq != uint64(i+1) {
			t.Fatalf("message %d has number %d", i, seq)
		}
	}
	if len(got) != n || largest > 64 {
		t.Errorf("%d messages, batches up to %d", len(got), largest)
	}
}

func TestFollowOfAClosedLogSaysSo(t *testing.T) {
	l := open(t, t.TempDir())
	ended := make(chan error)
	go func() { ended <- l.Follow(context.Background(), Labels, 0, 10, func([]Message) error { return nil }) }()
	time.Sleep(50 * time.Millisecond)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if fairlead.CodeOf(err) != fairlead.CodeUnavailable {
			t.Errorf("follow ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("follow did not end")
	}
	if _, err := l.Append(t.Context(), Labels, "", nil); fairlead.CodeOf(err) != fairlead.CodeUnavailable {
		t.Errorf("append to a closed log: %v", err)
	}
}

func TestAFullStreamRefusesAndTrimMakesRoom(t *testing.T) {
	l := open(t, t.TempDir(), func(o *Options) { o.MaxBytes = 100_000 })
	data := make([]byte, 10_000)
	var err error
	var last uint64
	for err == nil && last < 20 {
		var seq uint64
		if seq, err = l.Append(t.Context(), Predictions, "", data); err == nil {
			last = seq
		}
	}
	if fairlead.CodeOf(err) != fairlead.CodeExhausted || last < 8 {
		t.Fatalf("after %d messages: %v", last, err)
	}
	if err := l.Trim(t.Context(), Predictions, 5); err != nil {
		t.Fatal(err)
	}
	if seq, err := l.Append(t.Context(), Predictions, "", data); err != nil || seq != last+1 {
		t.Errorf("after trim: %d, %v", seq, err)
	}
	if got := read(t, l, Predictions, 0); len(got) != int(last+1-5) || !strings.HasPrefix(got[0], "6 ") {
		t.Errorf("%d messages left", len(got))
	}
	if _, err := l.Append(t.Context(), Labels, "", make([]byte, MaxMessage+1)); fairlead.CodeOf(err) != fairlead.CodeTooLarge {
		t.Errorf("a message over the limit: %v", err)
	}
}

func TestLargestMessagePasses(t *testing.T) {
	l := open(t, t.TempDir())
	data := make([]byte, MaxMessage)
	data[MaxMessage-1] = 7
	if _, err := l.Append(t.Context(), Predictions, strings.Repeat("i", 60), data); err != nil {
		t.Fatal(err)
	}
	if got := read(t, l, Predictions, 0); len(got) != 1 || len(got[0]) != MaxMessage+2 || got[0][MaxMessage+1] != 7 {
		t.Error("it came back changed")
	}
}

func TestLag(t *testing.T) {
	l := open(t, t.TempDir())
	appendText(t, l, Predictions, "", "x")
	now := time.Now().Add(time.Minute)
	for after, want := range map[uint64]time.Duration{0: time.Minute, 1: 0, 9: 0} {
		got, err := l.Lag(t.Context(), Predictions, after, now)
		if err != nil || got.Round(10*time.Second) != want {
			t.Errorf("lag after %d is %s, %v", after, got, err)
		}
	}
}

// TestNoSockets holds the promise that the log neither listens nor talks: the process has no IP socket while it runs.
func TestNoSockets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	l := open(t, t.TempDir())
	appendText(t, l, Labels, "", "x")
	inodes := make(map[string]bool)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, _ := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		if in, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(in, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			continue // no IPv6 here
		}
		for _, line := range strings.Split(string(b), "\n")[1:] {
			if f := strings.Fields(line); len(f) > 9 && inodes[f[9]] {
				t.Errorf("%s socket: %s", table, line)
			}
		}
	}
}
