package profile

import (
	"math"
	"time"
)

// MarshalBinary encodes the reference: layout, counts and phases.
func (r *Reference) MarshalBinary() ([]byte, error) {
	return frame(magicReference, func(w *writer) {
		r.Layout.encode(w)
		w.uvarint(uint64(r.Rows))
		w.time(r.From)
		w.time(r.To)
		w.uvarint(uint64(len(r.Skipped)))
		for _, s := range r.Skipped {
			w.string(s)
		}
		r.Total.encode(w)
		w.bool(r.Phases != nil)
		for _, c := range r.Phases {
			w.bool(c != nil)
			if c != nil {
				c.encode(w)
			}
		}
		if r.Truth != nil { // references without labels end here, as all did before there was this part
			r.Truth.encode(w)
		}
	}), nil
}

// ParseReference decodes what MarshalBinary made. It fails with CodeInvalid for damaged bytes and for bins or counts
// that contradict themselves.
func ParseReference(b []byte) (*Reference, error) {
	in, err := unframe("a reference profile", magicReference, b)
	if err != nil {
		return nil, err
	}
	r := &Reference{Layout: decodeLayout(in)}
	if in.err != nil {
		return nil, in.err
	}
	r.Layout.seal()
	rows := in.uvarint()
	if rows > math.MaxInt64 {
		in.fail("%d rows are too many", rows)
	}
	r.Rows = int(rows)
	r.From, r.To = in.time(), in.time()
	for range in.count(1, maxColumns) {
		r.Skipped = append(r.Skipped, in.string(maxName))
	}
	r.Total = decodeCounts(in, r.Layout)
	if in.err == nil && r.Total.N != rows {
		in.fail("it counts %d of %d rows", r.Total.N, rows)
	}
	r.decodePhases(in)
	if in.err == nil && in.left() > 0 {
		r.Truth = decodeTruth(in, r)
	}
	if err := in.done(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reference) decodePhases(in *reader) {
	if !in.bool() {
		return
	}
	if r.Layout.cells()*hoursOfWeek > maxPhaseCells {
		in.fail("it has phases for more counters than are allowed")
		return
	}
	r.Phases = make([]*Counts, hoursOfWeek)
	for h := range r.Phases {
		if in.bool() {
			r.Phases[h] = decodeCounts(in, r.Layout)
		}
		if in.err != nil {
			return
		}
	}
}

// time writes seconds and nanoseconds since 1970, and that there is a time at all.
func (w *writer) time(t time.Time) {
	w.bool(!t.IsZero())
	if !t.IsZero() {
		w.varint(t.Unix())
		w.uvarint(uint64(t.Nanosecond()))
	}
}

func (r *reader) time() time.Time {
	if !r.bool() {
		return time.Time{}
	}
	seconds, nanos := r.varint(), r.uvarint()
	if seconds < -1<<40 || seconds > 1<<40 || nanos >= 1e9 {
		r.fail("a time is out of range")
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}
