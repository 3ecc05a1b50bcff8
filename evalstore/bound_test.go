package evalstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// doubled is a chain of n subqueries, each of which makes an expression of the one before.
func doubled(first, expression string, n int) string {
	q := `SELECT ` + first + ` AS x`
	for range n {
		q = `SELECT ` + expression + ` AS x FROM (` + q + `)`
	}
	return `SELECT length(x::VARCHAR) FROM (` + q + `)`
}

func chained(first, next string, n int) string {
	q := `SELECT ` + first + ` AS a0`
	for i := range n {
		q += fmt.Sprintf(`, `+strings.ReplaceAll(next, "x", "a%[1]d")+` AS a%[2]d`, i, i+1)
	}
	return q
}

func named(first, next string, n int) string {
	q := `WITH t0 AS (` + first + `)`
	for i := range n {
		q += fmt.Sprintf(`, t%d AS (`+strings.ReplaceAll(next, "T", fmt.Sprintf("t%d", i))+`)`, i+1)
	}
	return q + fmt.Sprintf(` SELECT count(*) FROM t%d`, n)
}

// TestQueriesThatGrow holds queries that would need more memory than any machine has, by steps that neither DuckDB's
// memory limit nor an interrupt ends. Each must be refused or bounded, in time and in memory.
func TestQueriesThatGrow(t *testing.T) {
	s := queried(t, 3*time.Second)
	long := strings.Repeat("a", 10_000)
	for _, query := range []string{
		doubled(`'xxxxxxxx'`, `x || x`, 45), doubled(`'xxxxxxxx'`, `concat(x, x)`, 45), doubled(`'x'`, `x || ',' || x`, 60),
		doubled(`[1]`, `list_concat(x, x)`, 45), doubled(`[1]`, `x || x`, 45), doubled(`{'a': 1}`, `{'a': x, 'b': x}`, 30),
		doubled(`[1]`, `[x, x]`, 30), doubled(`'`+long+`'`, `replace(x, 'a', x)`, 3), doubled(`'`+long+`'`, `regexp_replace(x, 'a', '\0\0\0\0', 'g')`, 20),
		doubled(`'`+long+`'`, `replace(x, 'a', 'aa')`, 40), doubled(`'xx'`, `translate(x, 'x', '😀')`, 40), doubled(`'x'`, `repeat(x, 1000)`, 5),
		doubled(`'x'`, `lpad(x, 2000000000, 'y')`, 1), doubled(`'x'`, `array_to_string(string_split(x, ''), 'xx')`, 30), doubled(`[1]`, `list_transform(x, i -> x)`, 8),
		doubled(`'x'`, `to_json(x)::VARCHAR || to_json(x)::VARCHAR`, 40), doubled(`'x'`, `format('{0}{0}{0}{0}', x)`, 25), doubled(`'x'`, `printf('%s%s', x, x)`, 40),
		doubled(`'x'`, `format('{:{}}', x, 2000000000)`, 1), doubled(`'x'`, `concat_ws(x, x, x, x)`, 25), doubled(`'x'`, `hex(x)`, 40), doubled(`'x'`, `bin(x)`, 14),
		doubled(`'x'`, `list_reduce([x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x], (a, b) -> a || a)`, 2),
		doubled(`'x'`, `[x, x]::VARCHAR`, 40), doubled(`'x'`, `row(x, x)::VARCHAR`, 40), doubled(`map {'a': 'x'}`, `map {'a': x, 'b': x}`, 30),
		doubled(`'x'`, `json_object('a', x, 'b', x)`, 40), doubled(`'x'`, `CASE WHEN true THEN x || x END`, 45), doubled(`'x'`, `coalesce(x || x, '')`, 45),
		chained(`'xx'`, `x || x`, 45), chained(`1`, `x + x`, 60), chained(`[1]`, `x || x`, 45), chained(`'x'`, `concat(x, x)`, 45), chained(`1`, `fmod(x, 3)`, 30),
		named(`SELECT 1 AS a`, `SELECT u.a FROM T u, T v`, 40), named(`SELECT 'x' AS a`, `SELECT a || a AS a FROM T`, 45), named(`SELECT 1 AS a, 2 AS b`, `SELECT *, * FROM T`, 25),
		named(`SELECT 'x' AS a`, `SELECT T FROM T UNION ALL SELECT T FROM T`, 20),
		`SELECT ` + strings.Repeat(`*, `, 8000) + `1 FROM predictions`, `SELECT ` + strings.Repeat(`COLUMNS(*), `, 2000) + `1 FROM rows.flights`,
		`WITH RECURSIVE t(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM t) SELECT max(length(x)) FROM t`,
		`WITH RECURSIVE t(x, y) AS (SELECT 'x', 'y' UNION ALL SELECT y || x, x || y FROM t) SELECT max(length(x)) FROM t`,
		`WITH RECURSIVE t(x) AS (SELECT [1] UNION ALL SELECT x || x FROM t) SELECT max(len(x)) FROM t`,
		`SELECT s || s || s || s FROM (SELECT string_agg(i::VARCHAR) s FROM range(3000000) t(i)), range(100000)`,
		`SELECT upper(s) FROM (SELECT string_agg(i::VARCHAR) s FROM range(3000000) t(i)), range(100000)`,
		`SELECT (x || x) FROM (SELECT "(q || q)" AS x FROM (SELECT q || q FROM (SELECT string_agg(i::VARCHAR) q FROM range(1000000) t(i)))), range(9999)`,
		`SELECT count(*) FROM predictions GROUP BY CUBE (prediction_id, event_time, received, version, role, variant, key, latency_us, cached, score, predicted, seq)`,
		`SELECT levenshtein(repeat('ab', 100000), repeat('ba', 100000))`, `SELECT levenshtein(x, x) FROM (SELECT string_agg(i::VARCHAR) x FROM range(100000) t(i))`,
		`SELECT x LIKE '%a_%a_%a_%a_%a_%a_%b' FROM (SELECT repeat('a', 5000) x), range(2000)`, `SELECT 'a' LIKE p FROM (SELECT '%a_%a_' p)`,
		`SELECT repeat('a', 5000) GLOB '*a*a*a*a*a*a*a*b' FROM range(2000)`,
		`SELECT json_extract(j, '$..a..b..c') FROM (SELECT '{}'::JSON j)`, `SELECT * FROM range(1000000000000) USING SAMPLE 1000000000 ROWS`,
		`SELECT count(*) FROM range(1000000000000)`, `SELECT list_sum(list(a.i + b.i)) FROM range(1000000) a(i), range(1000000) b(i)`,
		`SELECT approx_top_k(i, 1000000000) FROM range(10) t(i)`, `SELECT equi_width_bins(0, 1000000000, 1000000000, false)`, `SELECT bitstring_agg(i, 0, 4000000000) FROM range(2) t(i)`,
		`SELECT max(i, 999999) FROM range(100000000) t(i) GROUP BY i % 100000`, `SELECT histogram(i) FROM range(1000000000) t(i)`, `SELECT sleep_ms(100000)`, `SELECT pg_sleep(100)`,
		`SELECT regexp_matches(repeat('a', 100000), '(a*)*(a*)*(a{1,1000}){1,1000}b')`, `SELECT regexp_extract_all(repeat('a', 400000), '') FROM range(2048)`,
		`SELECT i FROM range(1000000) t(i) WHERE i IN (` + strings.TrimSuffix(strings.Repeat("1,", 15_000), ",") + `) AND nothing`,
		`SELECT ` + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + ` + nothing`, `SELECT ` + strings.Repeat("-", 1) + strings.Repeat("NOT ", 7000) + "true",
		strings.Repeat(`SELECT * FROM (`, 900) + `SELECT nothing` + strings.Repeat(`)`, 900), `SELECT ` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + "::nothing",
		`SELECT ` + strings.Repeat("1+", 15_000) + "nothing", `SELECT ` + strings.Repeat("CASE WHEN true THEN ", 1200) + "1" + strings.Repeat(" END", 1200) + " + nothing",
		`FROM duckdb_settings`, `FROM duckdb_databases`, `FROM pragma_database_list`, `FROM pg_catalog.pg_settings`, `FROM "duckdb_databases"`, `FROM system.main.duckdb_databases`,
		`SELECT (SELECT path FROM duckdb_databases LIMIT 1)`, `DESCRIBE duckdb_settings`, `FROM information_schema.settings`, `SELECT getvariable('x')`, `FROM temp.batch_labels`,
		`FROM predictions AT (VERSION => 1)`, `SELECT stats(score) FROM predictions`, `SELECT enum_range(NULL::nothing)`, `FROM arrow_scan(1, 2, 3)`, `FROM seq_scan('labels')`, `FROM test_all_types()`,
		`FROM sql_auto_complete('SEL')`, `FROM duckdb_logs()`, `FROM duckdb_external_file_cache()`, `FROM duckdb_temporary_files()`, `FROM duckdb_memory()`, `FROM repeat('x', 1000000000000)`,
	} {
		asked(t, s, query, 10*time.Second)
	}
}

// asked runs what must be refused or end with an error for people, in time, without much memory.
func asked(t *testing.T, s *Store, query string, within time.Duration) {
	t.Helper()
	before := resident(t)
	start := time.Now()
	a, err := s.Query(t.Context(), query, 10)
	took := time.Since(start)
	switch {
	case err == nil:
		t.Errorf("%.150s: gave %.100v", query, a.Rows)
	case fairlead.CodeOf(err) == fairlead.CodeInternal:
		t.Errorf("%.150s: not an error for people: %v", query, err)
	case took > within:
		t.Errorf("%.150s: took %s", query, took)
	}
	if grown := resident(t) - before; grown > 1500 {
		t.Errorf("%.150s: took %d MB", query, grown)
	}
	if testing.Verbose() {
		t.Logf("%6d ms %.100s → %s: %.110v", took.Milliseconds(), query, fairlead.CodeOf(err), err)
	}
}

// resident is the memory of the process in MB.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	if runtime.GOOS != "linux" || err != nil {
		return 0
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// TestFairQueries holds what people do ask: the bounds must not stand in their way.
func TestFairQueries(t *testing.T) {
	s := queried(t, time.Minute)
	for _, query := range []string{
		`SELECT upper(predicted) || '-' || lower(role) || '-' || version FROM predictions`,
		`SELECT replace(predicted, '_', ' '), regexp_replace(prediction_id, '[0-9]+', '#', 'g'), format('{:.2f} of {}', score, predicted), printf('%05.1f', score) FROM predictions`,
		`SELECT date_trunc('day', event_time) AS day, count(*) AS n, avg(score), quantile_cont(score, [0.1, 0.5, 0.9]) FROM predictions GROUP BY day ORDER BY day`,
		`SELECT strftime(event_time, '%Y-%m-%d %H'), repeat('█', 20), bar(score, 0, 1, 20), lpad(version::VARCHAR, 5, '0'), repeat('█', 3) || '!' FROM predictions`,
		`SELECT list(score ORDER BY event_time)[1:3], string_agg(prediction_id, ', '), list_sort(list(score)), array_to_string(list(prediction_id), ', ') FROM predictions`,
		`SELECT p.prediction_id, o.label, p.predicted = o.label AS hit FROM predictions p LEFT JOIN outcomes o USING (seq) WHERE p.role LIKE 'l%' AND NOT p.cached`,
		`WITH day AS (SELECT date_trunc('day', event_time) d, avg(score) a FROM predictions GROUP BY 1), lagged AS (SELECT *, lag(a) OVER (ORDER BY d) AS b FROM day) SELECT d, a - b FROM lagged`,
		`SELECT version, count(*) FILTER (score > 0.5) / count(*) AS share, sum(CASE WHEN score > 0.5 THEN 1 ELSE 0 END) FROM predictions GROUP BY ROLLUP (version)`,
		`SELECT * EXCLUDE (tags), tags['region'] AS region FROM predictions ORDER BY ALL LIMIT 3`, `SELECT COLUMNS('.*score.*') FROM predictions`,
		`SELECT a.prediction_id FROM predictions a JOIN predictions b ON a.event_time <= b.event_time AND a.seq <> b.seq`,
		`SELECT histogram(round(score, 1)) FROM predictions`, `SELECT unnest([1, 2, 3]) AS i, {'a': score}.a FROM predictions`, `SELECT list_transform([1, 2, 3], x -> x * 2), [x * 2 FOR x IN [1, 2] IF x > 1]`,
		`SELECT map_keys(tags), map_entries(tags), to_json(tags), tags::VARCHAR FROM predictions`, `SELECT json_extract_string('{"a": {"b": 1}}', '$.a.b'), '{"a": 1}'->>'a'`,
		`SELECT levenshtein(left(predicted, 20), left(role, 20)), left(prediction_id, 3), substr(prediction_id, 2), prediction_id[1:2], split_part(prediction_id, '.', 1) FROM predictions`,
		`SELECT arg_max(prediction_id, score), max(score), any_value(predicted), mode(predicted), first(role), approx_quantile(score, 0.5) FROM predictions`,
		`WITH RECURSIVE d(day) AS (SELECT DATE '2001-03-01' UNION ALL SELECT day + 1 FROM d WHERE day < DATE '2001-03-10') SELECT day, count(prediction_id) FROM d LEFT JOIN predictions ON event_time::DATE = day GROUP BY day`,
		`SELECT day FROM generate_series(TIMESTAMP '2001-03-01', TIMESTAMP '2001-03-04', INTERVAL 1 DAY) t(day)`,
		`SELECT score, ntile(4) OVER (ORDER BY score), rank() OVER (PARTITION BY role ORDER BY score DESC) FROM predictions QUALIFY row_number() OVER () < 4`,
		`SELECT corr(score, latency_us), regr_slope(score, latency_us), stddev(score), entropy(predicted), approx_count_distinct(key) FROM predictions`,
		`FROM duckdb_columns() SELECT table_name, column_name LIMIT 3`, `FROM information_schema.columns LIMIT 2`, `SHOW ALL TABLES`, `SUMMARIZE predictions`, `SELECT now() - max(event_time), age(max(event_time)) FROM predictions`,
		`SELECT coalesce(predicted, 'none') AS p, count(*) AS n, n / sum(n) OVER () AS share FROM predictions GROUP BY p`, `SELECT strip_accents(predicted), md5(prediction_id), hash(prediction_id) % 10 FROM predictions`,
		`(SELECT version FROM predictions UNION SELECT 2) EXCEPT SELECT 3 ORDER BY 1`, `SELECT time_bucket(INTERVAL 15 MINUTE, event_time) AS b, count(*) FROM predictions GROUP BY b HAVING count(*) > 0`,
		`SELECT TRY_CAST(predicted AS DOUBLE), predicted::VARCHAR, score::DECIMAL(5, 2), [score]::FLOAT[1], version::VARCHAR || 'x' FROM predictions`,
	} {
		if _, err := s.Query(t.Context(), query, 100); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// grammar writes queries from chance: whatever people could put together, and worse.
type grammar struct{ r *rand.Rand }

func (g grammar) one(choices ...string) string { return choices[g.r.IntN(len(choices))] }

func (g grammar) expression(depth int) string {
	if depth <= 0 {
		return g.one(`score`, `prediction_id`, `x`, `1`, `'abc'`, `NULL`, `event_time`, `tags`, `predicted`, `1e30`, `[1, 2]`, `*`, `t`, `x0`, `-1`, `'%a_%b%'`, `999999999`)
	}
	e := func() string { return g.expression(depth - 1 - g.r.IntN(2)) }
	switch g.r.IntN(12) {
	case 0:
		return `(` + e() + g.one(` + `, ` || `, ` AND `, ` = `, ` LIKE `, ` / `, ` -> `, ` IN `, `[`, ` IS NOT DISTINCT FROM `) + e() + `)`
	case 1:
		return g.one(`repeat`, `lpad`, `replace`, `regexp_replace`, `range`, `format`, `list_resize`, `concat`, `list_value`, `read_text`, `getenv`, `array_to_string`,
			`string_split`, `query`, `json_serialize_sql`, `list_transform`, `upper`, `sum`, `list`, `string_agg`, `sleep_ms`, `regexp_extract_all`, `to_json`, `struct_pack`, `levenshtein`, `left`) +
			`(` + e() + `, ` + e() + g.one(`)`, `, `+e()+`)`)
	case 2:
		return `(` + e() + `)::` + g.one(`VARCHAR`, `INT`, `JSON`, `INT[3]`, `VARCHAR[]`, `BLOB`, `DOUBLE[4000]`, `STRUCT(a INT)`)
	case 3:
		return `(` + g.query(depth-1) + `)`
	case 4:
		return `list_transform(` + e() + `, x -> ` + e() + `)`
	case 5:
		return `CASE WHEN ` + e() + ` THEN ` + e() + ` ELSE ` + e() + ` END`
	case 6:
		return g.one(`count(*)`, `row_number() OVER ()`, `lag(x) OVER (ORDER BY 1)`, `max(x)`)
	}
	return e()
}

func (g grammar) query(depth int) string {
	var b strings.Builder
	if g.r.IntN(4) == 0 {
		b.WriteString(`WITH ` + g.one(``, `RECURSIVE `) + `t(x) AS (` + g.query(depth-1) + g.one(``, ` UNION ALL SELECT x || x FROM t`) + `) `)
	}
	b.WriteString(`SELECT `)
	for i := range 1 + g.r.IntN(3) {
		if i > 0 {
			b.WriteString(`, `)
		}
		b.WriteString(g.expression(depth) + g.one(``, fmt.Sprintf(` AS x%d`, i), ` AS x`))
	}
	source := g.one(`predictions`, `t`, `labels`, `range(5) t(x)`, `rows.flights`, `'CANARY'`, `read_text('CANARY')`, `read_csv('CANARY')`, `duckdb_settings()`, `duckdb_databases`, `predictions p, labels`)
	if depth > 0 && g.r.IntN(2) == 0 {
		source = `(` + g.query(depth-1) + `) t(x)`
	}
	b.WriteString(` FROM ` + source)
	b.WriteString(g.one(``, ` WHERE `+g.expression(1), ` GROUP BY ALL`, ` ORDER BY 1`, ` LIMIT 3`, ` GROUP BY CUBE (1, 2)`))
	return b.String()
}

// mutate breaks a query as an attacker would.
func (g grammar) mutate(q string) string {
	switch g.r.IntN(8) {
	case 0:
		return q + g.one(`; DROP TABLE labels`, `; COPY labels TO 'CANARY.out'`, ` -- `, `;;`, `) ; ATTACH 'CANARY'`, `; INSTALL httpfs`)
	case 1:
		return g.one(`COPY (`, `EXPLAIN ANALYZE `, `CREATE TABLE z AS `, `PREPARE p AS `, `DESCRIBE `, `SUMMARIZE `, `EXPORT DATABASE 'CANARY.d'; `, `SET threads = 1; `, `CALL `, `PRAGMA `) + q + g.one(``, `) TO 'CANARY.out'`)
	case 2:
		if i := g.r.IntN(len(q)); len(q) > 2 {
			return q[:i] + g.one(`/*`, `'`, `"`, `(`, `)`, "\x00", `$$`, `;`, ` `, `\`) + q[i:]
		}
	}
	return q
}

// FuzzGrammar asks what the grammar writes: the store must live, nothing may change, no file may be read or written, and
// every query has to end.
func FuzzGrammar(f *testing.F) {
	s := queried(f, time.Second)
	canary := filepath.Join(f.TempDir(), "canary.csv")
	const secret = "the canary sings 4711"
	if err := os.WriteFile(canary, []byte("x\n"+secret+"\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	for seed := range uint64(300) {
		f.Add(seed, uint8(seed%5))
	}
	f.Fuzz(func(t *testing.T, seed uint64, depth uint8) {
		g := grammar{rand.New(rand.NewPCG(seed, 7))}
		q := strings.ReplaceAll(g.mutate(g.query(int(depth%6))), "CANARY", canary)
		start := time.Now()
		a, err := s.Query(t.Context(), q, 10)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s: %s", took, q)
		}
		if said := fmt.Sprint(a, err); strings.Contains(said, secret) {
			t.Errorf("read the file: %s", q)
		}
		if err != nil && fairlead.CodeOf(err) == fairlead.CodeInternal {
			t.Errorf("not an error for people: %v: %s", err, q)
		}
		if n := table(t, s, `SELECT (SELECT count(*) FROM predictions), (SELECT count(*) FROM labels), count(*) FROM duckdb_tables()`); n[:3] != "5 0" {
			t.Errorf("the store changed to %s: %s", n, q)
		}
		if files, _ := filepath.Glob(canary + "*"); len(files) != 1 {
			t.Errorf("wrote %v: %s", files, q)
		}
	})
}
