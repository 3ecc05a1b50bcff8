package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
)

// FileName is the file of a pipeline's folder that defines it.
const FileName = "pipeline.yaml"

// MaxSteps bounds the steps of one pipeline.
const MaxSteps = 100

// The file as YAML has it.
type (
	fileNode struct {
		Kind    string      `yaml:"kind"`
		Name    string      `yaml:"name"`
		Task    string      `yaml:"task"`
		Label   labelNode   `yaml:"label"`
		Inputs  []specNode  `yaml:"inputs"`
		Steps   []stepNode  `yaml:"steps"`
		Outputs orderedNode `yaml:"outputs"`
	}
	labelNode struct {
		Name  string        `yaml:"name"`
		Delay time.Duration `yaml:"delay"`
	}
	specNode struct {
		Name     string   `yaml:"name"`
		Datatype string   `yaml:"datatype"`
		Shape    []int64  `yaml:"shape"`
		Features []string `yaml:"features"`
		Role     string   `yaml:"role"`
		Classes  []string `yaml:"classes"`
	}
	stepNode struct {
		Name      string         `yaml:"name"`
		Inputs    orderedNode    `yaml:"inputs"`
		Within    time.Duration  `yaml:"within"`
		Fallback  string         `yaml:"fallback"`
		Model     string         `yaml:"model"`
		Transform *transformNode `yaml:"transform"`
		Process   *processNode   `yaml:"process"`
		Ensemble  *ensembleNode  `yaml:"ensemble"`
		Switch    *switchNode    `yaml:"switch"`
	}
	transformNode struct {
		Module  string        `yaml:"module"`
		Inputs  []specNode    `yaml:"inputs"`
		Outputs []specNode    `yaml:"outputs"`
		Memory  string        `yaml:"memory"`
		Time    time.Duration `yaml:"time"`
	}
	processNode struct {
		Command     []string      `yaml:"command"`
		Model       string        `yaml:"model"`
		Listen      string        `yaml:"listen"`
		Start       time.Duration `yaml:"start"`
		Stop        time.Duration `yaml:"stop"`
		Concurrency int           `yaml:"concurrency"`
	}
	ensembleNode struct {
		By      string    `yaml:"by"`
		Of      []string  `yaml:"of"`
		Weights []float64 `yaml:"weights"`
		Output  string    `yaml:"output"`
		Model   string    `yaml:"model"`
	}
	switchNode struct {
		By    string     `yaml:"by"`
		Cases []caseNode `yaml:"cases"`
	}
	caseNode struct {
		When string `yaml:"when"`
		Use  string `yaml:"use"`
	}
	outputNode struct {
		From    string   `yaml:"from"`
		Role    string   `yaml:"role"`
		Classes []string `yaml:"classes"`
	}
)

// orderedNode is a mapping whose order counts.
type orderedNode struct {
	names  []string
	values []yaml.Node
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (o *orderedNode) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: expected a mapping of names, for example {x: words.counts}", n.Line)
	}
	for i := 0; i < len(n.Content); i += 2 {
		o.names, o.values = append(o.names, n.Content[i].Value), append(o.values, *n.Content[i+1])
	}
	return nil
}

// ParseFile reads pipeline.yaml strictly. Errors are CodeInvalid and say which line, key or step is wrong. Whether the
// steps fit together is New's to say.
func ParseFile(b []byte) (*Definition, error) {
	if len(b) > 1<<20 {
		return nil, fairlead.Invalid("%s has more than 1 MiB", FileName)
	}
	var f fileNode
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, yamlError(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fairlead.Invalid("%s holds more than one document", FileName).Hintf("one file defines one pipeline")
	}
	if f.Kind != "" && f.Kind != "pipeline" {
		return nil, fairlead.Invalid("%s is of kind %q", FileName, f.Kind).Hintf("write kind: pipeline")
	}
	return f.definition()
}

var unknownField = regexp.MustCompile(`line (\d+): field (\S+) not found in type pipeline\.(\w+)`)

var nodeNames = map[string]string{
	"fileNode": "the file", "labelNode": "label", "specNode": "a tensor", "stepNode": "a step", "transformNode": "transform",
	"processNode": "process", "ensembleNode": "ensemble", "switchNode": "switch", "caseNode": "a case", "outputNode": "an output",
}

var nodeKeys = map[string][]string{
	"fileNode":      {"kind", "name", "task", "label", "inputs", "steps", "outputs"},
	"labelNode":     {"name", "delay"},
	"specNode":      {"name", "datatype", "shape", "features", "role", "classes"},
	"stepNode":      {"name", "inputs", "within", "fallback", "model", "transform", "process", "ensemble", "switch"},
	"transformNode": {"module", "inputs", "outputs", "memory", "time"},
	"processNode":   {"command", "model", "listen", "start", "stop", "concurrency"},
	"ensembleNode":  {"by", "of", "weights", "output", "model"},
	"switchNode":    {"by", "cases"},
	"caseNode":      {"when", "use"},
	"outputNode":    {"from", "role", "classes"},
}

func yamlError(err error) error {
	if errors.Is(err, io.EOF) {
		return fairlead.Invalid("%s is empty", FileName).Hintf("the least it has is a name, steps and outputs")
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := unknownField.FindStringSubmatch(text); m != nil {
		e := fairlead.Invalid("%s, line %s: %s has no key %q", FileName, m[1], nodeNames[m[3]], m[2])
		return e.Hintf("%s", among(m[2], "key", nodeKeys[m[3]])).Cause(err)
	}
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return fairlead.Invalid("%s: %s", FileName, text).Cause(err)
}

func (f *fileNode) definition() (*Definition, error) {
	name, err := fairlead.ParseName(f.Name)
	if err != nil {
		return nil, err
	}
	d := &Definition{Name: name, Label: fairlead.LabelSpec{Name: f.Label.Name, Delay: f.Label.Delay}}
	if f.Task != "" {
		if d.Task, err = fairlead.ParseTask(f.Task); err != nil {
			return nil, err
		}
	}
	if d.Inputs, err = specs("inputs", f.Inputs); err != nil {
		return nil, err
	}
	if len(f.Steps) == 0 || len(f.Steps) > MaxSteps {
		return nil, fairlead.Invalid("the pipeline has %d steps", len(f.Steps)).Hintf("it has 1 to %d, under steps:", MaxSteps)
	}
	known := map[string]bool{}
	for _, s := range f.Steps {
		if err := checkStepName(s.Name, known); err != nil {
			return nil, err
		}
	}
	for i := range f.Steps {
		s, err := f.Steps[i].step(known)
		if err != nil {
			return nil, inStep(f.Steps[i].Name, err)
		}
		d.Steps = append(d.Steps, s)
	}
	d.Outputs, err = f.outputs(known)
	return d, err
}

var stepName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

func checkStepName(name string, known map[string]bool) error {
	switch {
	case !stepName.MatchString(name):
		return fairlead.Invalid("%q is not the name of a step", name).
			Hintf("a step's name has up to 64 of a-z 0-9 _ and starts with a letter: conditions refer to it")
	case reserved[name]:
		return fairlead.Invalid("a step cannot be called %q: that has a meaning in references and conditions", name)
	case known[name]:
		return fairlead.Invalid("two steps are called %q", name)
	}
	known[name] = true
	return nil
}

// ref reads a reference: step.output, step, request.tensor, or the name of a tensor of the request.
func ref(s string, steps map[string]bool) (Ref, error) {
	first, rest, dotted := strings.Cut(s, ".")
	switch {
	case s == "" || dotted && rest == "":
		return Ref{}, fairlead.Invalid("%q refers to nothing", s).Hintf("write step.output, or the name of a tensor of the request")
	case dotted && first == requestName:
		return Ref{Tensor: rest}, nil
	case steps[first]:
		return Ref{Step: first, Tensor: rest}, nil
	case dotted:
		return Ref{}, unknownStep(first, steps).Hintf("%s; a tensor of the request is written %s.%s", nearest(first, steps), requestName, s)
	}
	return Ref{Tensor: s}, nil
}

func (f *fileNode) outputs(known map[string]bool) ([]Output, error) {
	var outputs []Output
	for i, name := range f.Outputs.names {
		n := &f.Outputs.values[i]
		var node outputNode
		if n.Kind == yaml.ScalarNode {
			node.From = n.Value
		} else if err := decodeStrictly(n, &node); err != nil {
			return nil, yamlError(at(n.Line, err))
		}
		from, err := ref(node.From, known)
		if err != nil {
			return nil, inOutput(name, err)
		}
		role, err := parseRole(node.Role)
		if err != nil {
			return nil, inOutput(name, err)
		}
		for _, o := range outputs {
			if o.Name == name {
				return nil, fairlead.Invalid("two outputs are called %q", name)
			}
		}
		outputs = append(outputs, Output{Name: name, From: from, Role: role, Classes: node.Classes})
	}
	if len(outputs) == 0 {
		return nil, fairlead.Invalid("the pipeline has no outputs").Hintf("for example outputs: {score: %s.score}", f.Steps[len(f.Steps)-1].Name)
	}
	return outputs, nil
}

// decodeStrictly decodes a part that was kept as a node; a node by itself knows nothing of KnownFields.
func decodeStrictly(n *yaml.Node, into any) error {
	b, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	return d.Decode(into)
}

var lineNumber = regexp.MustCompile(`line (\d+): `)

// at makes the lines of an error, which count from the start of a part, those of the file.
func at(first int, err error) error {
	return errors.New(lineNumber.ReplaceAllStringFunc(err.Error(), func(m string) string {
		line, _ := strconv.Atoi(lineNumber.FindStringSubmatch(m)[1])
		return fmt.Sprintf("line %d: ", first+line-1)
	}))
}
