package evalstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
)

// viewSchema makes what only people's queries read.
var viewSchema = []string{
	`CREATE SCHEMA IF NOT EXISTS labelled`,
	`CREATE TABLE IF NOT EXISTS rollouts (
		deployment VARCHAR, id VARCHAR, kind VARCHAR, from_version INTEGER, to_version INTEGER, phase VARCHAR, stage VARCHAR,
		started TIMESTAMP, started_by VARCHAR, why VARCHAR, ended TIMESTAMP, decisions INTEGER, says VARCHAR)`,
	`CREATE TABLE IF NOT EXISTS rollout_decisions (
		deployment VARCHAR, rollout VARCHAR, sequence INTEGER, time TIMESTAMP, action VARCHAR, reason VARCHAR, stage VARCHAR,
		next VARCHAR, says VARCHAR, actor VARCHAR, why VARCHAR)`,
}

// makeLabelledView writes anew the view labelled."<deployment>": its rows with the label that each has, if any.
func (t *tx) makeLabelledView(d fairlead.Name, columns []column) error {
	taken := func(name string) string {
		for _, c := range columns {
			if strings.EqualFold(c.name, name) { // a feature
				return "fairlead_" + name
			}
		}
		return name
	}
	_, err := t.exec(`CREATE OR REPLACE VIEW labelled.` + quote(string(d)) + ` AS
		SELECT r.*, o.label AS ` + taken("label") + `, o.label_time AS ` + taken("label_time") + `, o.label_received AS ` + taken("label_received") + `
		FROM ` + rowsOf(d) + ` r LEFT JOIN (SELECT seq, label, label_time, label_received FROM outcomes WHERE deployment = ` + literal(string(d)) + `) o USING (seq)`)
	if err != nil {
		return err
	}
	return t.makeSegmentViews(d)
}

// Rollout is a row of the table rollouts: who put which version in place of which.
type Rollout struct {
	Deployment, ID, Kind string
	From, To             int // versions; 0: none
	Phase, Stage         string
	Started              time.Time
	StartedBy, Why       string
	Ended                time.Time // zero: it has not
	Says                 string
	Decisions            []RolloutDecision
}

// RolloutDecision is a row of the table rollout_decisions.
type RolloutDecision struct {
	Sequence             int
	Time                 time.Time
	Action, Reason       string
	Stage, Next          string
	Says, Actor, Because string
}

// PutRollouts puts these rollouts in the place of what the tables rollouts and rollout_decisions hold: they are decided
// elsewhere, and copied for people's queries.
func (s *Store) PutRollouts(ctx context.Context, rollouts []Rollout) error {
	return s.write(ctx, func(t *tx) error {
		for _, stmt := range []string{`DELETE FROM rollouts`, `DELETE FROM rollout_decisions`} {
			if _, err := t.exec(stmt); err != nil {
				return err
			}
		}
		err := t.append("", "", "rollouts", func(a *duckdb.Appender) error {
			for _, r := range rollouts {
				if err := a.AppendRow(text(r.Deployment), text(r.ID), text(r.Kind), int32(r.From), orNull(r.To), text(r.Phase), text(r.Stage), //nolint:gosec // versions are small
					r.Started.UTC(), text(r.StartedBy), text(r.Why), timeOrNull(r.Ended), int32(len(r.Decisions)), text(r.Says)); err != nil { //nolint:gosec // as above
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return t.append("", "", "rollout_decisions", func(a *duckdb.Appender) error {
			for _, r := range rollouts {
				for _, d := range r.Decisions {
					if err := a.AppendRow(text(r.Deployment), text(r.ID), int32(d.Sequence), d.Time.UTC(), text(d.Action), text(d.Reason), //nolint:gosec // small
						text(d.Stage), text(d.Next), text(d.Says), text(d.Actor), text(d.Because)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}

func orNull(version int) any {
	if version == 0 {
		return nil
	}
	return int32(version) //nolint:gosec // versions are small
}

func timeOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UTC()
}

// Table is a table or view that people may query.
type Table struct {
	Name    string // as it is written in a query
	About   string
	Columns []Column
}

// Column is one of its columns.
type Column struct{ Name, Type string }

// tellings say what the tables hold; the others are the store's own.
var tellings = map[string]string{
	"predictions":       "every recorded row of every deployment: who answered, when, with what score",
	"labels":            "every truth that came, corrections too",
	"outcomes":          "predictions with the latest label of each",
	"events":            "business events and the predictions they belong to",
	"profiles":          "counts of inputs and outputs, minute by minute; counts is binary",
	"findings":          "drift of every column in every window",
	"metrics":           "realised metrics of every window",
	"rollouts":          "which version was put in place of which, and how that went",
	"rollout_decisions": "every decision of every rollout, with its reason",
	"saved_segments":    "segments with a name: their predicate, and the condition that it is in SQL",
	"hours":             "rows and labels by hour of event time",
	"rejected":          "messages that could not be read",
}

// order of the tables in Schema: what people look for first.
var tableOrder = `predictions labels outcomes events findings metrics profiles rollouts rollout_decisions saved_segments hours rejected`

// Schema lists what people may query: the tables of the store, then rows."<deployment>", labelled."<deployment>" and segments."<deployment>/<name>" with the
// model's own names.
func (s *Store) Schema(ctx context.Context) ([]Table, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
		WHERE NOT internal AND database_name = current_database() AND schema_name IN ('main', 'rows', 'labelled', 'segments')
		ORDER BY schema_name, table_name, column_index`)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	defer rows.Close()
	byName := map[string]*Table{}
	var deployments []string
	for rows.Next() {
		var schema, table, column, kind string
		if err := rows.Scan(&schema, &table, &column, &kind); err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
		name, says := table, tellings[table]
		switch schema {
		case "rows":
			name, says = `rows.`+quote(table), "rows of "+table+" with every input and output"
		case "segments":
			name, says = `segments.`+quote(table), "labelled rows of the segment "+table
		case "labelled":
			name, says = `labelled.`+quote(table), "rows of "+table+" with the label of each, NULL where none has come"
		}
		if says == "" {
			continue
		}
		t := byName[name]
		if t == nil {
			t = &Table{Name: name, About: says}
			byName[name] = t
			if schema != "main" {
				deployments = append(deployments, name)
			}
		}
		t.Columns = append(t.Columns, Column{column, kind})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	var tables []Table
	for _, name := range append(strings.Fields(tableOrder), deployments...) {
		if t := byName[name]; t != nil {
			tables = append(tables, *t)
		}
	}
	return tables, nil
}
