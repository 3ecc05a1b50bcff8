package evalstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/realised"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

// cubeSchema keeps what metrics are computed from, hour by hour: the cells of realised.Sums for the rows of one segment. An hour
// is counted when somebody asks for it, and again when it has got rows or labels since; cube_hours says up to what it was.
var cubeSchema = []string{
	`CREATE TABLE IF NOT EXISTS cube (
		deployment VARCHAR, segment VARCHAR, version INTEGER, role VARCHAR, hour TIMESTAMP,
		labelled BOOLEAN, truth BOOLEAN, decision BOOLEAN, bin TINYINT, n UBIGINT, s1 DOUBLE, s2 DOUBLE, s3 DOUBLE, s4 DOUBLE)`,
	`CREATE TABLE IF NOT EXISTS cube_hours (deployment VARCHAR, segment VARCHAR, version INTEGER, role VARCHAR, hour TIMESTAMP, seq UBIGINT)`,
	// What the hours of a window add up to: state is the greatest seq of its hours and how many there are.
	`CREATE TABLE IF NOT EXISTS cube_windows (
		deployment VARCHAR, segment VARCHAR, version INTEGER, role VARCHAR, grain VARCHAR, start TIMESTAMP, seq UBIGINT, hours UBIGINT,
		n UBIGINT, labelled UBIGINT, known UBIGINT, positives UBIGINT, judged UBIGINT, "right" UBIGINT, decided UBIGINT, chosen UBIGINT,
		scored UBIGINT, outside UBIGINT, s1 DOUBLE, s2 DOUBLE, s3 DOUBLE, s4 DOUBLE, wins DOUBLE, above UBIGINT, below UBIGINT)`,
	`CREATE TEMP TABLE stale_windows (segment VARCHAR, start TIMESTAMP, seq UBIGINT, hours UBIGINT)`,
	`CREATE TEMP TABLE batch_cube (
		segment VARCHAR, hour TIMESTAMP, labelled BOOLEAN, truth BOOLEAN, decision BOOLEAN, bin TINYINT, n UBIGINT,
		s1 DOUBLE, s2 DOUBLE, s3 DOUBLE, s4 DOUBLE)`,
	`CREATE TEMP TABLE batch_cube_hours (segment VARCHAR, hour TIMESTAMP, seq UBIGINT)`,
}

// CubeQuery asks for the metrics of segments over time.
type CubeQuery struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Role       fairlead.Role
	Grain      watch.Grain
	From, To   time.Time // of event time, the end not included; zero: all there is
	Signature  *fairlead.Signature
	Segments   []CubeSegment
	By         string   // a column, whose Values are segments behind the others; they are counted from the rows
	Values     []string // as text
}

// CubeSegment is one of the segments of a query.
type CubeSegment struct {
	Predicate *segment.Predicate // nil: all rows
	Kept      bool               // what is counted is kept for the next query; else every query reads the rows
}

// CubeCell is one segment in one window.
type CubeCell struct {
	Segment int // which of the query's Segments, then of its Values
	Start   time.Time
	Totals  realised.Totals
}

// id names a segment in the tables. What it says is its name: the same predicate under two names is counted once.
func (c CubeSegment) id() string {
	if c.Predicate == nil {
		return ""
	}
	return text(c.Predicate.String())
}

// Cube gives the sums of each segment and window that has rows, in order of segment and time. Hours that were not counted
// yet, or have changed since, are counted first, all segments in one pass over their rows.
func (s *Store) Cube(ctx context.Context, q CubeQuery) ([]CubeCell, error) {
	if q.To.IsZero() {
		q.To = greatestTime.Add(-time.Hour)
	}
	if q.From.IsZero() {
		q.From = leastTime
	}
	q = q.whole()
	cells := map[cubeKey]*realised.Sums{}
	add := func(segment int, start time.Time, c realised.Cell) {
		k := cubeKey{segment, q.Grain.Start(start)}
		if cells[k] == nil {
			cells[k] = &realised.Sums{}
		}
		cells[k].Add(q.Signature.Task, c)
	}
	kept, passing := q, q
	kept.Segments, passing.Segments = nil, nil
	kept.Values = nil // they are counted from the rows, and not to be kept as anything
	for _, c := range q.Segments {
		if c.Kept {
			kept.Segments = append(kept.Segments, c)
		} else {
			passing.Segments = append(passing.Segments, c)
		}
	}
	places := func(id string, keep bool) (at []int) {
		for i, c := range q.Segments {
			if c.Kept == keep && c.id() == id {
				at = append(at, i)
			}
		}
		return at
	}
	var out []CubeCell
	if len(kept.Segments) > 0 {
		if err := s.countCube(ctx, kept); err != nil {
			return nil, fmt.Errorf("count the segments of %s: %w", q.Deployment, err)
		}
		if err := s.sumWindows(ctx, kept); err != nil {
			return nil, fmt.Errorf("sum up the segments of %s: %w", q.Deployment, err)
		}
		whole, err := s.readWindows(ctx, kept)
		if err != nil {
			return nil, fmt.Errorf("read the segments of %s: %w", q.Deployment, err)
		}
		for _, w := range whole {
			for _, i := range places(w.segment, true) {
				out = append(out, CubeCell{i, w.start, w.totals})
			}
		}
	}
	if len(passing.Segments)+len(q.Values) > 0 {
		err := s.reading(ctx, func(r *sql.Conn) error {
			found, err := s.countRows(ctx, r, passing, q.From, q.To)
			for _, c := range found {
				if c.value >= 0 {
					add(len(q.Segments)+c.value, c.hour, c.cell)
					continue
				}
				for _, i := range places(c.segment, false) {
					add(i, c.hour, c.cell)
				}
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("count the segments of %s: %w", q.Deployment, err)
		}
	}
	for k, sums := range cells {
		out = append(out, CubeCell{k.Segment, k.Start, sums.Totals()})
	}
	slices.SortFunc(out, func(a, b CubeCell) int { return cmp.Or(cmp.Compare(a.Segment, b.Segment), a.Start.Compare(b.Start)) })
	return out, nil
}

// cubeKey is a segment of a query in a window.
type cubeKey struct {
	Segment int
	Start   time.Time
}

// names are those of the segments, each once.
func (q *CubeQuery) names() []string {
	var names []string
	for _, c := range q.Segments {
		names = append(names, c.id())
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// ids are the names as a list in SQL.
func (q *CubeQuery) ids() string { return literals(q.names()) }

// literals is a list of texts in SQL, without the parentheses.
func literals(texts []string) string {
	var out []string
	for _, t := range texts {
		out = append(out, literal(t))
	}
	return strings.Join(out, ", ")
}

// args are those of the conditions deployment = ? AND version = ? AND role = ? AND hour >= ? AND hour < ?.
func (q *CubeQuery) args() []any {
	return []any{string(q.Deployment), int32(q.Version), string(q.Role), q.From.UTC(), q.To.UTC()} //nolint:gosec // versions are small
}

const inCube = `deployment = ? AND version = ? AND role = ? AND hour >= ? AND hour < ?`
