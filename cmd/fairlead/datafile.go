package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/learn/backfill"
)

// openData opens a file of rows; the file is the caller's to close.
func openData(path string) (backfill.Source, *os.File, error) {
	f, err := os.Open(path) // #nosec G304 -- named by the user
	if err != nil {
		return nil, nil, fairlead.Invalid("cannot read %s", path).Hintf("FILE is Parquet, CSV or JSON Lines").Cause(err)
	}
	src, err := sourceOf(path, f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return src, f, nil
}

func sourceOf(path string, f *os.File) (backfill.Source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fairlead.Invalid("%s is a folder", path).Hintf("give one file at a time")
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jsonl", ".ndjson":
		return backfill.OpenJSONLines(f, info.Size())
	}
	return backfill.Open(path, f, info.Size())
}

// dataBar shows how much of a file was sent, where a person looks.
type dataBar struct{ bar *progressbar.ProgressBar }

func newDataBar(w io.Writer, what string) *dataBar {
	f, ok := w.(*os.File)
	if !ok {
		return &dataBar{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &dataBar{}
	}
	return &dataBar{progressbar.NewOptions64(1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())}
}

func (b *dataBar) show(src backfill.Source) {
	if b.bar == nil {
		return
	}
	done, total := src.Progress()
	b.bar.ChangeMax64(max(total, 1))
	_ = b.bar.Set64(done) // a bar that cannot be drawn stops nothing
}

func (b *dataBar) close() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// faults lists rows that were left out.
func faults(w io.Writer, f *backfill.Faults) {
	if f.N == 0 {
		return
	}
	fmt.Fprintf(w, "%d rows were left out:\n", f.N)
	for i := range f.First {
		fmt.Fprintf(w, "  %v\n", &f.First[i])
	}
	if rest := f.N - int64(len(f.First)); rest > 0 {
		fmt.Fprintf(w, "  … and %d more\n", rest)
	}
}

// insistFor is how long a server that is away or busy is asked again.
const insistFor = 2 * time.Minute

// insist repeats a request that may be repeated until the server takes it, refuses it for good, or insistFor is over.
func insist(ctx context.Context, send func() error) error {
	began := time.Now()
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := send()
		switch fairlead.CodeOf(err) {
		case fairlead.CodeUnavailable, fairlead.CodeExhausted:
		default:
			return err
		}
		if time.Since(began) > insistFor {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
