package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// server is one contestant that answers over HTTP.
type server struct {
	name     string
	title    string
	packages []string // whose versions the record names, from its requirements.txt
	infer    string   // path of inference, %s is the model
	binary   string   // the same for binary tensors; empty: it takes none
	bare     bool     // the body is {"inputs": rows}, not the Open Inference Protocol
	restless bool     // must not be stopped while another is measured
	start    func(b *bench, model, folder string, port int) (*process, error)
	loaded   func(ctx context.Context, b *bench, model string, port int) error // after the start, until it gives nil; may be nil
}

var servers = []server{
	{name: "fairlead", title: "fairlead", infer: oipPath, binary: oipPath, start: startOurs("all"), loaded: push},
	{name: "fairlead-unwatched", title: "fairlead, nothing recorded", infer: oipPath, binary: oipPath, start: startOurs("none"), loaded: push},
	{name: "echo", title: "net/http echo", infer: oipPath, binary: oipPath, start: startEcho},
	{name: "mlserver-sklearn", title: "MLServer, sklearn runtime", packages: []string{"mlserver", "mlserver-sklearn", "scikit-learn"}, infer: oipPath, start: startMLServer(".joblib")},
	{name: "mlserver", title: "MLServer, onnxruntime", packages: []string{"mlserver", "onnxruntime"}, infer: oipPath, start: startMLServer(".onnx")},
	{name: "fastapi", title: "FastAPI + onnxruntime", packages: []string{"fastapi", "uvicorn", "onnxruntime"}, infer: oipPath, binary: "/binary/%s/infer", start: startFastAPI},
	{name: "fastify", title: "fastify + onnxruntime-node", infer: oipPath, binary: "/binary/%s/infer", start: startFastify},
	{name: "ray", title: "Ray Serve + onnxruntime", packages: []string{"ray", "onnxruntime"}, infer: "/infer", restless: true, start: startRay},
	{name: "bentoml", title: "BentoML + onnxruntime", packages: []string{"bentoml", "onnxruntime"}, infer: "/infer", bare: true, start: startBentoML},
	{name: "triton", title: "Triton (PyTriton) + onnxruntime", packages: []string{"nvidia-pytriton", "onnxruntime"}, infer: oipPath, start: startTriton},
}

const oipPath = "/v2/models/%s/infer"

func serverOf(name string) (*server, error) {
	for i := range servers {
		if servers[i].name == name {
			return &servers[i], nil
		}
	}
	return nil, fmt.Errorf("there is no server %q", name)
}

func (b *bench) model(name, extension string) string {
	return filepath.Join(b.cache, "models", name+extension)
}

// python is a peer's interpreter.
func (b *bench) python(peer, program string) string {
	return filepath.Join(b.cache, "venv-"+peer, "bin", program)
}

func (b *bench) peer(parts ...string) string {
	return filepath.Join(append([]string{b.root, "peers"}, parts...)...)
}

func host(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func startOurs(record string) func(*bench, string, string, int) (*process, error) {
	return func(b *bench, _, folder string, port int) (*process, error) {
		return launch(filepath.Base(folder), folder+".log", folder, nil, filepath.Join(b.cache, "fairlead"), "serve", "--data", filepath.Join(folder, "data"),
			"--http", host(port), "--grpc", host(port+1), "--record", record, "--library", b.library, "--log", "warn")
	}
}

// push gives the server the model, with its reference where it has one: what is watched in service is watched here.
func push(ctx context.Context, b *bench, model string, port int) error {
	from := b.model(model, "-bundle")
	if _, err := os.Stat(from); err != nil {
		from = b.model(model, ".onnx")
	}
	_, err := output(ctx, nil, filepath.Join(b.cache, "fairlead"), "push", from, "--name", model, "--server", "http://"+host(port))
	return err
}

func startEcho(b *bench, model, folder string, port int) (*process, error) {
	contentType := "application/json"
	if b.binary {
		contentType = "application/octet-stream"
	}
	return launch("echo", folder+".log", folder, nil, filepath.Join(b.cache, "echo"), host(port), filepath.Join(b.cache, "answer"), contentType)
}

func startMLServer(extension string) func(*bench, string, string, int) (*process, error) {
	return func(b *bench, model, folder string, port int) (*process, error) {
		env := []string{"PYTHONPATH=" + b.peer("mlserver")}
		_, err := output(context.Background(), nil, b.python("mlserver", "python"), b.peer("mlserver", "settings.py"), folder, model, b.model(model, extension), strconv.Itoa(port), b.workers("MLSERVER_WORKERS", "0"))
		if err != nil {
			return nil, err
		}
		return launch(filepath.Base(folder), folder+".log", folder, env, b.python("mlserver", "mlserver"), "start", ".")
	}
}

// workers is a peer's number of processes: what was fastest on the machine of docs/benchmarks.md, or the environment's.
func (b *bench) workers(variable, fastest string) string {
	if n := os.Getenv(variable); n != "" {
		return n
	}
	return fastest
}

func startFastAPI(b *bench, model, folder string, port int) (*process, error) {
	return launch("fastapi", folder+".log", b.peer("fastapi"), []string{"MODEL=" + b.model(model, ".onnx"), "PYTHONDONTWRITEBYTECODE=1"},
		b.python("fastapi", "uvicorn"), "server:app", "--port", strconv.Itoa(port), "--workers", b.workers("FASTAPI_WORKERS", "2"), "--no-access-log", "--log-level", "warning")
}

func startFastify(b *bench, model, folder string, port int) (*process, error) {
	// Node looks for packages beside the program.
	program := filepath.Join(b.cache, "fastify", "server.mjs")
	raw, err := os.ReadFile(b.peer("fastify", "server.mjs"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(program, raw, 0o644); err != nil {
		return nil, err
	}
	env := []string{"MODEL=" + b.model(model, ".onnx"), "PORT=" + strconv.Itoa(port), "WORKERS=" + b.workers("FASTIFY_WORKERS", "2"), "NODE_ENV=production"}
	return launch("fastify", folder+".log", folder, env, "node", program)
}

func startRay(b *bench, model, folder string, port int) (*process, error) {
	env := []string{"MODEL=" + b.model(model, ".onnx"), "RAY_USAGE_STATS_ENABLED=0", "WORKERS=" + b.workers("RAY_WORKERS", "2"), "PYTHONDONTWRITEBYTECODE=1"}
	return launch("ray", folder+".log", b.peer("ray"), env, b.python("ray", "python"), "server.py", strconv.Itoa(port))
}

func startBentoML(b *bench, model, folder string, port int) (*process, error) {
	env := []string{"MODEL=" + b.model(model, ".onnx"), "BENTOML_DO_NOT_TRACK=True", "BENTOML_HOME=" + folder, "WORKERS=" + b.workers("BENTOML_WORKERS", "2"), "PYTHONDONTWRITEBYTECODE=1"}
	return launch("bentoml", folder+".log", b.peer("bentoml"), env, b.python("bentoml", "bentoml"), "serve", "service:Model", "--host", "127.0.0.1", "--port", strconv.Itoa(port))
}

func startTriton(b *bench, model, folder string, port int) (*process, error) {
	// Triton's Python backend loads libpython, which must be the one of the interpreter whose modules it then reads.
	libraries, err := output(context.Background(), nil, b.python("triton", "python"), "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))")
	if err != nil {
		return nil, err
	}
	env := []string{"MODEL=" + b.model(model, ".onnx"), "PYTRITON_HOME=" + folder, "PYTHONDONTWRITEBYTECODE=1",
		"LD_LIBRARY_PATH=" + strings.TrimSpace(string(libraries))}
	return launch("triton", folder+".log", b.peer("triton"), env, b.python("triton", "python"), "server.py", strconv.Itoa(port), model)
}

// address is where a server takes requests.
func address(port int) *url.URL { return &url.URL{Scheme: "http", Host: host(port)} }

// versions reads the pinned versions of a server's packages.
func (b *bench) versions(s *server) string {
	peer, _, _ := strings.Cut(s.name, "-")
	raw, err := os.ReadFile(b.peer(peer, "requirements.txt"))
	if err != nil {
		return ""
	}
	var found []string
	for line := range strings.Lines(string(raw)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), "==")
		for _, p := range s.packages {
			if name == p {
				found = append(found, name+" "+version)
			}
		}
	}
	return strings.Join(found, ", ")
}
