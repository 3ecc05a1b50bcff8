package reference

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// kind is what every value of a CSV column can be read as.
type kind uint8

const (
	number kind = 1 << iota
	boolean
	stamp
	anything = number | boolean | stamp
)

// readCSV goes over the bytes twice: once to learn what each column holds, once to fill slices of that type. Keeping
// every cell as a string in between would take several times the memory.
func readCSV(name string, b []byte, text []string) (*fairlead.Table, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	comma := delimiter(b)
	columns, kinds, rows, err := inferCSV(name, b, comma)
	if err != nil {
		return nil, err
	}
	t := &fairlead.Table{Rows: rows, Columns: make([]fairlead.TableColumn, len(columns))}
	for i := range columns {
		c := &t.Columns[i]
		c.Name = columns[i]
		k := kinds[i]
		if slices.Contains(text, c.Name) {
			k = 0
		}
		switch {
		case k&(number|boolean) != 0:
			c.Floats = make([]float64, rows)
		case k&stamp != 0:
			c.Times = make([]time.Time, rows)
		default:
			c.Strings = make([]string, rows)
		}
	}
	return t, fillCSV(b, comma, t)
}

// delimiter is the most frequent of comma, semicolon and tab outside quotes in the header; comma if there is none.
func delimiter(b []byte) rune {
	header, _, _ := bytes.Cut(b, []byte("\n"))
	best, most, quoted := ',', 0, false
	var counts [128]int
	for _, c := range header {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && c < 128 {
			counts[c]++
		}
	}
	for _, c := range []rune{',', ';', '\t'} {
		if counts[c] > most {
			best, most = c, counts[c]
		}
	}
	return best
}

func newCSV(b []byte, comma rune) *csv.Reader {
	r := csv.NewReader(bytes.NewReader(b))
	r.Comma, r.ReuseRecord = comma, true
	return r
}

func inferCSV(name string, b []byte, comma rune) (columns []string, kinds []kind, rows int, err error) {
	r := newCSV(b, comma)
	header, err := r.Read()
	if err != nil {
		return nil, nil, 0, csvError(name, header, err)
	}
	for _, h := range header {
		columns = append(columns, strings.TrimSpace(strings.Clone(h)))
	}
	if err := checkNames(name, columns); err != nil {
		return nil, nil, 0, err
	}
	kinds = make([]kind, len(columns))
	for i := range kinds {
		kinds[i] = anything
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return columns, kinds, rows, nil
		}
		if err != nil {
			return nil, nil, 0, csvError(name, columns, err)
		}
		rows++
		if err := checkCells(name, int64(rows), len(columns)); err != nil {
			return nil, nil, 0, err
		}
		for i, cell := range record {
			kinds[i] = narrow(kinds[i], cell)
		}
	}
}

// narrow keeps of k what cell can be read as.
func narrow(k kind, cell string) kind {
	if cell == "" {
		return k
	}
	if k&number != 0 {
		if _, ok := parseNumber(cell); !ok {
			k &^= number
		}
	}
	if k&boolean != 0 {
		if _, ok := parseBool(cell); !ok {
			k &^= boolean
		}
	}
	if k&stamp != 0 {
		if _, ok := parseTime(cell); !ok {
			k &^= stamp
		}
	}
	return k
}

func csvError(name string, columns []string, err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		if errors.Is(err, csv.ErrFieldCount) {
			return fairlead.Invalid("reference %s: line %d has another number of cells than the header's %d", name, parse.Line, len(columns)).
				Hintf("a cell that holds the delimiter has to be quoted")
		}
		return fairlead.Invalid("reference %s: line %d, column %d: %v", name, parse.Line, parse.Column, parse.Err)
	}
	return fairlead.Invalid("reference %s is not a CSV with a header line", name).Cause(err)
}

// fillCSV reads the rows again into the typed columns of t. Equal strings share memory: a column of airports needs
// each code once.
func fillCSV(b []byte, comma rune, t *fairlead.Table) error {
	r := newCSV(b, comma)
	if _, err := r.Read(); err != nil {
		return err
	}
	interned := make([]intern, len(t.Columns))
	for row := range t.Rows {
		record, err := r.Read()
		if err != nil {
			return err
		}
		for i, cell := range record {
			c := &t.Columns[i]
			if cell == "" {
				setNull(c, row, t.Rows)
				continue
			}
			switch {
			case c.Floats != nil:
				v, ok := parseNumber(cell)
				if !ok {
					v, _ = parseBool(cell)
				}
				c.Floats[row] = v
			case c.Times != nil:
				c.Times[row], _ = parseTime(cell)
			default:
				c.Strings[row] = interned[i].of([]byte(cell))
			}
		}
	}
	return nil
}

func setNull(c *fairlead.TableColumn, row, rows int) {
	if c.Null == nil {
		c.Null = make([]bool, rows)
	}
	c.Null[row] = true
	if c.Floats != nil {
		c.Floats[row] = math.NaN()
	}
}

func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	// ParseFloat also knows hexadecimal and digits parted by _, which are more likely codes than numbers.
	if strings.ContainsAny(s, "xX_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil || errors.Is(err, strconv.ErrRange)
}

func parseBool(s string) (float64, bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return 1, true
	case strings.EqualFold(s, "false"):
		return 0, true
	}
	return 0, false
}

var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04",
	"2006-01-02 15:04",
	"2006-01-02",
}

func parseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < len("2006-01-02") || s[4] != '-' {
		return time.Time{}, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// intern keeps one copy of each of the first values of a column.
type intern struct{ seen map[string]string }

func (n *intern) of(b []byte) string {
	if s, ok := n.seen[string(b)]; ok {
		return s
	}
	s := string(b)
	if n.seen == nil {
		n.seen = map[string]string{}
	}
	if len(n.seen) < 1<<16 {
		n.seen[s] = s
	}
	return s
}
