package backfill

import (
	"strconv"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// LabelReader makes labels of the rows of a Source. One goroutine uses it.
type LabelReader struct {
	Faults  Faults
	Unknown int64 // rows without a value: not known yet, and not sent

	src        Source
	deployment fairlead.Name
	mapping    Mapping
	place      map[string]int
}

// LabelMessage is a message of labels for the event log.
func LabelMessage(labels []fairlead.Label) []byte { return eventlog.EncodeLabels(labels) }

// NewLabelReader makes a LabelReader.
func NewLabelReader(src Source, deployment fairlead.Name, m Mapping) *LabelReader {
	r := &LabelReader{src: src, deployment: deployment, mapping: m, place: map[string]int{}}
	for i, name := range src.Columns() {
		r.place[name] = i
	}
	return r
}

// Next reads the next labels, valid until the one after; io.EOF after the last. A row that cannot be taken is counted in
// Faults and keeps no other one back; the labels may be none.
func (r *LabelReader) Next() ([]fairlead.Label, error) {
	b, err := r.src.Next()
	if f, ok := err.(*Fault); ok {
		r.Faults.Add(f)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	labels := make([]fairlead.Label, 0, b.N)
	for i := range b.N {
		if b.Columns[r.place[r.mapping.Value]].isNull(i) {
			r.Unknown++
			continue
		}
		if l, ok := r.label(b, i); ok {
			labels = append(labels, l)
		}
	}
	return labels, nil
}

func (r *LabelReader) label(b *Batch, i int) (fairlead.Label, bool) {
	l := fairlead.Label{Deployment: r.deployment, Value: b.Columns[r.place[r.mapping.Value]].text(i)}
	about, what := r.mapping.ID, "the prediction id is missing"
	to := &l.PredictionID
	if r.mapping.Key != "" {
		about, what, to = r.mapping.Key, "the entity key is missing", &l.Key
	}
	c := &b.Columns[r.place[about]]
	if c.isNull(i) {
		r.Faults.add(b.Line(i), about, what)
		return l, false
	}
	if *to = c.text(i); len(*to) > fairlead.MaxKey {
		r.Faults.add(b.Line(i), about, "it is longer than "+strconv.Itoa(fairlead.MaxKey)+" bytes")
		return l, false
	}
	if r.mapping.LabelTime == "" {
		return l, true
	}
	at := &b.Columns[r.place[r.mapping.LabelTime]]
	if at.isNull(i) {
		if l.Key == "" {
			return l, true // now
		}
		r.Faults.add(b.Line(i), r.mapping.LabelTime, "the time is missing")
		return l, false
	}
	t, err := at.time(i)
	if err != nil {
		r.Faults.add(b.Line(i), r.mapping.LabelTime, err.Error())
		return l, false
	}
	l.Time = t
	return l, true
}
