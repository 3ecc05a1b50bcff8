package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

// Span is a stretch of event time, the end not included.
type Span struct{ From, To time.Time }

// Sampling asks for some of the rows that a version, or all of them, answered as the live one.
type Sampling struct {
	Deployment fairlead.Name
	Version    fairlead.Version // 0: of all versions
	Spans      []Span           // that do not overlap, on full hours
	Fields     []RecordedField
	Segments   []*segment.Predicate
	// Rows is how many are given at most; the same ones every time as long as there are no new ones.
	Rows int
}

// Sample are rows in no particular order.
type Sample struct {
	Total     int      // rows of the spans
	Columns   []string // of each field, as SQL and predicates name it; "": no row holds it
	Version   []fairlead.Version
	ID        []string // "": none
	Key       []string // "": none
	Time      []time.Time
	Score     []float64 // NaN: none
	Predicted []string  // "": none
	// Weight is how many rows each stands for where only some were stored: 1 over the probability that it was.
	Weight []float64
	Values [][]any  // by field; nil where a row has no value
	In     [][]bool // by segment
	Tags   []map[string]string
}

// sampleSpare is how many more rows are picked by their hash than wanted, so that chance seldom leaves too few.
const sampleSpare = 1.1

// Sample gives rows chosen evenly from all of the spans.
func (s *Store) Sample(ctx context.Context, q Sampling) (*Sample, error) {
	out := &Sample{
		Columns: make([]string, len(q.Fields)), Values: make([][]any, len(q.Fields)), In: make([][]bool, len(q.Segments)),
	}
	if len(q.Spans) == 0 {
		return out, nil
	}
	var within []string
	args := []any{string(q.Deployment), int32(q.Version)} //nolint:gosec // versions are small
	for _, span := range q.Spans {
		within = append(within, `(%[1]s >= ? AND %[1]s < ?)`)
		args = append(args, span.From.UTC(), span.To.UTC())
	}
	where := strings.Join(within, " OR ")
	err := s.db.QueryRowContext(ctx, `SELECT coalesce(sum(rows), 0)::BIGINT FROM hours
		WHERE deployment = ? AND role = 'live' AND ? IN (0, version) AND (`+fmt.Sprintf(where, "hour")+`)`, args...).Scan(&out.Total)
	if err != nil {
		return nil, fmt.Errorf("count the rows of %s: %w", q.Deployment, err)
	}
	if out.Total == 0 {
		return out, nil
	}
	known, err := s.fieldColumns(ctx, q.Deployment)
	if err != nil {
		return nil, err
	}
	for i, f := range q.Fields {
		if c := known[f]; len(c) > 0 {
			out.Columns[i] = c[0]
		}
	}
	parts := append(fieldExpressions(q.Fields, known), predicateExpressions(q.Segments)...)
	query := `SELECT version, prediction_id, key, event_time, score, predicted, coalesce(selection_probability, 1), map_keys(tags), map_values(tags)`
	for _, p := range parts {
		query += ", " + p
	}
	query += ` FROM ` + rowsOf(q.Deployment) + ` WHERE role = 'live' AND ? IN (0, version) AND (` + fmt.Sprintf(where, "event_time") + `)`
	if share := sampleSpare * float64(q.Rows) / float64(out.Total); share < 1 {
		query += fmt.Sprintf(` AND hash(seq) %% 1000000 < %d`, int(math.Ceil(share*1e6)))
	}
	query += fmt.Sprintf(` ORDER BY hash(seq), seq LIMIT %d`, q.Rows)
	if err := s.readSample(ctx, out, query, args[1:]); err != nil {
		return nil, fmt.Errorf("read rows of %s: %w", q.Deployment, err)
	}
	return out, nil
}

func predicateExpressions(all []*segment.Predicate) []string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = `(` + p.SQL(segmentColumn) + `)`
	}
	return out
}

func (s *Store) readSample(ctx context.Context, out *Sample, query string, args []any) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var id, key, predicted sql.NullString
	var at time.Time
	var score sql.NullFloat64
	var probability float64
	values, in := make([]any, len(out.Values)), make([]bool, len(out.In))
	var names, texts any
	var version fairlead.Version
	into := []any{&version, &id, &key, &at, &score, &predicted, &probability, &names, &texts}
	for i := range values {
		into = append(into, &values[i])
	}
	for i := range in {
		into = append(into, &in[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if !score.Valid {
			score.Float64 = math.NaN()
		}
		if probability <= 0 {
			probability = 1
		}
		out.Version = append(out.Version, version)
		out.ID, out.Key, out.Time = append(out.ID, id.String), append(out.Key, key.String), append(out.Time, at.UTC())
		out.Score, out.Predicted = append(out.Score, score.Float64), append(out.Predicted, predicted.String)
		out.Weight = append(out.Weight, 1/probability)
		out.Tags = append(out.Tags, tagsOf(names, texts))
		for i, v := range values {
			out.Values[i] = append(out.Values[i], v)
		}
		for i, v := range in {
			out.In[i] = append(out.In[i], v)
		}
	}
	return rows.Err()
}

func tagsOf(names, values any) map[string]string {
	n, _ := names.([]any)
	v, _ := values.([]any)
	if len(n) == 0 || len(v) != len(n) {
		return nil
	}
	out := make(map[string]string, len(n))
	for i := range n {
		if value, ok := v[i].(string); ok {
			out[fmt.Sprint(n[i])] = value
		}
	}
	return out
}

// Spans joins stretches that meet, in order of time.
func Spans(all []Span) []Span {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Span) int { return a.From.Compare(b.From) })
	var out []Span
	for _, s := range all {
		if n := len(out); n > 0 && !s.From.After(out[n-1].To) {
			if s.To.After(out[n-1].To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}
