package evalstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// everyKind is a model whose fields have all the types that a column without lists can have.
func everyKind() *fairlead.Signature {
	sig := &fairlead.Signature{Outputs: []fairlead.TensorSpec{{Name: "probability", Type: fairlead.FP32, Shape: []int64{-1}, Role: fairlead.RoleScore}}}
	for kind := range kinds {
		sig.Inputs = append(sig.Inputs, fairlead.TensorSpec{Name: "x_" + strings.ToLower(string(kind)), Type: kind, Shape: []int64{-1}})
	}
	slices.SortFunc(sig.Inputs, func(a, b fairlead.TensorSpec) int { return strings.Compare(a.Name, b.Name) })
	return sig
}

// pastRows are n rows of such a model, some of them with a key, tags and texts that are longer than others.
func pastRows(sig *fairlead.Signature, part, n int) *fairlead.Prediction {
	id := fmt.Sprint("part", part)
	p := &fairlead.Prediction{ID: id, Deployment: "kinds", Model: "kinds", Version: 1, Digest: "sha256:00", Role: fairlead.RoleLive}
	at := func(i int) int { return part*n + i }
	for i := range n {
		row := fairlead.RowMeta{ID: fairlead.RowID(id, i, n), Time: march.Add(time.Duration(at(i)) * time.Second)}
		if i%3 == 0 {
			row.Key = fmt.Sprint("customer ", at(i), " of many, a name that is longer than twelve bytes")
		}
		if i%5 == 0 {
			row.Tags = map[string]string{"shop": fmt.Sprint(i % 7), "channel": "post"}
		}
		p.Rows = append(p.Rows, row)
	}
	for _, in := range sig.Inputs {
		p.Inputs = append(p.Inputs, fairlead.Tensor{Name: in.Name, Type: in.Type, Shape: []int64{int64(n)}, Data: valuesOf(in.Type, n, at)})
	}
	p.Outputs = []fairlead.Tensor{{Name: "probability", Type: fairlead.FP32, Shape: []int64{int64(n)}, Data: made(n, func(i int) float32 { return float32(at(i)%100) / 100 })}}
	return p
}

func made[T any](n int, f func(i int) T) []T {
	d := make([]T, n)
	for i := range d {
		d[i] = f(i)
	}
	return d
}

func valuesOf(kind fairlead.DataType, n int, at func(i int) int) any {
	switch kind {
	case fairlead.Bool:
		return made(n, func(i int) bool { return at(i)%3 == 0 })
	case fairlead.Int8:
		return made(n, func(i int) int8 { return int8(at(i)) })
	case fairlead.Int16:
		return made(n, func(i int) int16 { return int16(at(i)) })
	case fairlead.Int32:
		return made(n, func(i int) int32 { return -int32(at(i)) })
	case fairlead.Int64:
		return made(n, func(i int) int64 { return -int64(at(i)) << 20 })
	case fairlead.Uint8:
		return made(n, func(i int) uint8 { return uint8(at(i)) })
	case fairlead.Uint16, fairlead.FP16, fairlead.BF16:
		return made(n, func(i int) uint16 { return uint16(at(i) % 30_000) })
	case fairlead.Uint32:
		return made(n, func(i int) uint32 { return uint32(at(i)) })
	case fairlead.Uint64:
		return made(n, func(i int) uint64 { return uint64(at(i)) << 30 })
	case fairlead.FP32:
		return made(n, func(i int) float32 { return float32(at(i)) / 3 })
	case fairlead.FP64:
		return made(n, func(i int) float64 { return float64(at(i)) / 7 })
	}
	return made(n, func(i int) string { return strings.Repeat("é", i%9) + fmt.Sprint(at(i)) })
}

// However its messages reach the store, what is in it is the same: one at a time and decoded, or many at once, handed over as
// rows and appended by all threads.
func TestHandedRowsAreTheSame(t *testing.T) {
	sig := everyKind()
	var msgs []eventlog.Message
	for part := range 3 {
		data := encode(t, sig, pastRows(sig, part, 4_000))
		msgs = append(msgs, eventlog.Message{Stream: eventlog.Predictions, Seq: uint64(part + 1), Time: march, ID: BulkID(fmt.Sprint(part)), Data: data})
	}
	contents := func(parallel int, hand bool, portions ...[]eventlog.Message) string {
		s := open(t, t.TempDir())
		s.parallel = parallel
		for _, portion := range portions {
			for _, m := range portion {
				if rows, err := eventlog.DecodePredictions(m.Data); err != nil {
					t.Fatal(err)
				} else if hand {
					s.Hand(t.Context(), m.ID, rows)
				}
			}
			if err := s.Ingest(t.Context(), string(eventlog.Predictions), portion); err != nil {
				t.Fatal(err)
			}
			if s.handed.rows != 0 || len(s.handed.wait) != 0 {
				t.Errorf("%d rows of %d messages wait after they were ingested", s.handed.rows, len(s.handed.wait))
			}
		}
		var digest string
		if err := s.db.QueryRowContext(t.Context(), `SELECT md5(string_agg(r::VARCHAR, chr(10) ORDER BY seq)) FROM hot.kinds r`).Scan(&digest); err != nil {
			t.Fatal(err)
		}
		return table(t, s, `SELECT count(*), count(DISTINCT seq), count(key), count(tags) FROM hot.kinds`) + " " + digest + "\n" +
			table(t, s, `SELECT * EXCLUDE seq FROM hours ORDER BY ALL`)
	}
	want := contents(1<<30, false, msgs[:1], msgs[1:2], msgs[2:])
	if !strings.HasPrefix(want, "12000 12000 4002 2400 ") {
		t.Fatalf("the store holds %s", want)
	}
	for name, got := range map[string]string{
		"appended at once":          contents(1<<30, false, msgs),
		"by all threads":            contents(4_000, false, msgs),
		"handed":                    contents(1<<30, true, msgs),
		"handed and by all threads": contents(4_000, true, msgs[:2], msgs[2:]),
	} {
		if got != want {
			t.Errorf("%s:\n%s\ninstead of\n%s", name, got, want)
		}
	}
}

// Rows that hold lists go the other way: nothing of them is lost.
func TestListsAreNotAppendedByAllThreads(t *testing.T) {
	s := open(t, t.TempDir())
	s.parallel = 1
	f := newFeed(t, s)
	f.rows(flights, flight("a", march, 3, 0.1)) // x and y are a list
	expect(t, "rows", table(t, s, `SELECT count(*) FROM predictions`), "3")
}

func TestNobodyElseReadsRowsThatAreAppended(t *testing.T) {
	s := open(t, t.TempDir())
	_, err := s.Query(t.Context(), `SELECT * FROM `+handoverName+`()`, 10)
	if err == nil || !strings.Contains(err.Error(), handoverName) {
		t.Errorf("a person may call it: %v", err)
	}
	if _, err := s.db.ExecContext(t.Context(), `SELECT * FROM `+handoverName+`()`); err == nil || !strings.Contains(err.Error(), "no rows are being appended") {
		t.Errorf("called at a time when nothing is appended: %v", err)
	}
}

// A statement whose caller gives up stops, and its rows are not there.
func TestAppendingByAllThreadsCanBeStopped(t *testing.T) {
	s := open(t, t.TempDir())
	s.parallel = 1
	sig := everyKind()
	msg := eventlog.Message{Stream: eventlog.Predictions, Seq: 1, Time: march, ID: BulkID("a"), Data: encode(t, sig, pastRows(sig, 0, 4_000))}
	if err := s.write(t.Context(), func(tx *tx) error {
		ctx, cancel := context.WithCancel(tx.ctx)
		cancel()
		n, err := runPatiently(ctx, s.raw, `INSERT INTO cube_hours FROM cube_hours`)
		if n != 0 || err == nil {
			t.Errorf("%d rows, %v after its end", n, err)
		}
		return err
	}); err == nil {
		t.Error("nothing stopped")
	}
	if err := s.Ingest(t.Context(), string(eventlog.Predictions), []eventlog.Message{msg}); err != nil {
		t.Fatal("after that: ", err)
	}
	expect(t, "rows", table(t, s, `SELECT count(*) FROM predictions`), "4000")
}

// What waits for its message is bounded, and what no message comes for goes.
func TestHandedRowsAreBounded(t *testing.T) {
	s := &Store{}
	rows := func(n int) *eventlog.Rows { return &eventlog.Rows{N: n} }
	now, past := context.WithCancel(t.Context())
	past()
	s.Hand(t.Context(), "a", rows(handedRows))
	s.Hand(now, "b", rows(1)) // no room: it will be decoded
	if s.handed.take("b") != nil || s.handed.rows != handedRows {
		t.Errorf("%d rows wait, at most %d may", s.handed.rows, handedRows)
	}
	given := make(chan struct{})
	go func() {
		defer close(given)
		s.Hand(t.Context(), "c", rows(2))
	}()
	if got := s.handed.take("a"); got == nil || got.N != handedRows {
		t.Errorf("took %v", got)
	}
	<-given
	if got := s.handed.take("c"); got == nil || got.N != 2 || s.handed.take("c") != nil {
		t.Errorf("took %v", got)
	}
	s.Hand(t.Context(), "d", rows(3))
	s.Withdraw("d")
	s.Hand(t.Context(), "lost", rows(5)) // its message is one that the log had
	for i := range overtaken + 1 {
		id := fmt.Sprint(i)
		s.Hand(t.Context(), id, rows(1))
		s.handed.take(id)
	}
	if len(s.handed.wait) != 0 || s.handed.rows != 0 {
		t.Errorf("%d messages of %d rows wait for nothing", len(s.handed.wait), s.handed.rows)
	}
}
