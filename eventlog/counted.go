package eventlog

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// formatCounted is the version of a message of rows with the counts of what was answered for them: the length of a message of
// profiles, that message, then a message of rows of version 1 or 2.
const formatCounted = 3

// WithCounts puts the counts of a batch in front of its rows, which EncodeKept made: a crash keeps both or neither. The deltas
// are of the rows' deployment and version. They count answered rows, more than the message stores where rows are sampled.
// Without deltas the result is rows itself.
func WithCounts(rows []byte, deltas []ProfileDelta) []byte {
	if len(deltas) == 0 {
		return rows
	}
	counts := EncodeProfiles(deltas)
	b := make([]byte, 0, 2+binary.MaxVarintLen64+len(counts)+len(rows))
	b = append(b, kindRows, formatCounted)
	b = binary.AppendUvarint(b, uint64(len(counts)))
	return append(append(b, counts...), rows...)
}

// takeCounts gives the counts of a message of rows and what follows them, and nil and b where there are none. Nothing in
// the counts points into b.
func takeCounts(b []byte) (deltas []ProfileDelta, rows []byte, err error) {
	r := newReaderUpTo(b, kindRows, formatCounted)
	if r.err != nil {
		return nil, nil, r.err
	}
	if b[1] != formatCounted {
		return nil, b, nil
	}
	counts := r.slice()
	if r.err != nil {
		return nil, nil, r.err
	}
	if deltas, err = DecodeProfiles(slices.Clone(counts)); err != nil {
		return nil, nil, err
	}
	if len(deltas) == 0 {
		return nil, nil, fmt.Errorf("version %d without counts", formatCounted)
	}
	return deltas, r.buf, nil
}

// checkCounts refuses counts of something else than the rows that they came with.
func (r *Rows) checkCounts() error {
	for _, d := range r.Counts {
		if d.Deployment != r.Deployment || d.Version != r.Version {
			return fmt.Errorf("counts of %s@%s with rows of %s@%s", d.Deployment, d.Version, r.Deployment, r.Version)
		}
	}
	return nil
}
