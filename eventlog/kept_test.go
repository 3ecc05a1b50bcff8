package eventlog

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
)

// visit is two rows of a model of people's data: an age and a name as columns, and a picture.
func visit() (*fairlead.Prediction, *fairlead.Signature) {
	at := time.Unix(1, 0).UTC()
	picture := make([]float32, 2*3000)
	for i := range picture {
		picture[i] = float32(i % 3)
	}
	p := &fairlead.Prediction{
		ID: "r", Deployment: "d", Model: "d", Version: 1, Role: fairlead.RoleLive, Received: at,
		Rows: []fairlead.RowMeta{{ID: "a", Time: at, Tags: map[string]string{"email": "a@b.c"}}, {ID: "b", Time: at}},
		Inputs: []fairlead.Tensor{
			{Name: "age", Type: fairlead.FP32, Shape: []int64{2, 1}, Data: []float32{31, 47}},
			{Name: "name", Type: fairlead.Bytes, Shape: []int64{2, 1}, Data: []string{"Berta Krause", "Ada"}},
			{Name: "picture", Type: fairlead.FP32, Shape: []int64{2, 3000}, Data: picture},
		},
		Outputs: []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{2, 1}, Data: []float32{1, 2}}},
	}
	return p, &fairlead.Signature{
		Inputs: []fairlead.TensorSpec{
			{Name: "age", Type: fairlead.FP32, Shape: []int64{-1, 1}}, {Name: "name", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
			{Name: "picture", Type: fairlead.FP32, Shape: []int64{-1, 3000}},
		},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleValue}},
	}
}

func column(t *testing.T, r *Rows, name string) *Column {
	t.Helper()
	i := slices.IndexFunc(r.Columns, func(c Column) bool { return c.Field.Name == name })
	if i < 0 {
		t.Fatalf("there is no column %s", name)
	}
	return &r.Columns[i]
}

func roundTrip(t *testing.T, p *fairlead.Prediction, sig *fairlead.Signature, policy *keep.Policy) (*Rows, []byte) {
	t.Helper()
	b, err := EncodeKept([]*fairlead.Prediction{p}, sig, policy)
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodePredictions(b)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := decoder().DecodeAll(b[2:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, raw
}

// What a policy hides is not in the message, in no form.
func TestRedactedValuesAreNotWritten(t *testing.T) {
	p, sig := visit()
	policy := keep.Default()
	policy.Key = []byte("0123456789abcdef")
	policy.Redact = []keep.Rule{
		{Name: "age", Action: keep.Hash}, {Name: "name", Action: keep.Truncate, Bytes: 3}, {Name: "email", Action: keep.Drop},
		{Name: "picture", Action: keep.Drop},
	}
	r, raw := roundTrip(t, p, sig, policy)
	for _, hidden := range []string{"Berta", "a@b.c"} {
		if bytes.Contains(raw, []byte(hidden)) {
			t.Errorf("%q is in the message", hidden)
		}
	}
	if name := column(t, r, "name"); !slices.Equal(name.Data.([]string), []string{"Ber", "Ada"}) {
		t.Errorf("names %q", name.Data)
	}
	if age := column(t, r, "age"); age.Field.Type != fairlead.Bytes || age.Data.([]string)[0] != policy.Hashed([]byte("31")) {
		t.Errorf("ages %v of %s", age.Data, age.Field.Type)
	}
	if picture := column(t, r, "picture"); !picture.IsNull(0) || !picture.IsNull(1) {
		t.Error("a dropped picture is there")
	}
	if r.Tags[0] != nil {
		t.Errorf("tags %v", r.Tags[0])
	}
	if len(r.Columns) != 4 {
		t.Errorf("%d columns: a dropped picture has no summary", len(r.Columns))
	}
	policy.Key = nil
	if r, _ = roundTrip(t, p, sig, policy); !column(t, r, "age").IsNull(0) {
		t.Error("without a key a value to be hashed is stored")
	}
}

func TestLongRowsAreSummarised(t *testing.T) {
	p, sig := visit()
	r, raw := roundTrip(t, p, sig, keep.Default())
	if len(raw) > 10_000 {
		t.Errorf("a summary of two pictures takes %d bytes", len(raw))
	}
	if !column(t, r, "picture").IsNull(0) || column(t, r, "picture.count").Data.([]int64)[1] != 3000 {
		t.Error("no summary")
	}
	for name, want := range map[string]float64{"mean": 1, "std": math.Sqrt(2.0 / 3), "min": 0, "max": 2} {
		if got := column(t, r, "picture."+name).Data.([]float64)[0]; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	policy := keep.Default()
	policy.Values = 3000
	if r, _ = roundTrip(t, p, sig, policy); column(t, r, "picture").IsNull(0) || len(r.Columns) != 4 {
		t.Error("values: 3000 does not store 3000 values")
	}
}

func TestProbabilityIsKept(t *testing.T) {
	p, sig := visit()
	if r, _ := roundTrip(t, p, sig, keep.Default()); r.Probability != nil {
		t.Errorf("probabilities %v of rows that were not chosen by chance", r.Probability)
	}
	p.Probability = []float64{0.1, 1}
	if r, _ := roundTrip(t, p, sig, keep.Default()); !slices.Equal(r.Probability, p.Probability) || r.ID[1] != "b" {
		t.Errorf("probabilities %v", r.Probability)
	}
	p.Probability = []float64{0, 1}
	b, err := EncodeKept([]*fairlead.Prediction{p}, sig, keep.Default())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodePredictions(b); err == nil {
		t.Error("a row of probability 0 is taken")
	}
}
