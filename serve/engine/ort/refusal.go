package ort

import (
	"regexp"

	"github.com/fairlead-ml/fairlead"
)

// refusals are what ONNX Runtime says of models it does not load, and what helps.
var refusals = []struct {
	text *regexp.Regexp
	hint string
}{
	{regexp.MustCompile(`(?i)protobuf parsing failed`),
		"the file must be a complete ONNX model; check it with onnx.checker.check_model"},
	{regexp.MustCompile(`(?i)unsupported model IR version`),
		"save it with an older format: set model.ir_version in Python before onnx.save, the operators stay the same"},
	{regexp.MustCompile(`(?i)opset \d+ is under development|only \*guarantees\* support for models stamped with|unsupported .*opset`),
		"export it with an older opset, for example opset_version=21 in torch.onnx.export or target_opset in skl2onnx"},
	{regexp.MustCompile(`(?i)no op registered|is not a registered function/op|no schema registered`),
		"the operator is not one of ONNX or of ONNX Runtime, or its domain is not declared: " +
			"libraries of custom operators are not loaded, express it with standard ones"},
	{regexp.MustCompile(`(?i)could not find an implementation|not implemented`),
		"the CPU has no kernel for that operator in this version and element type: " +
			"export it with another opset, or with a Cast to float32 around it"},
	{regexp.MustCompile(`(?i)external[ _]?(data|initializer)|model_path must not be empty|weights?.*file`),
		"its weights are in another file: put everything into one with onnx.save(model, path, save_as_external_data=False)"},
	{regexp.MustCompile(`(?i)type (error|parameter)|type_?inference|shape_?inference|invalid model|this is an invalid`),
		"the graph contradicts itself; onnx.checker.check_model(path, full_check=True) says where"},
	{regexp.MustCompile(`(?i)bad_?alloc|out of memory|failed to allocate`),
		"there is not enough memory for its weights"},
}

// refusal is the error of a model that ONNX Runtime does not load.
func refusal(version, text string) error {
	err := fairlead.Invalid("ONNX Runtime %s refused the model: %s", version, text)
	for _, r := range refusals {
		if r.text.MatchString(text) {
			return err.Hintf("%s", r.hint)
		}
	}
	return err.Hintf("the file must be a complete ONNX model; check it with onnx.checker.check_model")
}
