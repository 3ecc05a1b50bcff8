package evalstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// TestRowsAcrossChunks writes rows of every kind of cell, in messages that end inside of DuckDB's chunks, and reads
// each row again.
func TestRowsAcrossChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	sig := &fairlead.Signature{
		Inputs: []fairlead.TensorSpec{spec("n", fairlead.Int64, "", 1), spec("word", fairlead.Bytes, "", 1),
			spec("words", fairlead.Bytes, "", 2), spec("pixels", fairlead.Uint8, "", 300)},
		Outputs: []fairlead.TensorSpec{spec("p", fairlead.FP64, fairlead.RoleScore, 1)},
	}
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	var msgs [][]byte
	var want []string
	n := 0
	for _, size := range []int{1, 1700, 2048, 348, 2500, 1} {
		var preds []*fairlead.Prediction
		for range size {
			word := strings.Repeat("w", rng.IntN(30)) // some lie in the vector, some do not
			pixels := make([]uint8, 300)
			pixels[7] = uint8(n)
			p := one(sig, 1, []int64{int64(n)}, []string{word}, []string{word + "a", "b"}, pixels, []float64{float64(n) / 2})
			id := fmt.Sprint("r", n)
			p.Rows[0] = fairlead.RowMeta{ID: id, Time: march.Add(time.Duration(n) * time.Second)}
			line := []string{id, fmt.Sprint(n), word, word + "a", fmt.Sprint(n % 256), fmt.Sprintf("%.1f", float64(n)/2), "-", "-"}
			if n%3 == 0 {
				p.Rows[0].Key = "key of " + id
				line[6] = p.Rows[0].Key
			}
			if n%5 == 0 {
				p.Rows[0].Tags = map[string]string{"b": id, "a": "the longest of all tags"}
				line[7] = "the longest of all tags," + id
			}
			if n%7 == 0 { // a prediction that lacks tensors
				p.Inputs, p.Outputs = nil, nil
				line[1], line[2], line[3], line[4], line[5] = "-", "-", "-", "-", "-"
			}
			preds, want = append(preds, p), append(want, strings.Join(line, "|"))
			n++
		}
		msgs = append(msgs, encode(t, sig, preds...))
	}
	f.send(eventlog.Predictions, msgs...)
	var lines []string
	for len(lines) < n {
		got := table(t, s, fmt.Sprintf(`SELECT concat_ws('|', prediction_id, coalesce(n::VARCHAR, '-'), coalesce(word, '-'),
				coalesce(words[1], '-'), coalesce(pixels[8]::VARCHAR, '-'), coalesce(score::VARCHAR, '-'), coalesce(key, '-'),
				coalesce(array_to_string(map_values(tags), ','), '-'))
			FROM rows."m.1" ORDER BY seq LIMIT 1000 OFFSET %d`, len(lines)))
		if got == "" {
			break
		}
		lines = append(lines, strings.Split(strings.TrimSpace(got), "\n")...)
	}
	if len(lines) != len(want) {
		t.Fatalf("%d rows, want %d", len(lines), len(want))
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Fatalf("row %d is %s, want %s", i, lines[i], want[i])
		}
	}
	expect(t, "hours", table(t, s, `SELECT sum(rows)::INT, epoch(max(last_time) - min(first_time))::INT FROM hours`), fmt.Sprintf("%d %d", n, n-1))
}

// A write that fails in its middle leaves nothing, and the next one goes through.
func TestAWriteOfTooFewColumns(t *testing.T) {
	s := open(t, t.TempDir())
	row := []cells{texts([]string{"d"}), texts([]string{"id"}), texts([]string{"late"}), times([]time.Time{march}), times([]time.Time{march}), numbers([]int64{1}),
		textsOrNull(func(int) string { return "" }), numbers([]bool{false}), numbers([]int64{0})}
	for _, columns := range [][]cells{row[:len(row)-1], row} {
		err := s.write(t.Context(), func(tx *tx) error {
			return tx.appendChunks("", "main", "labels", func(w *chunkWriter) error {
				if err := w.write(1, row); err != nil {
					return err
				}
				return w.write(1, columns)
			})
		})
		if (err == nil) != (len(columns) == len(row)) {
			t.Errorf("%d columns: %v", len(columns), err)
		}
	}
	expect(t, "labels", table(t, s, `SELECT count(*) FROM labels`), "2")
	if err := s.write(t.Context(), func(tx *tx) error {
		return tx.appendChunks("", "main", "nowhere", func(*chunkWriter) error { return nil })
	}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a table that is not there: %v", err)
	}
}
