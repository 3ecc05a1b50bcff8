package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

// What is wrong with the limits of a configuration file is said in the file's words.
func TestLimitsInAFile(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {clients: [{match: x, ratee: 3}]}": `limits: key "ratee" is not known`,
		"limits: {clients: [{match: x, rate: a}]}":  "limits: expected a number, came `a`",
		"limits: {clients: 3}":                      "limits: expected an object or a list, came `3`",
		"limits: [1]":                               "limits: expected an object or a list, came",
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var f serveFlags
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		f.register(flags)
		f.file = file
		err := f.load(flags)
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		hint := " (for example: limits: {clients: [{match: \"*\", rate: 100, burst: 200, concurrency: 16}], models: [{match: flights, concurrency: 64}]})"
		if got := err.Error(); got != file+": "+want+hint {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, file+": "+want+hint)
		}
	}
}
