package backfill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

var flights = Version{Deployment: "flights", Model: "flights", Version: 3, Digest: "sha256:00", Signature: fairlead.Signature{
	Task: fairlead.TaskBinary, Label: fairlead.LabelSpec{Name: "late", Delay: 6 * time.Hour},
	Inputs: []fairlead.TensorSpec{
		{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"hour", "distance"}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		{Name: "seats", Type: fairlead.Int64, Shape: []int64{-1, 1}},
	},
	Outputs: []fairlead.TensorSpec{{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 2}, Role: fairlead.RoleScore, Classes: []string{"on_time", "late"}}},
}}

func openText(t *testing.T, text string) Source {
	t.Helper()
	src, err := Open("past.csv", strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// read gives the rows of all messages of a source, as the event log has them.
func read(t *testing.T, src Source, w Wanted) ([]*eventlog.Rows, []fairlead.Label, *Faults) {
	t.Helper()
	m, err := Predictions(src.Columns(), &flights.Signature, w)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(src, flights, m)
	if err != nil {
		t.Fatal(err)
	}
	var all []*eventlog.Rows
	var labels []fairlead.Label
	for {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, labels, &r.Faults
		}
		if err != nil {
			t.Fatal(err)
		}
		if part.Rows == 0 {
			continue
		}
		b, err := part.Message(&flights.Signature)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := eventlog.DecodePredictions(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := rows.Matches(&flights.Signature); err != nil {
			t.Fatal(err)
		}
		more, err := eventlog.DecodeLabels(part.LabelMessage())
		if err != nil {
			t.Fatal(err)
		}
		all, labels = append(all, rows), append(labels, more...)
	}
}

const past = "\ufeffid;ts;hour;distance;origin;seats;score;late\n" +
	"a;2001-03-01T08:00:00Z;8;404;ATL;9007199254740993;0.25;on_time\n" +
	"b;983437200;9;;\"LG;A\";150;0.5;late\n" +
	"c;2001-03-01 10:00;10;1;ORD;150;1;\n"

func TestPastPredictionsOfACSVFile(t *testing.T) {
	all, labels, bad := read(t, openText(t, past), Wanted{})
	if len(all) != 1 || bad.N != 0 {
		t.Fatalf("%d messages, faults %v", len(all), bad.First)
	}
	r := all[0]
	var lines []string
	for i := range r.N {
		s, _ := r.ScoreAt(i)
		lines = append(lines, fmt.Sprint(r.ID[i], " ", r.EventTime[i].Format("15:04"), " ", r.Columns[0].Data.([]float32)[i], " ", r.Columns[1].Data.([]float32)[i], " ",
			r.Columns[2].Data.([]string)[i], " ", r.Columns[3].Data.([]int64)[i], " ", s, " ", r.Received[i].IsZero()))
	}
	want := "a 08:00 8 404 ATL 9007199254740993 0.25 true\nb 09:00 9 NaN LG;A 150 0.5 true\nc 10:00 10 1 ORD 150 1 true"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(labels) != 2 || labels[0].PredictionID != "a" || labels[0].Value != "on_time" || !labels[0].Time.Equal(r.EventTime[0].Add(6*time.Hour)) {
		t.Errorf("labels %+v", labels)
	}
	p := r.Prediction(&flights.Signature)
	if got := fmt.Sprint(fairlead.Find(p.Inputs, "features").Data); got != "[8 404 9 NaN 10 1]" {
		t.Errorf("tensor %s", got)
	}
}

func TestRowsThatCannotBeTaken(t *testing.T) {
	const head = "id,ts,hour,distance,origin,seats,score,late,at\n"
	const good = "ok,2001-03-01,1,1,ATL,1,0.5,late,\n"
	for row, want := range map[string]string{
		"a,2001-03-01,1,far,ATL,1,0.5,late,":       `line 3, column distance: "far" is not a number`,
		"a,yesterday,1,1,ATL,1,0.5,late,":          `line 3, column ts: "yesterday" is not a time such as 2001-03-08T14:05:00Z`,
		"a,,1,1,ATL,1,0.5,late,":                   "line 3, column ts: the time is missing",
		",2001-03-01,1,1,ATL,1,0.5,late,":          "line 3, column id: the prediction id is missing",
		"a,2001-03-01,1,1,ATL,1.5,0.5,late,":       `line 3, column seats: "1.5" is not a whole number`,
		"a,2001-03-01,1,1,ATL,,0.5,late,":          "line 3, column seats: a whole number is missing",
		"a,2001-03-01,1,1,ATL,1,0.5,late,tomorrow": `line 3, column at: "tomorrow" is not a time such as 2001-03-08T14:05:00Z`,
		"a,2001-03-01,1":                           "line 3: it has 3 cells for 9 columns",
		"a,2001-03-01,1,1,AT\"L,1,0.5,late,":       `line 3: bare " in non-quoted-field`,
	} {
		all, _, bad := read(t, openText(t, head+good+row+"\n"+strings.ReplaceAll(good, "ok", "after")), Wanted{LabelTime: "at"})
		rows := 0
		for _, r := range all {
			rows += r.N
		}
		if rows != 2 || bad.N != 1 || bad.First[0].Error() != want {
			t.Errorf("%s: %d rows, %d faults %v; want %s", row, rows, bad.N, bad.First, want)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "is empty",
		"\x1f\x8b\x08":                   "is compressed",
		`{"id": 1}`:                      "neither Parquet nor CSV",
		"a,a\n1,2\n":                     "as nobody or another",
		"a,\n1,2\n":                      "as nobody or another",
		"a\x00b,c\n":                     "zero byte",
		"PAR1 and then nothing PAR1":     "cannot be read as Parquet",
		"PAR1" + strings.Repeat("x", 99): "cannot be read as Parquet",
	} {
		_, err := Open("f", strings.NewReader(text), int64(len(text)))
		if err == nil || !strings.Contains(err.Error(), want) || fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestMadeIDs(t *testing.T) {
	const text = "ts,hour,distance,origin,seats,score\n2001-03-01,1,1,ATL,1,0.5\n2001-03-01,1,1,ATL,1,0.5\n1960-01-01,1,1,ATL,1,0.5\n2001-03-01,2,1,ATL,1,0.5\n"
	ids := func(text string) []string {
		all, _, _ := read(t, openText(t, text), Wanted{})
		return all[0].ID
	}
	a, b := ids(text), ids(text)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("the same file has the same ids")
	}
	if a[1] != a[0]+".1" || a[3] == a[0] || a[2] >= a[0] || a[3][:9] != a[0][:9] {
		t.Errorf("ids %v: equal rows differ by a number, ids are in order of time", a)
	}
	if more := ids(strings.Replace(text, "2001-03-01,2", "2001-02-01,7,1,ORD,1,0.5\n2001-03-01,2", 1)); more[0] != a[0] || more[4] != a[3] {
		t.Error("an id depends on what its row says only")
	}
}

func TestMappingMistakes(t *testing.T) {
	names := []string{"ts", "hour", "score", "x"}
	for want, w := range map[string]Wanted{
		`there is no column "when" for the event time`: {Time: "when"},
		`the model has no field "speed"`:               {Fields: map[string]string{"speed": "x"}},
		"no column holds the time":                     {Time: "-"},
		"no column holds what the model predicted":     {Fields: map[string]string{"hour": "score"}},
	} {
		if _, err := Predictions(names, &flights.Signature, w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", w, err, want)
		}
	}
	m, err := Predictions([]string{"Time", "y_prob", "y_true", "HOUR"}, &flights.Signature, Wanted{})
	if err != nil || m.Time != "Time" || m.Fields["probability"] != "y_prob" || m.Value != "y_true" || m.Fields["hour"] != "HOUR" {
		t.Errorf("%+v %v", m, err)
	}
}

// parquetOf writes one row group of each few rows.
func parquetOf(t *testing.T, columns []arrow.Field, arrays []arrow.Array) []byte {
	t.Helper()
	schema := arrow.NewSchema(columns, nil)
	var buf bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &buf, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	rec := array.NewRecordBatch(schema, arrays, int64(arrays[0].Len()))
	defer rec.Release()
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestPastPredictionsOfAParquetFile(t *testing.T) {
	const n = BatchRows + 7 // two batches
	mem := memory.DefaultAllocator
	ts, hour, score := array.NewTimestampBuilder(mem, &arrow.TimestampType{Unit: arrow.Nanosecond}), array.NewInt8Builder(mem), array.NewFloat64Builder(mem)
	origin := array.NewDictionaryBuilder(mem, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String}).(*array.BinaryDictionaryBuilder)
	late, seats := array.NewBooleanBuilder(mem), array.NewDate32Builder(mem)
	for i := range n {
		ts.Append(arrow.Timestamp(time.Date(2001, 3, 1, 0, 0, i, 0, time.UTC).UnixNano()))
		hour.Append(int8(i % 24))
		score.Append(float64(i%100) / 100)
		if err := origin.AppendString([]string{"ATL", "ORD"}[i%2]); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			late.AppendNull()
		} else {
			late.Append(i%3 == 1)
		}
		seats.Append(arrow.Date32(i))
	}
	b := parquetOf(t, []arrow.Field{
		{Name: "ts", Type: &arrow.TimestampType{Unit: arrow.Nanosecond}}, {Name: "hour", Type: arrow.PrimitiveTypes.Int8}, {Name: "score", Type: arrow.PrimitiveTypes.Float64},
		{Name: "origin", Type: origin.Type()}, {Name: "late", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "day", Type: arrow.FixedWidthTypes.Date32},
	}, []arrow.Array{ts.NewArray(), hour.NewArray(), score.NewArray(), origin.NewArray(), late.NewArray(), seats.NewArray()})
	src, err := Open("past.parquet", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	all, labels, bad := read(t, src, Wanted{})
	if len(all) != 2 || all[0].N != BatchRows || all[1].N != 7 || bad.N != 0 {
		t.Fatalf("%d messages, faults %v", len(all), bad.First)
	}
	last := all[1]
	if at := last.EventTime[6]; !at.Equal(time.Date(2001, 3, 1, 0, 0, n-1, 0, time.UTC)) || last.Columns[2].Data.([]string)[6] != []string{"ATL", "ORD"}[(n-1)%2] {
		t.Errorf("last row at %s %v", at, last.Columns[2].Data)
	}
	if !last.Columns[3].IsNull(0) {
		t.Error("a feature without a column is missing")
	}
	if len(labels) != n-(n+2)/3 || labels[0].Value != "1" || labels[1].Value != "0" {
		t.Errorf("%d labels", len(labels))
	}
	if done, total := src.Progress(); done != n || total != n {
		t.Errorf("progress %d of %d", done, total)
	}
	for cut := 1; cut < len(b); cut += len(b) / 40 { // a file that was not copied whole, and one with a byte changed
		broken := bytes.Clone(b)
		broken[cut] ^= 0x55
		for _, x := range [][]byte{b[:cut], broken} {
			src, err := Open("x", bytes.NewReader(x), int64(len(x)))
			for err == nil {
				_, err = src.Next()
			}
		}
	}
}

func TestLabelsOfFiles(t *testing.T) {
	collect := func(src Source, w Wanted) (string, *LabelReader) {
		t.Helper()
		m, err := Labels(src.Columns(), "late", w)
		if err != nil {
			t.Fatal(err)
		}
		r := NewLabelReader(src, "flights", m)
		var lines []string
		for {
			labels, err := r.Next()
			if errors.Is(err, io.EOF) {
				return strings.Join(lines, "\n"), r
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range labels {
				at := "-"
				if !l.Time.IsZero() {
					at = l.Time.Format(time.RFC3339)
				}
				lines = append(lines, fmt.Sprint(l.PredictionID, "|", l.Key, "|", l.Value, "|", at))
			}
		}
	}
	got, r := collect(openText(t, "prediction_id,late,label_time\na,1,2001-03-01\nb,,\n,1,\nc,x,\nd,1,soon\n"), Wanted{})
	if got != "a||1|2001-03-01T00:00:00Z\nc||x|-" || r.Unknown != 1 || r.Faults.N != 2 {
		t.Errorf("%s; %d unknown, faults %v", got, r.Unknown, r.Faults.First)
	}
	lines := `{"id": "a", "late": true, "key": {"x": [1]}}` + "\n\nnothing\n" + `{"id": 7, "late": 1e3, "more": 1}` + "\n"
	src, err := OpenJSONLines(strings.NewReader(lines), int64(len(lines)))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(src.Columns()) != "[id late key]" {
		t.Errorf("columns %v", src.Columns())
	}
	if got, r := collect(src, Wanted{}); got != "a||1|-\n7||1000|-" || r.Faults.N != 1 || r.Faults.First[0].Line != 3 {
		t.Errorf("%s; faults %v", got, r.Faults.First)
	}
	got, _ = collect(FromTable(&fairlead.Table{Rows: 2, Columns: []fairlead.TableColumn{
		{Name: "tail", Strings: []string{"N1", "N2"}}, {Name: "late", Floats: []float64{1, 0}}, {Name: "ts", Times: []time.Time{time.Unix(0, 0), time.Unix(60, 0)}},
	}}), Wanted{Key: "tail"})
	if got != "|N1|1|1970-01-01T00:00:00Z\n|N2|0|1970-01-01T00:01:00Z" {
		t.Errorf("table: %s", got)
	}
}

func FuzzCSV(f *testing.F) {
	f.Add(past)
	f.Add("ts,score\n2001,\"1\n")
	f.Add("ts\tscore\n99999999999999,nan\n")
	f.Fuzz(func(t *testing.T, text string) {
		src, err := Open("f", strings.NewReader(text), int64(len(text)))
		if err != nil {
			return
		}
		m, err := Predictions(src.Columns(), &flights.Signature, Wanted{})
		if err != nil {
			return
		}
		r, err := NewReader(src, flights, m)
		if err != nil {
			t.Fatal(err)
		}
		for {
			part, err := r.Next()
			if err != nil {
				return
			}
			if part.Rows > 0 {
				b, err := part.Message(&flights.Signature)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := eventlog.DecodePredictions(b); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
