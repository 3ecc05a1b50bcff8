package conformance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

// extremes are four values of each type as JSON: the ends of its range, and what is easily lost.
var extremes = map[string]string{
	"BOOL": "true,false,false,true", "UINT8": "0,1,128,255", "UINT16": "0,1,256,65535", "UINT32": "0,1,65536,4294967295",
	"UINT64": "0,1,9007199254740993,18446744073709551615", "INT8": "-128,-1,0,127", "INT16": "-32768,-1,0,32767",
	"INT32": "-2147483648,-1,0,2147483647", "INT64": "-9223372036854775808,-9007199254740993,0,9223372036854775807",
	"FP16": "1,-2.5,65504,6.1035156e-05", "BF16": "1,-2.5,3.3895314e+38,0.0078125",
	"FP32": "0.1,-3.4028235e+38,1e-45,16777217", "FP64": "0.1,-1.7976931348623157e+308,5e-324,9007199254740993",
	"BYTES": `"","é東😀","quo\"te\\","1.5"`,
}

func extremeTensor(datatype string) wire.Tensor {
	v, err := wire.Parse([]byte("[" + extremes[datatype] + "]"))
	if err == nil {
		var t wire.Tensor
		if t, err = wire.FromData("x", datatype, []int64{1, width}, v); err == nil {
			return t
		}
	}
	panic(err) // the table above is wrong
}

func datatypeChecks() []check {
	var cs []check
	for _, datatype := range wire.Datatypes {
		c := check{group: "datatypes", name: datatype + " as JSON", rule: "OIP REST, Tensor Data Types", run: func(ctx context.Context, p *probe) error {
			name, err := p.identity(datatype)
			if err != nil {
				return err
			}
			in := extremeTensor(datatype)
			body := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":%q,"shape":[1,4],"data":[%s]}]}`, datatype, extremes[datatype])
			r, err := p.post(ctx, modelPath(name)+"/infer", body)
			if err != nil {
				return err
			}
			a, err := readInfer(r)
			if err != nil {
				return err
			}
			return sameTensor(a, "y", in)
		}}
		if datatype == "FP16" || datatype == "BF16" {
			c.level = Advice
			c.rule += "; Triton refuses 16-bit floats in JSON, KServe takes them"
		}
		cs = append(cs, c)
	}
	return cs
}

// dataCheck sends data as it is written, and expects it back flat.
func dataCheck(level Level, name, rule, datatype, shape, data, back string) check {
	return check{group: "data", name: name, rule: rule, level: level, run: func(ctx context.Context, p *probe) error {
		model, err := p.identity(datatype)
		if err != nil {
			return err
		}
		r, err := p.post(ctx, modelPath(model)+"/infer",
			fmt.Sprintf(`{"inputs":[{"name":"x","datatype":%q,"shape":%s,"data":%s}]}`, datatype, shape, data))
		if err != nil {
			return err
		}
		a, err := readInfer(r)
		if err != nil {
			return err
		}
		v, err := wire.Parse([]byte(back))
		if err != nil {
			return err
		}
		got, _ := a.Output("y")
		expected, err := wire.FromData("y", datatype, got.Shape, v)
		if err != nil {
			return err
		}
		return sameTensor(a, "y", expected)
	}}
}

func dataChecks() []check {
	const tensorData, numbers = "OIP REST, Tensor Data: nested or flattened, row-major", "OIP REST, Tensor Data; NaN and Infinity as tokens, as Triton has them"
	return []check{
		dataCheck("", "flat", tensorData, "FP32", "[2,4]", "[1,2,3,4,5,6,7,8]", "[1,2,3,4,5,6,7,8]"),
		dataCheck("", "nested", tensorData, "FP32", "[2,4]", "[[1,2,3,4],[5,6,7,8]]", "[1,2,3,4,5,6,7,8]"),
		dataCheck("", "nested strings", tensorData, "BYTES", "[2,4]", `[["a","b","c","d"],["e","f","g","h"]]`, `["a","b","c","d","e","f","g","h"]`),
		dataCheck("", "nested booleans", tensorData, "BOOL", "[1,4]", `[[true,false,true,true]]`, `[true,false,true,true]`),
		dataCheck(Advice, "nesting other than the shape's", tensorData, "FP32", "[2,4]", "[[1,2],[3,4],[5,6],[7,8]]", "[1,2,3,4,5,6,7,8]"),
		dataCheck(Advice, "NaN and Infinity", numbers, "FP32", "[1,4]", "[NaN,Infinity,-Infinity,0]", "[NaN,Infinity,-Infinity,0]"),
		dataCheck(Advice, "NaN in doubles", numbers, "FP64", "[1,4]", "[NaN,Infinity,-Infinity,0]", "[NaN,Infinity,-Infinity,0]"),
		dataCheck("", "negative zero", "RFC 8259, 6; IEEE 754", "FP32", "[1,4]", "[-0.0,0,0,0]", "[-0.0,0,0,0]"),
		dataCheck("", "exponents", "RFC 8259, 6", "FP64", "[1,4]", "[1e3,1E+3,12.5e-1,-2.5E-3]", "[1000,1000,1.25,-0.0025]"),
		dataCheck("", "integers for floats", tensorData, "FP32", "[1,4]", "[1,-2,3,0]", "[1,-2,3,0]"),
		dataCheck("", "the nearest float", "IEEE 754, 5.12: round to nearest", "FP32", "[1,4]",
			"[0.1,16777217.000000001,1.00000005960464477539062500001,7.038531e-26]", "[0.1,16777218,1.0000001,7.038531e-26]"),
		dataCheck("", "escapes in strings", "RFC 8259, 7", "BYTES", "[1,4]", `["\u00e9","\ud83d\ude00","\/\b\f\n\r\t","\u0000"]`, "[\"é\",\"😀\",\"/\\u0008\\u000c\\u000a\\u000d\\u0009\",\"\\u0000\"]"),
		dataCheck("", "no rows", "OIP REST, Request Input: a dimension may be 0", "FP32", "[0,4]", "[]", "[]"),
	}
}

// refused makes a check that a request is answered with an error: of 4xx, or exactly status where it is not 0; with the
// protocol's error object.
func refused(level Level, status int, make func(*probe) (call, error)) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		c, err := make(p)
		if err != nil {
			return err
		}
		r, err := p.send(ctx, c)
		if err != nil {
			return err
		}
		if status != 0 && r.status != status {
			return &mismatch{fmt.Sprintf("status %d", status), r.String()}
		}
		if r.status < 400 || r.status >= 500 {
			return &mismatch{"a status of 4xx", r.String()}
		}
		if level == Advice {
			return nil
		}
		v, err := wire.Parse(r.body)
		m, _ := v.(map[string]any)
		text, ok := m["error"].(string)
		return want(err == nil && ok && strings.TrimSpace(text) != "", `{"error":"<text>"}`, "%s", r)
	}
}

// badInfer sends a body to the identity of a type, and expects a refusal.
func badInfer(level Level, status int, name, rule, datatype, body string) check {
	return check{group: "errors", name: name, rule: rule, level: level, run: refused(Must, status, func(p *probe) (call, error) {
		model, err := p.identity(datatype)
		return call{method: http.MethodPost, path: modelPath(model) + "/infer", body: []byte(body)}, err
	})}
}

func anyInfer(name, rule string, body func(*model) string) check {
	return check{group: "errors", name: name, rule: rule, run: refused(Must, 0, func(p *probe) (call, error) {
		m, err := p.any()
		if err != nil {
			return call{}, err
		}
		return call{method: http.MethodPost, path: modelPath(m.name) + "/infer", body: []byte(body(m))}, nil
	})}
}

func constant(s string) func(*model) string { return func(*model) string { return s } }

func errorChecks() []check {
	const rule = "OIP REST, Inference Response JSON Error Object: an HTTP error status, typically 400"
	x := func(datatype, shape, data string) string {
		return fmt.Sprintf(`{"inputs":[{"name":"x","datatype":%q,"shape":%s,"data":%s}]}`, datatype, shape, data)
	}
	good := x("FP32", "[1,4]", "[1,2,3,4]")
	cs := []check{
		anyInfer("empty body", rule, constant("")),
		anyInfer("not JSON", rule, constant("{inputs}")),
		anyInfer("cut off", rule, constant(`{"inputs":[{"name":"x"`)),
		anyInfer("more after the end", rule, func(m *model) string { return bodyOf(m) + "x" }),
		anyInfer("an array", rule, constant("[]")),
		anyInfer("no inputs", rule+"; inputs is required", constant("{}")),
		anyInfer("inputs empty", rule, constant(`{"inputs":[]}`)),
		anyInfer("inputs no array", rule, constant(`{"inputs":{}}`)),
		anyInfer("an input without name", rule, constant(`{"inputs":[{"datatype":"FP32","shape":[1],"data":[1]}]}`)),
		anyInfer("an unknown input", rule, constant(`{"inputs":[{"name":"oip_nobody","datatype":"FP32","shape":[1],"data":[1]}]}`)),
		anyInfer("an unknown output", rule, func(m *model) string {
			return strings.TrimSuffix(bodyOf(m), "}") + `,"outputs":[{"name":"oip_nobody"}]}`
		}),
		anyInfer("arrays a thousand deep", rule+"; the server lives on", func(m *model) string {
			return fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":%q,"shape":[1],"data":%s%s}]}`, m.inputs[0].Name, m.inputs[0].Datatype,
				strings.Repeat("[", 100_000), strings.Repeat("]", 100_000))
		}),
		badInfer("", 0, "an input missing", rule, "pair", `{"inputs":[{"name":"a","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`),
		badInfer("", 0, "another datatype", rule, "FP32", x("INT32", "[1,4]", "[1,2,3,4]")),
		badInfer("", 0, "an unknown datatype", rule, "FP32", x("FLOAT", "[1,4]", "[1,2,3,4]")),
		badInfer("", 0, "too few elements", rule, "FP32", x("FP32", "[1,4]", "[1,2,3]")),
		badInfer("", 0, "too many elements", rule, "FP32", x("FP32", "[1,4]", "[1,2,3,4,5]")),
		badInfer("", 0, "a dimension the model has otherwise", rule, "FP32", x("FP32", "[1,3]", "[1,2,3]")),
		badInfer("", 0, "too many dimensions", rule, "FP32", x("FP32", "[1,1,4]", "[1,2,3,4]")),
		badInfer("", 0, "a negative dimension", "OIP REST, Request Input: dimensions are unsigned", "FP32", x("FP32", "[-1,4]", "[1,2,3,4]")),
		badInfer("", 0, "dimensions whose product overflows", rule, "FP32", x("FP32", "[4611686018427387904,4]", "[]")),
		badInfer("", 0, "a fraction as a dimension", rule, "FP32", x("FP32", "[1.5,4]", "[1,2,3,4,5,6]")),
		badInfer("", 0, "a string for a number", rule, "FP32", x("FP32", "[1,4]", `["1","2","3","4"]`)),
		badInfer("", 0, "a number for a string", rule, "BYTES", x("BYTES", "[1,4]", `[1,2,3,4]`)),
		badInfer("", 0, "null", rule, "FP32", x("FP32", "[1,4]", `[null,1,2,3]`)),
		badInfer("", 0, "a fraction for an integer", rule, "INT32", x("INT32", "[1,4]", "[1.5,2,3,4]")),
		badInfer("", 0, "an integer out of range", rule, "UINT8", x("UINT8", "[1,4]", "[300,0,0,0]")),
		badInfer("", 0, "an integer below the range", rule, "UINT8", x("UINT8", "[1,4]", "[-1,0,0,0]")),
		badInfer("", 0, "INT64 out of range", rule, "INT64", x("INT64", "[1,4]", "[9223372036854775808,0,0,0]")),
		badInfer(Advice, 0, "a float out of range", rule, "FP32", x("FP32", "[1,4]", "[1e39,0,0,0]")),
		badInfer(Advice, 0, "an input twice", rule, "FP32", strings.Replace(good, `"inputs":[`, `"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]},`, 1)),
		badInfer(Advice, 0, "an output twice", rule, "FP32", strings.TrimSuffix(good, "}")+`,"outputs":[{"name":"y"},{"name":"y"}]}`),
		badInfer(Advice, 400, "wrong counts are 400", rule, "FP32", x("FP32", "[1,4]", "[1,2,3]")),
		{group: "errors", name: "unknown model", rule: rule, run: refused(Must, 0, func(*probe) (call, error) {
			return call{method: http.MethodPost, path: modelPath(unknown) + "/infer", body: []byte(good)}, nil
		})},
		{group: "errors", name: "GET on infer", rule: "OIP REST: inference is a POST", run: refused(Advice, 0, func(p *probe) (call, error) {
			m, err := p.any()
			if err != nil {
				return call{}, err
			}
			return call{method: http.MethodGet, path: modelPath(m.name) + "/infer"}, nil
		})},
		{group: "errors", name: "unknown path", rule: "RFC 9110, 15.5.5", run: refused(Advice, 404, func(*probe) (call, error) {
			return call{method: http.MethodGet, path: "/v2/oip_nothing"}, nil
		})},
	}
	after := check{group: "errors", name: "good requests are answered after all these", rule: rule, run: asking(asItIs, answered)}
	return slices.Concat(cs, []check{after})
}

func bodyOf(m *model) string {
	body, _, err := wire.Request{Inputs: m.inputs}.Body()
	if err != nil {
		return err.Error()
	}
	return string(body)
}
