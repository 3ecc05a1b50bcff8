package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// exportCommands are what the script of exports has besides the others.
var exportCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"readback": readback, "snapshot": snapshot, "damage": damage, "s3server": s3server, "s3dump": s3dump, "s3cut": s3cut,
}

// readback FOLDER QUERY WANT asks a DuckDB of its own about the Parquet files of a folder, which it sees as the table data.
func readback(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: readback FOLDER QUERY WANT")
	}
	got, err := askFiles(ts.MkAbs(args[0]), args[1])
	ts.Check(err)
	if got != args[2] {
		ts.Fatalf("%s\n got %q, want %q", args[1], got, args[2])
	}
}

func askFiles(folder, query string) (string, error) {
	db, err := sql.Open("duckdb", "") // the driver is there for the store's sake
	if err != nil {
		return "", err
	}
	defer db.Close()
	rows, err := db.Query(`WITH data AS (FROM read_parquet('` + folder + `/**/*.parquet', hive_partitioning = true, union_by_name = true)) ` + query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var words []string
	for rows.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return "", err
		}
		for _, v := range values {
			words = append(words, fmt.Sprint(v))
		}
	}
	return strings.Join(words, " "), rows.Err()
}

// snapshot FOLDER FILE writes the names, times and contents of a folder's files into a file.
func snapshot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: snapshot FOLDER FILE")
	}
	var out strings.Builder
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		digest := sha256.Sum256(content)
		fmt.Fprintln(&out, path, info.ModTime(), info.Size(), hex.EncodeToString(digest[:]))
		return err
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(out.String()), 0o600))
}

// damage FOLDER changes a byte in the Parquet file of a folder.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FOLDER")
	}
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.parquet"))
	if err != nil || len(files) != 1 {
		ts.Fatalf("%v %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	ts.Check(err)
	content[len(content)/2] ^= 1
	ts.Check(os.WriteFile(files[0], content, 0o600))
}
