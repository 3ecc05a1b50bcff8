package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/app"
)

// serveFlags fills a Config from flags, and from a file for what no flag says.
type serveFlags struct {
	config app.Config
	file   string
	cloud  string
	level  string
}

func (f *serveFlags) register(flags *pflag.FlagSet) {
	f.config = app.Defaults()
	f.config.Version = version
	flags.StringVar(&f.config.Data, "data", f.config.Data, "folder of everything that must survive a restart")
	flags.StringVar(&f.config.HTTP, "http", f.config.HTTP, "address of REST, UI and metrics")
	flags.StringVar(&f.config.GRPC, "grpc", f.config.GRPC, "address of gRPC; empty turns it off")
	flags.StringVar(&f.config.NATS.URL, "nats", "", "NATS servers that keep the event log and the state, nats://h1:4222,nats://h2:4222 (default: inside this process)")
	flags.StringVar(&f.config.NATS.Creds, "nats-creds", "", "file with the JWT and key of the NATS user")
	flags.StringVar(&f.config.NATS.CA, "nats-ca", "", "file with the certificates that vouch for the NATS servers (default: the system's)")
	flags.StringVar(&f.config.NATS.Cert, "nats-cert", "", "file with this server's certificate for NATS")
	flags.StringVar(&f.config.NATS.Key, "nats-key", "", "file with the key of --nats-cert")
	flags.IntVar(&f.config.NATS.Replicas, "nats-replicas", f.config.NATS.Replicas, "NATS servers that keep each message: 3 outlive the loss of one")
	flags.StringVar(&f.config.NATS.Prefix, "nats-prefix", f.config.NATS.Prefix, "start of the names of streams and buckets; servers with the same one are one installation")
	flags.IntVar(&f.config.NATS.StreamMB, "nats-stream-mb", f.config.NATS.StreamMB, "size that each stream may have on the NATS servers")
	flags.StringVar(&f.config.ExternalURL, "external-url", "", "address of the page as people reach it, for links in what they are told (default: no links)")
	flags.StringVar(&f.config.Debug, "debug", "", "address of Go's profiler, /debug/pprof (default: off)")
	flags.StringVar(&f.config.Library, "library", "", "ONNX Runtime's shared library (default: beside the binary)")
	flags.StringVar(&f.config.Record, "record", f.config.Record, "predictions that are counted and stored: all or none")
	flags.StringVar(&f.config.RedactKey, "redact-key", "", "file with the key that redacted values are hashed with (default: $FAIRLEAD_REDACT_KEY; without one they are dropped)")
	flags.DurationVar(&f.config.LossWindow, "loss-window", f.config.LossWindow, "prediction rows younger than this may be lost by a crash")
	flags.BoolVar(&f.config.Trees, "trees", f.config.Trees, "run tree ensembles on an engine of our own where it is faster and gives the same answers as ONNX Runtime")
	flags.BoolVar(&f.config.Processes, "processes", false, "let pipelines start programs, with this server's rights: whoever may push may then run anything")
	flags.IntVar(&f.config.MemoryMB, "store-mb", f.config.MemoryMB, "memory of the evaluation store: what it keeps of its tables, and what queries may take")
	keepFlags(flags, &f.config)
	flags.IntVar(&f.config.CacheMB, "cache-mb", f.config.CacheMB, "memory for answers of models whose bundle asks for a cache; 0 turns it off")
	flags.StringVar(&f.config.ClientHeader, "client-header", "", "header that names the client, for limits; only behind a proxy that sets it (default: the client's address)")
	flags.StringVar(&f.config.OTLP, "otlp", "", "URL of an OpenTelemetry collector for traces (default: $OTEL_EXPORTER_OTLP_ENDPOINT, else off)")
	flags.Float64Var(&f.config.TraceRatio, "otlp-ratio", f.config.TraceRatio, "share of requests that are traced where the caller does not say")
	flags.StringVar(&f.config.AccessLog, "access-log", "", "file for one JSON line per request, or - for standard output (default: off)")
	flags.Float64Var(&f.config.AccessSample, "access-log-sample", f.config.AccessSample, "share of successful requests in the access log; errors and slow ones always are")
	flags.DurationVar(&f.config.Slow, "access-log-slow", f.config.Slow, "requests as slow as this are always in the access log; 0: none are slow")
	flags.DurationVar(&f.config.MaxLag, "max-lag", f.config.MaxLag, "how far storing and watching may fall behind while serving needs the processors; 0: not at all")
	flags.StringVar(&f.cloud, "cloud", "", "run as the serving container of a cloud: auto, none, sagemaker, vertex or azure (default: $FAIRLEAD_CLOUD, else auto)")
	flags.StringVar(&f.file, "config", "", "YAML file with the same keys as the flags, limits, notify, require_signed and require_tests")
	flags.StringVar(&f.level, "log", "info", "debug, info, warn or error")
}

// load reads the file; a flag given on the command line wins over it.
func (f *serveFlags) load(flags *pflag.FlagSet) error {
	if f.file == "" {
		return nil
	}
	raw, err := os.ReadFile(f.file)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(raw, &keys); err != nil {
		return fairlead.Invalid("%s is not YAML: %v", f.file, err)
	}
	for key, value := range keys {
		if key == "limits" {
			if err := f.limits(value); err != nil {
				return err
			}
			continue
		}
		if key == "notify" {
			if err := f.notify(value); err != nil {
				return err
			}
			continue
		}
		if key == "require_signed" {
			if err := f.requireSigned(value); err != nil {
				return err
			}
			continue
		}
		if key == "require_tests" {
			if err := f.requireTests(value); err != nil {
				return err
			}
			continue
		}
		flag := flags.Lookup(key)
		if flag == nil || key == "config" {
			return fairlead.Invalid("%s: key %q is not known", f.file, key).Hintf("the keys are the flags of `fairlead serve --help` without the dashes")
		}
		if flag.Changed {
			continue
		}
		if err := flags.Set(key, fmt.Sprint(value)); err != nil {
			return fairlead.Invalid("%s: %s: %v", f.file, key, err)
		}
	}
	return nil
}

// limits reads the one key that no flag has: rules for clients and models.
func (f *serveFlags) limits(value any) error {
	raw, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&f.config.Limits); err != nil {
		return fairlead.Invalid("%s: limits: %s", f.file, plainYAML(err)).
			Hintf("for example: limits: {clients: [{match: \"*\", rate: 100, burst: 200, concurrency: 16}], models: [{match: flights, concurrency: 64}]}")
	}
	return nil
}

// notify reads who is told of incidents.
func (f *serveFlags) notify(value any) error {
	raw, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	err = d.Decode(&f.config.Notify)
	var moment *time.ParseError
	switch {
	case errors.As(err, &moment):
		err = fmt.Errorf("expected a moment such as 2026-03-05T22:00:00Z, came `%s`", moment.Value)
	case err == nil && len(f.config.Notify.Receivers) == 0:
		err = errors.New("it names no receivers")
	}
	if err != nil {
		return fairlead.Invalid("%s: notify: %s", f.file, plainYAML(err)).
			Hintf("for example: notify: {receivers: [{name: oncall, type: slack, url: \"${SLACK_URL}\", min_harm: moves, repeat: 4h}]}")
	}
	return f.config.Notify.Check()
}

// requireSigned reads which versions are taken into service only with a signature.
func (f *serveFlags) requireSigned(value any) error {
	raw, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	err = d.Decode(&f.config.RequireSigned)
	if err == nil && len(f.config.RequireSigned.Keys) == 0 {
		err = errors.New("it has no keys") // a line that asks for nothing is a mistake, and one nobody would notice
	}
	if err != nil {
		return fairlead.Invalid("%s: require_signed: %s", f.file, plainYAML(err)).
			Hintf("for example: require_signed: {keys: [release.pub], models: [\"*\"]}")
	}
	return nil
}

// requireTests reads which models go live only when they pass their tests.
func (f *serveFlags) requireTests(value any) error {
	if on, ok := value.(bool); ok {
		if f.config.RequireTests = (app.RequireTests{}); on {
			f.config.RequireTests.Models = []string{"*"}
		}
		return nil
	}
	raw, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	err = d.Decode(&f.config.RequireTests)
	if err == nil && len(f.config.RequireTests.Models) == 0 {
		err = errors.New("it names no models")
	}
	if err != nil {
		return fairlead.Invalid("%s: require_tests: %s", f.file, plainYAML(err)).
			Hintf("write require_tests: true, or require_tests: {models: [\"*\"], skip: [latency]}")
	}
	return nil
}

// What the YAML library says in terms of Go, and what people call it.
var (
	unknownField = regexp.MustCompile(`line \d+: field (\S+) not found in type \S+`)
	wrongType    = regexp.MustCompile("line \\d+: cannot unmarshal !!\\w+ (`[^`]*`|) ?into (\\S+)")
)

// plainYAML says what is wrong without line numbers, which are those of a part, and without the names of Go's types.
func plainYAML(err error) string {
	text := unknownField.ReplaceAllString(err.Error(), `key "$1" is not known`)
	text = wrongType.ReplaceAllStringFunc(text, func(m string) string {
		parts := wrongType.FindStringSubmatch(m)
		expected := "an object or a list"
		switch {
		case strings.HasPrefix(parts[2], "int"), strings.HasPrefix(parts[2], "uint"):
			expected = "an integer"
		case strings.HasPrefix(parts[2], "float"):
			expected = "a number"
		case parts[2] == "string":
			expected = "text"
		case parts[2] == "time.Duration":
			expected = "a time such as 100ms"
		}
		return strings.TrimSpace("expected " + expected + ", came " + parts[1])
	})
	return strings.Join(strings.Fields(strings.TrimPrefix(text, "yaml: unmarshal errors:")), " ")
}

func (f *serveFlags) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, fairlead.Invalid("log level %q is not known", f.level).Hintf("use debug, info, warn or error")
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}

// start opens and starts the server; the returned function stops it cleanly.
func (f *serveFlags) start(ctx context.Context, flags *pflag.FlagSet) (*app.App, func() error, error) {
	if err := f.load(flags); err != nil {
		return nil, nil, err
	}
	if r := f.config.Record; r != app.RecordAll && r != app.RecordNone {
		return nil, nil, fairlead.Invalid("--record %s is not known", r).Hintf("use all or none")
	}
	f.config.GRPCOptional = !flags.Changed("grpc")
	log, err := f.logger()
	if err != nil {
		return nil, nil, err
	}
	why, err := f.config.DetectCloud(f.cloud, os.Args[1:], flags.Changed("http"))
	if err != nil {
		return nil, nil, err
	}
	if why != "" {
		log.Info("cloud", "contract", why)
	}
	a, err := app.Start(ctx, f.config, log)
	if err != nil {
		return nil, nil, err
	}
	stop := func() error {
		// The command's context has ended by now; the stop has a deadline of its own.
		ctx, cancel := context.WithTimeout(context.Background(), f.config.StopWithin)
		defer cancel()
		began := time.Now()
		err := a.Stop(ctx)
		log.Info("stopped", "took", time.Since(began).Round(time.Millisecond))
		return err
	}
	return a, stop, nil
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:     "serve",
		GroupID: "server",
		Short:   "Serve, watch and store; everything embedded",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, stop, err := f.start(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "fairlead serves on http://%s\n", a.Address())
			select {
			case <-cmd.Context().Done():
			case err = <-a.Failed():
			}
			if stopErr := stop(); err == nil {
				err = stopErr
			}
			return err
		},
	}
	f.register(cmd.Flags())
	return cmd
}
