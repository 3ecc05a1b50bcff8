package profile

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// Projection makes one number of a value that has too many forms to be counted itself: a free text, or a row of a wide
// tensor such as an embedding or an image. A projected column is named after it, "comment.length", and is numeric.
type Projection string

// Projections of texts. The shares are of the text's characters, and 0 of an empty text.
const (
	Length     Projection = "length"      // characters
	Letters    Projection = "letters"     // share of letters, of any script
	Digits     Projection = "digits"      // share of decimal digits
	NonASCII   Projection = "non_ascii"   // share outside ASCII
	Words      Projection = "words"       // runs of characters that are not white space
	WordLength Projection = "word_length" // characters of a word, mean; 0 without words
)

// Projections of the rows of wide tensors. They are NaN where a row holds NaN.
const (
	Mean Projection = "mean" // of an image: its brightness
	Std  Projection = "std"  // population standard deviation; of an image: its contrast
	Norm Projection = "norm" // Euclidean
)

var (
	textProjections   = []Projection{Length, Letters, Digits, NonASCII, Words, WordLength}
	tensorProjections = []Projection{Mean, Std, Norm}
)

// projectedType is what projected numbers are counted as.
const projectedType = fairlead.FP64

// minFreeTexts is how many texts are needed to say that they hardly repeat.
const minFreeTexts = 200

// Prose has several words, or many characters in scripts that do not part words. Identifiers and codes have not.
const (
	proseWords  = 3
	proseLength = 64
)

// free says that texts, with how many rows have each, are prose that hardly repeats: live ones would nearly all be unseen.
func free(seen map[string]int) bool {
	rows, words, length := 0, 0, 0
	for s, n := range seen {
		h := shapeOf(s) // of a long text its beginning, which is enough here
		rows, words, length = rows+n, words+n*h.words, length+n*h.length
	}
	return rows >= minFreeTexts && len(seen) > rows/2 && (words >= proseWords*rows || length >= proseLength*rows)
}

// projected is a column made of the values of another, or of a tensor.
func projected(f fairlead.Field, p Projection) Column {
	return Column{Name: f.Name + "." + string(p), Output: f.Output, Projection: p,
		Field: fairlead.Field{Name: f.Name, Tensor: f.Tensor, Index: f.Index, Output: f.Output, Type: projectedType, Role: f.Role}}
}

// projectText gives the columns that stand for a free text. A name that the model or the data has already is left to its owner.
func projectText(f fairlead.Field, source *fairlead.TableColumn, rows int, taken func(name string) bool) []Column {
	var columns []Column
	shapes := textShapes(source, rows)
	for _, p := range textProjections {
		c := projected(f, p)
		if taken(c.Name) {
			continue
		}
		values := make([]float64, 0, rows)
		for i := range shapes {
			if !shapes[i].null {
				values = append(values, shapes[i].value(p))
			}
		}
		c.learnNumbers(values)
		columns = append(columns, c)
	}
	return columns
}

// projectTensors gives the projections of wide inputs that the table has a column for, such as "image.mean".
func projectTensors(inputs []fairlead.TensorSpec, t *fairlead.Table, taken func(name string) bool) ([]Column, error) {
	var columns []Column
	for _, in := range inputs {
		if len(in.Features) > 0 || in.Width() == 1 || in.Type == fairlead.Bytes {
			continue
		}
		for _, p := range tensorProjections {
			c := projected(fairlead.Field{Name: in.Name, Tensor: in.Name}, p)
			source := t.Column(c.Name)
			if source == nil || taken(c.Name) {
				continue
			}
			learned, err := learnColumn(fairlead.Field{Name: c.Name, Tensor: in.Name, Type: projectedType}, source, t.Rows)
			if err != nil {
				return nil, err
			}
			learned.Projection, learned.Field = p, c.Field
			columns = append(columns, learned)
		}
	}
	return columns, nil
}

// ofText says that a column is made of texts.
func (c *Column) ofText() bool { return slices.Contains(textProjections, c.Projection) }

// shape is what the projections of one text need, from one pass over it.
type shape struct {
	null                             bool
	length, letters, digits, foreign int
	words, spaces                    int
}

func shapeOf(s string) (h shape) {
	inWord := false
	for i := 0; i < len(s); {
		h.length++
		space := false
		if b := s[i]; b < utf8.RuneSelf {
			i++
			switch {
			case 'a' <= b|0x20 && b|0x20 <= 'z':
				h.letters++
			case '0' <= b && b <= '9':
				h.digits++
			case b == ' ' || '\t' <= b && b <= '\r':
				space = true
			}
		} else {
			r, size := utf8.DecodeRuneInString(s[i:])
			i += size
			h.foreign++
			switch {
			case unicode.IsLetter(r):
				h.letters++
			case unicode.IsDigit(r):
				h.digits++
			case unicode.IsSpace(r):
				space = true
			}
		}
		if space {
			h.spaces++
		} else if !inWord {
			h.words++
		}
		inWord = !space
	}
	return h
}

func (h *shape) value(p Projection) float64 {
	share := func(n, of int) float64 {
		if of == 0 {
			return 0
		}
		return float64(n) / float64(of)
	}
	switch p {
	case Length:
		return float64(h.length)
	case Letters:
		return share(h.letters, h.length)
	case Digits:
		return share(h.digits, h.length)
	case NonASCII:
		return share(h.foreign, h.length)
	case Words:
		return float64(h.words)
	case WordLength:
		return share(h.length-h.spaces, h.words)
	}
	return math.NaN()
}

func textShapes(source *fairlead.TableColumn, rows int) []shape {
	shapes := make([]shape, rows)
	for i := range shapes {
		if s, ok := text(source, i); ok {
			shapes[i] = shapeOf(s)
		} else {
			shapes[i].null = true
		}
	}
	return shapes
}

// spread is what the projections of one row of numbers need.
type spread struct{ mean, std, norm float64 }

func (s *spread) value(p Projection) float64 {
	switch p {
	case Mean:
		return s.mean
	case Std:
		return s.std
	case Norm:
		return s.norm
	}
	return math.NaN()
}

// spreadOf sums up a row in one pass, shifted by its first element so that a large mean does not swallow the deviation.
func spreadOf[T scalar](row []T) spread {
	if len(row) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	n, origin := float64(len(row)), float64(row[0])
	var sum, squares, norm float64
	for _, v := range row {
		x := float64(v)
		norm += x * x
		x -= origin
		sum += x
		squares += x * x
	}
	mean := sum / n
	return spread{mean: origin + mean, std: math.Sqrt(max(squares/n-mean*mean, 0)), norm: math.Sqrt(norm)}
}

func spreads[T scalar](data []T, v view) []spread {
	out := make([]spread, v.len())
	for i := range out {
		at := v.at(i) - v.index
		out[i] = spreadOf(data[at : at+v.width])
	}
	return out
}

// projector remembers what it made of a text or a tensor, for its columns follow each other.
type projector struct {
	tensor  *fairlead.Tensor
	index   int
	shapes  []shape
	spreads []spread
}

// add counts a projected column of a tensor of n rows; false if the tensor has no such column.
func (m *projector) add(c *ColumnCounts, col *Column, t *fairlead.Tensor, rows []int, n int) bool {
	if t == nil {
		return false
	}
	width := t.Width()
	if width < 1 || col.Field.Index >= width || t.Len() < n*width {
		return false
	}
	v := view{rows: rows, n: n, width: width, index: col.Field.Index}
	if m.tensor != t || m.index != col.Field.Index {
		*m = projector{tensor: t, index: col.Field.Index}
	}
	r := col.ranker()
	if col.ofText() {
		data, ok := t.Data.([]string)
		if !ok {
			return false
		}
		if m.shapes == nil {
			m.shapes = make([]shape, v.len())
			for i := range m.shapes {
				m.shapes[i] = shapeOf(data[v.at(i)])
			}
		}
		for i := range m.shapes {
			c.addNumber(r, m.shapes[i].value(col.Projection))
		}
		return true
	}
	if m.spreads == nil {
		m.spreads = spreadsOf(t, v)
	}
	for i := range m.spreads {
		c.addNumber(r, m.spreads[i].value(col.Projection))
	}
	return len(m.spreads) > 0 || v.len() == 0
}

// spreadsOf is nil for a tensor that holds no numbers.
func spreadsOf(t *fairlead.Tensor, v view) []spread {
	switch data := t.Data.(type) {
	case []string:
		return nil
	case []float32:
		return spreads(data, v)
	case []float64:
		return spreads(data, v)
	case []uint8:
		return spreads(data, v)
	}
	out, row := make([]spread, v.len()), make([]float64, v.width)
	for i := range out {
		at := v.at(i) - v.index
		for j := range row {
			row[j], _ = t.Float(at + j)
		}
		out[i] = spreadOf(row)
	}
	return out
}

// addProjected counts a projected column of a table: of a text as the text has it, of a tensor as a column of its own name.
func (c *ColumnCounts) addProjected(col *Column, t *fairlead.Table, rows []int) bool {
	if !col.ofText() {
		source := t.Column(col.Name)
		if source != nil {
			c.addCells(col, source, rows)
		}
		return source != nil
	}
	source := t.Column(col.Field.Name)
	if source == nil {
		return false
	}
	r := col.ranker()
	for _, row := range rows {
		s, ok := text(source, row)
		if !ok {
			c.Null++
			continue
		}
		h := shapeOf(s)
		c.addNumber(r, h.value(col.Projection))
	}
	return true
}
