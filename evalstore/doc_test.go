package evalstore

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/fairlead-ml/fairlead"
)

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

// TestDocumentedQueries runs every SQL block of docs/sql.md.
func TestDocumentedQueries(t *testing.T) {
	s := queried(t, time.Minute)
	newFeed(t, s).labels(label("a.0", "late", 10), label("a.1", "on_time", 20))
	page, err := os.ReadFile("../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := sqlBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 10 {
		t.Fatalf("only %d examples found", len(blocks))
	}
	for _, b := range blocks {
		if _, err := s.Query(t.Context(), b[1], 100); err != nil {
			t.Errorf("%s\n%v", b[1], err)
		}
	}
	tables, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		a, err := s.Query(t.Context(), `SELECT * FROM `+table.Name, 5)
		if err != nil || len(a.Columns) != len(table.Columns) || table.About == "" {
			t.Errorf("%s has %d columns of %v: %v", table.Name, len(table.Columns), a, err)
		}
		if !strings.Contains(string(page), "`"+table.Name+"`") && table.Name != "hours" && table.Name != "rejected" {
			t.Errorf("docs/sql.md does not name %s", table.Name)
		}
	}
}

func TestPutRollouts(t *testing.T) {
	s := queried(t, time.Minute)
	r := Rollout{Deployment: "flights", ID: "r1", Kind: "rollout", From: 1, To: 2, Phase: "running", Stage: "5%", Started: march,
		Decisions: []RolloutDecision{{Sequence: 1, Time: march, Action: "start", Says: "it begins"}}}
	for range 2 {
		if err := s.PutRollouts(t.Context(), []Rollout{r}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "rollouts", table(t, s, `SELECT deployment, to_version, ended, decisions FROM rollouts`), "flights 2 <nil> 1")
	expect(t, "decisions", table(t, s, `SELECT rollout, action, says FROM rollout_decisions`), "r1 start it begins")
}

const everyType = `SELECT * FROM (VALUES
	(true, 1::TINYINT, 2::USMALLINT, 3, 4::UBIGINT, 1.5::FLOAT, 'nan'::DOUBLE, 'a,"b', TIMESTAMP '2001-03-01 10:00:00.000001', DATE '2001-03-02', 'x'::BLOB,
		1.25::DECIMAL(4, 2), 170141183460469231731687303715884105727, [1, NULL], {'a': 1}, MAP {'k': [1.5]}, INTERVAL 3 DAY),
	(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL))
	v(b, i8, u16, i32, u64, f, d, s, t, day, raw, dec, huge, list, struct, map, span)`

func TestWriteQuery(t *testing.T) {
	s := queried(t, time.Minute)
	write := func(query string, f Format, l Limits) (*bytes.Buffer, Written) {
		t.Helper()
		var b bytes.Buffer
		w, err := s.WriteQuery(t.Context(), &b, query, f, l)
		if err != nil {
			t.Fatal(err)
		}
		return &b, w
	}
	b, w := write(everyType, CSV, Limits{Rows: 10})
	rows, err := csv.NewReader(b).ReadAll()
	if err != nil || w.Rows != 2 || w.Truncated || len(rows) != 3 {
		t.Fatalf("%v %v %v", rows, w, err)
	}
	expect(t, "csv", strings.Join(rows[1][:16], "|"), `true|1|2|3|4|1.5|NaN|a,"b|2001-03-01T10:00:00.000001Z|2001-03-02T00:00:00Z|eA==|1.25|170141183460469231731687303715884105727|[1,null]|{"a":1}|{"k":[1.5]}`)
	expect(t, "nulls", strings.Join(rows[2], ""), "")

	b, _ = write(everyType, Arrow, Limits{Rows: 10})
	stream, err := ipc.NewReader(b)
	if err != nil || !stream.Next() {
		t.Fatal(err)
	}
	batch := stream.RecordBatch()
	expect(t, "arrow", batch.Schema().String(), "schema:\n  fields: 17\n    - b: type=bool, nullable\n    - i8: type=int8, nullable\n    - u16: type=uint16, nullable\n    - i32: type=int32, nullable\n    - u64: type=uint64, nullable\n    - f: type=float32, nullable\n    - d: type=float64, nullable\n    - s: type=utf8, nullable\n    - t: type=timestamp[us, tz=UTC], nullable\n    - day: type=date32, nullable\n    - raw: type=binary, nullable\n    - dec: type=float64, nullable\n    - huge: type=float64, nullable\n    - list: type=list<item: int32, nullable>, nullable\n    - struct: type=utf8, nullable\n    - map: type=utf8, nullable\n    - span: type=utf8, nullable")
	if batch.NumRows() != 2 || batch.Column(11).(*array.Float64).Value(0) != 1.25 || !batch.Column(7).IsNull(1) {
		t.Errorf("arrow rows: %v", batch)
	}

	b, w = write(`SELECT i, i::VARCHAR AS s FROM range(200000) t(i) ORDER BY i`, Parquet, Limits{Rows: 150_000})
	f, err := file.NewParquetReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	read, err := p.ReadTable(t.Context())
	if err != nil || read.NumRows() != 150_000 || w.Rows != 150_000 || !w.Truncated {
		t.Errorf("parquet: %d rows, %v, %v", read.NumRows(), w, err)
	}
	if _, w = write(`SELECT i, repeat('x', 100) FROM range(200000) t(i)`, CSV, Limits{Rows: 1_000_000, Bytes: 1 << 20}); w.Rows > 20_000 || !w.Truncated {
		t.Errorf("a limit of bytes gave %v", w)
	}
	for query, f := range map[string]Format{`SELECT 1`: "xml", `SELECT nothing`: CSV} {
		var b bytes.Buffer
		if _, err := s.WriteQuery(context.Background(), &b, query, f, Limits{Rows: 1}); fairlead.CodeOf(err) != fairlead.CodeInvalid || b.Len() > 0 {
			t.Errorf("%s as %s: %v, %q", query, f, err, b.String())
		}
	}
}
