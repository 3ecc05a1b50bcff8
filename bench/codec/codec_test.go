// Package codec compares the server's JSON decoder with sonic and encoding/json. It is a module of its own, so that the
// server does not depend on sonic.
//
//	go test -run Ratios -v .
package codec

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bytedance/sonic"
	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// request and answer are the bodies as one would declare them for encoding/json.
type request struct {
	Inputs []tensor `json:"inputs"`
}

type answer struct {
	Model      string            `json:"model_name"`
	Version    string            `json:"model_version"`
	ID         string            `json:"id"`
	Parameters map[string]string `json:"parameters"`
	Outputs    []tensor          `json:"outputs"`
}

type tensor struct {
	Name     string    `json:"name"`
	Datatype string    `json:"datatype"`
	Shape    []int64   `json:"shape"`
	Data     []float32 `json:"data"`
}

var schema = codec.NewSchema(&fairlead.Signature{Inputs: []fairlead.TensorSpec{
	{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1000}},
}})

// texts are 1,000 numbers in several forms.
var texts = []struct {
	name  string
	write func(r *rand.Rand) string
}{
	{"float32 in [0,1), shortest", func(r *rand.Rand) string {
		return strconv.FormatFloat(float64(r.Float32()), 'g', -1, 32)
	}},
	{"normal deviates, 4 decimals", func(r *rand.Rand) string {
		return strconv.FormatFloat(r.NormFloat64(), 'f', 4, 64)
	}},
	{"float64 of normal float32", func(r *rand.Rand) string { // what Python writes of a float32
		return strconv.FormatFloat(float64(float32(r.NormFloat64())), 'g', -1, 64)
	}},
	{"float32 of any size, shortest", func(r *rand.Rand) string {
		f := math.Float32frombits(r.Uint32())
		for f-f != 0 {
			f = math.Float32frombits(r.Uint32())
		}
		return strconv.FormatFloat(float64(f), 'g', -1, 32)
	}},
	{"integers to 100,000", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(100_000)) }},
}

func body(write func(*rand.Rand) string) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := make([]string, 1000)
	for i := range numbers {
		numbers[i] = write(r)
	}
	return []byte(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1000],"data":[` + strings.Join(numbers, ",") + `]}]}`)
}

func decodeOurs(t testing.TB, b []byte) []float32 {
	r, err := codec.Decode(b, schema)
	if err != nil {
		t.Fatal(err)
	}
	return r.Inputs[0].Data.([]float32)
}

func decodeWith(t testing.TB, unmarshal func([]byte, any) error, b []byte) []float32 {
	var r request
	if err := unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r.Inputs[0].Data
}

func TestAllDecodeTheSame(t *testing.T) {
	for _, text := range texts {
		b := body(text.write)
		ours := decodeOurs(t, b)
		if !slices.Equal(ours, decodeWith(t, json.Unmarshal, b)) {
			t.Errorf("%s: encoding/json reads other numbers", text.name)
		}
		if theirs := decodeWith(t, sonic.ConfigDefault.Unmarshal, b); !slices.Equal(ours, theirs) {
			for i := range ours {
				if ours[i] != theirs[i] { // sonic rounds twice, through float64
					t.Logf("%s: sonic reads number %d as %v, not %v", text.name, i, theirs[i], ours[i])
				}
			}
		}
	}
}

// paired runs the functions in turn, so that noise meets all of them, and gives the median time of each.
func paired(rounds int, fs ...func()) []time.Duration {
	times := make([][]time.Duration, len(fs))
	for range rounds {
		for i, f := range fs {
			start := time.Now()
			for range 10 {
				f()
			}
			times[i] = append(times[i], time.Since(start)/10)
		}
	}
	medians := make([]time.Duration, len(fs))
	for i := range times {
		slices.Sort(times[i])
		medians[i] = times[i][rounds/2]
	}
	return medians
}

// TestRatios prints medians of paired runs. It fails never: a busy machine is no fault of the code.
func TestRatios(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 20
	}
	fmt.Printf("%-34s %10s %10s %14s %9s %9s\n", "decode a request of 1,000 floats", "ours", "sonic", "encoding/json", "× sonic", "× json")
	for _, text := range texts {
		b := body(text.write)
		m := paired(rounds, func() { decodeOurs(t, b) }, func() { decodeWith(t, sonic.ConfigDefault.Unmarshal, b) },
			func() { decodeWith(t, json.Unmarshal, b) })
		print(text.name, m)
	}
	fmt.Printf("%-34s %10s %10s %14s %9s %9s\n", "encode an answer of 1,000 floats", "ours", "sonic", "encoding/json", "× sonic", "× json")
	for _, text := range texts {
		data := decodeOurs(t, body(text.write))
		ours := &codec.Answer{ID: "1", Model: "m", Version: "1", Outputs: []fairlead.Tensor{
			{Name: "y", Type: fairlead.FP32, Shape: []int64{1, 1000}, Data: data}}}
		theirs := &answer{"m", "1", "1", map[string]string{"prediction_id": "1"}, []tensor{{"y", "FP32", []int64{1, 1000}, data}}}
		var buffer []byte
		print(text.name, paired(rounds, func() { buffer = codec.AppendInfer(buffer[:0], ours) },
			func() { _, _ = sonic.ConfigDefault.Marshal(theirs) }, func() { _, _ = json.Marshal(theirs) }))
	}
}

func print(name string, m []time.Duration) {
	us := func(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d)/1e3) }
	fmt.Printf("%-34s %10s %10s %14s %9.2f %9.2f\n", name, us(m[0]), us(m[1]), us(m[2]), float64(m[1])/float64(m[0]),
		float64(m[2])/float64(m[0]))
}
