package meter

import (
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Statistics are totals since the server started, of one version of one deployment.
type Statistics struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Last       time.Time // the last request's end
	Rows       uint64    // answered by a run, so without those out of the cache
	Runs       uint64    // of the model; fewer than requests where they were run together
	Success    Total     // requests, arrival to answer
	Fail       Total
	Decode     Total // the stages, of successful requests that were run
	Queue      Total
	Run        Total
	Encode     Total
	CacheHit   Total   // looking up and answering
	CacheMiss  Total   // looking up and inserting
	Batches    []Batch // by size, ascending
}

// Total is a count and the time that went.
type Total struct {
	Count uint64
	Time  time.Duration
}

func (t *Total) add(d time.Duration) { t.Count++; t.Time += d }

func (t Total) plus(o Total) Total { return Total{t.Count + o.Count, t.Time + o.Time} }

// Batch is the runs of one number of rows. Where a model is run with more than 256 different ones, those beyond are
// counted as the next power of two.
type Batch struct {
	Rows uint64
	Run  Total
}

// Statistics reads the totals of a deployment's versions, newest first: of the four versions used last, and none that was
// not asked yet.
func (m *Meter) Statistics(name fairlead.Name) []Statistics {
	d := m.find(name)
	if d == nil {
		return nil
	}
	var all []Statistics
	for _, t := range d.sum() {
		if t.version <= 0 { // older ones, and requests that nobody could be found for
			continue
		}
		all = append(all, t.statistics(name))
	}
	return all
}

func (t *totals) statistics(name fairlead.Name) Statistics {
	s := Statistics{
		Deployment: name, Version: t.version, Last: t.last, Rows: t.run,
		Success: Total{t.whole.count(), t.whole.sum}, Fail: t.fail, CacheHit: t.hit, CacheMiss: t.miss, Batches: t.batches,
		Queue: Total{t.queue.count(), t.queue.sum}, Run: Total{t.compute.count(), t.compute.sum},
	}
	s.Decode = Total{s.Run.Count, t.decode.sum - t.hitDecode}
	s.Encode = Total{s.Run.Count, t.encode.sum - t.hitEncode}
	for _, b := range t.batches {
		s.Runs += b.Run.Count
	}
	return s
}
