// Package app wires the rooms together. It is the only package that knows every room.
package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/cloud"
	"github.com/fairlead-ml/fairlead/serve/limit"
)

// Config is what `fairlead serve` can be told.
type Config struct {
	Data string // folder of everything that must survive a restart
	HTTP string // address of REST, UI and metrics
	GRPC string // address of gRPC; empty: off
	// GRPCOptional lets a server go on without gRPC when that address is taken: nobody asked for it by name.
	GRPCOptional bool
	NATS         NATS   // servers that keep the event log and the state; the zero NATS: this process does
	Debug        string // address of Go's profiler, for developers; empty: off
	Library      string // ONNX Runtime's shared library; empty: beside the binary
	Version      string // of the binary

	Record     string        // which predictions are counted and stored: RecordAll or RecordNone
	RedactKey  string        // file with the key that redacted values are hashed with; "": FAIRLEAD_REDACT_KEY, else they are dropped
	LossWindow time.Duration // rows answered within this time of a crash may be lost
	// MaxLag is how far the evaluation store and the findings may fall behind while serving needs the processors; the
	// page and /v1/status show the lag. 0: they never give way.
	MaxLag    time.Duration
	MaxBody   int64 // bytes of one request
	MaxUpload int64 // bytes of one pushed model
	MemoryMB  int   // DuckDB's memory limit

	PartitionAfter time.Duration // after the end of a day, by event time, its rows move into files
	Keep           Keep          // of rows and profiles; the zero Keep: all

	Processes    bool          // process steps of pipelines may run programs, with the server's rights
	Trees        bool          // tree ensembles run on fairlead's own engine where its answers are those of ONNX Runtime
	CacheMB      int           // memory for answers of models whose bundle asks for a cache; 0: none
	Limits       limit.Config  // of clients and models; the zero Config limits nobody
	ClientHeader string        // names the client for limits; "": its address does
	OTLP         string        // URL of a collector of traces; "": what OTEL_EXPORTER_OTLP_ENDPOINT says
	TraceRatio   float64       // share of requests that are traced where the caller does not say
	AccessLog    string        // file, or "-" for standard output; "": none
	AccessSample float64       // share of the successes that it gets
	Slow         time.Duration // requests as slow as this are always in it

	RequireSigned RequireSigned // which versions are loaded only with a signature; the zero value: none

	RequireTests RequireTests // which models go live only when they pass their tests; the zero value: none

	Notify      Notify // who is told of incidents; the zero value: nobody
	ExternalURL string // of the page as people reach it, for links in what they are told; empty: none

	StopWithin time.Duration // a clean stop takes at most this long

	cloud *cloud.Contract // what the cloud expects that this runs in; nil: none
}

// NATS says which NATS servers keep the event log and the state, so that several fairlead servers can share them.
type NATS struct {
	URL      string // nats://h1:4222,nats://h2:4222; empty: this process keeps them under Config.Data
	Creds    string // file with a user's JWT and key
	CA       string // file with the certificates that vouch for the servers
	Cert     string // the client's certificate
	Key      string // and its key
	Replicas int    // servers that keep each message
	Prefix   string // of streams, subjects and buckets
	StreamMB int    // of each stream at most
}

// Values of Config.Record.
const (
	RecordAll  = "all"
	RecordNone = "none" // a bare model server: nothing is watched
)

// Defaults are the settings of a server nobody configured.
func Defaults() Config {
	return Config{
		Data: "./fairlead-data", HTTP: "127.0.0.1:8080", GRPC: "127.0.0.1:8081", Version: "dev",
		NATS:   NATS{Replicas: 3, Prefix: "fairlead", StreamMB: 4096},
		Record: RecordAll, LossWindow: time.Second, MaxLag: time.Minute, PartitionAfter: time.Hour, MaxBody: 64 << 20, MaxUpload: 2 << 30, MemoryMB: 1024, Trees: true, CacheMB: 256, TraceRatio: 0.01, AccessSample: 1, Slow: time.Second, StopWithin: 40 * time.Second,
	}
}

// libraryPath finds ONNX Runtime: the configured path, FAIRLEAD_ORT_LIBRARY, or the file beside the binary.
func (c Config) libraryPath() (string, error) {
	name := "libonnxruntime.so.1"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.1.dylib"
	}
	candidates := []string{c.Library, os.Getenv("FAIRLEAD_ORT_LIBRARY")}
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			candidates = append(candidates, filepath.Join(filepath.Dir(exe), name))
		}
	}
	for i, path := range candidates {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return filepath.Abs(path)
		} else if i == 0 {
			return "", fairlead.Invalid("there is no ONNX Runtime library at %s", path)
		}
	}
	return "", fairlead.Errorf(fairlead.CodeUnavailable, "the ONNX Runtime library %s was not found", name).
		Hintf("`make runtime` puts it beside the binary; or set FAIRLEAD_ORT_LIBRARY to its path")
}

// redactKey reads the key that values are hashed with, nil if there is none.
func (c Config) redactKey() ([]byte, error) {
	key := []byte(os.Getenv("FAIRLEAD_REDACT_KEY"))
	if c.RedactKey != "" {
		var err error
		if key, err = os.ReadFile(c.RedactKey); err != nil {
			return nil, fmt.Errorf("read the key of redacted values: %w", err)
		}
	}
	if key = bytes.TrimSpace(key); len(key) > 0 && len(key) < 16 {
		return nil, fairlead.Invalid("the key of redacted values has %d bytes, it needs 16 or more", len(key)).
			Hintf("openssl rand -hex 32 makes one")
	}
	return key, nil
}
