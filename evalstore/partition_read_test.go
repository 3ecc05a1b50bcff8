package evalstore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// cell is a value of another reader, as table shows the store's.
func cell(a arrow.Array, row int) string {
	if a.IsNull(row) {
		return "<nil>"
	}
	switch a := a.(type) {
	case *array.Float32:
		return float(fmt.Sprint(a.Value(row)))
	case *array.Float64:
		return float(fmt.Sprint(a.Value(row)))
	case *array.Timestamp:
		return a.Value(row).ToTime(arrow.Microsecond).Format("01-02 15:04")
	case *array.Map:
		from, to := a.ValueOffsets(row)
		var parts []string
		for i := from; i < to; i++ {
			parts = append(parts, cell(a.Keys(), int(i))+":"+cell(a.Items(), int(i)))
		}
		return "map[" + strings.Join(parts, " ") + "]"
	case *array.List:
		from, to := a.ValueOffsets(row)
		var parts []string
		for i := from; i < to; i++ {
			parts = append(parts, cell(a.ListValues(), int(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return a.ValueStr(row)
}

// float shows a number as the store's answers do.
func float(s string) string {
	switch s {
	case "NaN":
		return "<nil>"
	case "+Inf":
		return "Infinity"
	case "-Inf":
		return "-Infinity"
	}
	return s
}

// TestOtherReadersReadTheFiles reads every file with Arrow's own reader and compares it with what the store answers: the layout
// is that of docs/format/partitions.md.
func TestOtherReadersReadTheFiles(t *testing.T) {
	s := open(t, t.TempDir())
	days(t, s, 3)
	moveAll(t, s)
	columns, err := viewColumns(t.Context(), s.db, "flights")
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	for _, day := range []string{"2001-03-01", "2001-03-02"} {
		files, err := filepath.Glob(filepath.Join(s.rowsDir(), "deployment=flights", "date="+day, "*.parquet"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		r, err := file.OpenParquetFile(files[0], false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.NumRowGroups() {
			chunk, err := r.MetaData().RowGroup(i).ColumnChunk(0)
			if err != nil || chunk.Compression().String() != "ZSTD" {
				t.Errorf("%s: %v %v", day, chunk.Compression(), err)
			}
		}
		pq, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: 1000}, arrowmemory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		tab, err := pq.ReadTable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for i := range int(tab.NumCols()) {
			have = append(have, tab.Schema().Field(i).Name)
		}
		expect(t, "columns", strings.Join(have, " "), strings.Join(names, " "))
		var lines []string
		for row := range int(tab.NumRows()) {
			var parts []string
			for c := range int(tab.NumCols()) {
				parts = append(parts, cell(tab.Column(c).Data().Chunk(0), row))
			}
			lines = append(lines, strings.Join(parts, " "))
		}
		tab.Release()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		expect(t, "rows of "+day, strings.Join(lines, "\n"), table(t, s, `SELECT * FROM rows.flights WHERE event_time::DATE = '`+day+`' ORDER BY event_time, seq`))
	}
}

// TestPyArrowReadsTheFolders reads all files as one partitioned data set. FAIRLEAD_PYTHON is a Python that has pyarrow.
func TestPyArrowReadsTheFolders(t *testing.T) {
	python := os.Getenv("FAIRLEAD_PYTHON")
	if python == "" {
		t.Skip("FAIRLEAD_PYTHON is not set")
	}
	s := open(t, t.TempDir())
	days(t, s, 3)
	moveAll(t, s)
	out, err := exec.CommandContext(t.Context(), python, "-c", `
import sys, pyarrow.dataset as ds, pyarrow.compute as pc
t = ds.dataset(sys.argv[1], partitioning="hive").to_table().sort_by("seq")
print(t.num_rows, sorted(set(t["deployment"].to_pylist())), sorted(set(map(str, t["date"].to_pylist()))), "%.4f" % pc.sum(t["score"]).as_py())
print(pc.sum(pc.is_nan(t["hour"])).as_py(), pc.sum(pc.is_inf(t["hour"])).as_py(), [x for x in t["tags"].to_pylist() if x][0], t["seq"][0], t["event_time"][0])
`, s.rowsDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	score := table(t, s, `SELECT printf('%.4f', sum(score)) FROM predictions WHERE event_time < '2001-03-03'`)
	expect(t, "as Python reads it", strings.TrimSpace(string(out)),
		"86 ['flights'] ['2001-03-01', '2001-03-02'] "+score+"\n2 2 [('gate', 'é4'), ('x', '')] 1048576 2001-03-01 03:00:00")
}
