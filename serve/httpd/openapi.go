package httpd

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/protocol"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI answers with an OpenAPI 3.1 document of one model, whose schemas are those of its own inputs and outputs.
func (h *Handler) openAPI(w http.ResponseWriter, name, version string) error {
	t, err := h.server.Table().Lookup(name, version)
	if err != nil {
		return err
	}
	base := "/v2/models/" + name
	if version != "" {
		base += "/versions/" + version
	}
	document := object{
		"openapi": "3.1.0",
		"info": object{"title": name, "version": t.Version.String(),
			"description": "Predictions of " + name + ", by the Open Inference Protocol v2 and by rows of named features."},
		"paths": object{
			base + "/infer": object{"post": inferOperation(t)},
			base: object{"get": operation("metadata", "Inputs and outputs",
				object{"200": content("What the model takes and gives.", ref("Metadata"))})},
			base + "/ready": object{"get": operation("ready", "Whether the model answers", object{
				"200": content("It does.", object{"type": "object", "required": []string{"name", "ready"},
					"properties": object{"name": typed("string"), "ready": object{"const": true}}})})},
		},
		"components": object{"schemas": schemas(t)},
	}
	writeJSON(w, http.StatusOK, document)
	return nil
}

func typed(t string) object { return object{"type": t} }

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// operation adds what may come back from every call.
func operation(id, summary string, responses object) object {
	for status, what := range map[string]string{
		"404": "There is no such model or version.", "503": "It is loading, or the server stops; try again after Retry-After.",
	} {
		responses[status] = content(what, ref("Error"))
	}
	return object{"operationId": id, "summary": summary, "responses": responses}
}

func content(description string, schema object) object {
	return object{"description": description, "content": object{"application/json": object{"schema": schema}}}
}

func inferOperation(t *route.Target) object {
	op := operation("infer", "Predict", object{
		"200": content("The outputs; \"predictions\" where rows were sent.", object{"oneOf": []any{ref("InferResponse"), ref("Predictions")}}),
		"400": content("The request does not fit the model.", ref("Error")),
		"413": content("The body is too large.", ref("Error")),
		"429": content("Too many requests wait; try again after Retry-After.", ref("Error")),
		"500": content("The model failed.", ref("Error")),
		"501": content("The request wants what this server does not have.", ref("Error")),
		"504": content("The deadline passed.", ref("Error")),
	})
	header := func(name, description string) object {
		return object{"name": name, "in": "header", "description": description, "schema": typed("string")}
	}
	op["parameters"] = []any{
		header("Fairlead-Request-Id", "The request's id, to find its prediction and to label it; made by the server if absent."),
		header("Fairlead-Deadline", "How long the answer may take, for example 50ms."),
		header("Fairlead-Event-Time", "When what is predicted happened, in RFC 3339."),
		header("Fairlead-Entity-Key", "What the prediction is about."),
		header("Fairlead-Tags", "k=v,k2=v2"),
		header("Fairlead-Routing-Key", "Requests with the same key are answered by the same version while a rollout is under way; else the entity key decides."),
		header("Fairlead-Pin", "Who is to answer, for testers: canary, live, a version's number or an alias. Such requests count in no rollout."),
	}
	examples := object{"tensors": object{"summary": "One row as tensors", "value": tensorExample(&t.Signature)}}
	if rows := t.Schema().Example(); json.Valid([]byte(rows)) {
		examples["rows"] = object{"summary": "One row by name", "value": json.RawMessage(rows)}
	}
	op["requestBody"] = object{"required": true, "content": object{"application/json": object{
		"schema": object{"oneOf": []any{ref("InferRequest"), ref("Rows")}}, "examples": examples}}}
	return op
}

func schemas(t *route.Target) object {
	inputs, outputs := t.Signature.Inputs, t.Signature.Outputs
	parameters := object{"type": "object", "additionalProperties": object{"type": []string{"string", "number", "boolean"}},
		"description": "priority, timeout in microseconds, deadline, event_time, entity_key, tags, routing_key, pin, and what else you like"}
	names := []string{}
	for _, o := range outputs {
		names = append(names, o.Name)
	}
	outputChoice := object{"type": "array", "description": "Those wanted; absent: all.", "items": object{"type": "object",
		"required": []string{"name"}, "properties": object{"name": object{"type": "string", "enum": names}, "parameters": parameters}}}
	rows := object{"type": "array", "items": object{"type": "object", "properties": object{
		"id": typed("string"), "time": object{"type": "string", "format": "date-time"}, "key": typed("string"),
		"tags": object{"type": "object", "additionalProperties": typed("string")}}}}
	return object{
		"InferRequest": object{"type": "object", "required": []string{"inputs"}, "properties": object{
			"id": typed("string"), "parameters": parameters, "outputs": outputChoice, "rows": rows,
			"inputs": object{"type": "array", "minItems": len(inputs), "maxItems": len(inputs), "items": tensorSchemas(inputs)}}},
		"Rows": object{"type": "object", "required": []string{"instances"}, "properties": object{
			"id": typed("string"), "parameters": parameters, "outputs": outputChoice, "rows": rows,
			"instances": object{"type": "array", "minItems": 1, "items": rowSchema(inputs)}}},
		"InferResponse": object{"type": "object", "required": []string{"model_name", "outputs"}, "properties": object{
			"model_name": typed("string"), "model_version": typed("string"), "id": typed("string"), "parameters": parameters,
			"outputs": object{"type": "array", "items": tensorSchemas(outputs)}}},
		"Predictions": object{"type": "object", "required": []string{"predictions"}, "properties": object{
			"predictions": object{"type": "array", "description": "One per row: the value of the only output, or an object of all of them."},
			"ids":         object{"type": "array", "items": typed("string")},
			"id":          typed("string"), "model_name": typed("string"), "model_version": typed("string"), "note": typed("string")}},
		"Metadata": object{"type": "object", "required": []string{"name", "platform", "inputs", "outputs"}, "properties": object{
			"name": typed("string"), "versions": object{"type": "array", "items": typed("string")}, "platform": typed("string"),
			"inputs": object{"type": "array", "items": ref("TensorMetadata")}, "outputs": object{"type": "array", "items": ref("TensorMetadata")}}},
		"TensorMetadata": object{"type": "object", "required": []string{"name", "datatype", "shape"}, "properties": object{
			"name": typed("string"), "datatype": typed("string"), "shape": object{"type": "array", "items": typed("integer")}}},
		"Error": object{"type": "object", "required": []string{"error", "code"}, "properties": object{
			"error":  object{"type": "string", "description": "What was expected and what came."},
			"code":   typed("string"),
			"reason": object{"type": "string", "description": "What programs may act on where the code is not enough."},
			"hint":   object{"type": "string", "description": "How to fix it."}}},
	}
}

// tensorSchemas is one of the tensors of a model.
func tensorSchemas(specs []fairlead.TensorSpec) object {
	all := make([]any, len(specs))
	for i, s := range specs {
		shape := object{"type": "array", "items": object{"type": "integer", "minimum": 0}}
		if s.Shape != nil {
			dims := make([]any, len(s.Shape))
			for j, d := range s.Shape {
				dims[j] = object{"const": d}
				if d < 0 {
					dims[j] = object{"type": "integer", "minimum": 0}
				}
			}
			shape = object{"type": "array", "minItems": len(dims), "maxItems": len(dims)}
			if len(dims) > 0 {
				shape["prefixItems"] = dims
			}
		}
		data := object{"type": "array", "description": "The values in row-major order, flat or nested. NaN, Infinity and -Infinity are bare words."}
		if len(s.Features) > 0 {
			data["description"] = data["description"].(string) + " The columns of a row are " + strings.Join(s.Features, ", ") + "."
		}
		all[i] = object{"type": "object", "required": []string{"name", "datatype", "shape", "data"}, "properties": object{
			"name": object{"const": s.Name}, "datatype": object{"const": s.Type}, "shape": shape, "data": data}}
	}
	return object{"oneOf": all}
}

// rowSchema is a row by the names of its features, or of the inputs that have none.
func rowSchema(inputs []fairlead.TensorSpec) object {
	properties, required := object{}, []string{}
	add := func(name string, schema object) {
		if _, taken := properties[name]; !taken {
			properties[name] = schema
			required = append(required, name)
		}
	}
	for _, in := range inputs {
		for _, feature := range in.Features {
			add(feature, valueSchema(in.Type))
		}
	}
	for _, in := range inputs {
		switch {
		case len(in.Features) > 0:
		case in.Width() == 1:
			add(in.Name, valueSchema(in.Type))
		default:
			add(in.Name, object{"description": "the values of " + in.Name + " " + fairlead.ShapeString(in.Shape) + " without the first dimension"})
		}
	}
	return object{"type": "object", "required": required, "properties": properties}
}

func valueSchema(t fairlead.DataType) object {
	switch t {
	case fairlead.Bytes:
		return object{"type": []string{"string", "null"}}
	case fairlead.Bool:
		return typed("boolean")
	case fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64:
		return object{"type": []string{"number", "null"}, "description": "null is a missing value"}
	}
	return typed("integer")
}

// maxExample bounds the values written out in an example.
const maxExample = 256

// tensorExample is a request of one row, of zeros. It leaves data away that would be long.
func tensorExample(sig *fairlead.Signature) object {
	inputs := make([]any, len(sig.Inputs))
	for i, in := range sig.Inputs {
		shape, n := []int64{}, int64(1)
		for _, d := range protocol.Shape(in) {
			if d < 0 {
				d = 1
			}
			shape = append(shape, d)
			n *= d
		}
		tensor := object{"name": in.Name, "datatype": in.Type, "shape": shape}
		if n <= maxExample {
			zero := any(0)
			switch in.Type {
			case fairlead.Bytes:
				zero = ""
			case fairlead.Bool:
				zero = false
			}
			data := make([]any, n)
			for j := range data {
				data[j] = zero
			}
			tensor["data"] = data
		}
		inputs[i] = tensor
	}
	return object{"inputs": inputs}
}
