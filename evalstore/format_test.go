package evalstore

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	formatSection = regexp.MustCompile(`(?ms)^## (\w+)\n(.*?)(?:^## |\z)`)
	formatColumn  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| ")
)

// TestDocumentedColumns compares the tables of docs/format/partitions.md with the files that are written.
func TestDocumentedColumns(t *testing.T) {
	page, err := os.ReadFile("../docs/format/partitions.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for rest := string(page); ; {
		m := formatSection.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		for _, c := range formatColumn.FindAllStringSubmatch(rest[m[4]:m[5]], -1) {
			said[rest[m[2]:m[3]]] += c[1] + " " + c[2] + "\n"
		}
		rest = rest[m[5]:]
	}
	s, _ := everyTable(t)
	moveAll(t, s)
	dir := t.TempDir()
	for _, name := range DayTables() {
		files, err := s.DayFiles(t.Context(), "flights", name, time.Time{}, time.Time{})
		if err != nil || len(files) == 0 {
			t.Fatal(name, files, err)
		}
		path := saveDay(t, s, dir, name, files[0])
		expect(t, name, said[name], described(t, path))
	}
	files, err := s.PartFiles(t.Context(), "flights", time.Time{}, time.Time{})
	if err != nil || len(files) == 0 || files[0].Bytes == 0 {
		t.Fatal(files, err)
	}
	rows := described(t, s.rowsDir()+"/"+PartFolder("flights", files[0].Date)+"/"+files[0].Name)
	if !strings.HasPrefix(rows, said["rows"]) || strings.Count(said["rows"], "\n") != len(systemColumns) {
		t.Errorf("rows: the page has\n%sthe file\n%s", said["rows"], rows)
	}
}

// described are the columns of a file as DuckDB names their types.
func described(t *testing.T, path string) string {
	t.Helper()
	other := memoryDB(t)
	rows, err := other.QueryContext(t.Context(), `DESCRIBE FROM read_parquet('`+path+`', hive_partitioning = false)`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := ""
	for rows.Next() {
		var name, kind string
		var rest [4]any
		if err := rows.Scan(&name, &kind, &rest[0], &rest[1], &rest[2], &rest[3]); err != nil {
			t.Fatal(err)
		}
		out += name + " " + kind + "\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
