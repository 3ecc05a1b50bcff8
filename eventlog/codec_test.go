package eventlog

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
)

var noon = time.Date(2001, 3, 1, 12, 0, 0, 123_456_000, time.UTC)

func sampleLabels() []fairlead.Label {
	return []fairlead.Label{
		{Deployment: "flights", PredictionID: "01J.0", Value: "late", Time: noon, Received: noon.Add(time.Hour)},
		{Deployment: "fraud", PredictionID: "é\x00", Value: "", Received: noon},
		{Deployment: "flights", PredictionID: "", Value: "-1.5", Time: time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
}

func sampleEvents() []fairlead.BusinessEvent {
	return []fairlead.BusinessEvent{
		{Deployment: "flights", Name: "revenue", ID: "o-1", PredictionID: "01J.0", Value: 12.5, Time: noon, Received: noon.Add(time.Hour)},
		{Deployment: "flights", Name: "revenue", Key: "é\x00", Value: math.Copysign(0, -1), Time: noon, Received: noon},
		{Deployment: "fraud", Name: "saved", PredictionID: "x", Value: math.SmallestNonzeroFloat64, Time: time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC), Received: noon},
	}
}

func sampleProfiles() []ProfileDelta {
	return []ProfileDelta{
		{Deployment: "flights", Version: 3, Role: fairlead.RoleLive, Minute: noon.Truncate(time.Minute), Counts: []byte{1, 2, 3}},
		{Deployment: "flights", Version: 4, Role: fairlead.RoleShadow, Minute: noon.Add(-time.Hour), Counts: []byte{}},
	}
}

// allTypes is a signature with every data type, a two-column binary score, a label, an embedding and an image.
func allTypes() *fairlead.Signature {
	sig := &fairlead.Signature{Task: fairlead.TaskBinary}
	for _, dt := range []fairlead.DataType{
		fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8, fairlead.Uint16,
		fairlead.Uint32, fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes,
	} {
		sig.Inputs = append(sig.Inputs,
			fairlead.TensorSpec{Name: "s_" + string(dt), Type: dt, Shape: []int64{-1, 1}},
			fairlead.TensorSpec{Name: "w_" + string(dt), Type: dt, Shape: []int64{-1, 2, -1}})
	}
	sig.Inputs = append(sig.Inputs,
		fairlead.TensorSpec{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"hour", "distance"}})
	sig.Outputs = []fairlead.TensorSpec{
		{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 2}, Role: fairlead.RoleScore, Classes: []string{"no", "yes"}},
		{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}, Role: fairlead.RoleLabel},
		{Name: "vector", Type: fairlead.FP32, Shape: []int64{-1, 3}, Role: fairlead.RoleEmbedding},
	}
	return sig
}

// fill makes a tensor whose elements are counted from start.
func fill(name string, dt fairlead.DataType, start int, shape ...int64) fairlead.Tensor {
	n := int(fairlead.Elements(shape))
	t := fairlead.Tensor{Name: name, Type: dt, Shape: shape, Data: fairlead.MakeData(dt, n)}
	for i := range n {
		v := start + i
		switch d := t.Data.(type) {
		case []bool:
			d[i] = v%2 == 1
		case []int8:
			d[i] = int8(-v)
		case []int16:
			d[i] = int16(-v)
		case []int32:
			d[i] = int32(-v)
		case []int64:
			d[i] = math.MinInt64 + int64(v)
		case []uint8:
			d[i] = uint8(v)
		case []uint16:
			d[i] = uint16(v)
		case []uint32:
			d[i] = uint32(v)
		case []uint64:
			d[i] = math.MaxUint64 - uint64(v)
		case []float32:
			d[i] = float32(v) / 3
		case []float64:
			d[i] = float64(v) / 3
		case []string:
			d[i] = fmt.Sprint("v\xff", v)
		}
	}
	return t
}

// sample is a request of n rows that fits the signature; free dimensions are w.
func sample(sig *fairlead.Signature, id string, n, w int) *fairlead.Prediction {
	p := &fairlead.Prediction{
		ID: id, Deployment: "flights", Model: "flights", Version: 3, Digest: "sha256:ab", Variant: "fp32",
		Role: fairlead.RoleLive, Received: noon, Cached: n > 1, Latency: fairlead.Anatomy{Run: 1500 * time.Microsecond},
	}
	for i := range n {
		m := fairlead.RowMeta{ID: fairlead.RowID(id, i, n), Time: noon.Add(time.Duration(i) * time.Second)}
		if i == 1 {
			m.Key, m.Tags = "N123", map[string]string{"carrier": "AA", "ü": ""}
		}
		p.Rows = append(p.Rows, m)
	}
	tensors := func(specs []fairlead.TensorSpec) (out []fairlead.Tensor) {
		for k, s := range specs {
			shape := append([]int64{int64(n)}, s.Shape[1:]...)
			for i := range shape {
				if shape[i] < 0 {
					shape[i] = int64(w)
				}
			}
			out = append(out, fill(s.Name, s.Type, 10*k+w, shape...))
		}
		return out
	}
	p.Inputs, p.Outputs = tensors(sig.Inputs), tensors(sig.Outputs)
	return p
}

func TestLabelsAndProfilesComeBack(t *testing.T) {
	labels := sampleLabels()
	if got, err := DecodeLabels(EncodeLabels(labels)); err != nil || !cmp.Equal(got, labels) {
		t.Errorf("%v\n%s", err, cmp.Diff(labels, got))
	}
	deltas := sampleProfiles()
	if got, err := DecodeProfiles(EncodeProfiles(deltas)); err != nil || !cmp.Equal(got, deltas) {
		t.Errorf("%v\n%s", err, cmp.Diff(deltas, got))
	}
}

func TestPredictionsComeBack(t *testing.T) {
	sig := allTypes()
	preds := []*fairlead.Prediction{sample(sig, "01A", 3, 4), sample(sig, "01B", 1, 1)}
	shadow := sample(sig, "01A", 2, 2)
	shadow.Role, shadow.Inputs, shadow.Rows[0].Time = fairlead.RoleShadow, shadow.Inputs[:5], time.Time{}
	shadow.Inputs[4].Type = fairlead.FP64 // no longer what the signature says: null
	preds = append(preds, shadow)
	b, err := EncodePredictions(preds, sig)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := DecodePredictions(b)
	if err != nil {
		t.Fatal(err)
	}
	if rows.N != 6 || rows.Deployment != "flights" || rows.Model != "flights" || rows.Version != 3 || rows.Digest != "sha256:ab" {
		t.Errorf("head: %+v", rows)
	}
	r := 0
	for _, p := range preds {
		for i, m := range p.Rows {
			got := fairlead.RowMeta{ID: rows.ID[r], Time: rows.EventTime[r], Key: rows.Key[r], Tags: rows.Tags[r]}
			if !cmp.Equal(got, m) || rows.Request[r] != p.ID || rows.Role[r] != p.Role || rows.Variant[r] != "fp32" ||
				!rows.Received[r].Equal(noon) || rows.Latency[r] != 1500*time.Microsecond || rows.Cached[r] != p.Cached {
				t.Errorf("row %d: %+v, want %+v", r, got, m)
			}
			for c := range rows.Columns {
				checkCell(t, &rows.Columns[c], r, p, i)
			}
			r++
		}
	}
	if c := rows.Columns[rows.Score]; c.Field.Name != "probability" || c.Field.Index != 1 {
		t.Errorf("score is %+v", c.Field)
	}
	if s, ok := rows.ScoreAt(0); !ok || float32(s) != rows.Columns[rows.Score].Data.([]float32)[0] {
		t.Errorf("score of row 0 is %v %v", s, ok)
	}
	if got := rows.PredictedAt(0); got != fmt.Sprint(math.MinInt64+int64(14)) {
		t.Errorf("predicted label of row 0 is %q", got)
	}
}

func checkCell(t *testing.T, c *Column, r int, p *fairlead.Prediction, i int) {
	t.Helper()
	tensor := fairlead.Find(append(append([]fairlead.Tensor{}, p.Inputs...), p.Outputs...), c.Field.Tensor)
	if tensor == nil || tensor.Type != c.Field.Type {
		if !c.IsNull(r) {
			t.Errorf("%s of row %d: not null", c.Field.Name, r)
		}
		return
	}
	w := tensor.Width()
	from, to, at := i*w+c.Field.Index, i*w+c.Field.Index+1, r
	if c.Shape != nil {
		from, to, at = i*w, (i+1)*w, int(c.Offsets[r])
		if int(c.Offsets[r+1])-at != w {
			t.Errorf("%s of row %d has %d elements, want %d", c.Field.Name, r, int(c.Offsets[r+1])-at, w)
			return
		}
	}
	for k := from; k < to; k++ {
		got, want := fmt.Sprint(index(c.Data, at+k-from)), fmt.Sprint(index(tensor.Data, k))
		if got != want || c.IsNull(r) {
			t.Errorf("%s of row %d: %s, want %s", c.Field.Name, r, got, want)
		}
	}
}

func index(data any, i int) any {
	t := fairlead.Tensor{Type: fairlead.FP64, Data: data}
	if s, ok := data.([]string); ok {
		return s[i]
	}
	switch d := data.(type) {
	case []int64:
		return d[i]
	case []uint64:
		return d[i]
	}
	f, _ := t.Float(i)
	return f
}

func TestEncodeRefusesWhatIsNoBatch(t *testing.T) {
	sig := allTypes()
	other := sample(sig, "x", 1, 1)
	other.Version = 4
	many := sample(&fairlead.Signature{}, "y", MaxRows+1, 1)
	for name, preds := range map[string][]*fairlead.Prediction{
		"nothing": nil, "versions": {sample(sig, "x", 1, 1), other}, "too many rows": {many},
	} {
		if _, err := EncodePredictions(preds, sig); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodersRefuseWhatIsBroken(t *testing.T) {
	rows, err := EncodePredictions([]*fairlead.Prediction{sample(allTypes(), "01A", 3, 4)}, allTypes())
	if err != nil {
		t.Fatal(err)
	}
	decoders := map[string]struct {
		decode func([]byte) error
		good   []byte
	}{
		"labels":      {func(b []byte) error { _, err := DecodeLabels(b); return err }, EncodeLabels(sampleLabels())},
		"events":      {func(b []byte) error { _, err := DecodeEvents(b); return err }, EncodeEvents(sampleEvents())},
		"profiles":    {func(b []byte) error { _, err := DecodeProfiles(b); return err }, EncodeProfiles(sampleProfiles())},
		"predictions": {func(b []byte) error { _, err := DecodePredictions(b); return err }, rows},
	}
	for name, d := range decoders {
		bad := map[string][]byte{
			"empty": nil, "one byte": d.good[:1], "other kind": append([]byte{'Z'}, d.good[1:]...),
			"later version": append([]byte{d.good[0], 9}, d.good[2:]...),
			"cut":           d.good[:len(d.good)-1], "longer": append(bytes.Clone(d.good), 0),
			"huge count": {d.good[0], 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
			"no body":    d.good[:2],
		}
		for what, b := range bad {
			if err := d.decode(b); err == nil || !strings.Contains(err.Error(), "decode "+name) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if err := d.decode(d.good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	flipped := bytes.Clone(rows)
	for i := 2; i < len(flipped); i += 37 {
		flipped[i] ^= 0x10
		if _, err := DecodePredictions(flipped); err == nil {
			t.Errorf("a flipped bit in byte %d was not noticed", i)
		}
		flipped[i] ^= 0x10
	}
}

// keyedSample are labels that need the second form: by key, and one that takes back.
func keyedSample() []fairlead.Label {
	at := time.Date(2001, 3, 1, 0, 0, 0, 1000, time.UTC)
	return []fairlead.Label{
		{Deployment: "credit", Key: "customer-7", Value: "default", Time: at, Received: at, Join: fairlead.LabelJoin{All: true, Within: 72 * time.Hour}},
		{Deployment: "credit", PredictionID: "p1", Time: at, Received: at},
		{Deployment: "flights", Key: "N1", Value: "late", Time: at, Received: at},
	}
}

func TestLabelsByKeyAndTakenBack(t *testing.T) {
	b := EncodeLabels(keyedSample())
	if b[1] != keyedLabels || EncodeLabels([]fairlead.Label{{Deployment: "flights", PredictionID: "a", Value: "late"}})[1] != 1 {
		t.Error("the second form is for labels that need it, so that older servers read the others")
	}
	if got, err := DecodeLabels(b); err != nil || !cmp.Equal(got, keyedSample()) {
		t.Errorf("%v: %s", err, cmp.Diff(keyedSample(), got))
	}
	for n := range b {
		if _, err := DecodeLabels(b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken", n, len(b))
		}
	}
}

func FuzzDecodeLabels(f *testing.F) {
	f.Add(EncodeLabels(sampleLabels()))
	f.Add(EncodeLabels(keyedSample()))
	f.Add([]byte{kindLabels, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		labels, err := DecodeLabels(b)
		if err != nil {
			return
		}
		again, err := DecodeLabels(EncodeLabels(labels))
		if err != nil || !cmp.Equal(again, labels) {
			t.Errorf("%v: %s", err, cmp.Diff(labels, again))
		}
	})
}

func TestEventsRoundTrip(t *testing.T) {
	events := sampleEvents()
	got, err := DecodeEvents(EncodeEvents(events))
	if err != nil || !cmp.Equal(got, events) || !math.Signbit(got[1].Value) {
		t.Errorf("%v: %s", err, cmp.Diff(events, got))
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		events[1].Value = bad
		if _, err := DecodeEvents(EncodeEvents(events)); err == nil || !strings.Contains(err.Error(), "is not finite") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func FuzzDecodeEvents(f *testing.F) {
	f.Add(EncodeEvents(sampleEvents()))
	f.Add([]byte{kindEvents, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := DecodeEvents(b)
		if err != nil {
			return
		}
		again, err := DecodeEvents(EncodeEvents(events))
		if err != nil || !cmp.Equal(again, events) {
			t.Errorf("%v: %s", err, cmp.Diff(events, again))
		}
	})
}

func FuzzDecodeProfiles(f *testing.F) {
	f.Add(EncodeProfiles(sampleProfiles()))
	f.Add([]byte{kindProfiles, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		deltas, err := DecodeProfiles(b)
		if err != nil {
			return
		}
		again, err := DecodeProfiles(EncodeProfiles(deltas))
		if err != nil || !cmp.Equal(again, deltas) {
			t.Errorf("%v: %s", err, cmp.Diff(deltas, again))
		}
	})
}

// FuzzDecodePredictions feeds the Arrow record inside the frame too: the frame's checksum would hide it.
func FuzzDecodePredictions(f *testing.F) {
	sig := &fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"a", "b"}}, {Name: "s", Type: fairlead.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore}, {Name: "e", Type: fairlead.FP64, Shape: []int64{-1, 3}, Role: fairlead.RoleEmbedding}},
	}
	b, err := EncodePredictions([]*fairlead.Prediction{sample(sig, "01A", 2, 1)}, sig)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := decoder().DecodeAll(b[2:], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, false)
	f.Add(raw, true)
	f.Add([]byte{kindRows, 1}, false)
	f.Add(WithCounts(b, sampleProfiles()[:1]), false)
	f.Fuzz(func(t *testing.T, b []byte, inner bool) {
		if inner {
			b = encoder().EncodeAll(b, []byte{kindRows, 1})
		}
		rows, err := DecodePredictions(b)
		if err != nil {
			return
		}
		for i := range rows.N {
			rows.ScoreAt(i)
			rows.PredictedAt(i)
			for c := range rows.Columns {
				col := &rows.Columns[c]
				if !col.IsNull(i) && col.Shape == nil {
					index(col.Data, i)
				} else if col.Shape != nil && col.Offsets[i] > col.Offsets[i+1] {
					t.Error("offsets go back")
				}
			}
		}
	})
}

func BenchmarkPredictions(b *testing.B) {
	sig := &fairlead.Signature{
		Inputs: []fairlead.TensorSpec{
			{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 8}, Features: strings.Fields("a b c d e f g h")},
			{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		},
		Outputs: []fairlead.TensorSpec{{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore}},
	}
	var preds []*fairlead.Prediction
	for i := range 100 {
		preds = append(preds, sample(sig, fmt.Sprintf("01HZXJ0000000000000%07d", i), 10, 1))
	}
	data, err := EncodePredictions(preds, sig)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			if _, err := EncodePredictions(preds, sig); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
		b.ReportMetric(float64(len(data))/1000, "bytes/row")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodePredictions(data); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
	})
}
