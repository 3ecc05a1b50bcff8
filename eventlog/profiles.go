package eventlog

import (
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
)

const kindProfiles = 'P'

// ProfileDelta is what was counted for one minute of event time since the last delta. Counts is a marshalled
// profile.Counts, opaque here.
type ProfileDelta struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Role       fairlead.Role
	Minute     time.Time
	Counts     []byte
}

// EncodeProfiles makes one message of the PROFILES stream.
func EncodeProfiles(deltas []ProfileDelta) []byte {
	w := newWriter(kindProfiles)
	w.uint(uint64(len(deltas)))
	for _, d := range deltas {
		w.name(string(d.Deployment))
		w.int(int64(d.Version))
		w.name(string(d.Role))
		w.time(d.Minute)
		w.bytes(d.Counts)
	}
	return w.buf
}

// DecodeProfiles reads what EncodeProfiles made. Counts point into b.
func DecodeProfiles(b []byte) ([]ProfileDelta, error) {
	r := newReader(b, kindProfiles)
	deltas := make([]ProfileDelta, r.count(5))
	for i := range deltas {
		deltas[i] = ProfileDelta{
			Deployment: fairlead.Name(r.name()),
			Version:    fairlead.Version(r.int()),
			Role:       fairlead.Role(r.name()),
			Minute:     r.time(),
			Counts:     r.slice(),
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode profiles: %w", err)
	}
	return deltas, nil
}
