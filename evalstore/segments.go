package evalstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

// segmentSchema has the saved segments for people's queries, and what the views of schema segments are made of.
var segmentSchema = []string{
	`CREATE SCHEMA IF NOT EXISTS segments`,
	`CREATE TABLE IF NOT EXISTS saved_segments (deployment VARCHAR, name VARCHAR, predicate VARCHAR, condition VARCHAR)`,
}

// SegmentColumns are the columns of a deployment's rows that a predicate may name. Lists and maps are not among them, but for the
// keys of tags.
func (s *Store) SegmentColumns(ctx context.Context, d fairlead.Name) (map[string]segment.Kind, error) {
	columns, err := viewColumns(ctx, s.db, d)
	if err != nil {
		return nil, err
	}
	out := map[string]segment.Kind{}
	for _, c := range columns {
		switch {
		case c.kind == "VARCHAR":
			out[c.name] = segment.Text
		case c.kind == "BOOLEAN":
			out[c.name] = segment.Truth
		case c.kind == "TIMESTAMP":
			out[c.name] = segment.Time
		case !strings.ContainsAny(c.kind, "[("):
			out[c.name] = segment.Number
		}
	}
	return out, nil
}

// segmentColumn writes a column of a predicate.
func segmentColumn(c segment.Column) string {
	if c.Key != "" {
		return quote(c.Name) + `[` + literal(c.Key) + `]`
	}
	return quote(c.Name)
}

// SavedSegment is a predicate with a name.
type SavedSegment struct {
	Name      string
	Predicate *segment.Predicate
}

// PutSegments puts these in the place of the saved segments of a deployment, each of which is a view of its rows with their labels,
// segments."<deployment>/<name>". What the cube has of others is dropped.
func (s *Store) PutSegments(ctx context.Context, d fairlead.Name, saved []SavedSegment) error {
	err := s.write(ctx, func(t *tx) error {
		old, err := t.savedSegments(d)
		if err != nil {
			return err
		}
		for name := range old {
			if _, err := t.exec(`DROP VIEW IF EXISTS ` + segmentView(d, name)); err != nil {
				return err
			}
		}
		if _, err := t.exec(`DELETE FROM saved_segments WHERE deployment = ?`, string(d)); err != nil {
			return err
		}
		keep := []string{literal("")}
		for _, x := range saved {
			keep = append(keep, literal(text(x.Predicate.String())))
			if _, err := t.exec(`INSERT INTO saved_segments VALUES (?, ?, ?, ?)`, string(d), text(x.Name), text(x.Predicate.String()), x.Predicate.SQL(segmentColumn)); err != nil {
				return err
			}
		}
		for _, table := range []string{"cube", "cube_hours", "cube_windows"} {
			if _, err := t.exec(`DELETE FROM `+table+` WHERE deployment = ? AND segment NOT IN (`+strings.Join(keep, ", ")+`)`, string(d)); err != nil {
				return err
			}
		}
		names, err := hotTables(ctx, s.conn)
		if err != nil || !slices.Contains(names, string(d)) {
			return err // the views come with the first row
		}
		return t.makeSegmentViews(d)
	})
	if err != nil {
		return fmt.Errorf("save the segments of %s: %w", d, err)
	}
	return nil
}

func segmentView(d fairlead.Name, name string) string { return `segments.` + quote(string(d)+"/"+name) }

// savedSegments gives the condition of each saved segment.
func (t *tx) savedSegments(d fairlead.Name) (map[string]string, error) {
	rows, err := t.s.conn.QueryContext(t.ctx, `SELECT name, condition FROM saved_segments WHERE deployment = ?`, string(d))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, condition string
		if err := rows.Scan(&name, &condition); err != nil {
			return nil, err
		}
		out[name] = condition
	}
	return out, rows.Err()
}

// makeSegmentViews writes the views of the saved segments anew: a view knows the columns of what it is made of.
func (t *tx) makeSegmentViews(d fairlead.Name) error {
	saved, err := t.savedSegments(d)
	if err != nil {
		return err
	}
	for name, condition := range saved {
		if _, err := t.exec(`CREATE OR REPLACE VIEW ` + segmentView(d, name) + ` AS SELECT * FROM labelled.` + quote(string(d)) + ` WHERE ` + condition); err != nil {
			return err
		}
	}
	return nil
}
