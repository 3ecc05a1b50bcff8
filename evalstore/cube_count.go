package evalstore

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// stale are the hours of a query that were not counted as they are now, for some segment.
type stale struct {
	hours map[time.Time]uint64
	first time.Time
	last  time.Time
}

func (s *Store) staleHours(ctx context.Context, r reader, q CubeQuery) (stale, error) {
	out := stale{hours: map[time.Time]uint64{}}
	rows, err := r.QueryContext(ctx, `
		SELECT hour, seq FROM hours h WHERE `+inCube+` AND rows > 0 AND hour >= coalesce(
				(SELECT max(before) FROM dropped WHERE dropped.deployment = h.deployment), '-infinity'::TIMESTAMP)
			AND (SELECT count(*) FROM cube_hours c WHERE c.deployment = h.deployment AND c.version = h.version AND c.role = h.role
				AND c.hour = h.hour AND c.seq = h.seq AND c.segment IN (`+q.ids()+`)) < ?
		ORDER BY hour`, append(q.args(), len(q.names()))...)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var hour time.Time
		var seq uint64
		if err := rows.Scan(&hour, &seq); err != nil {
			return out, err
		}
		hour = hour.UTC()
		if len(out.hours) == 0 {
			out.first = hour
		}
		out.hours[hour], out.last = seq, hour
	}
	return out, rows.Err()
}

type cubeRow struct {
	segment string
	value   int // of CubeQuery.Values; -1: it is one of the segments
	hour    time.Time
	cell    realised.Cell
}

// countCube brings the tables up to date for a query. It reads one state of the store beside the writer and then writes what it
// found: an hour that changed in between keeps its old seq, and is counted again the next time.
func (s *Store) countCube(ctx context.Context, q CubeQuery) error {
	var old stale
	var found []cubeRow
	err := s.reading(ctx, func(r *sql.Conn) (err error) {
		if old, err = s.staleHours(ctx, r, q); err != nil || len(old.hours) == 0 {
			return err
		}
		found, err = s.countRows(ctx, r, q, old.first, old.last.Add(time.Hour))
		return err
	})
	if err != nil || len(old.hours) == 0 {
		return err
	}
	return s.write(ctx, func(t *tx) error { return t.saveCube(q, old, found) })
}

// countRows counts the rows of some hours for every segment that they are in.
func (s *Store) countRows(ctx context.Context, r *sql.Conn, q CubeQuery, from, to time.Time) ([]cubeRow, error) {
	rows, err := s.rowsIn(ctx, r, q.Deployment, rowSpan{from: from, to: to})
	if err != nil {
		return nil, err
	}
	var members []string
	for i, c := range q.Segments {
		condition := "true"
		if c.Predicate != nil {
			condition = c.Predicate.SQL(segmentColumn)
		}
		members = append(members, `CASE WHEN `+condition+` THEN `+strconv.Itoa(i)+` END`)
	}
	if len(q.Values) > 0 {
		members = append(members, strconv.Itoa(len(q.Segments)-1)+` + list_position([`+literals(q.Values)+`], `+quote(q.By)+`::VARCHAR)`)
	}
	args := []any{int32(q.Version), string(q.Role), from, to} //nolint:gosec // versions are small
	values, err := s.labelValues(ctx, r, q, args)
	if err != nil {
		return nil, err
	}
	e := expressionsOf(q.Signature, values)
	result, err := r.QueryContext(ctx, `
		WITH told AS (SELECT seq, label AS cube_label FROM outcomes WHERE deployment = ? AND `+inWindow+`),
			members AS (SELECT date_trunc('hour', event_time) AS cube_hour, score, predicted, cube_label,
					list_filter([`+strings.Join(members, ", ")+`], lambda x: x IS NOT NULL) AS cube_segments
				FROM (SELECT * FROM `+rows+` WHERE `+inWindow+`) LEFT JOIN told USING (seq)),
			each AS (SELECT cube_hour AS hour, score, predicted, cube_label AS label, unnest(cube_segments) AS segment FROM members),
			judged AS (SELECT hour, segment, label IS NOT NULL AS labelled, score, TRY_CAST(label AS DOUBLE) AS number,
				`+e.truth+` AS truth, `+e.decision+` AS decision, `+e.bin+` AS bin FROM each),
			summed AS (SELECT hour, segment, labelled, truth, decision, bin, `+e.first+` AS a, `+e.third+` AS b FROM judged)
		SELECT segment, hour, labelled, truth, decision, bin, count(*), coalesce(sum(`+e.one+`), 0), coalesce(sum(`+e.two+`), 0),
			coalesce(sum(`+e.three+`), 0), coalesce(sum(`+e.four+`), 0)
		FROM summed GROUP BY ALL`, slices.Concat([]any{string(q.Deployment)}, args, args)...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	var out []cubeRow
	for result.Next() {
		var c cubeRow
		var which int
		var truth, decision sql.NullBool
		x := &c.cell
		if err := result.Scan(&which, &c.hour, &x.Labelled, &truth, &decision, &x.Bin, &x.N, &x.Sums[0], &x.Sums[1], &x.Sums[2], &x.Sums[3]); err != nil {
			return nil, err
		}
		c.hour, x.Truth, x.Decision = c.hour.UTC(), orNil(truth), orNil(decision)
		c.value = which - len(q.Segments)
		if c.value < 0 {
			c.value, c.segment = -1, q.Segments[which].id()
		}
		out = append(out, c)
	}
	return out, result.Err()
}

func orNil(b sql.NullBool) *bool {
	if !b.Valid {
		return nil
	}
	return &b.Bool
}

// maxLabelValues bounds how many different labels of a binary task are told apart; others are not understood.
const maxLabelValues = 1000

// labelValues are the labels and decisions of the rows of a task with classes.
func (s *Store) labelValues(ctx context.Context, r reader, q CubeQuery, args []any) ([]string, error) {
	if q.Signature.Task != fairlead.TaskBinary {
		return nil, nil
	}
	rows, err := r.QueryContext(ctx, `SELECT DISTINCT unnest([label, predicted]) AS v FROM outcomes WHERE deployment = ? AND `+inWindow+
		` LIMIT `+strconv.Itoa(maxLabelValues), append([]any{string(q.Deployment)}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v sql.NullString
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		if v.Valid {
			out = append(out, v.String)
		}
	}
	return out, rows.Err()
}

// expressions say in SQL what package realised says of an outcome; first and third are computed once for each row, one to
// four are summed.
type expressions struct{ truth, decision, bin, first, third, one, two, three, four string }

func expressionsOf(sig *fairlead.Signature, values []string) expressions {
	const scored = `score IS NOT NULL AND NOT isnan(score)`
	switch sig.Task {
	case fairlead.TaskBinary:
		classes := sig.Classes()
		threshold := strconv.FormatFloat(realised.Threshold, 'g', -1, 64)
		inside := `truth IS NOT NULL AND bin >= 0`
		p := `greatest(least(score, 1 - pow(2, -52)), pow(2, -52))`
		return expressions{
			truth:    oneOf("label", values, classes, "NULL"),
			decision: oneOf("predicted", append(values, classes...), classes, `CASE WHEN `+scored+` THEN score >= `+threshold+` END`),
			bin: `(CASE WHEN NOT (` + scored + `) THEN -1 WHEN score < 0 OR score > 1 THEN -2
				ELSE least(floor(score * ` + strconv.Itoa(realised.Bins) + `), ` + strconv.Itoa(realised.Bins-1) + `) END)::TINYINT`,
			first: `CASE WHEN ` + inside + ` THEN CASE WHEN truth THEN -ln(` + p + `) ELSE -ln(1 - ` + p + `) END END`,
			third: `CASE WHEN ` + inside + ` THEN (score - truth::INT) * (score - truth::INT) END`,
			one:   `a`, two: `a * a`, three: `b`, four: `b * b`,
		}
	case fairlead.TaskRegression:
		return expressions{
			truth:    `CASE WHEN isfinite(TRY_CAST(label AS DOUBLE)) THEN true END`,
			decision: `CASE WHEN ` + scored + ` AND isfinite(score) THEN true END`,
			bin:      `(-1)::TINYINT`,
			first:    `CASE WHEN truth AND decision THEN score - number END`, third: `NULL::DOUBLE`,
			one: `a`, two: `abs(a)`, three: `a * a`, four: `a * a * a * a`,
		}
	case fairlead.TaskMulticlass:
		return expressions{
			truth: `CASE WHEN label IS NOT NULL THEN true END`, decision: `CASE WHEN label IS NOT NULL AND predicted <> '' THEN predicted = label END`,
			bin: `(-1)::TINYINT`, first: `NULL::DOUBLE`, third: `NULL::DOUBLE`, one: `a`, two: `a`, three: `b`, four: `b`,
		}
	}
	return expressions{
		truth: `NULL::BOOLEAN`, decision: `NULL::BOOLEAN`, bin: `(-1)::TINYINT`, first: `NULL::DOUBLE`, third: `NULL::DOUBLE`, one: `a`, two: `a`, three: `b`, four: `b`,
	}
}

// oneOf reads a text as a class: true, false, or otherwise.
func oneOf(column string, values, classes []string, otherwise string) string {
	var yes, no []string
	for _, v := range slices.Compact(slices.Sorted(slices.Values(values))) {
		if positive, known := realised.Positive(v, classes); known && positive {
			yes = append(yes, v)
		} else if known {
			no = append(no, v)
		}
	}
	out := `CASE`
	if len(yes) > 0 {
		out += ` WHEN ` + column + ` IN (` + literals(yes) + `) THEN true`
	}
	if len(no) > 0 {
		out += ` WHEN ` + column + ` IN (` + literals(no) + `) THEN false`
	}
	return out + ` WHEN false THEN NULL ELSE ` + otherwise + ` END`
}

// saveCube puts what was found in the place of what the tables say of the stale hours.
func (t *tx) saveCube(q CubeQuery, old stale, found []cubeRow) error {
	if err := t.clear("batch_cube", "batch_cube_hours"); err != nil {
		return err
	}
	err := t.append("temp", "main", "batch_cube_hours", func(a *duckdb.Appender) error {
		for _, id := range q.names() {
			for hour, seq := range old.hours {
				if err := a.AppendRow(id, hour, seq); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = t.append("temp", "main", "batch_cube", func(a *duckdb.Appender) error {
		for _, c := range found {
			if _, ok := old.hours[c.hour]; !ok {
				continue // between two that are
			}
			x := c.cell
			if err := a.AppendRow(c.segment, c.hour, x.Labelled, boolOrNull(x.Truth), boolOrNull(x.Decision), int8(x.Bin), x.N, //nolint:gosec // -2 to 99
				x.Sums[0], x.Sums[1], x.Sums[2], x.Sums[3]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	scope := []any{string(q.Deployment), int32(q.Version), string(q.Role)} //nolint:gosec // versions are small
	for _, table := range []string{"cube", "cube_hours"} {
		if _, err := t.exec(`DELETE FROM `+table+` AS c USING temp.batch_cube_hours b
			WHERE c.deployment = ? AND c.version = ? AND c.role = ? AND c.segment = b.segment AND c.hour = b.hour`, scope...); err != nil {
			return err
		}
	}
	if _, err := t.exec(`INSERT INTO cube SELECT ?, segment, ?, ?, hour, labelled, truth, decision, bin, n, s1, s2, s3, s4 FROM temp.batch_cube`, scope...); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO cube_hours SELECT ?, segment, ?, ?, hour, seq FROM temp.batch_cube_hours`, scope...)
	return err
}

func boolOrNull(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}
