package backfill

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

type csvSource struct {
	name    string
	r       *csv.Reader
	columns []string
	size    int64
	batch   Batch
	fault   *Fault // found while a batch was filled: given after it
}

func openCSV(name string, in io.Reader, size int64) (Source, error) {
	buffered := bufio.NewReaderSize(in, 1<<20)
	if bom, err := buffered.Peek(3); err == nil && string(bom) == "\ufeff" {
		_, _ = buffered.Discard(3) // it was just peeked
	}
	head, _ := buffered.Peek(64 << 10) // a shorter file gives what it has
	if slices.Contains(head, 0) {
		return nil, fairlead.Invalid("%s is neither Parquet nor CSV: it has a zero byte", name).Hintf("give a Parquet file, or UTF-8 text with a header line")
	}
	s := &csvSource{name: name, r: csv.NewReader(buffered), size: size}
	s.r.Comma, s.r.ReuseRecord = comma(head), true
	header, err := s.r.Read()
	if err != nil {
		return nil, fairlead.Invalid("%s has no header that can be read", name).Hintf("the first line names the columns").Cause(err)
	}
	for _, h := range header {
		h = strings.Clone(strings.TrimSpace(h))
		if h == "" || slices.Contains(s.columns, h) {
			return nil, fairlead.Invalid("%s: column %d is named %q, as nobody or another", name, len(s.columns)+1, h).Hintf("the first line names the columns, each once")
		}
		s.columns = append(s.columns, h)
	}
	s.batch.Columns = make([]Column, len(s.columns))
	return s, nil
}

// comma is the most frequent of comma, semicolon and tab in the header.
func comma(head []byte) rune {
	line, _, _ := strings.Cut(string(head), "\n")
	best, most := ',', -1
	for _, c := range []rune{',', ';', '\t'} {
		if n := strings.Count(line, string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}

func (s *csvSource) Columns() []string { return s.columns }

func (s *csvSource) Progress() (done, total int64) { return s.r.InputOffset(), s.size }

func (s *csvSource) Next() (*Batch, error) {
	if s.fault != nil {
		f := s.fault
		s.fault = nil
		return nil, f
	}
	b := &s.batch
	b.N, b.Lines = 0, make([]int64, 0, BatchRows)
	for i := range b.Columns {
		b.Columns[i].Texts = make([]string, 0, BatchRows)
	}
	for b.N < BatchRows {
		record, err := s.r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			var p *csv.ParseError
			if !errors.As(err, &p) {
				return nil, err
			}
			s.fault = &Fault{Line: int64(p.StartLine), Text: faultText(p, len(s.columns), len(record))}
			break
		}
		line, _ := s.r.FieldPos(0)
		b.Lines = append(b.Lines, int64(line))
		whole := strings.Join(record, "") // one allocation for the row
		for i, cell := range record {
			b.Columns[i].Texts = append(b.Columns[i].Texts, whole[:len(cell)])
			whole = whole[len(cell):]
		}
		b.N++
	}
	if b.N > 0 {
		return b, nil
	}
	if s.fault != nil {
		return s.Next()
	}
	return nil, io.EOF
}

func faultText(p *csv.ParseError, want, got int) string {
	if errors.Is(p.Err, csv.ErrFieldCount) {
		return "it has " + plural(got, "cell") + " for " + plural(want, "column")
	}
	return p.Err.Error()
}
