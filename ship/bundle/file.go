package bundle

import (
	"path"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// FileName is the description of a bundle folder.
const FileName = "fairlead.yaml"

// DefaultModel is the model file of a bundle folder that names none.
const DefaultModel = "model.onnx"

// maxFile bounds fairlead.yaml, in bytes.
const maxFile = 1 << 20

// File is what fairlead.yaml says. Only Name is required; ParseFile fills in the defaults stated here. Durations are
// nanoseconds in JSON.
type File struct {
	Name      fairlead.Name `json:"name"`
	Model     string        `json:"model"`              // a path inside the folder; model.onnx, or the first variant's
	Variants  []VariantFile `json:"variants,omitempty"` // in order of preference; empty: Model is the only one
	Inputs    []InputFile   `json:"inputs,omitempty"`   // what the graph does not say about its inputs
	Outputs   []OutputFile  `json:"outputs,omitempty"`  // and about its outputs
	Task      fairlead.Task `json:"task,omitempty"`     // empty: not said
	Label     LabelFile     `json:"label,omitzero"`     //
	Reference ReferenceFile `json:"reference,omitzero"` //
	Segments  []string      `json:"segments,omitempty"` // features by which results are broken down
	Batching  BatchingFile  `json:"batching,omitzero"`  //
	Cache     CacheFile     `json:"cache,omitzero"`     //
	Log       LogFile       `json:"log"`                //
	Record    RecordFile    `json:"record,omitzero"`    //
	Monitor   MonitorFile   `json:"monitor,omitzero"`   //
	Tests     []any         `json:"tests,omitempty"`    // kept as they are, in JSON's types; a layer of their own
	Lineage   Lineage       `json:"lineage,omitzero"`   //
	Card      string        `json:"card,omitempty"`     // the model card; a README.md in the folder is taken for one
	Files     []string      `json:"files,omitempty"`    // other files that travel with the version, as they are
}

// InputFile names the columns of one of the graph's inputs.
type InputFile struct {
	Name     string   `json:"name"`
	Features []string `json:"features,omitempty"`
}

// OutputFile says what one of the graph's outputs means.
type OutputFile struct {
	Name    string              `json:"name"`
	Role    fairlead.OutputRole `json:"role,omitempty"`
	Classes []string            `json:"classes,omitempty"`
}

// LabelFile is the column of the truth and how late it usually comes.
type LabelFile struct {
	Name  string        `json:"name,omitempty"`
	Delay time.Duration `json:"delay,omitempty"`
	// Join and Within say which predictions a label by entity key is about; "" and 0: the defaults.
	Join   string        `json:"join,omitempty"`
	Within time.Duration `json:"within,omitempty"`
}

// ReferenceFile is the reference data: a Parquet or CSV file whose columns are named as features, outputs and label
// are. Time is the column of timestamps; empty: a column named time, if there is one.
type ReferenceFile struct {
	File string `json:"file,omitempty"`
	Time string `json:"time,omitempty"`
}

// BatchingFile bounds server-side batching.
type BatchingFile struct {
	Max   int            `json:"max,omitempty"`   // rows; 0: auto
	Delay *time.Duration `json:"delay,omitempty"` // nil: auto
}

// CacheFile says how long an answer may be served again, 0 for never, and how many bytes the answers of this model may
// take beside those of all others; 0: they share the server's.
type CacheFile struct {
	TTL   time.Duration `json:"ttl,omitempty"`
	Bytes int64         `json:"bytes,omitempty"`
}

// LogFile is the older way to say a part of Record: Rows is its sample, Redact drops.
type LogFile struct {
	Rows   float64  `json:"rows"`             // share of rows, 0 to 1; 1
	Redact []string `json:"redact,omitempty"` // features and tags whose values are not stored
}

// NewFile is the description of a model that comes without one.
func NewFile(name fairlead.Name) *File {
	return &File{Name: name, Model: DefaultModel, Log: LogFile{Rows: 1}}
}

// checkPath refuses a path that is not a plain relative one inside the folder.
func checkPath(key, p string) error {
	clean := path.Clean(p)
	if p == "" || strings.ContainsAny(p, "\\\x00") || path.IsAbs(p) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || clean != p {
		return fairlead.Invalid("%s %q is not a path inside the bundle folder", key, p).
			Hintf("use a relative path with forward slashes and without .. , for example %q; copy the file into the folder if it lies elsewhere", "model.onnx")
	}
	return nil
}

// checkModelPath also wants the name of an ONNX file.
func checkModelPath(p string) error {
	if err := checkPath("model", p); err != nil {
		return err
	}
	if !strings.EqualFold(path.Ext(p), ".onnx") {
		return fairlead.Invalid("model %q is not an .onnx file", p).
			Hintf("export the model to ONNX first (skl2onnx, torch.onnx, tf2onnx, onnxmltools)")
	}
	return nil
}
