package app

import (
	"errors"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// message is a list of answered rows on its way to the log: those that are stored, and the counts of all of them. It is
// one message so that a crash keeps both or neither.
type message struct {
	stream  eventlog.Stream
	id      string // makes a repeated append of the same message harmless
	data    []byte
	rows    int // that it stores
	sampled int // that it only counts
	part    *part
}

// encode makes the batch's messages.
func (r *recorder) encode(b *batch) []message {
	var out []message
	for _, part := range b.parts {
		for _, chunk := range chunks(part.preds, r.chunk, part.width) {
			out = r.encodeChunk(out, part, chunk)
		}
	}
	return out
}

// encodeChunk adds the message of a list of predictions of a part. Rows that cannot be encoded never will be: it says so and
// drops them. A list whose counts are too large, because its rows are of very many minutes, becomes several.
func (r *recorder) encodeChunk(out []message, part *part, chunk []*fairlead.Prediction) []message {
	all := rowsIn(chunk)
	if !part.known {
		r.lose(part, all, errors.New("the version is not known"))
		return out
	}
	counts, size := r.count(part, chunk)
	if size > r.chunk && all > 1 {
		first, rest := halve(chunk, all/2)
		return r.encodeChunk(r.encodeChunk(out, part, first), part, rest)
	}
	kept, rows := part.kept(chunk, r.chance)
	m := message{stream: eventlog.Predictions, id: messageID(), rows: rows, sampled: all - rows, part: part}
	if rows == 0 {
		m.stream, m.data = eventlog.Profiles, eventlog.EncodeProfiles(counts)
		return append(out, m)
	}
	data, err := eventlog.EncodeKept(kept, &part.sig, part.policy)
	if err != nil {
		r.lose(part, all, err)
		return out
	}
	m.data = eventlog.WithCounts(data, counts)
	return append(out, m)
}

// lose drops rows of a part that cannot be written.
func (r *recorder) lose(part *part, rows int, err error) {
	r.slog.Error("rows not recorded", "deployment", part.name, "version", part.version, "rows", rows, "err", err)
	r.drop(rows)
	part.err = err
}

// count gives the counts of predictions of a part, and their size in bytes.
func (r *recorder) count(part *part, preds []*fairlead.Prediction) (counts []eventlog.ProfileDelta, size int) {
	c := profile.NewCollector()
	for len(preds) > 0 {
		var joined *fairlead.Prediction
		joined, preds = join(preds)
		c.Add(part.layout, joined)
	}
	for _, d := range c.Drain() {
		b, err := d.Counts.MarshalBinary()
		if err != nil {
			r.slog.Error("counts not recorded", "deployment", d.Deployment, "version", d.Version, "minute", d.Minute, "err", err)
			continue
		}
		size += len(b)
		counts = append(counts, eventlog.ProfileDelta{Deployment: d.Deployment, Version: d.Version, Role: d.Role, Minute: d.Minute, Counts: b})
	}
	return counts, size
}

func rowsIn(preds []*fairlead.Prediction) (rows int) {
	for _, p := range preds {
		rows += len(p.Rows)
	}
	return rows
}

// halve cuts predictions behind so many rows.
func halve(preds []*fairlead.Prediction, at int) (first, rest []*fairlead.Prediction) {
	for i, p := range preds {
		if n := len(p.Rows); n > at {
			if at > 0 {
				first = append(first, rowsOf(p, 0, at))
			}
			return first, append([]*fairlead.Prediction{rowsOf(p, at, n)}, preds[i+1:]...)
		}
		first = append(first, p)
		at -= len(p.Rows)
	}
	return first, nil
}
