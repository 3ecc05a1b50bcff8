package bundle

import (
	"regexp"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

var variantPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

func checkVariantName(name string) error {
	if !variantPattern.MatchString(name) {
		return fairlead.Invalid("%q is not the name of a variant", name).
			Hintf("a name has 1 to 32 of a-z 0-9 . _ - and starts with a letter or digit, for example int8 or fp16-cuda")
	}
	return nil
}

// readVariants reads the list of variants. Names and files are all different.
func (f *File) readVariants(v node) error {
	err := v.items("a list of variants, each with name and model", func(_ int, v node) error {
		if len(f.Variants) == maxVariants {
			return v.errorf("there are more than %d variants", maxVariants)
		}
		return f.readVariant(v)
	})
	if err == nil && len(f.Variants) == 0 {
		return v.errorf("variants is empty").Hintf("leave it out, or list variants: [{name: fp32, model: model.onnx}, {name: int8, model: int8.onnx}]")
	}
	return err
}

func (f *File) readVariant(v node) error {
	var out VariantFile
	err := v.keys([]string{"name", "model", "requires", "tolerance"}, func(key string, v node) (err error) {
		switch key {
		case "name":
			if out.Name, err = v.text("a name such as int8"); err == nil {
				err = v.locate(checkVariantName(out.Name))
			}
		case "model":
			if out.Model, err = v.text("the file name of an ONNX model"); err == nil {
				err = v.locate(checkModelPath(out.Model))
			}
		case "requires":
			out.Requires, err = readRequires(v)
		case "tolerance":
			out.Tolerance, err = readTolerance(v)
		}
		return err
	})
	if err != nil {
		return err
	}
	if out.Name == "" || out.Model == "" {
		return v.errorf("%s needs a name and a model", v.key).Hintf("write {name: int8, model: model.int8.onnx}")
	}
	for _, o := range f.Variants {
		if o.Name == out.Name || o.Model == out.Model {
			return v.errorf("%s: the variants %q and %q have the same name or the same model", v.key, o.Name, out.Name)
		}
	}
	f.Variants = append(f.Variants, out)
	return nil
}

func readRequires(v node) (r Requires, err error) {
	err = v.keys([]string{"os", "arch", "isa", "memory", "runtime", "accelerator"}, func(key string, v node) (err error) {
		switch key {
		case "os":
			r.OS, err = v.text("an operating system such as linux")
		case "arch":
			r.Arch, err = v.text("a processor such as amd64 or arm64")
		case "isa":
			if r.ISA, err = v.texts("a list of instruction sets such as avx512_vnni", false); err == nil && strings.Contains(strings.Join(r.ISA, ""), ",") {
				err = v.errorf("%s: a name has no comma", v.key)
			}
		case "memory":
			r.Memory, err = v.bytes()
		case "accelerator":
			r.Accelerator, err = v.text("an accelerator such as cuda")
		case "runtime":
			const what = `versions of ONNX Runtime such as ">=1.17 <2"`
			if r.Runtime, err = v.text(what); err == nil {
				if _, bad := inRange("1.0", r.Runtime); bad != nil {
					err = v.expected(what)
				}
			}
		}
		return err
	})
	return r, err
}

func readTolerance(v node) (*Tolerance, error) {
	t := Tolerance{DefaultAbsolute, DefaultRelative}
	err := v.keys([]string{"absolute", "relative"}, func(key string, v node) error {
		to := &t.Absolute
		if key == "relative" {
			to = &t.Relative
		}
		if v.Decode(to) != nil || !(*to >= 0 && *to <= 1e300) {
			return v.expected("a number that is not negative")
		}
		return nil
	})
	return &t, err
}

// checkBase ties model to variants: it is the one whose answers are the golden ones. given says that model was.
func (f *File) checkBase(given bool) error {
	if len(f.Variants) == 0 {
		return nil
	}
	if !given {
		f.Model = f.Variants[0].Model
		return nil
	}
	if !slices.ContainsFunc(f.Variants, func(v VariantFile) bool { return v.Model == f.Model }) {
		return fairlead.Invalid("%s: model %q is none of the variants", FileName, f.Model).
			Hintf("model is the variant that gives the golden answers: list it too, or leave model out and the first is it")
	}
	return nil
}

func (f *File) readLineage(v node) error {
	return v.keys([]string{"trained_on", "quantized_from", "distilled_from"}, func(key string, v node) (err error) {
		const what = "a version such as flights@3 or flights:champion"
		switch key {
		case "trained_on":
			if v.Kind == scalarKind {
				var one string
				one, err = v.text("the data it was trained on")
				f.Lineage.TrainedOn = []string{one}
				return err
			}
			f.Lineage.TrainedOn, err = v.texts("a list of data sets", false)
			return err
		case "quantized_from":
			f.Lineage.QuantizedFrom, err = v.text(what)
			return orLocate(v, err, f.Lineage.QuantizedFrom)
		default:
			f.Lineage.DistilledFrom, err = v.text(what)
			return orLocate(v, err, f.Lineage.DistilledFrom)
		}
	})
}

func orLocate(v node, err error, reference string) error {
	if err != nil {
		return err
	}
	_, _, err = ParseReference(reference)
	return v.locate(err)
}

// readPaths reads a list of paths in the folder.
func (f *File) readPaths(v node) (err error) {
	if f.Files, err = v.texts("a list of files in the folder", false); err != nil {
		return err
	}
	for _, p := range f.Files {
		if err := checkPath("files", p); err != nil {
			return v.locate(err)
		}
		if slices.Contains([]string{FileName, GoldenFile, descriptionFile, testsFile, profileFile}, p) {
			return v.errorf("files: %s is in the bundle by itself", p)
		}
	}
	return nil
}
