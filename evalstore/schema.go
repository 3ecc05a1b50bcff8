package evalstore

import (
	"strings"
)

// schema makes what is not there yet. Times are TIMESTAMP in UTC. The tables and views of schema main are for people
// too; schema hot has one table per deployment, made when its first row comes, and schema rows a view of its rows, those of
// the partitions included.
//
// seq of a row, label or event is its place in the event log: the number of its message times 2^20 plus its index there.
var schema = []string{
	`CREATE SCHEMA IF NOT EXISTS rows`,
	`CREATE SCHEMA IF NOT EXISTS hot`,
	partitionSchema,
	droppedSchema,
	`CREATE TABLE IF NOT EXISTS positions (stream VARCHAR PRIMARY KEY, seq UBIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS rejected (stream VARCHAR, seq UBIGINT, reason VARCHAR)`,
	`CREATE TABLE IF NOT EXISTS fields (
		deployment VARCHAR, position INTEGER, column_name VARCHAR, field VARCHAR, output BOOLEAN, type VARCHAR)`,
	`CREATE TABLE IF NOT EXISTS labels (
		deployment VARCHAR, prediction_id VARCHAR, value VARCHAR, time TIMESTAMP, received TIMESTAMP, seq BIGINT)`,
	// A label has a prediction's id or an entity's key; one that takes back has no value.
	`ALTER TABLE labels ADD COLUMN IF NOT EXISTS key VARCHAR`,
	`ALTER TABLE labels ADD COLUMN IF NOT EXISTS join_all BOOLEAN`,
	`ALTER TABLE labels ADD COLUMN IF NOT EXISTS within_us BIGINT`,
	`CREATE TABLE IF NOT EXISTS outcomes (` + outcomeColumns + `)`,
	// The rows whose latest label takes back what was said before: they have no outcome.
	`CREATE TABLE IF NOT EXISTS retracted (deployment VARCHAR, seq BIGINT, label_received TIMESTAMP, label_seq BIGINT)`,
	// The messages whose id was made from their content: the same again is passed over.
	`CREATE TABLE IF NOT EXISTS bulk (stream VARCHAR, id VARCHAR)`,
	labelHistory,
	// An event's last columns say which prediction it belongs to; they are NULL until that is stored.
	`CREATE TABLE IF NOT EXISTS events (
		deployment VARCHAR, name VARCHAR, value DOUBLE, time TIMESTAMP, received TIMESTAMP, id VARCHAR,
		prediction_id VARCHAR, key VARCHAR, version INTEGER, role VARCHAR, row_time TIMESTAMP, row_received TIMESTAMP,
		row_seq BIGINT, seq BIGINT)`,
	`CREATE TABLE IF NOT EXISTS hours (
		deployment VARCHAR, version INTEGER, role VARCHAR, hour TIMESTAMP,
		rows UBIGINT NOT NULL, labelled UBIGINT NOT NULL, first_time TIMESTAMP, last_time TIMESTAMP,
		seq UBIGINT NOT NULL, done UBIGINT NOT NULL,
		PRIMARY KEY (deployment, version, role, hour))`,
	`CREATE TABLE IF NOT EXISTS profiles (
		deployment VARCHAR, version INTEGER, role VARCHAR, minute TIMESTAMP, counts BLOB, seq BIGINT)`,
	`CREATE TABLE IF NOT EXISTS findings (
		deployment VARCHAR, version INTEGER, role VARCHAR, grain VARCHAR, start TIMESTAMP,
		"column" VARCHAR, output BOOLEAN, kind VARCHAR, n UBIGINT, m UBIGINT, reference VARCHAR,
		psi DOUBLE, psi_debiased DOUBLE, psi_floor DOUBLE, ks DOUBLE, ks_floor DOUBLE, d1 DOUBLE, d1_floor DOUBLE,
		js DOUBLE, js_floor DOUBLE, missing DOUBLE, unseen DOUBLE, verdict VARCHAR, provisional BOOLEAN,
		PRIMARY KEY (deployment, version, role, grain, start, output, "column"))`,
	`CREATE TABLE IF NOT EXISTS metric_windows (
		deployment VARCHAR, version INTEGER, role VARCHAR, grain VARCHAR, start TIMESTAMP,
		n UBIGINT, labelled UBIGINT, "values" MAP(VARCHAR, DOUBLE), provisional BOOLEAN,
		PRIMARY KEY (deployment, version, role, grain, start))`,
	`CREATE OR REPLACE VIEW metrics AS
		SELECT deployment, version, role, grain, start, n, labelled, provisional, e.key AS name, e.value AS value
		FROM (SELECT *, unnest(map_entries("values")) AS e FROM metric_windows)`,
	`CREATE TEMP TABLE batch_labels (
		deployment VARCHAR, prediction_id VARCHAR, value VARCHAR, time TIMESTAMP, received TIMESTAMP, seq BIGINT,
		key VARCHAR, join_all BOOLEAN, within_us BIGINT)`,
	`CREATE TEMP TABLE resolved (label BIGINT, prediction_id VARCHAR, event_time TIMESTAMP)`,
	`CREATE TEMP TABLE scope (seq BIGINT, prediction_id VARCHAR, event_time TIMESTAMP, version INTEGER, role VARCHAR,
		score DOUBLE, predicted VARCHAR)`,
	`CREATE TEMP TABLE batch_events (
		deployment VARCHAR, name VARCHAR, value DOUBLE, time TIMESTAMP, received TIMESTAMP, id VARCHAR,
		prediction_id VARCHAR, key VARCHAR, seq BIGINT)`,
	`CREATE TEMP TABLE event_rows (
		event BIGINT, seq BIGINT, prediction_id VARCHAR, version INTEGER, role VARCHAR, event_time TIMESTAMP, received TIMESTAMP)`,
	`CREATE TEMP TABLE matched (` + outcomeColumns + `)`,
	`CREATE TEMP TABLE existing (seq BIGINT, label_received TIMESTAMP, label_seq BIGINT, outcome BOOLEAN)`,
	`CREATE TEMP TABLE batch_hours (
		deployment VARCHAR, version INTEGER, role VARCHAR, hour TIMESTAMP, rows UBIGINT, labelled BIGINT,
		first_time TIMESTAMP, last_time TIMESTAMP)`,
	`CREATE TEMP TABLE batch_windows (deployment VARCHAR, version INTEGER, role VARCHAR, grain VARCHAR, start TIMESTAMP)`,
	`CREATE TEMP TABLE batch_done (deployment VARCHAR, version INTEGER, role VARCHAR, hour TIMESTAMP, seq UBIGINT)`,
}

// outcomeColumns are a labelled prediction: the row's columns, then those of its latest label.
const outcomeColumns = `
	deployment VARCHAR, version INTEGER, role VARCHAR, seq BIGINT, prediction_id VARCHAR, event_time TIMESTAMP,
	score DOUBLE, predicted VARCHAR, label VARCHAR, label_time TIMESTAMP, label_received TIMESTAMP, label_seq BIGINT`

// systemColumns lead every table of schema hot, in this order. A store that was made with fewer gets the others when it is
// opened.
var systemColumns = []struct{ name, kind string }{
	{"seq", "BIGINT"}, {"prediction_id", "VARCHAR"}, {"request_id", "VARCHAR"}, {"event_time", "TIMESTAMP"},
	{"received", "TIMESTAMP"}, {"version", "INTEGER"}, {"role", "VARCHAR"}, {"variant", "VARCHAR"}, {"key", "VARCHAR"},
	{"tags", "MAP(VARCHAR, VARCHAR)"}, {"latency_us", "BIGINT"}, {"cached", "BOOLEAN"},
	{"score", "DOUBLE"}, {"predicted", "VARCHAR"},
	// How probable it was that the row is stored; NULL in a row of before there were samples: 1.
	{"selection_probability", "DOUBLE"},
}

func systemNames(prefix string) string {
	names := make([]string, len(systemColumns))
	for i, c := range systemColumns {
		names[i] = prefix + c.name
	}
	return strings.Join(names, ", ")
}

// makePredictionsView writes the view over the rows of all deployments anew.
func (t *tx) makePredictionsView() error {
	names, err := hotTables(t.ctx, t.s.conn)
	if err != nil {
		return err
	}
	parts := []string{`SELECT NULL::VARCHAR AS deployment, ` + nullSystemColumns() + ` WHERE false`}
	for _, n := range names {
		parts = append(parts, `SELECT `+literal(n)+`, `+systemNames("")+` FROM rows.`+quote(n))
	}
	_, err = t.exec(`CREATE OR REPLACE VIEW predictions AS ` + strings.Join(parts, " UNION ALL "))
	return err
}

func nullSystemColumns() string {
	parts := make([]string, len(systemColumns))
	for i, c := range systemColumns {
		parts[i] = "NULL::" + c.kind + " AS " + c.name
	}
	return strings.Join(parts, ", ")
}

// quote makes an SQL identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes an SQL string.
func literal(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
