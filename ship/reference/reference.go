// Package reference reads the reference data of a model, a Parquet or CSV file in memory, into a fairlead.Table.
// It does no I/O. Whatever the bytes are, the answer is a table or an error, never a panic.
package reference

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// Limits of what Read accepts. A Parquet file of a kilobyte can claim a billion rows, so the size of the file alone
// bounds nothing.
const (
	MaxBytes   = 1 << 30     // of the file
	MaxCells   = 100_000_000 // rows times columns
	MaxColumns = 10_000
	maxPages   = 1 << 28 // bytes of decompressed pages held at one time
	maxTotal   = 4 << 30 // bytes of decompressed pages altogether
	maxFooter  = 8 << 20 // bytes of Parquet metadata
)

// Read reads a Parquet or CSV file; the format is found from the bytes, name serves messages only.
//
// Numbers and booleans (0 and 1) become Floats, timestamps and dates become Times in UTC (a time without a zone is
// taken as UTC), everything else becomes Strings. An empty CSV cell is a null. Columns named in text are read as
// Strings whatever they look like: codes with leading zeros keep them. Integers beyond 2^53 round, except in text
// columns.
//
// The error is CodeInvalid, or CodeTooLarge, when the bytes are neither format, are damaged, hold no rows, exceed the
// limits, or have columns that have no place in a table (decimals, lists, structures, raw bytes).
func Read(name string, b []byte, text ...string) (*fairlead.Table, error) {
	if len(b) == 0 {
		return nil, fairlead.Invalid("reference %s is empty", name).Hintf("it needs a Parquet or CSV file with the model's features as columns")
	}
	if len(b) > MaxBytes {
		return nil, tooLarge("reference %s has %d MB, the limit is %d MB", name, len(b)>>20, MaxBytes>>20)
	}
	var t *fairlead.Table
	var err error
	if isParquet(b) {
		t, err = readParquet(name, b, text)
	} else {
		if err := checkText(name, b); err != nil {
			return nil, err
		}
		t, err = readCSV(name, b, text)
	}
	if err != nil {
		return nil, err
	}
	if t.Rows == 0 {
		return nil, fairlead.Invalid("reference %s has no rows", name).Hintf("it has columns %s but not one row of data", strings.Join(t.Names(), ", "))
	}
	return t, nil
}

func tooLarge(format string, args ...any) *fairlead.Error {
	return fairlead.Errorf(fairlead.CodeTooLarge, format, args...).
		Hintf("a reference is a sample: a few hundred thousand rows say as much as all of them")
}

var parquetMagic, encryptedMagic = []byte("PAR1"), []byte("PARE")

// isParquet goes by either end of the file, so that a truncated one is reported as damaged Parquet, not as bad CSV.
func isParquet(b []byte) bool {
	return bytes.HasPrefix(b, parquetMagic) || bytes.HasPrefix(b, encryptedMagic) || bytes.HasSuffix(b, parquetMagic)
}

// others are formats that people mistake for a table we read.
var others = []struct{ magic, what, fix string }{
	{"\x1f\x8b", "gzip", "unpack it first"},
	{"PK\x03\x04", "a zip archive or an Excel workbook", "export the sheet as CSV"},
	{"\x28\xb5\x2f\xfd", "zstd", "unpack it first"},
	{"ARROW1", "Arrow IPC (Feather)", "write it with to_parquet"},
	{"FEA1", "Feather", "write it with to_parquet"},
	{"\x80\x04", "a Python pickle", "write it with to_parquet"},
	{"\x80\x05", "a Python pickle", "write it with to_parquet"},
	{"SQLite format 3", "an SQLite database", "export the table as CSV"},
	{"\x89HDF", "HDF5", "write it with to_parquet"},
	{"ORC", "ORC", "write it as Parquet"},
	{"\xff\xfe", "UTF-16 text", "save it as UTF-8"},
	{"\xfe\xff", "UTF-16 text", "save it as UTF-8"},
	{"<", "HTML or XML", "save the data as CSV or Parquet"},
	{"{", "JSON", "save the data as CSV or Parquet"},
	{"[", "JSON", "save the data as CSV or Parquet"},
}

// checkText says no to bytes that cannot be CSV.
func checkText(name string, b []byte) error {
	const want = "reference %s is neither Parquet nor CSV"
	for _, o := range others {
		// ORC is also how the header of a CSV could start: only its binary form has a control byte behind it.
		if bytes.HasPrefix(b, []byte(o.magic)) && (o.what != "ORC" || len(b) > 3 && b[3] < ' ' && b[3] != '\n' && b[3] != '\r') {
			return fairlead.Invalid(want+": it looks like %s", name, o.what).Hintf("%s", o.fix)
		}
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return fairlead.Invalid(want+": it has a zero byte at offset %d", name, i).Hintf("give a Parquet file, or UTF-8 text with a header line")
	}
	if !utf8.Valid(b) {
		line, at := 1, 0
		for at < len(b) {
			r, n := utf8.DecodeRune(b[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			at += n
		}
		return fairlead.Invalid(want+": line %d is not UTF-8 (offset %d)", name, line, at).Hintf("save the CSV as UTF-8, or give a Parquet file")
	}
	return nil
}

// checkNames refuses columns that could not be told apart.
func checkNames(name string, columns []string) error {
	if len(columns) > MaxColumns {
		return tooLarge("reference %s has %d columns, the limit is %d", name, len(columns), MaxColumns)
	}
	for i, c := range columns {
		if strings.TrimSpace(c) == "" {
			return fairlead.Invalid("reference %s: column %d has no name", name, i+1).Hintf("the first line of a CSV names its columns")
		}
		if slices.Contains(columns[:i], c) {
			return fairlead.Invalid("reference %s: two columns are named %q", name, c)
		}
	}
	return nil
}

func checkCells(name string, rows int64, columns int) error {
	if columns > 0 && rows > MaxCells/int64(columns) {
		return tooLarge("reference %s has %d rows of %d columns, the limit is %d cells", name, rows, columns, MaxCells)
	}
	return nil
}
