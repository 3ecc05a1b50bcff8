package meter

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/fairlead-ml/fairlead"
)

// maxVersions of a deployment are counted apart. The one unused for longest makes room for a new one, and what it counted
// is kept under "older", so that sums over versions never go back.
const maxVersions = 4

// older is the version under which those are summed.
const older fairlead.Version = -1

// deployment is one deployment's counts.
type deployment struct {
	shards []shard

	mu      sync.Mutex // taken before a shard's
	seconds            // of all shards, up to their last turn
	known   []fairlead.Version
}

// shard is the counts of the requests that finished on one processor.
type shard struct {
	mu       sync.Mutex
	at       int64 // the present second, the same in all shards of a deployment
	counts         // of that second
	latency  *hdrhistogram.Histogram
	versions []*totals
	_        [64]byte // neighbours keep off this cache line
}

func newDeployment(shards int) *deployment { return &deployment{shards: make([]shard, shards)} }

func (d *deployment) observe(o *Observation, i int) {
	s, now := &d.shards[i], max(o.At.Unix(), 1)
	t := d.lock(s, now, o.Version)
	s.requests++
	s.rows += uint64(o.Rows)
	if o.Code != "" {
		s.errors++
	} else {
		micros := min(max(int64(o.Total/time.Microsecond), shortest), longest)
		_ = s.latency.RecordValue(micros) // in range, so it cannot fail
	}
	t.observe(o)
	s.mu.Unlock()
}

func (d *deployment) observeRun(v fairlead.Version, rows int, took time.Duration, i int) {
	s := &d.shards[i]
	t := d.lock(s, 0, v)
	t.observeRun(rows, took)
	s.mu.Unlock()
}

// lock takes the shard when it has reached the second now and knows the version, whose totals it gives. Goroutines' clocks
// differ by a hair around a second's end: a shard that is further already stays where it is.
func (d *deployment) lock(s *shard, now int64, v fairlead.Version) *totals {
	s.mu.Lock()
	for {
		if t := s.find(v); t != nil && now <= s.at {
			return t
		}
		s.mu.Unlock()
		d.prepare(now, v)
		s.mu.Lock()
	}
}

func (s *shard) find(v fairlead.Version) *totals {
	for _, t := range s.versions {
		if t.version == v {
			return t
		}
	}
	return nil
}

// prepare lets all shards begin the second now and know the version.
func (d *deployment) prepare(now int64, v fairlead.Version) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now > d.present {
		d.flush()
		d.begin(now)
		for i := range d.shards {
			s := &d.shards[i]
			s.mu.Lock()
			s.at = now
			if s.latency == nil {
				s.latency = hdrhistogram.New(shortest, longest, digits)
			}
			s.mu.Unlock()
		}
	}
	if slices.Contains(d.known, v) {
		return
	}
	if len(d.known) == maxVersions {
		d.retire()
	}
	d.known = append(d.known, v)
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		s.versions = append(s.versions, &totals{version: v})
		s.mu.Unlock()
	}
}

// retire moves the version unused for longest to those summed as older. The caller holds d.mu.
func (d *deployment) retire() {
	last := map[fairlead.Version]time.Time{}
	d.each(func(t *totals) {
		if t.last.After(last[t.version]) {
			last[t.version] = t.last
		}
	})
	victim := slices.MinFunc(d.known, func(a, b fairlead.Version) int { return last[a].Compare(last[b]) })
	d.known = slices.DeleteFunc(d.known, func(v fairlead.Version) bool { return v == victim })
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		gone := s.find(victim)
		s.versions = slices.DeleteFunc(s.versions, func(t *totals) bool { return t == gone })
		sum := s.find(older)
		if sum == nil {
			sum = &totals{version: older}
			s.versions = append(s.versions, sum)
		}
		sum.add(gone)
		s.mu.Unlock()
	}
}

// flush moves what the shards counted in the present second to d.seconds. The caller holds d.mu.
func (d *deployment) flush() {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		if s.requests > 0 {
			d.seconds.add(s.counts, s.latency)
			s.counts = counts{}
			s.latency.Reset()
		}
		s.mu.Unlock()
	}
}

// each visits the totals of all shards, each under its shard's lock. The caller holds d.mu.
func (d *deployment) each(visit func(*totals)) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		for _, t := range s.versions {
			visit(t)
		}
		s.mu.Unlock()
	}
}

// sum adds the shards up, newest version first, the older ones last.
func (d *deployment) sum() []*totals {
	d.mu.Lock()
	defer d.mu.Unlock()
	var sums []*totals
	d.each(func(t *totals) {
		i := slices.IndexFunc(sums, func(s *totals) bool { return s.version == t.version })
		if i < 0 {
			i = len(sums)
			sums = append(sums, &totals{version: t.version})
		}
		sums[i].add(t)
	})
	slices.SortFunc(sums, func(a, b *totals) int { return int(b.version) - int(a.version) })
	return sums
}
