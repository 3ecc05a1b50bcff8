package eventlog

import (
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
)

const kindLabels = 'L'

// Labels have two forms. The first has a prediction id and a value each. The second also carries entity keys, joins and
// labels that take back; it is written only for messages that need it.
const keyedLabels = 2

// EncodeLabels makes one message of the LABELS stream. Times keep their microseconds.
func EncodeLabels(labels []fairlead.Label) []byte {
	w := newWriter(kindLabels)
	keyed := false
	for i := range labels {
		keyed = keyed || labels[i].Key != "" || labels[i].Value == ""
	}
	if keyed {
		w.buf[1] = keyedLabels
	}
	w.uint(uint64(len(labels)))
	for i := range labels {
		l := &labels[i]
		w.name(string(l.Deployment))
		w.string(l.PredictionID)
		if keyed {
			w.string(l.Key)
			w.join(l)
		}
		w.string(l.Value)
		w.time(l.Time)
		w.time(l.Received)
	}
	return w.buf
}

// join writes that of a label by key; others have none.
func (w *writer) join(l *fairlead.Label) {
	if l.Key == "" {
		w.uint(0)
		w.uint(0)
		return
	}
	kind := uint64(0)
	if l.Join.All {
		kind = 1
	}
	w.uint(kind)
	w.uint(uint64(min(max(l.Join.Within, 0), fairlead.LongestWithin) / time.Microsecond))
}

// DecodeLabels reads what EncodeLabels made.
func DecodeLabels(b []byte) ([]fairlead.Label, error) {
	keyed := len(b) >= 2 && b[0] == kindLabels && b[1] == keyedLabels
	least := 5 // bytes of a label
	var r *reader
	if keyed {
		least = 8
		r = &reader{buf: b[2:], size: len(b)}
	} else {
		r = newReader(b, kindLabels)
	}
	labels := make([]fairlead.Label, r.count(least))
	for i := range labels {
		l := &labels[i]
		l.Deployment = fairlead.Name(r.name())
		l.PredictionID = r.string()
		if keyed {
			l.Key = r.string()
			if l.Join = r.join(); l.Key == "" && l.Join != (fairlead.LabelJoin{}) {
				r.fail("label %d has a join and no key", i)
			}
		}
		l.Value = r.string()
		l.Time, l.Received = r.time(), r.time()
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode labels: %w", err)
	}
	return labels, nil
}

func (r *reader) join() fairlead.LabelJoin {
	kind, within := r.uint(), r.uint()
	if kind > 1 || within > uint64(fairlead.LongestWithin/time.Microsecond) {
		r.fail("a join %d within %d µs is not known", kind, within)
		return fairlead.LabelJoin{}
	}
	return fairlead.LabelJoin{All: kind == 1, Within: time.Duration(within) * time.Microsecond}
}
