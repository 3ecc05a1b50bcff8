package evalstore_test

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead/watch/segment"
)

var segmentColumns = map[string]segment.Kind{
	"distance": segment.Number, "ratio": segment.Number, "count": segment.Number, "origin": segment.Text,
	`odd "name" 'ü'`: segment.Text, "late": segment.Truth, "event_time": segment.Time,
}

var (
	segmentTexts = []string{"", "A", "ATL", "ATLANTA", "O'Hare", `say "hi"`, `back\slash`, "Zürich", "Zu\u0308rich", "東京", "🛫 ORD", "%", "_", "line\nbreak", "NULL"}
	segmentNums  = []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.5, 1000, 1e300, -1e300, 1 << 53, 1e-320, 123456.789}
	segmentTimes = []string{
		"2001-03-01T00:00:00Z", "2001-03-01T00:00:00.000001Z", "1969-12-31T23:59:59.999999Z", "2000-02-29T23:30:00+05:30",
		"0001-01-02T00:00:00Z", "9999-12-30T00:00:00Z",
	}
)

// predicate writes a random one.
func predicate(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(3) > 0 {
		switch r.IntN(3) {
		case 0:
			return "!(" + predicate(r, depth-1) + ")"
		case 1:
			return "(" + predicate(r, depth-1) + " && " + predicate(r, depth-1) + ")"
		}
		return "(" + predicate(r, depth-1) + " || " + predicate(r, depth-1) + ")"
	}
	op := pick(r, []string{"==", "!=", "<", "<=", ">", ">="})
	text := func() string { return strconv.Quote(pick(r, segmentTexts)) }
	column := pick(r, []string{"origin", `row["odd \"name\" 'ü'"]`, "tags.region", `tags["it's"]`, `tags["none"]`})
	number := strconv.FormatFloat(pick(r, segmentNums), 'e', -1, 64)
	if r.IntN(2) == 0 {
		number = strconv.Itoa(r.IntN(2001) - 1000)
	}
	switch r.IntN(9) {
	case 0:
		return pick(r, []string{"late", "!late", "late == false", "late != true", "true", "false"})
	case 1:
		return fmt.Sprintf("%s %s %s", pick(r, []string{"distance", "ratio", "count"}), op, number)
	case 2:
		return fmt.Sprintf("%s %s %s", number, op, pick(r, []string{"distance", "ratio", "count"}))
	case 3:
		return fmt.Sprintf("%s %s %s", column, op, text())
	case 4:
		return fmt.Sprintf("%s in [%s, %s]", column, text(), text())
	case 5:
		return fmt.Sprintf("%s.%s(%s)", column, pick(r, []string{"startsWith", "endsWith", "contains"}), text())
	case 6:
		return fmt.Sprintf("has(%s)", pick(r, []string{"distance", "ratio", "count", "late", "event_time", column}))
	case 7:
		return fmt.Sprintf("event_time %s timestamp(%q)", op, pick(r, segmentTimes))
	}
	unit := pick(r, []string{"getHours", "getDayOfWeek", "getFullYear", "getDate"})
	return fmt.Sprintf("event_time.%s() %s %d", unit, op, pick(r, []int{0, 1, 6, 18, 23, 1969, 2001}))
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// segmentRow is a random row; a value is nil one time in six.
func segmentRow(t *testing.T, r *rand.Rand) map[string]any {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, pick(r, segmentTimes))
	if err != nil {
		t.Fatal(err)
	}
	row := map[string]any{
		"distance":   pick(r, append([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}, segmentNums...)),
		"ratio":      pick(r, []float32{0, 0.1, 0.5, -1, 1000, float32(math.NaN()), float32(math.Inf(1))}),
		"count":      pick(r, []int64{0, 1, -1, 1000, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MinInt64}),
		"event_time": at.UTC(), "late": r.IntN(2) == 0,
	}
	for _, k := range []string{"origin", `odd "name" 'ü'`, "tags.region", "tags.it's"} {
		row[k] = pick(r, segmentTexts)
	}
	for k := range row {
		if r.IntN(6) == 0 {
			row[k] = nil
		}
	}
	return row
}

// segmentTable fills a table with the rows, in order of id.
func segmentTable(t *testing.T, rows []map[string]any) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.ExecContext(t.Context(), `CREATE TABLE rows (id INTEGER, distance DOUBLE, ratio FLOAT, "count" BIGINT, origin VARCHAR,
		"odd ""name"" 'ü'" VARCHAR, late BOOLEAN, event_time TIMESTAMP, tags MAP(VARCHAR, VARCHAR))`)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		_, err := db.ExecContext(t.Context(), `INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, MAP {'region': ?::VARCHAR, 'it''s': ?::VARCHAR})`, i,
			row["distance"], row["ratio"], row["count"], row["origin"], row[`odd "name" 'ü'`], row["late"], row["event_time"],
			row["tags.region"], row["tags.it's"])
		if err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func segmentSQL(c segment.Column) string {
	if c.Key != "" {
		return `tags['` + strings.ReplaceAll(c.Key, "'", "''") + `']`
	}
	return `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
}

// A predicate selects the same rows in the store as in Go.
func TestSegmentsMeanTheSameInSQLAndInGo(t *testing.T) {
	const seed = 20010301
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's chance
	rows := make([]map[string]any, 150)
	for i := range rows {
		rows[i] = segmentRow(t, r)
	}
	db := segmentTable(t, rows)
	matched, all := 0, 0
	for range 600 {
		text := predicate(r, 3)
		p, err := segment.Compile(text, segmentColumns)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, text, err)
		}
		var ids []int
		condition := p.SQL(segmentSQL)
		found, err := db.QueryContext(t.Context(), "SELECT "+condition+" FROM rows ORDER BY id")
		if err != nil {
			t.Fatalf("seed %d: %s: %s: %v", seed, text, condition, err)
		}
		for i := 0; found.Next(); i++ {
			var in bool
			if err := found.Scan(&in); err != nil {
				t.Fatalf("seed %d: %s is NULL in row %v: %v", seed, condition, rows[i], err)
			}
			if in {
				ids = append(ids, i)
			}
		}
		if err := found.Err(); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, condition, err)
		}
		in := map[int]bool{}
		for _, id := range ids {
			in[id] = true
		}
		for i, row := range rows {
			goes := p.Match(func(c segment.Column) any {
				if c.Key != "" {
					return row["tags."+c.Key]
				}
				return row[c.Name]
			})
			if goes != in[i] {
				t.Errorf("seed %d: %s: Go says %v, %s says %v, of %v", seed, text, goes, condition, in[i], row)
			}
		}
		matched, all = matched+len(ids), all+len(rows)
	}
	if part := float64(matched) / float64(all); part < 0.1 || part > 0.9 {
		t.Errorf("the predicates select %.2f of the rows: they say little", part)
	}
}
