package process

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/enginetest"
)

// TestMain is also the program that the tests supervise: it answers y = 2x, and misbehaves as it is told.
func TestMain(m *testing.M) {
	if mode := os.Getenv("FAIRLEAD_TEST_PROGRAM"); mode != "" {
		program(mode)
		return
	}
	goleak.VerifyTestMain(m)
}

func program(mode string) {
	if mode == "dies at once" {
		fmt.Fprintln(os.Stderr, "no module named numpy")
		os.Exit(3)
	}
	fmt.Println("hello from the program")
	if mode == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/models/twice", func(w http.ResponseWriter, _ *http.Request) {
		if mode == "never ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"name":"twice","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}`)
	})
	mux.HandleFunc("GET /v2/health/ready", func(w http.ResponseWriter, r *http.Request) {
		if mode == "hangs" {
			<-r.Context().Done()
		}
	})
	mux.HandleFunc("POST /v2/models/twice/infer", func(w http.ResponseWriter, r *http.Request) { answer(mode, w, r) })
	var l net.Listener
	var err error
	if port := os.Getenv("FAIRLEAD_PORT"); port != "" {
		l, err = net.Listen("tcp", "127.0.0.1:"+port)
	} else {
		l, err = net.Listen("unix", os.Getenv("FAIRLEAD_SOCKET"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = http.Serve(l, mux)
}

func answer(mode string, w http.ResponseWriter, r *http.Request) {
	var request struct {
		Inputs []struct {
			Data  []float32 `json:"data"`
			Shape []int64   `json:"shape"`
		} `json:"inputs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Inputs) != 1 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	in := request.Inputs[0]
	for i, x := range in.Data {
		switch {
		case x == 13: // the unlucky one
			fmt.Fprintln(os.Stderr, "13 was too much")
			os.Exit(7)
		case x == 14:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"14 is not allowed"}`)
			return
		case x == 15:
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"error":"15 went wrong"}`)
			return
		case x == 16:
			fmt.Fprint(w, `{"outputs":[{"name":"y","datatype":"INT64","shape":[1],"data":[1]}]}`)
			return
		case x == 17:
			fmt.Fprint(w, "<html>")
			return
		case x == 18:
			<-r.Context().Done()
			return
		}
		in.Data[i] = 2 * x
	}
	data, _ := json.Marshal(in.Data)
	shape, _ := json.Marshal(in.Shape)
	fmt.Fprintf(w, `{"model_name":"twice","outputs":[{"name":"y","datatype":"FP32","shape":%s,"data":%s}]}`, shape, data)
}

// log keeps what the supervisor writes.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func options(mode string, to *log) Options {
	return Options{
		Name: "twice", Command: []string{os.Args[0]}, Env: []string{"FAIRLEAD_TEST_PROGRAM=" + mode}, Stop: 300 * time.Millisecond,
		Backoff: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(to, nil)),
	}
}

func start(t *testing.T, o Options) *Session {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func x(values ...float32) []fairlead.Tensor {
	return []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(len(values))}, Data: values}}
}

func TestAProgramIsAnEngine(t *testing.T) {
	for _, port := range []bool{false, true} {
		enginetest.Run(t, enginetest.Suite{Goldens: []enginetest.Golden{{
			Name: fmt.Sprintf("port %v", port),
			Open: func(t *testing.T) engine.Session {
				o := options("good", &log{})
				o.Port = port
				s, err := Start(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			In:   x(1, 2, -0.5),
			Want: []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{3}, Data: []float32{2, 4, -1}}},
		}}})
	}
}

func TestAProgramThatDoesNotStart(t *testing.T) {
	for mode, want := range map[string]string{
		"dies at once": "process twice does not start: it ended with exit status 3: no module named numpy",
		"never ready":  "it was not ready within 400ms: GET /v2/models/twice answers 503",
	} {
		o := options(mode, &log{})
		o.Start = 400 * time.Millisecond
		if mode == "dies at once" {
			o.Start = time.Minute
		}
		if _, err := Start(t.Context(), o); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	o := options("good", &log{})
	o.Command = []string{"no-such-program"}
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Start(ctx, options("never ready", &log{})); fairlead.CodeOf(err) != fairlead.CodeCanceled {
		t.Errorf("%v", err)
	}
}

func TestWhatAProgramAnswersWrong(t *testing.T) {
	s := start(t, options("good", &log{}))
	for _, test := range []struct {
		x    float32
		code fairlead.Code
		want string
	}{
		{14, fairlead.CodeInvalid, "process twice: 14 is not allowed"},
		{15, fairlead.CodeInternal, "process twice: it answered 500: 15 went wrong"},
		{16, fairlead.CodeInternal, `it answered "y" as INT64 [1]; its metadata say FP32 [?]`},
		{17, fairlead.CodeInternal, "its answer cannot be read"},
	} {
		if _, err := s.Run(t.Context(), x(test.x), nil); fairlead.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test.x, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, x(18), nil); fairlead.CodeOf(err) != fairlead.CodeDeadline {
		t.Errorf("%v", err)
	}
	if _, err := s.Run(t.Context(), x(1), nil); err != nil || s.Starts() != 1 {
		t.Errorf("after that: %v, %d starts", err, s.Starts())
	}
}

func TestACrashIsSaidAndHealed(t *testing.T) {
	to := &log{}
	s := start(t, options("good", to))
	_, err := s.Run(t.Context(), x(13), nil)
	if fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), "ended during the request: it ended with exit status 7: hello from the program | 13 was too much") {
		t.Errorf("%v", err)
	}
	eventually(t, "the program is back", func() bool {
		out, err := s.Run(t.Context(), x(3), nil)
		return err == nil && slices.Equal(out[0].Data.([]float32), []float32{6})
	})
	if s.Starts() != 2 {
		t.Errorf("%d starts", s.Starts())
	}
	if !strings.Contains(to.String(), "13 was too much") || !strings.Contains(to.String(), "hello from the program") {
		t.Errorf("the log is\n%s", to)
	}
}

func TestAProgramThatHangsIsStartedAgain(t *testing.T) {
	o := options("hangs", &log{})
	o.Health = 30 * time.Millisecond
	s := start(t, o)
	eventually(t, "a second start", func() bool { return s.Starts() >= 2 })
}

func TestAProgramThatDoesNotEndIsKilled(t *testing.T) {
	to := &log{}
	s, err := Start(t.Context(), options("stubborn", to))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(to.String(), "is killed") {
		t.Errorf("the log is\n%s", to)
	}
	if _, err := s.Run(t.Context(), x(1), nil); fairlead.CodeOf(err) != fairlead.CodeUnavailable {
		t.Errorf("%v", err)
	}
}

func TestTheServersSecretsStayWithIt(t *testing.T) {
	t.Setenv("FAIRLEAD_TEST_SECRET", "hunter2")
	s := &Session{options: options("good", &log{})}
	for _, v := range s.command(&lines{}).Env {
		if strings.Contains(v, "hunter2") {
			t.Errorf("%s", v)
		}
	}
}

// TestThePythonExample runs the committed program.
func TestThePythonExample(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("make test needs Python: ", err)
	}
	dir, err := filepath.Abs("../../../examples/pipelines/cleaned")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Name: "clean", Command: []string{python, "clean.py"}, Dir: dir, Log: slog.New(slog.DiscardHandler)}
	s := start(t, o)
	in := fairlead.Tensor{Name: "text", Type: fairlead.Bytes, Shape: []int64{2, 1}, Data: []string{"<b>so&nbsp;ｇｏｏｄ</b>\n", `"no" \ ü`}}
	out, err := s.Run(t.Context(), []fairlead.Tensor{in}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := out[0].Data.([]string); !slices.Equal(got, []string{"so good", `"no" \ ü`}) {
		t.Errorf("%q", got)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Errorf("%s: it never came", what)
}
