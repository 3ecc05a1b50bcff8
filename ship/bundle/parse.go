package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
)

// ParseFile reads fairlead.yaml strictly. An error is CodeInvalid; it names the line and the key, what was expected
// and what came, and for an unknown key the nearest known one.
func ParseFile(b []byte) (*File, error) {
	root, err := parseYAML(b)
	if err != nil {
		return nil, err
	}
	f := NewFile("")
	known := []string{"name", "model", "variants", "inputs", "outputs", "task", "label", "reference", "segments", "batching", "cache", "log", "record", "monitor", "tests",
		"lineage", "card", "files"}
	given := map[string]bool{}
	err = root.keys(known, func(key string, v node) error {
		given[key] = true
		return f.read(key, v)
	})
	if err != nil {
		return nil, err
	}
	if err := f.checkBase(given["model"]); err != nil {
		return nil, err
	}
	if f.Name == "" {
		return nil, fairlead.Invalid("%s has no name", FileName).Hintf("add a line such as name: flights")
	}
	return f, nil
}

const scalarKind = yaml.ScalarNode

// parseYAML gives the one document's top mapping. Anchors and aliases are refused: a few hundred bytes of them can
// stand for gigabytes.
func parseYAML(b []byte) (node, error) {
	if len(b) > maxFile {
		return node{}, fairlead.Errorf(fairlead.CodeTooLarge, "%s has %d bytes, the limit is %d", FileName, len(b), maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return node{}, fairlead.Invalid("%s is empty", FileName).Hintf("it needs at least a line such as name: flights")
	}
	if err == nil && !errors.Is(d.Decode(&more), io.EOF) {
		return node{}, fairlead.Invalid("%s holds more than one document", FileName).Hintf("remove everything from the second --- on")
	}
	if err != nil {
		return node{}, fairlead.Invalid("%s is not YAML: %s", FileName, strings.TrimPrefix(err.Error(), "yaml: ")).Cause(err)
	}
	if len(doc.Content) != 1 {
		return node{}, fairlead.Invalid("%s is empty", FileName)
	}
	if n := findAlias(doc.Content[0], 0); n != nil {
		return node{}, node{Node: n}.errorf("anchors, aliases and very deep nesting are not supported").Hintf("write the value out")
	}
	return node{Node: doc.Content[0]}, nil
}

// findAlias is the first node that refers to another, can be referred to, or is nested more than 100 deep.
func findAlias(n *yaml.Node, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || depth > 100 {
		return n
	}
	for _, c := range n.Content {
		if found := findAlias(c, depth+1); found != nil {
			return found
		}
	}
	return nil
}

func (f *File) read(key string, v node) (err error) {
	switch key {
	case "name":
		return f.readName(v)
	case "model":
		if f.Model, err = v.text("the file name of an ONNX model"); err == nil {
			err = v.locate(checkModelPath(f.Model))
		}
		return err
	case "inputs":
		return v.items("a list of inputs, each with name and features", func(_ int, v node) error { return f.readInput(v) })
	case "outputs":
		return v.items("a list of outputs, each with name, role and classes", func(_ int, v node) error { return f.readOutput(v) })
	case "task":
		s, err := v.text("binary, multiclass, regression or none")
		if err != nil {
			return err
		}
		f.Task, err = fairlead.ParseTask(s)
		return v.locate(err)
	case "label":
		return f.readLabel(v)
	case "reference":
		return f.readReference(v)
	case "segments":
		f.Segments, err = v.texts("a list of feature names", false)
		return err
	case "batching":
		return f.readBatching(v)
	case "cache":
		return v.keys([]string{"ttl", "bytes"}, func(key string, v node) error {
			if key == "ttl" {
				f.Cache.TTL, err = v.duration()
			} else {
				f.Cache.Bytes, err = v.bytes()
			}
			return err
		})
	case "log":
		return f.readLog(v)
	case "record":
		return f.readRecord(v)
	case "monitor":
		return f.readMonitor(v)
	case "variants":
		return f.readVariants(v)
	case "lineage":
		return f.readLineage(v)
	case "files":
		return f.readPaths(v)
	case "card":
		if f.Card, err = v.text("the file name of a model card"); err == nil {
			err = v.locate(checkPath("card", f.Card))
		}
		return err
	case "tests":
		return v.items("a list of tests", func(_ int, v node) error {
			t, err := v.plain(0)
			f.Tests = append(f.Tests, t)
			return err
		})
	}
	return fmt.Errorf("key %s is known but not read", key)
}

// locate puts the line before the message of an error that does not know it.
func (n node) locate(err error) error {
	var e *fairlead.Error
	if errors.As(err, &e) {
		return n.errorf("%s", e.Message).Hintf("%s", e.Hint)
	}
	return err
}

func (f *File) readName(v node) error {
	s, err := v.text("a name such as flights")
	if err != nil {
		return err
	}
	f.Name, err = fairlead.ParseName(s)
	return v.locate(err)
}

func (f *File) readInput(v node) error {
	var in InputFile
	err := v.keys([]string{"name", "features"}, func(key string, v node) (err error) {
		if key == "name" {
			in.Name, err = v.text("the name of one of the graph's inputs")
		} else {
			in.Features, err = v.texts("a list of names, one for each column", false)
		}
		return err
	})
	if err != nil {
		return err
	}
	if in.Name == "" {
		return v.errorf("%s has no name", v.key).Hintf("name is the graph's name for the input")
	}
	if slices.ContainsFunc(f.Inputs, func(o InputFile) bool { return o.Name == in.Name }) {
		return v.errorf("%s: the input %q is given twice", v.key, in.Name)
	}
	f.Inputs = append(f.Inputs, in)
	return nil
}

func (f *File) readOutput(v node) error {
	var out OutputFile
	err := v.keys([]string{"name", "role", "classes"}, func(key string, v node) (err error) {
		switch key {
		case "name":
			out.Name, err = v.text("the name of one of the graph's outputs")
		case "classes":
			out.Classes, err = v.texts("a list of class names", true)
		case "role":
			const what = "score, label, embedding or value"
			var s string
			if s, err = v.text(what); err != nil {
				return err
			}
			out.Role = fairlead.OutputRole(s)
			switch out.Role {
			case fairlead.RoleScore, fairlead.RoleLabel, fairlead.RoleEmbedding, fairlead.RoleValue:
			default:
				return v.expected(what)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if out.Name == "" {
		return v.errorf("%s has no name", v.key).Hintf("name is the graph's name for the output")
	}
	if slices.ContainsFunc(f.Outputs, func(o OutputFile) bool { return o.Name == out.Name }) {
		return v.errorf("%s: the output %q is given twice", v.key, out.Name)
	}
	f.Outputs = append(f.Outputs, out)
	return nil
}

func (f *File) readLabel(v node) error {
	if v.Kind == yaml.ScalarNode {
		return v.expected("a mapping such as {name: late, delay: 24h}")
	}
	err := v.keys([]string{"name", "delay", "join", "within"}, func(key string, v node) (err error) {
		switch key {
		case "name":
			f.Label.Name, err = v.text("the name of the column that holds the truth")
		case "delay":
			f.Label.Delay, err = v.duration()
		case "join":
			const what = "latest or all"
			if f.Label.Join, err = v.text(what); err == nil && fairlead.CheckJoin(f.Label.Join) != nil {
				return v.expected(what)
			}
		case "within":
			if f.Label.Within, err = v.duration(); err == nil && f.Label.Within == 0 {
				return v.errorf("label.within is 0: no label by entity key would find its prediction").Hintf("write within: 72h")
			}
		}
		return err
	})
	if err == nil && f.Label.Name == "" {
		return v.errorf("label has no name").Hintf("write label: {name: late, delay: 24h}")
	}
	return err
}

func (f *File) readReference(v node) (err error) {
	const what = "the name of a Parquet or CSV file"
	if v.Kind != yaml.MappingNode {
		if f.Reference.File, err = v.text(what); err != nil {
			return err
		}
		return v.locate(checkPath("reference", f.Reference.File))
	}
	err = v.keys([]string{"file", "time"}, func(key string, v node) (err error) {
		if key == "time" {
			f.Reference.Time, err = v.text("the name of the column of timestamps")
			return err
		}
		if f.Reference.File, err = v.text(what); err != nil {
			return err
		}
		return v.locate(checkPath("reference", f.Reference.File))
	})
	if err == nil && f.Reference.File == "" {
		return v.errorf("reference has no file").Hintf("write reference: {file: reference.parquet, time: time}, or reference: reference.parquet")
	}
	return err
}

func (f *File) readBatching(v node) error {
	return v.keys([]string{"max", "delay"}, func(key string, v node) error {
		if v.Kind == yaml.ScalarNode && v.Value == "auto" {
			return nil
		}
		if key == "max" {
			var n int
			if v.Kind != yaml.ScalarNode || v.Tag != "!!int" || v.Decode(&n) != nil || n < 1 {
				return v.expected("auto or a number of rows from 1")
			}
			f.Batching.Max = n
			return nil
		}
		d, err := v.duration()
		if err != nil {
			return v.expected("auto or a duration such as 2ms")
		}
		f.Batching.Delay = &d
		return nil
	})
}

func (f *File) readLog(v node) error {
	return v.keys([]string{"rows", "redact"}, func(key string, v node) (err error) {
		if key == "redact" {
			f.Log.Redact, err = v.texts("a list of feature or tag names", false)
			return err
		}
		var share float64
		if v.Kind != yaml.ScalarNode || v.Tag != "!!float" && v.Tag != "!!int" || v.Decode(&share) != nil || !(share >= 0 && share <= 1) {
			return v.expected("the share of rows to store, from 0 to 1")
		}
		f.Log.Rows = share
		return nil
	})
}
