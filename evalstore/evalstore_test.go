package evalstore

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var march = time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, MemoryMB: 500})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// feed numbers messages as a stream does.
type feed struct {
	t   testing.TB
	s   *Store
	seq map[eventlog.Stream]uint64
}

func newFeed(t testing.TB, s *Store) *feed {
	return &feed{t, s, make(map[eventlog.Stream]uint64)}
}

func (f *feed) send(stream eventlog.Stream, data ...[]byte) {
	f.t.Helper()
	var msgs []eventlog.Message
	for _, d := range data {
		f.seq[stream]++
		msgs = append(msgs, eventlog.Message{Stream: stream, Seq: f.seq[stream], Time: march, Data: d})
	}
	if err := f.s.Ingest(context.Background(), string(stream), msgs); err != nil {
		f.t.Fatal(err)
	}
}

func (f *feed) rows(sig *fairlead.Signature, preds ...*fairlead.Prediction) {
	f.t.Helper()
	f.send(eventlog.Predictions, encode(f.t, sig, preds...))
}

func (f *feed) labels(labels ...fairlead.Label) {
	f.t.Helper()
	f.send(eventlog.Labels, eventlog.EncodeLabels(labels))
}

func encode(t testing.TB, sig *fairlead.Signature, preds ...*fairlead.Prediction) []byte {
	t.Helper()
	b, err := eventlog.EncodePredictions(preds, sig)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var flights = &fairlead.Signature{
	Task: fairlead.TaskBinary,
	Inputs: []fairlead.TensorSpec{
		{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"hour", "distance"}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
	},
	Outputs: []fairlead.TensorSpec{
		{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1, 2}, Role: fairlead.RoleScore, Classes: []string{"on_time", "late"}},
		{Name: "label", Type: fairlead.Bytes, Shape: []int64{-1}, Role: fairlead.RoleLabel},
	},
}

// flight is a request of n rows of version 1, live, whose scores are score, score+0.01, … and whose first event time
// is at; the next ones come a minute later each.
func flight(id string, at time.Time, n int, score float32) *fairlead.Prediction {
	p := &fairlead.Prediction{
		ID: id, Deployment: "flights", Model: "flights", Version: 1, Role: fairlead.RoleLive, Received: march,
		Latency: fairlead.Anatomy{Run: 250 * time.Microsecond},
	}
	var x, y []float32
	var origin, label []string
	for i := range n {
		s := score + float32(i)*0.01
		p.Rows = append(p.Rows, fairlead.RowMeta{ID: fairlead.RowID(id, i, n), Time: at.Add(time.Duration(i) * time.Minute)})
		x, y = append(x, float32(at.Hour()), 100*float32(i)), append(y, 1-s, s)
		origin = append(origin, "ATL")
		label = append(label, map[bool]string{false: "on_time", true: "late"}[s >= 0.5])
	}
	p.Inputs = []fairlead.Tensor{
		{Name: "features", Type: fairlead.FP32, Shape: []int64{int64(n), 2}, Data: x},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{int64(n), 1}, Data: origin},
	}
	p.Outputs = []fairlead.Tensor{
		{Name: "probability", Type: fairlead.FP32, Shape: []int64{int64(n), 2}, Data: y},
		{Name: "label", Type: fairlead.Bytes, Shape: []int64{int64(n)}, Data: label},
	}
	return p
}

// label was received that many seconds after march began.
func label(id, value string, received int) fairlead.Label {
	return fairlead.Label{Deployment: "flights", PredictionID: id, Value: value,
		Received: march.Add(time.Duration(received) * time.Second)}
}

// table gives the answer of a query as text, one line per row.
func table(t testing.TB, s *Store, query string) string {
	t.Helper()
	a, err := s.Query(t.Context(), query, 1000)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var lines []string
	for _, row := range a.Rows {
		parts := make([]string, len(row))
		for i, v := range row {
			if at, ok := v.(time.Time); ok {
				v = at.Format("01-02 15:04")
			}
			parts[i] = fmt.Sprint(v)
		}
		lines = append(lines, strings.Join(parts, " "))
	}
	return strings.Join(lines, "\n")
}

func expect(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func TestRowsAreTypedColumns(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	p := flight("a", march, 2, 0.495)
	p.Rows[1].Key, p.Rows[1].Tags = "N1", map[string]string{"carrier": "AA", "x": ""}
	p.Outputs[0].Data.([]float32)[3] = 0.75
	f.rows(flights, p)
	expect(t, "rows", table(t, s, `SELECT prediction_id, request_id, event_time, received, version, role, variant, key,
		tags['carrier'], latency_us, cached, round(score, 3), predicted, hour, distance, origin, probability, label
		FROM rows.flights ORDER BY seq`), strings.Join([]string{
		"a.0 a 03-01 00:00 03-01 00:00 1 live <nil> <nil> <nil> 250 false 0.495 on_time 0 0 ATL 0.495 on_time",
		"a.1 a 03-01 00:01 03-01 00:00 1 live <nil> N1 AA 250 false 0.75 late 0 100 ATL 0.75 late",
	}, "\n"))
	expect(t, "types", table(t, s, `SELECT column_name, column_type FROM (DESCRIBE rows.flights) WHERE column_name IN
		('hour', 'origin', 'score', 'event_time')`), "event_time TIMESTAMP\nscore DOUBLE\nhour FLOAT\norigin VARCHAR")
	expect(t, "view", table(t, s, `SELECT deployment, prediction_id FROM predictions ORDER BY seq`), "flights a.0\nflights a.1")
}

func TestLabelsLateEarlyAndCorrected(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.labels(label("early", "late", 0), label("nothing", "late", 0))
	f.rows(flights, flight("a", march, 3, 0.1), flight("early", march.Add(time.Hour), 1, 0.7))
	outcomes := `SELECT prediction_id, label FROM outcomes ORDER BY seq`
	expect(t, "early", table(t, s, outcomes), "early late")
	f.labels(label("a.0", "late", 10), label("a.2", "on_time", 10))
	expect(t, "late", table(t, s, outcomes), "a.0 late\na.2 on_time\nearly late")
	f.labels(label("a.0", "on_time", 20), label("a.0", "diverted", 20), label("a.2", "late", 5))
	expect(t, "corrected, and an older one that came later", table(t, s, outcomes), "a.0 diverted\na.2 on_time\nearly late")
	f.labels(label("early", "on_time", 30))
	f.rows(flights, flight("a.1", march, 1, 0.2)) // somebody gives an id a second time
	f.labels(label("a.1", "late", 40))
	expect(t, "both rows of one id", table(t, s, outcomes), "a.0 diverted\na.1 late\na.2 on_time\nearly on_time\na.1 late")
	expect(t, "history", table(t, s, `SELECT value FROM labels WHERE prediction_id = 'a.0' ORDER BY seq`),
		"late\non_time\ndiverted")
	st, err := s.Stats(t.Context(), "flights")
	want := Stats{Rows: 5, Labelled: 5, From: march, To: march.Add(time.Hour)}
	if err != nil || st != want {
		t.Errorf("stats %+v %v, want %+v", st, err, want)
	}
	expect(t, "hours agree with the rows", table(t, s, `SELECT hour, rows, labelled FROM hours ORDER BY hour`),
		"03-01 00:00 4 4\n03-01 01:00 1 1")
	if n, err := s.Labels(t.Context()); n != 9 || err != nil {
		t.Errorf("%d labels, %v", n, err)
	}
}

func TestShadowRowsGetTheLabelOfTheirRequest(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	live, shadow := flight("a", march, 1, 0.1), flight("a", march, 1, 0.9)
	shadow.Version, shadow.Role = 2, fairlead.RoleShadow
	f.rows(flights, live)
	f.labels(label("a", "late", 0))
	f.rows(flights, shadow)
	expect(t, "outcomes", table(t, s, `SELECT version, role, predicted, label FROM outcomes ORDER BY version`),
		"1 live on_time late\n2 shadow late late")
	w := watch.Window{Deployment: "flights", Version: 2, Role: fairlead.RoleShadow, Grain: watch.Day, Start: march}
	n, outcomes, err := s.Outcomes(t.Context(), w)
	if err != nil || n != 1 || outcomes[0].Label != "late" || outcomes[0].Predicted != "late" || float32(outcomes[0].Score) != 0.9 {
		t.Errorf("%d %+v %v", n, outcomes, err)
	}
}

func TestPositionsMakeIngestionIdempotent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	row := encode(t, flights, flight("a", march, 2, 0.1))
	msgs := []eventlog.Message{{Stream: eventlog.Predictions, Seq: 3, Data: row}, {Stream: eventlog.Predictions, Seq: 4, Data: row}}
	for _, batch := range [][]eventlog.Message{msgs[:1], msgs, msgs, nil} {
		if err := s.Ingest(t.Context(), "PREDICTIONS", batch); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "rows", table(t, s, `SELECT count(*), count(DISTINCT seq) FROM predictions`), "4 4")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if err := s.Ingest(t.Context(), "PREDICTIONS", msgs); err != nil {
		t.Fatal(err)
	}
	expect(t, "rows after a restart", table(t, s, `SELECT count(*) FROM predictions`), "4")
	if at, err := s.Position(t.Context(), "PREDICTIONS"); at != 4 || err != nil {
		t.Errorf("position %d %v", at, err)
	}
	if at, err := s.Position(t.Context(), "LABELS"); at != 0 || err != nil {
		t.Errorf("position of a stream that has none: %d %v", at, err)
	}
}

func TestABrokenMessageIsPassedOverAndListed(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	strange := flight("b", time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC), 1, 0.1)
	f.send(eventlog.Predictions, []byte("R\x01nonsense"), encode(t, flights, flight("a", march, 1, 0.1)), encode(t, flights, strange))
	f.send(eventlog.Labels, []byte("L\x01\x09"), eventlog.EncodeLabels([]fairlead.Label{label("a", "late", 0)}))
	f.send(eventlog.Profiles, []byte("?"), eventlog.EncodeProfiles(nil))
	f.send(eventlog.Audit, []byte("anything"))
	expect(t, "outcomes", table(t, s, `SELECT prediction_id, label FROM outcomes`), "a late")
	expect(t, "rejected", table(t, s, `SELECT stream, seq FROM rejected ORDER BY ALL`),
		"LABELS 1\nPREDICTIONS 1\nPREDICTIONS 3\nPROFILES 1")
	if n, err := s.Rejected(t.Context()); n != 4 || err != nil {
		t.Errorf("%d rejected, %v", n, err)
	}
	for stream, want := range f.seq {
		if at, err := s.Position(t.Context(), string(stream)); at != want || err != nil {
			t.Errorf("position of %s is %d %v, want %d", stream, at, err, want)
		}
	}
}

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	msgs := []eventlog.Message{{Stream: eventlog.Predictions, Seq: 1, Data: encode(t, flights, flight("a", march, 1, 0.1))}}
	if err := s.Ingest(ctx, "PREDICTIONS", msgs); err == nil {
		t.Error("an ended context went unnoticed")
	}
	failed := fmt.Errorf("no")
	err := s.write(t.Context(), func(tx *tx) error {
		if err := tx.ingestRows(decode(eventlog.Predictions, msgs, &handed{})); err != nil {
			return err
		}
		return failed
	})
	if err != failed {
		t.Errorf("got %v", err)
	}
	expect(t, "tables", table(t, s, `SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'hot'`), "0")
	if err := s.Ingest(t.Context(), "PREDICTIONS", msgs); err != nil {
		t.Fatal(err)
	}
	expect(t, "rows", table(t, s, `SELECT count(*) FROM predictions`), "1")
}

func TestOpenRefusesAStoreInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if os.Getenv(secondEnv) != "" {
		return
	}
	out := secondProcess(t, dir)
	if !strings.Contains(out, "another fairlead") {
		t.Errorf("a second process said: %s", out)
	}
}
