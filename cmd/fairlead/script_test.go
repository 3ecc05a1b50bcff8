package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fairlead-ml/fairlead/app"
)

// The test binary is the command itself when a script calls it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"fairlead": main})
}

// library is the ONNX Runtime that `make runtime` fetched.
func library(t *testing.T) string {
	if path := os.Getenv("FAIRLEAD_ORT_LIBRARY"); path != "" {
		return path
	}
	found, _ := filepath.Glob("../../bin/libonnxruntime.*")
	if len(found) == 0 {
		t.Fatal("no ONNX Runtime library in bin/: run `make runtime`")
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScripts runs the real commands. Each script has a server of its own at $FAIRLEAD_SERVER, the flights bundle at
// $BUNDLE, and the engine's test graphs at $GRAPHS.
func TestScripts(t *testing.T) {
	lib := library(t)
	bundle, err := filepath.Abs("../../examples/flights/bundle")
	if err != nil {
		t.Fatal(err)
	}
	graphs, err := filepath.Abs("../../serve/engine/ort/testdata")
	if err != nil {
		t.Fatal(err)
	}
	commands := maps.Clone(exportCommands)
	commands["eventually"] = eventually
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			c := app.Defaults()
			c.Data, c.HTTP, c.GRPC, c.Library, c.Version = filepath.Join(env.WorkDir, ".data"), "127.0.0.1:0", "", lib, "test"
			c.LossWindow, c.MaxLag = 50*time.Millisecond, 0
			a, err := app.Start(context.Background(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			env.Defer(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				if err := a.Stop(ctx); err != nil {
					t.Errorf("stop: %v", err)
				}
			})
			env.Values[s3Key{}] = new(fakeS3)
			env.Setenv("FAIRLEAD_SERVER", "http://"+a.Address())
			env.Setenv("FAIRLEAD_ORT_LIBRARY", lib)
			env.Setenv("BUNDLE", bundle)
			env.Setenv("GRAPHS", graphs)
			return nil
		},
		Cmds: commands,
	})
}

// eventually runs `fairlead args…` until its output matches the first argument, a regular expression.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN ARGS…")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	var last string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		err := ts.Exec("fairlead", args[1:]...)
		if last = ts.ReadFile("stdout") + ts.ReadFile("stderr"); err == nil && pattern.MatchString(last) {
			return
		}
	}
	ts.Fatalf("waited in vain for %s in %s", args[0], last)
}
