package evalstore

import (
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// What ingestion keeps between batches does not grow with what went through it. Rows that no checkpoint has written yet are
// DuckDB's to hold, up to checkpoint_threshold; they are written before the look.
func TestIngestKeepsNoMemory(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	held := func() (bytes int64) {
		if err := s.checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.db.QueryRowContext(t.Context(), `SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'`).Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	var early int64
	for batch := range 200 {
		var preds []*fairlead.Prediction
		var labels []fairlead.Label
		for i := range 100 {
			id := ulidOf(batch*100 + i)
			preds = append(preds, flight(id, march.Add(time.Duration(batch)*time.Minute), 1, 0.3))
			labels = append(labels, label(id, "late", i))
		}
		f.rows(flights, preds...)
		f.labels(labels...)
		if batch == 19 {
			early = held()
		}
	}
	last := held()
	t.Logf("tables in memory: %d bytes after 20 batches, %d after 200", early, last)
	if last > early+1<<20 {
		t.Errorf("tables in memory grew from %d to %d bytes", early, last)
	}
}
