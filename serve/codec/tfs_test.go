package codec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// score is the signature that the fuzz targets decode for, besides flights and dense: it can classify and regress.
var score = NewSchema(&fairlead.Signature{
	Task:   fairlead.TaskBinary,
	Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP64, Shape: []int64{-1, -1}}},
	Outputs: []fairlead.TensorSpec{
		{Name: "p", Type: fairlead.FP64, Shape: []int64{-1, 1}, Role: fairlead.RoleScore, Classes: []string{"no", "yes"}},
		{Name: "v", Type: fairlead.FP32, Shape: []int64{-1}, Role: fairlead.RoleValue},
	},
})

// transcript gives the bodies of the TensorFlow Serving transcript as seeds.
func transcript(f *testing.F) {
	f.Helper()
	text, err := os.ReadFile("../httpd/testdata/tfs.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if body, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> "); ok {
			f.Add([]byte(body))
		}
	}
}

func checkDecoded(t *testing.T, r *Request, err error) {
	t.Helper()
	if err != nil {
		if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid {
			t.Fatalf("code %s: %v", c, err)
		}
		return
	}
	for _, in := range r.Inputs {
		if int64(in.Len()) != fairlead.Elements(in.Shape) {
			t.Fatalf("%d values of shape %v", in.Len(), in.Shape)
		}
	}
}

func FuzzPredict(f *testing.F) {
	transcript(f)
	f.Add([]byte(`{"inputs":{"hour":[1,2],"weekday":[0,1],"distance":[733.5,null],"origin":["ATL","ORD"],"seats":[1,2]}}`))
	f.Add([]byte(`{"inputs":{"numbers":[[1,2,NaN]],"origin":[[{"b64":"AP8="}]],"seats":[7]},"parameters":{"deadline":"1s"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		form := FormOf(body)
		for _, schema := range []*Schema{dense, flights, score} {
			r, err := DecodePredict(body, schema)
			checkDecoded(t, r, err)
			if err != nil {
				continue
			}
			if form == FormUnknown || (form == FormRows) != r.Instances {
				t.Fatalf("decoded as rows %v, but its form is %d", r.Instances, form)
			}
			// What a column request says comes back as its answer, unless it has text that is not UTF-8.
			r.Instances = false
			answer, err := AppendPredict(nil, r, &Answer{Outputs: r.Inputs})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Instances && len(r.Inputs) == 1 {
				again, err := DecodePredict([]byte(strings.Replace(string(answer), `{"outputs":`, `{"inputs":`, 1)), schema)
				if err != nil {
					t.Fatalf("%s: %v", answer, err)
				}
				if a, b := fmt.Sprint(again.Inputs), fmt.Sprint(r.Inputs); a != b {
					t.Fatalf("%s came back as %s", b, a)
				}
			}
		}
	})
}

func FuzzExamples(f *testing.F) {
	transcript(f)
	f.Add([]byte(`{"context":{"origin":"ATL"},"examples":[{"hour":1,"weekday":[2],"distance":[3.5],"seats":1},{"numbers":[1,2,3],"seats":2}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, classify := range []bool{true, false} {
			e := Examples{Classify: classify}
			r, err := e.Decode(body, score)
			checkDecoded(t, r, err)
			if err != nil {
				continue
			}
			n := int64(r.Inputs[0].Rows())
			p := make([]float64, n)
			for i := range p {
				p[i] = float64(i) / 4
			}
			outputs := []fairlead.Tensor{
				{Name: "p", Type: fairlead.FP64, Shape: []int64{n, 1}, Data: p},
				{Name: "v", Type: fairlead.FP32, Shape: []int64{n}, Data: make([]float32, n)},
			}
			if _, err := e.Append(nil, r, &Answer{Outputs: outputs}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzCSV(f *testing.F) {
	for _, body := range []string{
		"7,1,733.5,ATL,100\n8,2,,\"O,RD\",200\n", "origin,hour,weekday,distance,seats\nATL,7,1,733.5,100", "1,2\n3,4", "1;2",
		"\ufeff1,2\r\n-inf,NaN\r\n", "\"", "1,2\n\n3,4", "x,y\n", " +1 ,\t2e3", "1,2,3", "\"\",\"\"",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, schema := range []*Schema{dense, flights, score} {
			r, err := DecodeCSV(body, schema)
			checkDecoded(t, r, err)
			if err != nil {
				continue
			}
			// What came back is the same table.
			answer, err := AppendCSV(nil, r, &Answer{Outputs: r.Inputs})
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeCSV(answer, schema)
			if err != nil {
				t.Fatalf("%q became %q: %v", body, answer, err)
			}
			if a, b := fmt.Sprint(again.Inputs), fmt.Sprint(r.Inputs); a != b {
				t.Fatalf("%q: %s came back as %s", body, b, a)
			}
		}
	})
}

// TestColumnsAreRows: a random table gives the same tensors by rows, by columns, by features and as CSV.
func TestColumnsAreRows(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, seed))
	for range 200 {
		n := 1 + rng.IntN(5)
		var instances, csv strings.Builder
		byFeature := map[string][]string{}
		var whole []string
		for i := range n {
			h, w, d := rng.Float32()*24, float32(rng.IntN(7)), float32(math.Exp(rng.NormFloat64()*10))
			origin, seats := fmt.Sprintf("A%d", rng.IntN(9)), rng.IntN(400)
			if i > 0 {
				instances.WriteByte(',')
			}
			fmt.Fprintf(&instances, `{"hour":%g,"weekday":%g,"distance":%g,"origin":%q,"seats":%d}`, h, w, d, origin, seats)
			fmt.Fprintf(&csv, "%g,%g,%g,%s,%d\n", h, w, d, origin, seats)
			for name, v := range map[string]string{"hour": fmt.Sprint(h), "weekday": fmt.Sprint(w), "distance": fmt.Sprint(d),
				"origin": fmt.Sprintf("[%q]", origin), "seats": fmt.Sprint(seats)} {
				byFeature[name] = append(byFeature[name], v)
			}
			whole = append(whole, fmt.Sprintf("[%g,%g,%g]", h, w, d))
		}
		var features, inputs []string
		for name, values := range byFeature {
			features = append(features, fmt.Sprintf("%q:[%s]", name, strings.Join(values, ",")))
			if name == "origin" || name == "seats" {
				inputs = append(inputs, features[len(features)-1])
			}
		}
		inputs = append(inputs, `"numbers":[`+strings.Join(whole, ",")+"]")
		want, err := DecodePredict([]byte(`{"instances":[`+instances.String()+`]}`), flights)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{`{"inputs":{` + strings.Join(features, ",") + `}}`, `{"inputs":{` + strings.Join(inputs, ",") + `}}`} {
			got, err := DecodePredict([]byte(body), flights)
			if err != nil || fmt.Sprint(got.Inputs) != fmt.Sprint(want.Inputs) {
				t.Fatalf("seed %d: %s: %v\n got %v\nwant %v", seed, body, err, got, want.Inputs)
			}
		}
		got, err := DecodeCSV([]byte(csv.String()), flights)
		if err != nil || fmt.Sprint(got.Inputs) != fmt.Sprint(want.Inputs) {
			t.Fatalf("seed %d: %s: %v\n got %v\nwant %v", seed, csv.String(), err, got, want.Inputs)
		}
	}
}

func TestFormOf(t *testing.T) {
	for body, want := range map[string]Form{
		`{"instances":[[1]]}`:                                  FormRows,
		`{"id":"x","parameters":{"a":[1,{}]},"instances":[1`:   FormRows,
		`{"inputs":[{"name":"x","shape":[1],"data":[1]}]}`:     FormTensors,
		` { "inputs" : [ { "parameters":{}, "datatype":"FP32"`: FormTensors,
		`{"inputs":[]}`:                          FormTensors,
		`{"inputs":[[1,2]]}`:                     FormColumns,
		`{"inputs":[{"b64":"AA=="}]}`:            FormColumns,
		`{"inputs":{"name":[1],"datatype":[2]}}`: FormColumns,
		`{"inputs":1}`:                           FormColumns,
		`{"signature_name":"serving_default","inputs":[[1,2]]}`: FormColumns,
		`{"rows":[]}`: FormUnknown,
		``:            FormUnknown,
		`[1]`:         FormUnknown,
		`{"inputs"`:   FormUnknown,
	} {
		if got := FormOf([]byte(body)); got != want {
			t.Errorf("%s: form %d, expected %d", body, got, want)
		}
	}
}

// TestContextIsBounded: a context cannot be made to fill the memory by repeating it.
func TestContextIsBounded(t *testing.T) {
	context := `{"x":[` + strings.Repeat("1,", 1<<20) + `1]}`
	body := `{"context":` + context + `,"examples":[` + strings.Repeat("{},", 200) + `{}]}`
	e := Examples{}
	_, err := e.Decode([]byte(body), score)
	if err == nil || !strings.Contains(err.Error(), "context is too large") {
		t.Errorf("%v", err)
	}
}

func TestTFSFloats(t *testing.T) {
	for v, want := range map[float32]string{4: "4.0", 3.5: "3.5", 0: "0.0", 1e-7: "1e-07", 1e21: "1e+21", 16777216: "16777216.0",
		float32(math.Inf(-1)): "-Infinity"} {
		a := &Answer{Outputs: []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{1}, Data: []float32{v}}}}
		got, err := AppendPredict(nil, &Request{Instances: true}, a)
		if err != nil || string(got) != `{"predictions":[`+want+`]}` {
			t.Errorf("%v: %s %v", v, got, err)
		}
	}
	half := fairlead.Tensor{Name: "h", Type: fairlead.BF16, Shape: []int64{2, 1}, Data: []uint16{0x3f80, 0x4049}}
	scalar := fairlead.Tensor{Name: "n", Type: fairlead.Int64, Shape: []int64{}, Data: []int64{7}}
	empty := fairlead.Tensor{Name: "e", Type: fairlead.FP32, Shape: []int64{2, 0}, Data: []float32{}}
	got, err := AppendPredict(nil, &Request{}, &Answer{Outputs: []fairlead.Tensor{half, scalar, empty}})
	if want := `{"outputs":{"h":[[1.0],[3.140625]],"n":7,"e":[[],[]]}}`; err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
	if _, err := AppendPredict(nil, &Request{Instances: true}, &Answer{Outputs: []fairlead.Tensor{scalar}}); err == nil {
		t.Error("a single value was put in rows")
	}
}
