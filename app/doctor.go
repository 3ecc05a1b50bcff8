package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/fairlead-ml/fairlead/serve/engine/ort"
)

// Check is one thing that a server needs.
type Check struct {
	Name   string
	Detail string
	Err    error
}

// Doctor checks what a server with this configuration needs, without starting one.
func Doctor(_ context.Context, c Config) []Check {
	checks := []Check{{Name: "machine", Detail: fmt.Sprintf("%s/%s, %d cores for this process", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))}}
	return append(checks, checkEngine(c), checkFolder(c.Data), checkAddress(c.HTTP))
}

func checkEngine(c Config) Check {
	check := Check{Name: "inference engine"}
	library, err := c.libraryPath()
	if err != nil {
		check.Err = err
		return check
	}
	rt, err := ort.Open(library)
	if err != nil {
		check.Err = err
		return check
	}
	check.Detail = fmt.Sprintf("ONNX Runtime %s at %s, telemetry off", rt.Version(), library)
	check.Err = rt.Close()
	return check
}

func checkFolder(folder string) Check {
	check := Check{Name: "data folder", Detail: folder}
	if check.Err = os.MkdirAll(folder, 0o755); check.Err != nil {
		return check
	}
	probe := filepath.Join(folder, ".doctor")
	if check.Err = os.WriteFile(probe, []byte("x"), 0o644); check.Err == nil {
		check.Err = os.Remove(probe)
	}
	return check
}

func checkAddress(address string) Check {
	check := Check{Name: "address", Detail: address + " is free"}
	l, err := net.Listen("tcp", address)
	if err != nil {
		check.Detail, check.Err = address, err
		return check
	}
	check.Err = l.Close()
	return check
}
