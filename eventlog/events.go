package eventlog

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/fairlead-ml/fairlead"
)

const kindEvents = 'E'

// EncodeEvents makes one message of the EVENTS stream. Times keep their microseconds, values all their bits.
func EncodeEvents(events []fairlead.BusinessEvent) []byte {
	w := newWriter(kindEvents)
	w.uint(uint64(len(events)))
	for _, e := range events {
		w.name(string(e.Deployment))
		w.name(e.Name)
		w.string(e.ID)
		w.string(e.PredictionID)
		w.string(e.Key)
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(e.Value))
		w.time(e.Time)
		w.time(e.Received)
	}
	return w.buf
}

// DecodeEvents reads what EncodeEvents made. A value that is not finite is an error: sums would never recover from it.
func DecodeEvents(b []byte) ([]fairlead.BusinessEvent, error) {
	r := newReader(b, kindEvents)
	events := make([]fairlead.BusinessEvent, r.count(leastEvent))
	for i := range events {
		events[i] = fairlead.BusinessEvent{
			Deployment:   fairlead.Name(r.name()),
			Name:         r.name(),
			ID:           r.string(),
			PredictionID: r.string(),
			Key:          r.string(),
			Value:        r.float(),
			Time:         r.time(),
			Received:     r.time(),
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	return events, nil
}

// leastEvent is how many bytes an event has at least: one for each field, eight for the value.
const leastEvent = 15

// float reads a finite number.
func (r *reader) float() float64 {
	if len(r.buf) < 8 {
		r.fail("expected a value of 8 bytes")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.buf))
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail("the value %v is not finite", v)
		return 0
	}
	r.buf = r.buf[8:]
	return v
}
