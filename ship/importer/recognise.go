package importer

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// format is a kind of model that is not ONNX.
type format struct {
	what string // with its article
	how  string // it becomes ONNX, or what to use instead
}

// formats by what they are called in this file.
var formats = map[string]format{
	"savedmodel":  {"a TensorFlow SavedModel", "convert it: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx"},
	"keras":       {"a Keras model", "convert it: model.export('model.onnx', format='onnx') in Keras 3, or tf2onnx.convert.from_keras"},
	"tflite":      {"a TensorFlow Lite model", "convert it: python -m tf2onnx.convert --tflite model.tflite --output model.onnx"},
	"pickle":      {"a Python pickle", "a pickle runs any program when it is read, so it is never loaded here; in Python, load it and convert it: skl2onnx.to_onnx(model, X[:1]) for scikit-learn, onnxmltools for others"},
	"sklearn":     {"a scikit-learn model", "convert it where it was trained: skl2onnx.to_onnx(model, X[:1])"},
	"torch":       {"a PyTorch checkpoint", "build the model in Python, load the checkpoint, and export it: torch.onnx.export(model, example, 'model.onnx', dynamo=True)"},
	"torchscript": {"a TorchScript archive", "export the model it was made of: torch.onnx.export(model, example, 'model.onnx', dynamo=True)"},
	"tensorrt":    {"a TensorRT engine", "it runs on one kind of GPU and one version of TensorRT only; import the ONNX file it was built from"},
	"gguf":        {"a GGUF file, a large language model for llama.cpp", "fairlead serves ONNX graphs; use a server of language models for it"},
	"safetensors": {"safetensors, weights without a graph", "export the whole model: optimum-cli export onnx --model FOLDER OUT, or torch.onnx.export"},
	"xgboost":     {"an XGBoost model", "convert it: onnxmltools.convert_xgboost(booster, initial_types=[('x', FloatTensorType([None, N]))])"},
	"lightgbm":    {"a LightGBM model", "convert it: onnxmltools.convert_lightgbm(booster, initial_types=[('x', FloatTensorType([None, N]))])"},
	"catboost":    {"a CatBoost model", "save it as ONNX: model.save_model('model.onnx', format='onnx')"},
	"coreml":      {"a Core ML model", "export the model it was made of to ONNX; Core ML is not converted back"},
	"openvino":    {"an OpenVINO model", "import the ONNX file it was made of"},
	"pmml":        {"a PMML file", "convert the model it was made of, with skl2onnx or onnxmltools"},
	"paddle":      {"a PaddlePaddle model", "convert it: paddle2onnx --model_dir FOLDER --save_file model.onnx"},
	"spark":       {"a Spark ML pipeline", "convert it: onnxmltools.convert_sparkml(pipeline, initial_types=…)"},
	"ort":         {"a model in ONNX Runtime's own format", "import the .onnx file it was made of"},
	"r":           {"a model of R", "export it from R to ONNX or PMML's source, or train it again in Python"},
}

// byFlavor are MLflow's flavors.
var byFlavor = map[string]string{
	"sklearn": "sklearn", "xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost", "pytorch": "torch", "tensorflow": "savedmodel",
	"keras": "keras", "spark": "spark", "paddle": "paddle", "crate": "r", "transformers": "safetensors", "sentence_transformers": "safetensors",
}

// otherFlavor is the refusal of an MLflow model without the flavor onnx.
func otherFlavor(flavors []string) error {
	e := fairlead.Invalid("the MLflow model has no flavor onnx; it has %s", enumerate(flavors))
	for _, f := range flavors {
		if known, ok := formats[byFlavor[f]]; ok {
			return e.Hintf("it is %s: %s; then mlflow.onnx.save_model, or `fairlead push model.onnx`", known.what, known.how)
		}
	}
	return e.Hintf("log it with mlflow.onnx.log_model, after converting it to ONNX")
}

// unknown says what a folder without ONNX holds.
func (r *reader) unknown() error {
	for _, f := range r.files {
		if isDataSet(f) {
			continue
		}
		if kind := r.kindOf(f); kind != "" {
			return fairlead.Invalid("the folder holds %s (%s), which is not served", formats[kind].what, f).Hintf("%s", formats[kind].how)
		}
	}
	if len(r.files) == 0 {
		return fairlead.Invalid("the folder is empty").Hintf("it should hold an .onnx file, or be a model that MLflow saved")
	}
	return fairlead.Invalid("the folder holds no ONNX file; it holds %s", enumerate(r.files)).
		Hintf("it should hold an .onnx file, or be a model that MLflow saved with mlflow.onnx")
}

// bySuffix are file names that say it all.
var bySuffix = []struct{ suffix, kind string }{
	{"saved_model.pb", "savedmodel"}, {"saved_model.pbtxt", "savedmodel"}, {".keras", "keras"}, {".tflite", "tflite"}, {".gguf", "gguf"},
	{".safetensors", "safetensors"}, {".plan", "tensorrt"}, {".engine", "tensorrt"}, {".trt", "tensorrt"}, {".cbm", "catboost"},
	{".mlmodel", "coreml"}, {".mlpackage", "coreml"}, {".pmml", "pmml"}, {".pdmodel", "paddle"}, {".pdiparams", "paddle"}, {".ort", "ort"},
	{".rds", "r"}, {".ubj", "xgboost"}, {".joblib", "pickle"}, {".pkl", "pickle"}, {".pickle", "pickle"}, {".dill", "pickle"},
}

// kindOf recognises a file by its first bytes, then by its name.
func (r *reader) kindOf(name string) string {
	head := r.head(name)
	has := func(s string) bool { return bytes.Contains(head, []byte(s)) }
	ext := strings.ToLower(path.Ext(name))
	switch {
	case bytes.HasPrefix(head, []byte("GGUF")):
		return "gguf"
	case len(head) >= 8 && string(head[4:8]) == "TFL3":
		return "tflite"
	case len(head) >= 8 && string(head[4:8]) == "ORTM":
		return "ort"
	case bytes.HasPrefix(head, []byte("CBM1")):
		return "catboost"
	case bytes.HasPrefix(head, []byte("\x89HDF\r\n")):
		return "keras"
	case bytes.HasPrefix(head, []byte("tree\nversion=")):
		return "lightgbm"
	case bytes.HasPrefix(head, []byte("binf")), has(`"learner"`) && (ext == ".json" || ext == ".bst" || ext == ".model"):
		return "xgboost"
	case bytes.HasPrefix(head, []byte("ftrt")), bytes.HasPrefix(head, []byte("ptrt")):
		return "tensorrt"
	case has("<net ") && ext == ".xml":
		return "openvino"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return r.zipped(name, head, ext)
	}
	lower := strings.ToLower(name)
	for _, s := range bySuffix {
		if strings.HasSuffix(lower, s.suffix) {
			return s.kind
		}
	}
	if len(head) > 1 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 { // the protocol of a pickle
		if slices.Contains([]string{".pt", ".pth", ".ckpt"}, ext) {
			return "torch"
		}
		return "pickle"
	}
	if slices.Contains([]string{".pt", ".pth", ".ckpt"}, ext) {
		return "torch"
	}
	return ""
}

// zipped tells apart what is a ZIP archive inside.
func (r *reader) zipped(name string, head []byte, ext string) string {
	whole, err := r.read(name, 1<<30)
	if err != nil {
		whole = head
	}
	tail := whole[max(0, len(whole)-64<<10):] // the list of its files is at the end
	switch {
	case ext == ".keras" || bytes.Contains(tail, []byte("model.weights.h5")):
		return "keras"
	case bytes.Contains(tail, []byte("/code/")):
		return "torchscript"
	case bytes.Contains(tail, []byte("/data.pkl")), slices.Contains([]string{".pt", ".pth", ".ckpt"}, ext):
		return "torch"
	}
	return ""
}

// head is the start of a file.
func (r *reader) head(name string) []byte {
	f, err := r.fsys.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // opened for reading
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeType != 0 {
		return nil
	}
	head, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return nil
	}
	return head
}
