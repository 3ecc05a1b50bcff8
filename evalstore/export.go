package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// dayTable is a table that is given day by day, as PartFiles gives the rows. docs/format/partitions.md says what is in it.
type dayTable struct {
	name    string
	day     string // the column whose UTC date a row belongs to
	order   string // of a file; total, so that the same rows make the same file
	without string // columns that are not given: the folder's, and the store's own
	grows   bool
}

var dayTables = []dayTable{
	{"labels", "time", "time, seq", "deployment", true},
	{"outcomes", "event_time", "event_time, seq", "deployment", false},
	{"events", "time", "time, seq", "deployment", false},
	{"profiles", "minute", "minute, version, role, seq", "deployment", true},
	{"findings", "start", `start, grain, version, role, output, "column"`, "deployment", false},
	{"metrics", "start", "start, grain, version, role, name", "deployment", false},
	{"hours", "hour", "hour, version, role", "deployment, seq, done", false},
}

// DayTables are the names of the tables that DayFiles lists.
func DayTables() []string {
	names := make([]string, len(dayTables))
	for i, t := range dayTables {
		names[i] = t.name
	}
	return names
}

func dayTableOf(name string) (dayTable, error) {
	for _, t := range dayTables {
		if t.name == name {
			return t, nil
		}
	}
	return dayTable{}, fairlead.NotFound("there is no table %q day by day", name).Hintf("the tables are %s", strings.Join(DayTables(), ", "))
}

// of is the table's part of one deployment, whose name is an argument.
func (t dayTable) of() string {
	return `(SELECT * EXCLUDE (` + t.without + `) FROM ` + t.name + ` WHERE deployment = ?)`
}

// content names what a day has: a file of the same name has the same rows. Sums do not look at the order of rows.
const content = `printf('part-%016x-%d.parquet', (sum(hash(t)::HUGEINT) % 18446744073709551616::HUGEINT)::UBIGINT, count(*))`

// DayFile is one day of a table of a deployment. Its name is made from its rows.
type DayFile struct {
	Date time.Time
	Name string // "" without rows
	Rows uint64
	// Grows: the day only gains rows, or loses them to retention. A copy with more rows is the more complete one.
	Grows bool
}

// DayFiles lists what a table has of a deployment on the days from and until, both included; a zero time is no bound. A day
// whose outcomes were all taken back is listed without rows.
func (s *Store) DayFiles(ctx context.Context, d fairlead.Name, table string, from, until time.Time) ([]DayFile, error) {
	t, err := dayTableOf(table)
	if err != nil {
		return nil, err
	}
	if until.IsZero() {
		until = greatestTime
	}
	args := []any{string(d), from.UTC(), until.UTC()}
	query := `SELECT t.` + t.day + `::DATE AS date, ` + content + ` AS name, count(*)::UBIGINT AS rows FROM ` + t.of() + ` t
		WHERE date BETWEEN ?::DATE AND ?::DATE GROUP BY 1`
	var dropped sql.NullTime // the days before have lost rows
	if t.name == "outcomes" {
		query = `WITH there AS (` + query + `) FROM there UNION ALL
			SELECT hour::DATE AS date, '', 0 FROM hours h WHERE deployment = ? AND date BETWEEN ?::DATE AND ?::DATE AND rows > 0
				AND hour >= coalesce((SELECT max(before) FROM dropped WHERE deployment = h.deployment), '-infinity'::TIMESTAMP)
				AND date NOT IN (SELECT date FROM there)
			GROUP BY 1`
		args = append(args, args...)
	}
	var out []DayFile
	err = s.reading(ctx, func(r *sql.Conn) error {
		if err := r.QueryRowContext(ctx, `SELECT max(before) FROM dropped WHERE deployment = ?`, string(d)).Scan(&dropped); err != nil {
			return err
		}
		rows, err := r.QueryContext(ctx, query+` ORDER BY 1`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var f DayFile
			if err := rows.Scan(&f.Date, &f.Name, &f.Rows); err != nil {
				return err
			}
			f.Grows = t.grows || (t.name == "outcomes" || t.name == "events") && dropped.Valid && f.Date.Before(dropped.Time)
			out = append(out, f)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list the %s of %s: %w", table, d, err)
	}
	return out, nil
}

// OpenDay makes one day of a table into a Parquet file, and says what it is and how large: it has the rows of now, which may be
// others than DayFiles listed. A day without rows is CodeNotFound. The caller closes it.
func (s *Store) OpenDay(ctx context.Context, d fairlead.Name, table string, date time.Time) (io.ReadCloser, DayFile, int64, error) {
	out := DayFile{Date: date}
	t, err := dayTableOf(table)
	if err != nil {
		return nil, out, 0, err
	}
	select { // a copy costs as much as a query
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	case <-ctx.Done():
		return nil, out, 0, ctx.Err()
	}
	var f *os.File
	err = s.reading(ctx, func(r *sql.Conn) error {
		where := fmt.Sprintf(` t WHERE %s >= TIMESTAMP '%s' AND %s < TIMESTAMP '%s'`,
			t.day, date.Format(time.DateTime), t.day, date.AddDate(0, 0, 1).Format(time.DateTime))
		if err := r.QueryRowContext(ctx, `SELECT `+content+`, count(*)::UBIGINT FROM `+t.of()+where+` HAVING count(*) > 0`, string(d)).
			Scan(&out.Name, &out.Rows); err != nil {
			if err == sql.ErrNoRows {
				return fairlead.NotFound("%s has no %s of %s", d, table, date.Format(time.DateOnly)).Hintf("list the files again")
			}
			return err
		}
		from := strings.Replace(t.of(), "?", literal(string(d)), 1) // COPY takes no arguments
		f, err = s.tempCopy(ctx, r, `SELECT * FROM `+from+where, t.order)
		return err
	})
	if err != nil {
		return nil, out, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close() // the other error counts
		return nil, out, 0, err
	}
	return f, out, st.Size(), nil
}

// tempCopy writes what a SELECT gives into a file without a name.
func (s *Store) tempCopy(ctx context.Context, r *sql.Conn, query, order string) (*os.File, error) {
	f, err := os.CreateTemp(s.rowsDir(), "part-*.tmp")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it lives for as long as it is open
	if err := copyOrdered(ctx, r, query, order, f.Name()); err != nil {
		_ = f.Close() // the other error counts
		if strings.Contains(strings.ToLower(err.Error()), "no space left") {
			return nil, fairlead.Errorf(fairlead.CodeExhausted, "the server's disk is full: a file to send could not be made").
				Hintf("make room where the server keeps its data, and run the command again").Cause(err)
		}
		return nil, err
	}
	return f, nil
}

// Holds says whether the store has anything of a deployment that DayFiles or PartFiles would list.
func (s *Store) Holds(ctx context.Context, d fairlead.Name) (bool, error) {
	names, err := hotTables(ctx, s.db)
	if err != nil || slices.Contains(names, string(d)) {
		return true, err
	}
	for _, t := range dayTables {
		var any bool
		if err := s.db.QueryRowContext(ctx, `SELECT EXISTS (FROM `+t.of()+`)`, string(d)).Scan(&any); err != nil || any {
			return any, err
		}
	}
	return false, nil
}
