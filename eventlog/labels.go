package eventlog

import (
	"fmt"

	"github.com/fairlead-ml/fairlead"
)

const kindLabels = 'L'

// EncodeLabels makes one message of the LABELS stream. Times keep their microseconds.
func EncodeLabels(labels []fairlead.Label) []byte {
	w := newWriter(kindLabels)
	w.uint(uint64(len(labels)))
	for _, l := range labels {
		w.name(string(l.Deployment))
		w.string(l.PredictionID)
		w.string(l.Value)
		w.time(l.Time)
		w.time(l.Received)
	}
	return w.buf
}

// DecodeLabels reads what EncodeLabels made.
func DecodeLabels(b []byte) ([]fairlead.Label, error) {
	r := newReader(b, kindLabels)
	labels := make([]fairlead.Label, r.count(5))
	for i := range labels {
		labels[i] = fairlead.Label{
			Deployment:   fairlead.Name(r.name()),
			PredictionID: r.string(),
			Value:        r.string(),
			Time:         r.time(),
			Received:     r.time(),
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode labels: %w", err)
	}
	return labels, nil
}
