// Package archtest reads the source files and says where a rule of the house is broken. ARCHITECTURE.md gives the
// reasons.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fairlead-ml/fairlead"

// rule says what a folder may import. Only non-test files are read.
type rule struct {
	folder string   // with everything under it, unless a longer rule fits
	may    []string // folders of this module, with everything under them; "." is the root package
	pure   bool     // no os, net, database/sql, no time.Now
}

// rules in river order. A folder without a rule fails the test.
var rules = []rule{
	{".", nil, true},
	{"api", nil, true},
	{"ship/bundle", []string{"."}, true},
	{"ship/reference", []string{"."}, true},
	{"ship/registry", []string{".", "ship/bundle"}, false},
	{"ship/oci", []string{".", "ship/bundle"}, false},
	{"ship/sign", []string{".", "ship/bundle"}, true},
	{"ship/importer", []string{".", "ship/bundle"}, true},
	{"ship/check", []string{".", "ship/bundle"}, true},
	{"ship/rollout", []string{".", "ship/rollout"}, true},
	{"ship/rollout/anytime", nil, true},
	{"serve", []string{".", "serve"}, false},
	{"serve/codec", []string{".", "serve/codec"}, true},
	{"serve/pipeline", []string{".", "serve"}, false},
	{"serve/pipeline/wasm", []string{".", "serve/engine", "serve/codec"}, false},
	{"serve/pipeline/process", []string{".", "serve/engine", "serve/codec"}, false},
	{"serve/route", []string{".", "serve/engine", "serve/codec", "serve/tally"}, true},
	{"serve/tally", []string{"."}, true},
	{"serve/shadow", []string{".", "serve/engine", "serve/route", "serve/tally"}, false},
	{"serve/grpcd", []string{".", "serve", "api/oip"}, false},
	{"api/oip", nil, false},
	{"watch/profile", []string{"."}, true},
	{"watch/drift", nil, true},
	{"watch/detect", []string{"watch/drift"}, true},
	{"watch/shape", nil, true},
	{"watch/quality", []string{"."}, true},
	{"watch/gbdt", nil, true},
	{"watch/multivariate", []string{"watch/gbdt"}, true},
	{"watch/estimate", []string{".", "watch/realised", "watch/gbdt", "watch/multivariate"}, true},
	{"watch/realised", []string{"."}, true},
	{"watch/segment", []string{"."}, true},
	{"watch/compare", []string{".", "watch"}, true},
	{"watch/compat", []string{".", "watch/drift"}, true},
	{"watch/report", []string{"watch"}, true},
	{"watch/notify", []string{"."}, true},
	{"watch/explain", []string{".", "watch/profile", "watch/shape"}, true},
	{"watch/replay", []string{".", "watch/drift"}, true},
	{"watch/alert", []string{"."}, true},
	{"watch", []string{".", "watch"}, false},
	{"learn/label", []string{"."}, true},
	{"learn/backfill", []string{".", "eventlog"}, false},
	{"eventlog", []string{".", "watch/profile"}, false},
	{"eventlog/keep", []string{"."}, true},
	{"evalstore", []string{".", "eventlog", "watch", "learn/label"}, false},
	{"client", []string{".", "api"}, false},
	{"web", nil, false},
	{"admin", []string{".", "api", "ship", "watch", "learn", "evalstore", "eventlog", "serve/meter"}, false},
	{"app", []string{".", "api", "ship", "serve", "watch", "learn", "eventlog", "evalstore", "admin", "web", "internal"}, false},
	{"cmd/fairlead", []string{".", "api", "app", "client", "learn", "watch/compare", "watch/compat", "watch/quality", "watch/report", "ship/reference", "ship/rollout", "ship/oci", "ship/sign", "ship/importer", "ship/check", "conformance", "examples/flights", "internal"}, false},
	{"examples/flights", []string{".", "api"}, false},
	{"e2e", []string{".", "api", "client", "conformance"}, false},
	{"conformance", []string{".", "api/oip"}, false},
	{"bench", []string{".", "internal", "serve/engine/ort"}, false},
	{"deploy/grafana", nil, false},
	{"internal/loadgen", []string{"."}, false},
	{"internal/pressure", nil, false},
	{"internal/lifecycle", nil, false},
	{"internal/archtest", nil, false},
}

// only says which folder alone may import a package whose path starts so.
var only = map[string]string{
	"C":                                "serve/engine/ort",
	"github.com/yalue/onnxruntime_go":  "serve/engine/ort",
	"github.com/duckdb/":               "evalstore",
	"github.com/nats-io/":              "eventlog",
	"github.com/danielgtaylor/huma/v2": "admin",
	"github.com/minio/":                "cmd/fairlead",
}

// grpcHomes may import gRPC: the transport, the generated contract, the client.
var grpcHomes = []string{"serve/grpcd", "api/oip", "client", "conformance"}

var impure = []string{"os", "net", "net/http", "database/sql", "os/exec", "os/signal", "math/rand", "math/rand/v2", "crypto/rand"}

var badName = regexp.MustCompile(`^(util|utils|common|helpers?|types|base|core|shared|misc)$`)

const (
	maxFileLines     = 800
	maxFunctionLines = 80
)

type file struct {
	folder, path string
	ast          *ast.File
	set          *token.FileSet
	test         bool
}

func sources(t *testing.T) []file {
	root := "../.."
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".pb.go") { // nobody writes generated files
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files = append(files, file{
			folder: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel),
			ast: parsed, set: set, test: strings.HasSuffix(name, "_test.go"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found: the walk is wrong", len(files))
	}
	return files
}

func under(folder, parent string) bool {
	if parent == "." {
		return folder == "."
	}
	return folder == parent || strings.HasPrefix(folder, parent+"/")
}

func ruleFor(folder string) *rule {
	var best *rule
	for i := range rules {
		if under(folder, rules[i].folder) && (best == nil || len(rules[i].folder) > len(best.folder)) {
			best = &rules[i]
		}
	}
	return best
}

func imports(f file) []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

func TestImportsGoOneWay(t *testing.T) {
	for _, f := range sources(t) {
		r := ruleFor(f.folder)
		if r == nil {
			t.Errorf("%s: the folder %s has no rule in archtest: say what it may import", f.path, f.folder)
			continue
		}
		if f.test {
			continue
		}
		for _, path := range imports(f) {
			checkImport(t, f, r, path)
		}
	}
}

func checkImport(t *testing.T, f file, r *rule, path string) {
	if inner, ok := strings.CutPrefix(path, module); ok {
		to := strings.TrimPrefix(inner, "/")
		if to == "" {
			to = "."
		}
		allowed := under(to, r.folder) && to != "." || slices.ContainsFunc(r.may, func(m string) bool { return under(to, m) })
		if !allowed {
			t.Errorf("%s imports %s: %s may import only %v", f.path, to, r.folder, r.may)
		}
	}
	for prefix, home := range only {
		if strings.HasPrefix(path, prefix) && (prefix != "C" || path == "C") && !under(f.folder, home) {
			t.Errorf("%s imports %s, which belongs in %s alone", f.path, path, home)
		}
	}
	if strings.HasPrefix(path, "google.golang.org/grpc") && !f.test && !slices.ContainsFunc(grpcHomes, func(h string) bool { return under(f.folder, h) }) {
		t.Errorf("%s imports %s: gRPC belongs in %v", f.path, path, grpcHomes)
	}
	if r.pure && slices.Contains(impure, path) {
		t.Errorf("%s imports %s: %s is pure, I/O and chance are arguments", f.path, path, r.folder)
	}
}

func TestPurePackagesTakeTimeAsAnArgument(t *testing.T) {
	for _, f := range sources(t) {
		if r := ruleFor(f.folder); r == nil || !r.pure || f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick"}, sel.Sel.Name) {
				t.Errorf("%s: time.%s in a pure package: take the time as an argument", f.set.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

func TestNamesAndSizes(t *testing.T) {
	for _, f := range sources(t) {
		if badName.MatchString(f.ast.Name.Name) {
			t.Errorf("%s: package %s says nothing: name it for what its caller says aloud", f.path, f.ast.Name.Name)
		}
		if lines := f.set.Position(f.ast.End()).Line; lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it", f.path, lines, maxFileLines)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := f.set.Position(fn.Pos()).Line, f.set.Position(fn.End()).Line
			if to-from+1 > maxFunctionLines && !f.test {
				t.Errorf("%s:%d: %s has %d lines, more than %d", f.path, from, fn.Name.Name, to-from+1, maxFunctionLines)
			}
		}
	}
}

// TestInterfacesStaySmall holds exported interfaces to three methods, so that a second implementation stays cheap. One
// without an exported name has all its implementations beside it.
func TestInterfacesStaySmall(t *testing.T) {
	for _, f := range sources(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if it, ok := spec.Type.(*ast.InterfaceType); ok && spec.Name.IsExported() && len(it.Methods.List) > 3 {
				t.Errorf("%s: interface %s has %d methods, more than 3", f.set.Position(spec.Pos()), spec.Name.Name, len(it.Methods.List))
			}
			return true
		})
	}
}

// TestEveryRuleHasItsFolder keeps the list honest: a rule for a folder that is gone is removed.
func TestEveryRuleHasItsFolder(t *testing.T) {
	for _, r := range rules {
		if _, err := os.Stat(filepath.Join("../..", r.folder)); err != nil {
			t.Errorf("rule for %s: no such folder", r.folder)
		}
	}
}
