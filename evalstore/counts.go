package evalstore

import (
	"errors"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// counted are the counts of one message: one of rows, or one that holds nothing else.
type counted struct {
	seq    int64
	deltas []eventlog.ProfileDelta
}

func (t *tx) ingestProfiles(msgs []eventlog.Message) error {
	var decoded []counted
	for _, m := range msgs {
		deltas, err := eventlog.DecodeProfiles(m.Data)
		for _, d := range deltas {
			err = errors.Join(err, checkTime(d.Minute))
		}
		if err != nil {
			if err := t.reject(m, err); err != nil {
				return err
			}
			continue
		}
		decoded = append(decoded, counted{int64(m.Seq << seqBits), deltas})
	}
	hours := make(hourCounts)
	if err := t.appendProfiles(decoded, hours); err != nil {
		return err
	}
	return t.countHours(hours)
}

// appendProfiles marks the hours of the counts: those that come after the rows of their hour change what can be said about it.
func (t *tx) appendProfiles(all []counted, hours hourCounts) error {
	if len(all) == 0 {
		return nil
	}
	return t.append("", "main", "profiles", func(a *duckdb.Appender) error {
		for _, m := range all {
			for i, d := range m.deltas {
				role := text(string(d.Role))
				err := a.AppendRow(text(string(d.Deployment)), int32(d.Version), role,
					d.Minute.Truncate(time.Minute), d.Counts, m.seq+int64(i))
				if err != nil {
					return err
				}
				hours.at(hourKey{fairlead.Name(text(string(d.Deployment))), d.Version, role, d.Minute.Truncate(time.Hour)})
			}
		}
		return nil
	})
}
