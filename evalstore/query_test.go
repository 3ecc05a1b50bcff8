package evalstore

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

func queried(t testing.TB, timeout time.Duration) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), MemoryMB: 200, QueryTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	newFeed(t, s).rows(flights, flight("a", march, 5, 0.1))
	return s
}

func TestQueryGivesATable(t *testing.T) {
	s := queried(t, time.Minute)
	a, err := s.Query(t.Context(), `SELECT prediction_id AS id, event_time, score::DECIMAL(4,2) AS score,
		'inf'::DOUBLE AS inf, 'nan'::FLOAT AS nan, [1.5, NULL] AS list, {'a': 1} AS s, MAP {'k': 2} AS m, 170141183460469231731687303715884105727 AS huge,
		'x'::BLOB AS b, INTERVAL 3 DAY AS i, NULL AS nothing, DATE '2001-03-02' AS d
		FROM predictions ORDER BY id; -- the end`, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Truncated || len(a.Rows) != 2 || a.Elapsed <= 0 {
		t.Errorf("%d rows, truncated %v", len(a.Rows), a.Truncated)
	}
	expect(t, "columns", strings.Join(a.Columns, " "), "id event_time score inf nan list s m huge b i nothing d")
	expect(t, "types", strings.Join(a.Types[:5], " "), "VARCHAR TIMESTAMP DECIMAL(4,2) DOUBLE FLOAT")
	b, err := json.Marshal(a.Rows[1])
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "row", string(b), `["a.1","2001-03-01T00:01:00Z",0.11,"Infinity",null,[1.5,null],{"a":1},{"k":2},"170141183460469231731687303715884105727","eA==",`+
		string(mustJSON(t, a.Rows[1][10]))+`,null,"2001-03-02T00:00:00Z"]`)
	for query, rows := range map[string]int{
		`SELECT 1 WHERE false`: 0, `SUMMARIZE rows.flights`: -1, `DESCRIBE predictions`: -1, `SHOW TABLES`: -1, `SELECT [1, 2]::INT[2]`: 1, `FROM labels`: 0, `/* c */ VALUES (1), (2);;`: 2,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) FROM n`:                    10,
		`SELECT * FROM range(7) ORDER BY 1 DESC`:                                                                 7,
		`SELECT hour(event_time), count(*), avg(score), quantile_cont(score, 0.5) FROM predictions GROUP BY ALL`: 1,
		`SELECT replace(upper(predicted), 'A', 'b') FROM predictions`:                                            5,
		`SELECT column_name FROM (DESCRIBE rows.flights) WHERE column_name LIKE 'd%'`:                            1,
	} {
		a, err := s.Query(t.Context(), query, 100)
		if err != nil || rows >= 0 && len(a.Rows) != rows || len(a.Rows) == 0 && rows < 0 || a.Truncated {
			t.Errorf("%s: %v, %v", query, a, err)
		}
	}
	first, err := s.Query(t.Context(), `SELECT * FROM range(100) t(i) ORDER BY i DESC`, 1)
	if err != nil || first.Rows[0][0] != int64(99) {
		t.Errorf("the limit does not keep the order: %v %v", first, err)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestQueryEscapes lists what people try to get out of a read-only SQL console. Each must fail, quickly, and
// leave the store as it was.
func TestQueryEscapes(t *testing.T) {
	s := queried(t, 2*time.Second)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside+".csv", []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		// files
		`SELECT * FROM read_csv('` + outside + `.csv')`, `FROM '` + outside + `.csv'`, `SELECT * FROM read_text('/etc/passwd')`,
		`FROM read_blob('/etc/passwd')`, `FROM read_json('/etc/passwd')`, `FROM read_parquet('/etc/passwd')`, `FROM parquet_metadata('/x')`,
		`FROM glob('/etc/*')`, `FROM sniff_csv('/etc/passwd')`, `FROM read_duckdb('/x')`, `SELECT (SELECT content FROM read_text('/etc/passwd'))`,
		`WITH x AS (FROM read_text('/etc/passwd')) FROM x`, `SELECT * FROM predictions WHERE score IN (SELECT 1 FROM read_text('/etc/passwd'))`,
		`FROM 'https://example.com/x.parquet'`, `FROM 's3://bucket/x.parquet'`, `FROM "/etc/passwd"`, `SUMMARIZE '` + outside + `.csv'`,
		`COPY predictions TO '` + outside + `.out'`, `COPY (SELECT 1) TO '` + outside + `.out'`, `EXPORT DATABASE '` + outside + `'`,
		`IMPORT DATABASE '/x'`, `ATTACH '` + outside + `.db' AS o`, `DETACH store`, `USE memory`,
		// extensions, settings, secrets
		`INSTALL httpfs`, `LOAD httpfs`, `LOAD '/x.so'`, `UPDATE EXTENSIONS`, `SET enable_external_access = true`, `RESET lock_configuration`,
		`PRAGMA enable_profiling`, `PRAGMA database_list`, `SET VARIABLE x = 1`, `CREATE SECRET s (TYPE s3)`, `FROM duckdb_secrets()`,
		`SELECT current_setting('temp_directory')`, `SELECT getenv('HOME')`, `FROM duckdb_settings()`, `FROM pragma_database_list()`, `FROM which_secret('s3://', 's3')`,
		// writing
		`DELETE FROM labels`, `INSERT INTO labels (value) VALUES ('x')`, `UPDATE hours SET done = 0`, `DROP TABLE labels`, `CREATE TABLE x (i INT)`,
		`CREATE TEMP TABLE x (i INT)`, `ALTER TABLE labels ADD COLUMN x INT`, `TRUNCATE labels`, `CREATE MACRO f(x) AS x`, `VACUUM`, `ANALYZE`,
		`CHECKPOINT`, `FORCE CHECKPOINT`, `FROM checkpoint()`, `FROM force_checkpoint()`, `CALL checkpoint()`, `FROM enable_logging()`,
		`FROM truncate_duckdb_logs()`, `SELECT write_log('x')`, `BEGIN`, `COMMIT`, `ROLLBACK`, `PREPARE p AS SELECT 1`, `EXECUTE p`, `MERGE INTO labels USING labels l ON true WHEN MATCHED THEN DELETE`,
		`WITH x AS (DELETE FROM labels RETURNING *) FROM x`, `EXPLAIN ANALYZE DELETE FROM labels`,
		// more than one, or none
		`SELECT 1; SELECT 2`, `SELECT 1; DROP TABLE labels`, `SELECT 1) t; DROP TABLE labels; SELECT * FROM (SELECT 1`, ``, `;`, `-- nothing`, `SELECT 1) LIMIT 5 --`,
		// SQL inside of SQL
		`FROM query('DROP TABLE labels')`, `FROM query('SELECT 1')`, `FROM query_table('labels')`, `FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))`,
		// more time or memory than there is
		`SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`,
		`SELECT list(a.range) FROM range(1000000000) a`, `SELECT string_agg(a.range::VARCHAR, '') FROM range(1000000000) a`,
		`SELECT DISTINCT a.range * b.range FROM range(1000000) a, range(1000000) b`, `SELECT * FROM range(1000000000) a ORDER BY hash(a.range)`,
		`SELECT repeat('x', 3000000000)`, `SELECT "repeat"('x', 3000000000)`, `SELECT main.REPEAT('x', 3000000000)`, `SELECT 'x'.repeat(3000000000)`,
		`SELECT lpad('x', 2000000000, 'y')`, `SELECT format('{:2000000000d}', 1)`, `SELECT printf('%2000000000d', 1)`, `SELECT bar(1, 0, 1, 1e9)`,
		`SELECT range(10000000000)`, `SELECT generate_series(1, 10000000000)`, `SELECT list_resize([1], 10000000000)`, `SELECT bitstring('1', 2000000000)`,
		`SELECT CAST(NULL AS INTEGER[99999][99999])`, `SELECT NULL::INT[100][100]`, `SELECT x::DOUBLE[5000] FROM (SELECT NULL AS x)`, `SELECT 1e400`, `SELECT ('x').repeat(3000000000)`,
		`SELECT replace(replace(replace(replace(replace(replace('aaaaaaaaaa', 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa')`,
		`SELECT list_transform(range(10), x -> x) FROM range(10)`,
		strings.Repeat(" ", MaxQuery) + `SELECT 1`,
		// syntax that breaks off
		`SELECT '`, `SELECT (1`, `SELECT 1)`, `/* SELECT 1`, "SELECT \x00", `SELECT "`, `SELECT $$`, `SELECT ?`, `SELECT $1`,
	} {
		start := time.Now()
		a, err := s.Query(t.Context(), query, 10)
		switch {
		case err == nil:
			t.Errorf("%.80s: gave %v", query, a.Rows)
		case fairlead.CodeOf(err) == fairlead.CodeInternal:
			t.Errorf("%.80s: not an error for people: %v", query, err)
		case strings.Contains(err.Error(), "secret\n"):
			t.Errorf("%.80s: tells what is in a file: %v", query, err)
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("%.80s: took %s", query, took)
		}
		if testing.Verbose() {
			t.Logf("%.80s → %s: %.150v", query, fairlead.CodeOf(err), err)
		}
	}
	expect(t, "the store afterwards", table(t, s, `SELECT count(*), (SELECT count(*) FROM labels) FROM predictions`), "5 0")
	if files, _ := filepath.Glob(outside + "*"); len(files) != 1 {
		t.Errorf("files outside: %v", files)
	}
	newFeed(t, s).labels(label("a.0", "late", 0))
}

func TestQueryErrorsHelp(t *testing.T) {
	s := queried(t, time.Minute)
	for query, want := range map[string]string{
		`SELECT scor FROM predictions`: `"scor" not found`,
		`SELECT * FROM prediction`:     `Did you mean "predictions"`,
		`SELEC 1`:                      `syntax error`,
		`DROP TABLE labels`:            `only SELECT`,
		`SELECT 1; SELECT 2`:           `expected one statement, got 2`,
		`SELECT repeat('x', 3e9)`:      `repeat could make values of any size`,
		`FROM read_csv('x')`:           `read_csv cannot be used`,
	} {
		_, err := s.Query(t.Context(), query, 10)
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

func TestQueriesWaitAndEnd(t *testing.T) {
	s := queried(t, 300*time.Millisecond)
	slow := `SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3`
	ended := make(chan error)
	for range 4 {
		go func() { _, err := s.Query(context.Background(), slow, 1); ended <- err }()
	}
	for range 4 {
		if err := <-ended; fairlead.CodeOf(err) != fairlead.CodeDeadline {
			t.Errorf("a slow query ended with %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := s.Query(ctx, slow, 1); fairlead.CodeOf(err) != fairlead.CodeCanceled {
		t.Errorf("a canceled query ended with %v", err)
	}
	expect(t, "the next one", table(t, s, `SELECT count(*) FROM predictions`), "5")
}

func FuzzQuery(f *testing.F) {
	s := queried(f, time.Second)
	for _, q := range []string{`SELECT * FROM predictions`, `SELECT repeat('x', 9)`, `FROM read_text('x')`, `SELECT 1; SELECT 2`, `SELECT [1]::INT[1]`, `DESCRIBE labels`} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		a, err := s.Query(t.Context(), q, 10)
		if err == nil && (len(a.Rows) > 10 || len(a.Columns) != len(a.Types)) {
			t.Errorf("%d rows, %d columns, %d types", len(a.Rows), len(a.Columns), len(a.Types))
		}
	})
}
