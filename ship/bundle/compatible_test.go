package bundle

import (
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

func clientsSignature() fairlead.Signature {
	return fairlead.Signature{
		Task: fairlead.TaskBinary,
		Inputs: []fairlead.TensorSpec{
			{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 3}, Features: []string{"hour", "distance", "departures"}},
			{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		},
		Outputs: []fairlead.TensorSpec{
			{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 2}, Role: fairlead.RoleScore, Classes: []string{"on_time", "late"}},
			{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}, Role: fairlead.RoleLabel},
		},
	}
}

func TestCompatible(t *testing.T) {
	in := func(s *fairlead.Signature) *fairlead.TensorSpec { return &s.Inputs[0] }
	out := func(s *fairlead.Signature) *fairlead.TensorSpec { return &s.Outputs[0] }
	for what, c := range map[string]struct {
		change func(s *fairlead.Signature)
		want   string // kinds and messages, "" for none
	}{
		"the same": {func(*fairlead.Signature) {}, ""},
		"a new output": {func(s *fairlead.Signature) {
			s.Outputs = append(s.Outputs, fairlead.TensorSpec{Name: "embedding", Type: fairlead.FP32, Shape: []int64{-1, 8}})
		}, ""},
		"wider input":      {func(s *fairlead.Signature) { s.Inputs[1].Shape = []int64{-1, -1} }, ""},
		"outputs reversed": {func(s *fairlead.Signature) { slices.Reverse(s.Outputs) }, ""},
		"inputs reversed":  {func(s *fairlead.Signature) { slices.Reverse(s.Inputs) }, ""},
		"segments":         {func(s *fairlead.Signature) { s.Segments = []string{"origin"}; s.Label.Name = "late" }, ""},
		"input gone":       {func(s *fairlead.Signature) { s.Inputs = s.Inputs[:1] }, `removed: input "origin" (BYTES [?,1]) is gone`},
		"input renamed":    {func(s *fairlead.Signature) { s.Inputs[1].Name = "airport" }, `renamed: input "origin" is gone; "airport" looks like it under another name`},
		"input new": {func(s *fairlead.Signature) {
			s.Inputs = append(s.Inputs, fairlead.TensorSpec{Name: "wind", Type: fairlead.FP32, Shape: []int64{-1, 1}})
		}, `required: input "wind" (FP32 [?,1]) is new, and clients do not send it`},
		"input type": {func(s *fairlead.Signature) { in(s).Type = fairlead.FP64 }, `type: input "features" was FP32, now it is FP64`},
		"input width": {func(s *fairlead.Signature) {
			in(s).Shape = []int64{-1, 4}
			in(s).Features = append(in(s).Features, "wind")
		}, `shape: input "features" took shape [?,3], now it takes [?,4] | features: input "features": new: wind`},
		"input batch":    {func(s *fairlead.Signature) { in(s).Shape = []int64{1, 3} }, `shape: input "features" took shape [?,3], now it takes [1,3]`},
		"input rank":     {func(s *fairlead.Signature) { s.Inputs[1].Shape = []int64{-1} }, `shape: input "origin" took shape [?,1], now it takes [?]`},
		"features moved": {func(s *fairlead.Signature) { in(s).Features = []string{"distance", "hour", "departures"} }, `features: input "features" has its features in another order: "hour" was column 0, now it is column 1`},
		"feature other":  {func(s *fairlead.Signature) { in(s).Features = []string{"hour", "miles", "departures"} }, `features: input "features": gone: distance; new: miles`},
		"features lost":  {func(s *fairlead.Signature) { in(s).Features = nil }, `features: input "features": gone: hour, distance, departures`},
		"output gone":    {func(s *fairlead.Signature) { s.Outputs = s.Outputs[:1] }, `removed: output "label" (INT64 [?]) is gone`},
		"output renamed": {func(s *fairlead.Signature) { out(s).Name = "score" }, `renamed: output "probability" is gone; "score" looks like it under another name`},
		"output type":    {func(s *fairlead.Signature) { s.Outputs[1].Type = fairlead.Bytes }, `type: output "label" was INT64, now it is BYTES`},
		"output width":   {func(s *fairlead.Signature) { out(s).Shape = []int64{-1, 1} }, `shape: output "probability" had shape [?,2], now it has [?,1]`},
		"output open":    {func(s *fairlead.Signature) { out(s).Shape = []int64{-1, -1} }, `shape: output "probability" had shape [?,2], now it has [?,?]`},
		"classes moved":  {func(s *fairlead.Signature) { out(s).Classes = []string{"late", "on_time"} }, `classes: output "probability" has its classes in another order: "on_time" was column 0, now it is column 1`},
		"class renamed":  {func(s *fairlead.Signature) { out(s).Classes = []string{"0", "late"} }, `classes: output "probability" has other classes: gone: on_time; new: 0`},
		"classes lost":   {func(s *fairlead.Signature) { out(s).Classes = nil }, `classes: output "probability" has other classes: gone: on_time, late`},
		"role":           {func(s *fairlead.Signature) { out(s).Role = "" }, `role: output "probability" was the score, now it is without a role`},
		"task":           {func(s *fairlead.Signature) { s.Task = fairlead.TaskMulticlass }, `task: the task was binary, now it is multiclass`},
		"many":           {func(s *fairlead.Signature) { s.Inputs, s.Outputs = nil, nil }, `removed: input "features" (FP32 [?,3]) is gone | removed: input "origin" (BYTES [?,1]) is gone | removed: output "probability" (FP32 [?,2]) is gone | removed: output "label" (INT64 [?]) is gone`},
	} {
		next := clientsSignature()
		c.change(&next)
		var got []string
		for _, b := range Compatible(clientsSignature(), next) {
			got = append(got, string(b.Kind)+": "+b.Message)
		}
		if text := strings.Join(got, " | "); text != c.want {
			t.Errorf("%s:\n got %s\nwant %s", what, text, c.want)
		}
	}
}

// What had no names, roles or task before may get them.
func TestCompatibleAdditions(t *testing.T) {
	old := clientsSignature()
	old.Task = fairlead.TaskNone
	old.Inputs[0].Features, old.Outputs[0].Classes, old.Outputs[0].Role = nil, nil, ""
	old.Outputs[0].Shape = []int64{1, 2} // one row, as the graph was exported then
	if breaks := Compatible(old, clientsSignature()); breaks != nil {
		t.Errorf("%+v", breaks)
	}
	if err := Breaking("x", nil); err != nil {
		t.Error(err)
	}
	err := Breaking("flights@4 does not fit clients of flights@3", Compatible(clientsSignature(), fairlead.Signature{Task: fairlead.TaskBinary}))
	if fairlead.CodeOf(err) != fairlead.CodeConflict || !strings.Contains(err.Error(), `flights@3: input "features" (FP32 [?,3]) is gone; input "origin"`) || !strings.Contains(err.Error(), "--force") {
		t.Error(err)
	}
}
