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
)

// Recording says which recorded rows are wanted.
type Recording struct {
	Deployment fairlead.Name
	From, To   time.Time // event time, From included
	// Fields are the inputs and outputs whose values are wanted; rows of any version may hold them.
	Fields []RecordedField
	// Sample is about how many rows are wanted, chosen by their prediction id: the same ones every time. 0: all.
	Sample int
}

// RecordedField is a field by the name that it has in a signature.
type RecordedField struct {
	Name   string
	Output bool
}

// RecordedBatch holds rows in the order of event time.
type RecordedBatch struct {
	ID        []string
	Version   []int
	Score     []float64 // NaN: none
	Predicted []string  // "": none
	Latency   []time.Duration
	// Values has a column for each of Recording.Fields; nil where a row has no value.
	Values [][]any
}

// MissingFields lists those of the fields that no row of the deployment can hold: no version was ever recorded with them.
func (s *Store) MissingFields(ctx context.Context, d fairlead.Name, fields []RecordedField) ([]RecordedField, error) {
	known, err := s.fieldColumns(ctx, d)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(fields), func(f RecordedField) bool { return len(known[f]) > 0 }), nil
}

// fieldColumns are the columns of each field: more than one where it changed its type.
func (s *Store) fieldColumns(ctx context.Context, d fairlead.Name) (map[RecordedField][]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT field, output, column_name FROM fields WHERE deployment = ? ORDER BY position`, string(d))
	if err != nil {
		return nil, fmt.Errorf("list the fields of %s: %w", d, err)
	}
	defer rows.Close()
	known := map[RecordedField][]string{}
	for rows.Next() {
		var f RecordedField
		var column string
		if err := rows.Scan(&f.Name, &f.Output, &column); err != nil {
			return nil, fmt.Errorf("list the fields of %s: %w", d, err)
		}
		known[f] = append(known[f], column)
	}
	return known, rows.Err()
}

// recordedPage is how many rows are in memory at once.
const recordedPage = 1 << 16

// Recorded gives recorded answers batch by batch, and says first how many rows there may be. Copies for shadows are left
// out. The batch is used again after each returns.
func (s *Store) Recorded(ctx context.Context, r Recording, begin func(rows int), each func(*RecordedBatch) error) error {
	var total, hours int
	err := s.db.QueryRowContext(ctx, `SELECT coalesce(sum(rows), 0)::BIGINT, count(*) FROM hours
		WHERE deployment = ? AND role <> 'shadow' AND hour >= ? AND hour < ?`,
		string(r.Deployment), r.From.UTC().Truncate(time.Hour), r.To.UTC()).Scan(&total, &hours)
	if err != nil {
		return fmt.Errorf("count the rows of %s: %w", r.Deployment, err)
	}
	share := 1.0
	if r.Sample > 0 && total > r.Sample {
		share = float64(r.Sample) / float64(total)
	}
	begin(int(math.Ceil(share * float64(total))))
	if total == 0 {
		return nil
	}
	known, err := s.fieldColumns(ctx, r.Deployment)
	if err != nil {
		return err
	}
	query := recordedQuery(r, known, share)
	after, seq := r.From.UTC(), int64(-1)
	for {
		b, last, lastSeq, err := s.recordedPage(ctx, query, len(r.Fields), after, seq, r.To.UTC())
		if err != nil {
			return fmt.Errorf("read the rows of %s: %w", r.Deployment, err)
		}
		if len(b.ID) > 0 {
			if err := each(b); err != nil {
				return err
			}
		}
		if len(b.ID) < recordedPage {
			return nil
		}
		after, seq = last, lastSeq
	}
}

func recordedQuery(r Recording, known map[RecordedField][]string, share float64) string {
	parts := []string{`event_time`, `seq`, `prediction_id`, `version`, `score`, `predicted`, `latency_us`}
	parts = append(parts, fieldExpressions(r.Fields, known)...)
	query := `SELECT ` + strings.Join(parts, ", ") + ` FROM ` + rowsOf(r.Deployment) + `
		WHERE role <> 'shadow' AND event_time >= ? AND event_time < ? AND (event_time > ? OR seq > ?)`
	if share < 1 {
		query += fmt.Sprintf(` AND hash(prediction_id) %% 1000000 < %d`, int(math.Ceil(share*1e6)))
	}
	return query + fmt.Sprintf(` ORDER BY event_time, seq LIMIT %d`, recordedPage)
}

// fieldExpressions select fields; NULL for one that no row holds.
func fieldExpressions(fields []RecordedField, known map[RecordedField][]string) []string {
	var parts []string
	for _, f := range fields {
		switch columns := known[f]; {
		case len(columns) == 0 && f.Output && strings.EqualFold(f.Name, "score"): // the system column holds it
			parts = append(parts, `score`)
		case len(columns) == 0:
			parts = append(parts, `NULL`)
		case len(columns) == 1:
			parts = append(parts, quote(columns[0]))
		default: // the type changed: whichever the row has, as text
			texts := make([]string, len(columns))
			for i, c := range columns {
				texts[i] = quote(c) + `::VARCHAR`
			}
			parts = append(parts, `coalesce(`+strings.Join(texts, ", ")+`)`)
		}
	}
	return parts
}

func (s *Store) recordedPage(ctx context.Context, query string, fields int, after time.Time, seq int64, to time.Time) (*RecordedBatch, time.Time, int64, error) {
	rows, err := s.db.QueryContext(ctx, query, after, to, after, seq)
	if err != nil {
		return nil, after, seq, err
	}
	defer rows.Close()
	b := &RecordedBatch{Values: make([][]any, fields)}
	var id sql.NullString
	var version int
	var score sql.NullFloat64
	var predicted sql.NullString
	var latency sql.NullInt64
	values := make([]any, fields)
	ptrs := []any{&after, &seq, &id, &version, &score, &predicted, &latency}
	for i := range values {
		ptrs = append(ptrs, &values[i])
	}
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			return nil, after, seq, err
		}
		if !score.Valid {
			score.Float64 = math.NaN()
		}
		b.ID, b.Version, b.Score = append(b.ID, id.String), append(b.Version, version), append(b.Score, score.Float64)
		b.Predicted = append(b.Predicted, predicted.String)
		b.Latency = append(b.Latency, time.Duration(latency.Int64)*time.Microsecond)
		for i, v := range values {
			b.Values[i] = append(b.Values[i], v)
		}
	}
	return b, after.UTC(), seq, rows.Err()
}
