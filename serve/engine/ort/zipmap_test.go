package ort

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTrim(t *testing.T) {
	for text, want := range map[string]string{
		"Load failed:\n  no such op": "Load failed: no such op",
		"/build/core/graph/model.cc:151 onnxruntime::Model::Model(ModelProto&&, const Path&) Unsupported IR version: 99": "Unsupported IR version: 99",
		"Failed: graph.cc:7 bad node": "Failed: bad node",
	} {
		if got := trim(text); got != want {
			t.Errorf("trim(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzZipMapClasses(f *testing.F) {
	models, err := filepath.Glob("testdata/*.onnx")
	if err != nil || len(models) == 0 {
		f.Fatal("no models in testdata", err)
	}
	for _, path := range models {
		onnx, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(onnx)
	}
	f.Fuzz(func(t *testing.T, onnx []byte) {
		if classes := zipMapClasses(onnx); len(classes) > 0 && !bytes.Contains(onnx, []byte("ZipMap")) {
			t.Errorf("classes %q of a model without ZipMap", classes)
		}
	})
}
