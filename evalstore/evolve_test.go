package evalstore

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch"
)

// one is a row of any signature, with the given tensors.
func one(sig *fairlead.Signature, version fairlead.Version, tensors ...any) *fairlead.Prediction {
	p := &fairlead.Prediction{ID: "v", Deployment: "m.1", Model: "m", Version: version, Role: fairlead.RoleLive, Received: march,
		Rows: []fairlead.RowMeta{{ID: "v", Time: march.Add(time.Duration(version) * time.Minute)}}}
	specs := append(append([]fairlead.TensorSpec{}, sig.Inputs...), sig.Outputs...)
	for i, s := range specs {
		shape := append([]int64{1}, s.Shape[1:]...)
		t := fairlead.Tensor{Name: s.Name, Type: s.Type, Shape: shape, Data: tensors[i]}
		if i < len(sig.Inputs) {
			p.Inputs = append(p.Inputs, t)
		} else {
			p.Outputs = append(p.Outputs, t)
		}
	}
	return p
}

func spec(name string, dt fairlead.DataType, role fairlead.OutputRole, width int64) fairlead.TensorSpec {
	return fairlead.TensorSpec{Name: name, Type: dt, Shape: []int64{-1, width}, Role: role}
}

// TestVersionsWithOtherFieldsLiveSideBySide covers a new column, one that goes, one that changes its type, and names
// that clash with system columns, with an output, and with each other but for their case.
func TestVersionsWithOtherFieldsLiveSideBySide(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f := newFeed(t, s)
	v1 := &fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{spec("zone", fairlead.Int64, "", 1), spec("old", fairlead.FP64, "", 1), spec("key", fairlead.Int8, "", 1), spec("y", fairlead.FP32, "", 1)},
		Outputs: []fairlead.TensorSpec{spec("y", fairlead.FP32, fairlead.RoleValue, 1)},
	}
	v2 := &fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{spec("zone", fairlead.Bytes, "", 1), spec("Zone", fairlead.Int64, "", 1), spec(`we"ird name`, fairlead.Bool, "", 1), spec("image", fairlead.Uint8, "", 3)},
		Outputs: []fairlead.TensorSpec{spec("score", fairlead.FP64, fairlead.RoleScore, 1), spec("class", fairlead.Int64, fairlead.RoleLabel, 1), spec("vec", fairlead.FP16, fairlead.RoleEmbedding, 2)},
	}
	f.rows(v1, one(v1, 1, []int64{7}, []float64{math.NaN()}, []int8{-1}, []float32{1}, []float32{2.5}))
	if err := s.Close(); err != nil { // what is known of the table is read again
		t.Fatal(err)
	}
	s = open(t, dir)
	f.s = s
	f.rows(v2, one(v2, 2, []string{"north\xff"}, []int64{9}, []bool{true}, []uint8{1, 2, 255}, []float64{0.25}, []int64{3}, []uint16{0x3c00, 0xc000}))
	f.rows(v1, one(v1, 3, []int64{8}, []float64{1}, []int8{-2}, []float32{1}, []float32{-1}))
	expect(t, "fields", table(t, s, `SELECT column_name, field, output, type FROM fields ORDER BY position`), strings.Join([]string{
		"zone zone false BIGINT", "old old false DOUBLE", "key_feature key false TINYINT", "y y false FLOAT", "y_output y true FLOAT",
		"zone_varchar zone false VARCHAR", "Zone_feature Zone false BIGINT", `we"ird name we"ird name false BOOLEAN`,
		"image image false UTINYINT[]", "class class true BIGINT", "vec vec true FLOAT[]"}, "\n"))
	expect(t, "rows", table(t, s, `SELECT version, zone, zone_varchar, "Zone_feature", old, key_feature, y, y_output, "we""ird name",
		image, class, vec, score, predicted FROM rows."m.1" ORDER BY seq`), strings.Join([]string{
		"1 7 <nil> <nil> <nil> -1 1 2.5 <nil> <nil> <nil> <nil> 2.5 <nil>",
		"2 <nil> north\uFFFD 9 <nil> <nil> <nil> <nil> true [1 2 255] 3 [1 -2] 0.25 3",
		"3 8 <nil> <nil> 1 -2 1 -1 <nil> <nil> <nil> <nil> -1 <nil>"}, "\n"))
	expect(t, "NaN stays apart from null", table(t, s, `SELECT version, isnan(old), old IS NULL FROM rows."m.1" ORDER BY seq`),
		"1 true false\n2 <nil> true\n3 false false")
}

func TestEveryDataTypeHasAColumn(t *testing.T) {
	s := open(t, t.TempDir())
	sig := &fairlead.Signature{}
	var tensors []any
	add := func(dt fairlead.DataType, scalar, wide any) {
		sig.Inputs = append(sig.Inputs, spec("s_"+string(dt), dt, "", 1), spec("w_"+string(dt), dt, "", 2))
		tensors = append(tensors, scalar, wide)
	}
	add(fairlead.Bool, []bool{true}, []bool{true, false})
	add(fairlead.Int8, []int8{-128}, []int8{1, 2})
	add(fairlead.Int16, []int16{-32768}, []int16{1, 2})
	add(fairlead.Int32, []int32{math.MinInt32}, []int32{1, 2})
	add(fairlead.Int64, []int64{math.MinInt64}, []int64{1, 2})
	add(fairlead.Uint8, []uint8{255}, []uint8{1, 2})
	add(fairlead.Uint16, []uint16{65535}, []uint16{1, 2})
	add(fairlead.Uint32, []uint32{math.MaxUint32}, []uint32{1, 2})
	add(fairlead.Uint64, []uint64{math.MaxUint64}, []uint64{1, 2})
	add(fairlead.FP16, []uint16{0x3c00}, []uint16{0x4000, 0x7c00})
	add(fairlead.BF16, []uint16{0x3f80}, []uint16{0x4000, 0x7f80})
	add(fairlead.FP32, []float32{1.5}, []float32{2, float32(math.Inf(1))})
	add(fairlead.FP64, []float64{2.5}, []float64{2, math.Inf(-1)})
	add(fairlead.Bytes, []string{"é"}, []string{"", "b"})
	newFeed(t, s).rows(sig, one(sig, 1, tensors...))
	expect(t, "row", table(t, s, `SELECT COLUMNS('^s_.*'), COLUMNS('^w_.*') FROM rows."m.1"`),
		"true -128 -32768 -2147483648 -9223372036854775808 255 65535 4294967295 18446744073709551615 1 1 1.5 2.5 é "+
			"[true false] [1 2] [1 2] [1 2] [1 2] [1 2] [1 2] [1 2] [1 2] [2 Infinity] [2 Infinity] [2 Infinity] [2 -Infinity] [ b]")
}

func TestChangesFollowRowsAndLabels(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.rows(flights, flight("a", march.Add(5*time.Hour), 1, 0.1), flight("b", march.Add(2*time.Hour), 90, 0.1)) // out of order
	changes := func() []watch.Change {
		t.Helper()
		c, err := s.Changes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	hours := func(c []watch.Change) string {
		var out []string
		for _, c := range c {
			out = append(out, c.Hour.Format("15:04"))
			if !c.Watermark.Equal(march.Add(5*time.Hour)) || c.Deployment != "flights" || c.Version != 1 || c.Role != fairlead.RoleLive {
				t.Errorf("change %+v", c)
			}
		}
		return strings.Join(out, " ")
	}
	first := changes()
	expect(t, "after rows", hours(first), "02:00 03:00 05:00")
	f.labels(label("a", "late", 0), label("b.70", "late", 0), label("unknown", "late", 0))
	save := func(done []watch.Change) {
		t.Helper()
		if err := s.Save(t.Context(), watch.Result{Done: done}); err != nil {
			t.Fatal(err)
		}
	}
	save(first)
	second := changes()
	expect(t, "labels came while the first were evaluated", hours(second), "03:00 05:00")
	save(second[:1])
	expect(t, "one of them done", hours(changes()), "05:00")
	save(second)
	save(first)
	expect(t, "all done", hours(changes()), "")
	f.rows(flights, flight("late row", march.Add(2*time.Hour), 1, 0.1))
	expect(t, "a late row", hours(changes()), "02:00")
}

// TestLateCountsReopenTheirHour: the counts of an hour may come after its rows were evaluated as closed.
func TestLateCountsReopenTheirHour(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.rows(flights, flight("a", march.Add(2*time.Hour), 1, 0.1), flight("b", march.Add(5*time.Hour), 1, 0.1))
	first, err := s.Changes(t.Context())
	if err != nil || len(first) != 2 {
		t.Fatalf("%v %v", first, err)
	}
	if err := s.Save(t.Context(), watch.Result{Done: first}); err != nil {
		t.Fatal(err)
	}
	f.send(eventlog.Profiles, eventlog.EncodeProfiles([]eventlog.ProfileDelta{
		{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Minute: march.Add(2*time.Hour + 7*time.Minute), Counts: []byte{1}},
	}))
	again, err := s.Changes(t.Context())
	if err != nil || len(again) != 1 || !again[0].Hour.Equal(march.Add(2*time.Hour)) || !again[0].Watermark.Equal(march.Add(5*time.Hour)) {
		t.Errorf("after late counts: %+v, %v", again, err)
	}
}

func TestOutcomesAndProfilesOfAWindow(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	silent := flight("n", march.Add(30*time.Minute), 1, 0.5)
	silent.Outputs = nil
	f.rows(flights, flight("a", march.Add(58*time.Minute), 4, 0.25), flight("z", march.Add(-time.Minute), 1, 0.1), silent)
	f.labels(label("a.0", "late", 1), label("a.1", "on_time", 1), label("a.3", "late", 1))
	w := watch.Window{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: watch.Hour, Start: march}
	got := func(w watch.Window) string {
		t.Helper()
		n, outcomes, err := s.Outcomes(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		var scores, nan float64
		labels := make(map[string]int)
		all := 0
		for _, o := range outcomes {
			all += o.Times
			labels[o.Label+"/"+o.Predicted]++
			if math.IsNaN(o.Score) {
				nan++
			} else {
				scores += o.Score
			}
		}
		if all != int(n) {
			t.Errorf("the outcomes stand for %d predictions of %d", all, n)
		}
		return strings.TrimSpace(strings.Join([]string{num(float64(n)), num(scores), num(nan), num(float64(labels["late/on_time"])), num(float64(labels["/"]))}, " "))
	}
	expect(t, "hour", got(w), "3 0.51 1 1 1")
	w.Start = march.Add(time.Hour)
	expect(t, "next hour", got(w), "2 0.28 0 1 0") // the row without a label, 0.27, counts as a decision: 0
	w.Grain, w.Start = watch.Day, march
	expect(t, "day", got(w), "5 0.79 1 2 1")
	w.Version = 2
	expect(t, "other version", got(w), "0 0 0 0 0")
	w.Deployment = "unknown"
	expect(t, "other deployment", got(w), "0 0 0 0 0")

	delta := func(minute int, counts string) eventlog.ProfileDelta {
		return eventlog.ProfileDelta{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Minute: march.Add(time.Duration(minute) * time.Minute), Counts: []byte(counts)}
	}
	f.send(eventlog.Profiles, eventlog.EncodeProfiles([]eventlog.ProfileDelta{delta(59, "x"), delta(60, "y")}),
		eventlog.EncodeProfiles([]eventlog.ProfileDelta{delta(59, "z\x00"), delta(-1, "w")}))
	blobs, err := s.Profiles(t.Context(), watch.Window{Deployment: "flights", Version: 1, Role: fairlead.RoleLive, Grain: watch.Hour, Start: march})
	if err != nil || len(blobs) != 2 || string(blobs[0])+string(blobs[1]) != "xz\x00" {
		t.Errorf("profiles %q %v", blobs, err)
	}
}

func num(f float64) string { return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64) }
