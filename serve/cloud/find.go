package cloud

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Found is a model that lies in a folder.
type Found struct {
	Name fairlead.Name
	Path string // slash-separated, inside the folder searched: an .onnx file, or the folder of a fairlead.yaml
}

// bundleFile makes a folder a model with everything that belongs to it.
const bundleFile = "fairlead.yaml"

// Find looks for models in the folder of a platform. It takes, in this order:
//
//   - a fairlead.yaml, whose folder is the model;
//   - one .onnx file, which gives its name unless it is called model.onnx;
//   - folders as model servers have them, NAME/VERSION/model.onnx, of which the highest version counts, or NAME with a
//     fairlead.yaml or one .onnx file in it;
//   - the same inside a single folder: an archive often has one at its top.
//
// name is what a model is called that has no name of its own. Names are folded to what a name may be. The error is
// CodeInvalid and says what lies there.
func Find(fsys fs.FS, name string) ([]Found, error) {
	for dir := "."; ; {
		found, only, err := findIn(fsys, dir, name)
		if err != nil || len(found) > 0 {
			return found, err
		}
		if only == "" || strings.Count(dir, "/") > 3 {
			return nil, nothing(fsys)
		}
		dir = only
	}
}

// findIn looks into one folder; only is the single folder in it, "" if there is none or more.
func findIn(fsys fs.FS, dir, name string) (found []Found, only string, err error) {
	one, folders, err := modelOf(fsys, dir, name, true)
	if one != nil || err != nil {
		return one, "", err
	}
	if v := highestVersion(folders); v != "" { // VERSION/model.onnx
		if one, _, err := modelOf(fsys, path.Join(dir, v), name, true); one != nil || err != nil {
			return one, "", err
		}
	}
	for _, folder := range folders {
		at := path.Join(dir, folder)
		one, inside, err := modelOf(fsys, at, folder, false)
		if v := highestVersion(inside); one == nil && err == nil && v != "" {
			one, _, err = modelOf(fsys, path.Join(at, v), folder, false)
		}
		if err != nil {
			return nil, "", err
		}
		found = append(found, one...)
	}
	for i, f := range found {
		if slices.ContainsFunc(found[:i], func(g Found) bool { return g.Name == f.Name }) {
			return nil, "", fairlead.Invalid("two models would be called %s, one of them in %s", f.Name, f.Path).
				Hintf("a name has a-z 0-9 . _ - and other letters are folded to them: rename a folder")
		}
	}
	if len(folders) == 1 {
		only = path.Join(dir, folders[0])
	}
	return found, only, nil
}

// modelOf is the model in the files of one folder, and the folders in it. Hidden files do not count. byFile lets a file's
// name win over the given one.
func modelOf(fsys fs.FS, dir, name string, byFile bool) (one []Found, folders []string, err error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, nil, fairlead.Invalid("the model's folder cannot be read: %v", err)
	}
	var files []string
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case isFolder(fsys, path.Join(dir, e.Name()), e):
			folders = append(folders, e.Name())
		case e.Name() == bundleFile:
			return []Found{{Name: foldName(name), Path: dir}}, nil, nil
		case strings.HasSuffix(e.Name(), ".onnx"):
			files = append(files, e.Name())
		}
	}
	if len(files) > 1 {
		return nil, nil, fairlead.Invalid("there are %d models beside each other: %s", len(files), strings.Join(files[:min(len(files), 5)], ", ")).
			Hintf("keep one, or give each a folder: NAME/1/model.onnx")
	}
	if len(files) == 0 {
		return nil, folders, nil
	}
	if own := strings.TrimSuffix(files[0], ".onnx"); byFile && own != "model" {
		name = own
	}
	return []Found{{Name: foldName(name), Path: path.Join(dir, files[0])}}, folders, nil
}

// isFolder follows links, which is how platforms mount what they have cached.
func isFolder(fsys fs.FS, at string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := fs.Stat(fsys, at)
	return err == nil && info.IsDir()
}

func highestVersion(folders []string) string {
	best, name := -1, ""
	for _, folder := range folders {
		if v, err := strconv.Atoi(folder); err == nil && v > best {
			best, name = v, folder
		}
	}
	return name
}

func nothing(fsys fs.FS) error {
	var names []string
	if entries, err := fs.ReadDir(fsys, "."); err == nil {
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	there := "it is empty"
	if len(names) > 0 {
		there = "there is " + strings.Join(names[:min(len(names), 10)], ", ")
	}
	return fairlead.Invalid("there is no model in the model's folder; %s", there).
		Hintf("expected an .onnx file, a folder with %s, or NAME/1/model.onnx", bundleFile)
}

// foldName makes a name of anything.
func foldName(s string) fairlead.Name {
	folded := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, s)
	folded = strings.TrimLeft(folded, "._-")
	if len(folded) > 64 {
		folded = folded[:64]
	}
	if folded == "" {
		return "model"
	}
	return fairlead.Name(folded)
}

// Load loads the models that lie in the contract's folder and gives the name of the default one: the only one, or that
// which the contract names; "" if there are several and it names none, or if there is no folder to look in. A model that
// is alone there is called by the contract's name where it has one.
func (c *Contract) Load(ctx context.Context, loader Loader) (model string, err error) {
	if c.ModelDir == "" {
		return c.Model, nil
	}
	name := filepath.Base(c.ModelDir)
	if _, err := strconv.Atoi(name); err == nil { // …/NAME/3
		name = filepath.Base(filepath.Dir(c.ModelDir))
	}
	if info, err := os.Stat(c.ModelDir); err != nil || !info.IsDir() {
		return "", fairlead.Invalid("the model is to lie in the folder %s, which is not there", c.ModelDir).
			Hintf("put the model there, or set FAIRLEAD_MODEL_DIR to its folder").Cause(err)
	}
	found, err := Find(os.DirFS(c.ModelDir), name)
	if err != nil {
		return "", err
	}
	if len(found) == 1 {
		model = string(found[0].Name)
		if c.Model != "" {
			found[0].Name = foldName(c.Model)
			model = string(found[0].Name)
		}
	}
	var names []string
	for _, f := range found {
		if err := loader.LoadPath(ctx, string(f.Name), filepath.Join(c.ModelDir, filepath.FromSlash(f.Path))); err != nil {
			return "", err
		}
		names = append(names, string(f.Name))
	}
	if len(found) > 1 && c.Model != "" {
		if model = string(foldName(c.Model)); !slices.Contains(names, model) {
			return "", fairlead.Invalid("the default model is to be %s, but in %s there are %s", c.Model, c.ModelDir, strings.Join(names, ", "))
		}
	}
	return model, nil
}
