// Package importer turns folders that other tools write into bundle folders: MLflow's ONNX models, folders as the ONNX
// model zoo has them, and any folder with one ONNX file. Weights in files beside the graph are taken into it. What cannot be
// served it recognises, and says what would help. It does no I/O of its own.
package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Folder is a bundle folder made of something else.
type Folder struct {
	Kind  string            // what it was: "MLflow model"
	Files map[string][]byte // by path; fairlead.yaml among them
	Notes []string          // what was found, left out and guessed
}

// maxNames bounds how many files of a folder are looked at.
const maxNames = 2000

// Read makes a bundle folder called name of what is in fsys. The error is CodeInvalid where the folder holds something
// that cannot be served, and says what it is and how it becomes ONNX; CodeTooLarge where the graph and its weights are
// more than one file can hold.
func Read(fsys fs.FS, name fairlead.Name) (*Folder, error) {
	files, err := list(fsys)
	if err != nil {
		return nil, err
	}
	r := &reader{fsys: fsys, files: files, out: &Folder{Files: map[string][]byte{}}, yaml: settings{Name: string(name), Model: bundle.DefaultModel}}
	switch {
	case slices.Contains(files, bundle.FileName):
		return nil, fairlead.Invalid("the folder is a bundle already: it has a %s", bundle.FileName).Hintf("fairlead push FOLDER")
	case slices.Contains(files, "MLmodel"):
		err = r.mlflow()
	default:
		err = r.plain()
	}
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(r.yaml)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", bundle.FileName, err)
	}
	r.out.Files[bundle.FileName] = text
	return r.out, nil
}

// settings is fairlead.yaml as far as an import fills it in.
type settings struct {
	Name      string   `yaml:"name"`
	Model     string   `yaml:"model"`
	Inputs    []input  `yaml:"inputs,omitempty"`
	Reference string   `yaml:"reference,omitempty"`
	Card      string   `yaml:"card,omitempty"`
	Files     []string `yaml:"files,omitempty"`
}

type input struct {
	Name     string   `yaml:"name"`
	Features []string `yaml:"features,flow"`
}

// reader is one import.
type reader struct {
	fsys  fs.FS
	files []string
	graph *graph
	yaml  settings
	out   *Folder
}

func (r *reader) note(format string, args ...any) {
	r.out.Notes = append(r.out.Notes, fmt.Sprintf(format, args...))
}

// plain reads a folder with one ONNX file in it, and the data sets beside it.
func (r *reader) plain() error {
	var models []string
	for _, f := range r.files {
		if strings.EqualFold(path.Ext(f), ".onnx") {
			models = append(models, f)
		}
	}
	if len(models) == 0 {
		return r.unknown()
	}
	model := models[0]
	if len(models) > 1 {
		i := slices.IndexFunc(models, func(m string) bool { return path.Base(m) == bundle.DefaultModel && path.Dir(m) == "." })
		if i < 0 {
			return fairlead.Invalid("the folder has %d ONNX files: %s", len(models), enumerate(models)).
				Hintf("import the folder of one of them, or write a %s that lists them as variants", bundle.FileName)
		}
		model = models[i]
		r.note("of %d ONNX files %s is taken", len(models), model)
	}
	r.out.Kind = "ONNX model"
	if err := r.model(model); err != nil {
		return err
	}
	if err := r.dataSets(path.Dir(model)); err != nil {
		return err
	}
	r.card(path.Dir(model))
	return nil
}

// model takes the graph in, with its weights.
func (r *reader) model(name string) error {
	raw, err := r.read(name, bundle.MaxModel)
	if err != nil {
		return err
	}
	g, err := readGraph(raw)
	if err != nil {
		return fairlead.Invalid("%s is not an ONNX file", name).Hintf("its protobuf is cut off or damaged: export or copy it again").Cause(err)
	}
	r.graph = g
	if len(g.external) > 0 {
		if raw, err = inline(raw, func(location string) ([]byte, error) { return r.weights(name, location) }); err != nil {
			return err
		}
		r.note("the weights of %d tensors lay in %s: they are in the model now", len(g.external), enumerate(g.locations()))
	}
	r.out.Files[bundle.DefaultModel] = raw
	return nil
}

// weights reads a file of weights beside the graph.
func (r *reader) weights(model, location string) ([]byte, error) {
	p := path.Join(path.Dir(model), location)
	if location == "" || path.IsAbs(location) || strings.Contains(location, "\\") || !fs.ValidPath(p) {
		return nil, fairlead.Invalid("%s keeps weights in %q, which is not in its folder", model, location).Hintf("save the model again with its weights beside it, or in one file")
	}
	b, err := r.read(p, bundle.MaxModel)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fairlead.NotFound("%s keeps weights in %q, which is not there", model, location).Hintf("copy that file too: it belongs beside the model")
	}
	return b, err
}

// card takes a README along.
func (r *reader) card(dir string) {
	for _, name := range []string{"README.md", "readme.md", "MODEL_CARD.md"} {
		if text, err := r.read(path.Join(dir, name), bundle.MaxCard); err == nil && len(text) > 0 {
			r.out.Files["README.md"], r.yaml.Card = text, "README.md"
			return
		}
	}
}

// read reads a file of at most limit bytes.
func (r *reader) read(name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(r.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if info.Size() > limit {
		return nil, tooLarge(name, info.Size())
	}
	b, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

func tooLarge(what string, size int64) *fairlead.Error {
	return fairlead.Errorf(fairlead.CodeTooLarge, "%s has %d bytes, an ONNX file holds less than 2 GiB", what, size).
		Hintf("quantize the weights (onnxruntime.quantization) or store them as fp16, so that graph and weights fit one file")
}

// list names the files of a folder, sorted, a few levels deep.
func list(fsys fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.Count(p, "/") > 3 || p != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && len(files) < maxNames:
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	return files, nil
}

// enumerate writes a few names.
func enumerate(names []string) string {
	if len(names) > 6 {
		names = append(slices.Clone(names[:6]), "…")
	}
	return strings.Join(names, ", ")
}
