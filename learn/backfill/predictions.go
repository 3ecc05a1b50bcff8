package backfill

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// Version is what predictions are said to be made by.
type Version struct {
	Deployment fairlead.Name
	Model      fairlead.Name
	Version    fairlead.Version
	Digest     fairlead.Digest
	Signature  fairlead.Signature
}

// Reader makes predictions and labels of the rows of a Source. One goroutine uses it.
type Reader struct {
	Faults Faults

	src     Source
	version Version
	mapping Mapping
	place   map[string]int // column → index
	tensors []tensorPlan
	seen    map[[10]byte]int // how often a row of the last part was there, where ids are made
}

// tensorPlan says which columns make a tensor.
type tensorPlan struct {
	spec   fairlead.TensorSpec
	output bool
	width  int
	cells  []cellPlan
	pair   bool // a binary score of two columns: the first is the complement of the second
}

type cellPlan struct{ index, column int }

// NewReader makes a Reader of past predictions. Fields without a column are stored as missing.
func NewReader(src Source, v Version, m Mapping) (*Reader, error) {
	r := &Reader{src: src, version: v, mapping: m, place: map[string]int{}}
	for i, name := range src.Columns() {
		r.place[name] = i
	}
	for _, f := range v.Signature.Fields() {
		column, ok := m.Fields[f.Name]
		if !ok {
			continue
		}
		i := slices.IndexFunc(r.tensors, func(t tensorPlan) bool { return t.spec.Name == f.Tensor && t.output == f.Output })
		if i < 0 {
			spec := v.Signature.Input(f.Tensor)
			if f.Output {
				spec = v.Signature.Output(f.Tensor)
			}
			if spec.Type == fairlead.FP16 || spec.Type == fairlead.BF16 {
				return nil, fairlead.Errorf(fairlead.CodeUnsupported, "the field %s is of type %s, which cannot be imported", f.Name, spec.Type).
					Hintf("leave it out with --field %s=-", f.Name)
			}
			i = len(r.tensors)
			r.tensors = append(r.tensors, tensorPlan{spec: *spec, output: f.Output, width: max(1, spec.Width())})
		}
		t := &r.tensors[i]
		t.cells = append(t.cells, cellPlan{f.Index, r.place[column]})
		t.pair = f.Output && f.Role == fairlead.RoleScore && t.width == 2 && v.Signature.Task == fairlead.TaskBinary
	}
	return r, nil
}

// Part is what some rows of a file became.
type Part struct {
	Rows       int                  // taken
	Prediction *fairlead.Prediction // nil where no row was taken; valid until the next part is read
	Labels     []fairlead.Label
}

// Next reads the next rows; io.EOF after the last. Rows that cannot be taken are counted in Faults; a part may be empty.
func (r *Reader) Next() (Part, error) {
	b, err := r.src.Next()
	if f, ok := err.(*Fault); ok {
		r.Faults.Add(f)
		return Part{}, nil
	}
	if err != nil {
		return Part{}, err
	}
	bad := make([]bool, b.N)
	p := &fairlead.Prediction{
		Deployment: r.version.Deployment, Model: r.version.Model, Version: r.version.Version, Digest: r.version.Digest,
		Role: fairlead.RoleLive, Rows: make([]fairlead.RowMeta, b.N),
	}
	r.times(b, p, bad)
	for i := range r.tensors {
		t := &r.tensors[i]
		if t.output {
			p.Outputs = append(p.Outputs, r.tensor(t, b, bad))
		} else {
			p.Inputs = append(p.Inputs, r.tensor(t, b, bad))
		}
	}
	if c := r.column(b, r.mapping.Key); c != nil {
		for i := range p.Rows {
			if !c.isNull(i) {
				p.Rows[i].Key = c.text(i)
			}
		}
	}
	r.names(b, p, bad)
	labels := r.labels(b, p, bad)
	if slices.Contains(bad, true) {
		var good []int
		for i, is := range bad {
			if !is {
				good = append(good, i)
			}
		}
		p = Select(p, good)
	}
	if len(p.Rows) == 0 {
		return Part{}, nil
	}
	p.ID = p.Rows[0].ID
	return Part{Rows: len(p.Rows), Prediction: p, Labels: labels}, nil
}

// Message is the part's rows for the event log.
func (p *Part) Message(sig *fairlead.Signature) ([]byte, error) {
	return eventlog.EncodePredictions([]*fairlead.Prediction{p.Prediction}, sig)
}

// LabelMessage is the part's labels for the event log.
func (p *Part) LabelMessage() []byte { return LabelMessage(p.Labels) }

func (r *Reader) column(b *Batch, name string) *Column {
	if name == "" {
		return nil
	}
	return &b.Columns[r.place[name]]
}

// fault marks a row as bad, once.
func (r *Reader) fault(b *Batch, bad []bool, i int, column, text string) {
	if !bad[i] {
		bad[i] = true
		r.Faults.add(b.Line(i), column, text)
	}
}

func (r *Reader) times(b *Batch, p *fairlead.Prediction, bad []bool) {
	c := r.column(b, r.mapping.Time)
	for i := range p.Rows {
		if c.isNull(i) {
			r.fault(b, bad, i, r.mapping.Time, "the time is missing")
			continue
		}
		t, err := c.time(i)
		if err == nil && (t.Year() < 1 || t.Year() > 9999) {
			r.fault(b, bad, i, r.mapping.Time, "the year is not between 1 and 9999")
			continue
		}
		if err != nil {
			r.fault(b, bad, i, r.mapping.Time, err.Error())
			continue
		}
		p.Rows[i].Time = t.Truncate(time.Microsecond)
	}
}

// names gives the rows their ids: those of the file, or ones made of what the row says, so that the same row has the same
// id whenever it is read. Made ids begin with the time, so that those of one time lie together. Rows that say the same
// differ by a number as long as they are near each other in the file.
func (r *Reader) names(b *Batch, p *fairlead.Prediction, bad []bool) {
	c := r.column(b, r.mapping.ID)
	if c != nil {
		for i := range p.Rows {
			switch {
			case c.isNull(i):
				r.fault(b, bad, i, r.mapping.ID, "the prediction id is missing")
			default:
				p.Rows[i].ID = c.text(i)
				if len(p.Rows[i].ID) > fairlead.MaxKey {
					r.fault(b, bad, i, r.mapping.ID, "the prediction id is longer than "+strconv.Itoa(fairlead.MaxKey)+" bytes")
				}
			}
		}
		return
	}
	seen := map[[10]byte]int{}
	defer func() { r.seen = seen }()
	h := sha256.New()
	var buf []byte
	for i := range p.Rows {
		row := &p.Rows[i]
		buf = append(append(append(buf[:0], r.version.Deployment...), 0), strconv.Itoa(int(r.version.Version))...)
		buf = binary.BigEndian.AppendUint64(append(buf, 0), uint64(row.Time.UnixMicro()))
		buf = append(append(buf, row.Key...), 0)
		for _, t := range r.tensors {
			for _, cell := range t.cells {
				col := &b.Columns[cell.column]
				if !col.isNull(i) {
					buf = append(buf, col.text(i)...)
				}
				buf = append(buf, 0)
			}
		}
		h.Reset()
		h.Write(buf)
		var sum [sha256.Size]byte
		var id [10]byte
		copy(id[:], h.Sum(sum[:0]))
		row.ID = madeID(row.Time, id)
		n := max(seen[id], r.seen[id])
		if n > 0 {
			row.ID += "." + strconv.Itoa(n)
		}
		seen[id] = n + 1
	}
}

var base32ID = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// madeID is 48 bits of milliseconds, in the order of time also before 1970, and the sum.
func madeID(at time.Time, sum [10]byte) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 18), uint64(at.UnixMilli()+1<<46)<<16)
	return "i" + base32ID.EncodeToString(append(b[:6], sum[:]...))
}

// tensor converts the columns of one tensor.
func (r *Reader) tensor(t *tensorPlan, b *Batch, bad []bool) fairlead.Tensor {
	out := fairlead.Tensor{Name: t.spec.Name, Type: t.spec.Type, Shape: []int64{int64(b.N)}, Data: fairlead.MakeData(t.spec.Type, b.N*t.width)}
	for _, d := range t.spec.Shape[min(1, len(t.spec.Shape)):] {
		out.Shape = append(out.Shape, max(1, d))
	}
	if len(t.cells) < t.width && !t.pair {
		fillNaN(out.Data)
	}
	for _, cell := range t.cells {
		r.cell(&out, t, cell, b, bad)
	}
	if t.pair {
		complement(out.Data)
	}
	return out
}

// cell converts one column into its place in each row of the tensor.
func (r *Reader) cell(out *fairlead.Tensor, t *tensorPlan, cell cellPlan, b *Batch, bad []bool) {
	c := &b.Columns[cell.column]
	wrong := func(i int, text string) { r.fault(b, bad, i, r.src.Columns()[cell.column], text) }
	switch d := out.Data.(type) {
	case []string:
		for i := range b.N {
			if !c.isNull(i) {
				d[i*t.width+cell.index] = c.text(i)
			}
		}
	case []float32:
		numbers(c, b.N, wrong, func(i int, f float64) { d[i*t.width+cell.index] = float32(f) })
	case []float64:
		numbers(c, b.N, wrong, func(i int, f float64) { d[i*t.width+cell.index] = f })
	case []bool:
		whole(c, b.N, 0, 1, wrong, func(i int, f float64) { d[i*t.width+cell.index] = f == 1 })
	case []int8:
		whole(c, b.N, math.MinInt8, math.MaxInt8, wrong, func(i int, f float64) { d[i*t.width+cell.index] = int8(f) })
	case []int16:
		whole(c, b.N, math.MinInt16, math.MaxInt16, wrong, func(i int, f float64) { d[i*t.width+cell.index] = int16(f) })
	case []int32:
		whole(c, b.N, math.MinInt32, math.MaxInt32, wrong, func(i int, f float64) { d[i*t.width+cell.index] = int32(f) })
	case []int64:
		integers(c, b.N, wrong, func(i int, n int64) { d[i*t.width+cell.index] = n })
	case []uint8:
		whole(c, b.N, 0, math.MaxUint8, wrong, func(i int, f float64) { d[i*t.width+cell.index] = uint8(f) })
	case []uint16:
		whole(c, b.N, 0, math.MaxUint16, wrong, func(i int, f float64) { d[i*t.width+cell.index] = uint16(f) })
	case []uint32:
		whole(c, b.N, 0, math.MaxUint32, wrong, func(i int, f float64) { d[i*t.width+cell.index] = uint32(f) })
	case []uint64:
		integers(c, b.N, wrong, func(i int, n int64) {
			if n < 0 {
				wrong(i, strconv.FormatInt(n, 10)+" is negative")
				return
			}
			d[i*t.width+cell.index] = uint64(n)
		})
	}
}

// numbers gives each value; a missing one is NaN, as it is in a request.
func numbers(c *Column, n int, wrong func(int, string), set func(int, float64)) {
	for i := range n {
		if c.isNull(i) {
			set(i, math.NaN())
			continue
		}
		f, err := c.float(i)
		if err != nil {
			wrong(i, err.Error())
			continue
		}
		set(i, f)
	}
}

// whole refuses what an integer of that range cannot hold, and missing values.
func whole(c *Column, n int, least, most float64, wrong func(int, string), set func(int, float64)) {
	numbers(c, n, wrong, func(i int, f float64) {
		switch {
		case c.isNull(i):
			wrong(i, "a whole number is missing")
		case f != math.Trunc(f) || f < least || f > most:
			wrong(i, strconv.FormatFloat(f, 'g', -1, 64)+" is not a whole number from "+
				strconv.FormatFloat(least, 'f', -1, 64)+" to "+strconv.FormatFloat(most, 'f', -1, 64))
		default:
			set(i, f)
		}
	})
}

// integers keeps all bits of 64-bit numbers.
func integers(c *Column, n int, wrong func(int, string), set func(int, int64)) {
	if c.Ints != nil && c.Null == nil {
		for i := range n {
			set(i, c.Ints[i])
		}
		return
	}
	for i := range n {
		switch {
		case c.isNull(i):
			wrong(i, "a whole number is missing")
			continue
		case c.Ints != nil:
			set(i, c.Ints[i])
			continue
		case c.Texts != nil:
			if x, err := strconv.ParseInt(c.Texts[i], 10, 64); err == nil {
				set(i, x)
				continue
			}
		}
		f, err := c.float(i)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			wrong(i, strconv.Quote(c.text(i))+" is not a whole number")
			continue
		}
		set(i, int64(f))
	}
}

func fillNaN(data any) {
	switch d := data.(type) {
	case []float32:
		for i := range d {
			d[i] = float32(math.NaN())
		}
	case []float64:
		for i := range d {
			d[i] = math.NaN()
		}
	}
}

// complement sets the first of each two columns to what the second lacks to 1.
func complement(data any) {
	switch d := data.(type) {
	case []float32:
		for i := 0; i+1 < len(d); i += 2 {
			d[i] = 1 - d[i+1]
		}
	case []float64:
		for i := 0; i+1 < len(d); i += 2 {
			d[i] = 1 - d[i+1]
		}
	}
}

// labels are those of the rows that have one. Where the file does not say when a label came, it is as long after the
// prediction as the model declares.
func (r *Reader) labels(b *Batch, p *fairlead.Prediction, bad []bool) []fairlead.Label {
	value := r.column(b, r.mapping.Value)
	if value == nil {
		return nil
	}
	at := r.column(b, r.mapping.LabelTime)
	labels := make([]fairlead.Label, 0, b.N)
	for i := range b.N {
		if bad[i] || value.isNull(i) {
			continue
		}
		l := fairlead.Label{
			Deployment: p.Deployment, PredictionID: p.Rows[i].ID, Value: value.text(i),
			Time: p.Rows[i].Time.Add(r.version.Signature.Label.Delay),
		}
		if at != nil && !at.isNull(i) {
			t, err := at.time(i)
			if err != nil {
				r.fault(b, bad, i, r.mapping.LabelTime, err.Error())
				continue
			}
			l.Time = t
		}
		labels = append(labels, l)
	}
	return labels
}

// Select gives a prediction of some rows of p.
func Select(p *fairlead.Prediction, rows []int) *fairlead.Prediction {
	out := *p
	out.Rows = make([]fairlead.RowMeta, len(rows))
	for i, r := range rows {
		out.Rows[i] = p.Rows[r]
	}
	pick := func(all []fairlead.Tensor) []fairlead.Tensor {
		picked := make([]fairlead.Tensor, len(all))
		for k := range all {
			t := all[k]
			width := t.Width()
			t.Shape = append([]int64{int64(len(rows))}, t.Shape[1:]...)
			t.Data = selected(t.Data, rows, width)
			picked[k] = t
		}
		return picked
	}
	out.Inputs, out.Outputs = pick(p.Inputs), pick(p.Outputs)
	if len(out.Rows) > 0 {
		out.ID = cmp.Or(p.ID, out.Rows[0].ID)
	}
	return &out
}

func selected(data any, rows []int, width int) any {
	switch d := data.(type) {
	case []bool:
		return chosen(d, rows, width)
	case []int8:
		return chosen(d, rows, width)
	case []int16:
		return chosen(d, rows, width)
	case []int32:
		return chosen(d, rows, width)
	case []int64:
		return chosen(d, rows, width)
	case []uint8:
		return chosen(d, rows, width)
	case []uint16:
		return chosen(d, rows, width)
	case []uint32:
		return chosen(d, rows, width)
	case []uint64:
		return chosen(d, rows, width)
	case []float32:
		return chosen(d, rows, width)
	case []float64:
		return chosen(d, rows, width)
	case []string:
		return chosen(d, rows, width)
	}
	return data
}

func chosen[T any](d []T, rows []int, width int) []T {
	out := make([]T, 0, len(rows)*width)
	for _, r := range rows {
		out = append(out, d[r*width:(r+1)*width]...)
	}
	return out
}
