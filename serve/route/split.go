package route

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/tally"
)

// LiveArm is the name of the arm that has what the others leave: the deployment's live version.
const LiveArm = "live"

// Arm is a version that answers a share of a deployment's calls beside the live one.
type Arm struct {
	Name   string  // "canary", or what people call the variant; not "live" and no number
	Weight float64 // share of the routing keys, 0 to 1
	Target *Target
}

// SplitOptions say how a deployment's calls are divided.
type SplitOptions struct {
	ID        string             // of this generation, for people: a rollout and its step
	Salt      string             // of the assignment: the same for all steps of a rollout, another for each rollout
	Arms      []Arm              // beside the live one; may be empty
	Shadow    *Target            // gets copies of what the live version answers; nil: nobody does
	Copied    float64            // share of the routing keys whose requests are copied; 0: all
	Signature fairlead.Signature // of the live version: says what is counted
	Edges     []float64          // inner edges of the score's bins; nil: tally.DefaultEdges
}

// Split divides the calls of a deployment between its live version and others, and counts what came of it. Every change of
// weights is a new Split: an answer counts in the one that its request was assigned by, however late it comes. It may be
// used by many goroutines at once.
type Split struct {
	id     string
	salt   string
	arms   []Arm
	shadow *Target
	copied float64

	gauge    *tally.Gauge
	segments *tally.Segments
	counters []*tally.Counter // one per arm, the live one's last
	pairs    *tally.Pairs     // nil without shadow
}

// NewSplit makes a Split that has counted nothing. The error is CodeInvalid: weights that are none or exceed 1 together,
// names that are not unique.
func NewSplit(o SplitOptions) (*Split, error) {
	s := &Split{id: o.ID, salt: o.Salt, arms: slices.Clone(o.Arms), shadow: o.Shadow, copied: o.Copied}
	var sum float64
	names := map[string]bool{LiveArm: true}
	for _, a := range s.arms {
		_, err := fairlead.ParseVersion(a.Name)
		switch {
		case a.Target == nil:
			return nil, fairlead.Invalid("the arm %q has no version", a.Name)
		case a.Name == "" || err == nil || names[a.Name]:
			return nil, fairlead.Invalid("%q cannot be the name of an arm", a.Name).
				Hintf("a name of its own that is neither %q nor a number, for example %q", LiveArm, fairlead.RoleCanary)
		case !(a.Weight >= 0 && a.Weight <= 1):
			return nil, fairlead.Invalid("the arm %q has the weight %v", a.Name, a.Weight).Hintf("a share from 0 to 1")
		}
		names[a.Name] = true
		sum += a.Weight
	}
	if sum > 1+1e-9 {
		return nil, fairlead.Invalid("the weights of the arms are %v together", sum).Hintf("at most 1: the live version has the rest")
	}
	if !(o.Copied >= 0 && o.Copied <= 1) {
		return nil, fairlead.Invalid("the share of requests to copy is %v", o.Copied).Hintf("a share from 0 to 1; 0 copies all")
	}
	var err error
	if s.gauge, err = tally.NewGauge(&o.Signature, o.Edges); err != nil {
		return nil, err
	}
	s.segments = tally.NewSegments(s.gauge)
	for range len(s.arms) + 1 {
		s.counters = append(s.counters, tally.NewCounter(s.gauge, s.segments))
	}
	if s.shadow != nil {
		s.pairs = tally.NewPairs(s.gauge, s.segments)
	}
	return s, nil
}

// ID is the generation's.
func (s *Split) ID() string { return s.id }

// Arms are the versions beside the live one, in the order of their intervals. Nobody may change them.
func (s *Split) Arms() []Arm { return s.arms }

// Live is the number of the live arm, which follows those of Arms.
func (s *Split) Live() int { return len(s.arms) }

// Shadow is the version that gets copies, nil for none.
func (s *Split) Shadow() *Target { return s.shadow }

// Assign is the number of the arm that a routing key belongs to: u = xxh64(salt ‖ key)/2^64 lies in its interval. The
// intervals follow each other from 0, and the live arm has what is left; so raising the weight of a single arm only moves
// keys to it, and servers agree without talking to each other.
func (s *Split) Assign(key string) int {
	u, to := unit(s.salt, key), 0.0
	for i := range s.arms {
		if to += s.arms[i].Weight; u < to {
			return i
		}
	}
	return len(s.arms)
}

// Copies says whether the shadow gets copies of the requests of a key.
func (s *Split) Copies(key string) bool {
	return s.shadow != nil && (s.copied == 0 || unit("shadow\x00"+s.salt, key) < s.copied)
}

// Bucket is the bucket of fairlead.Tally that a key is counted in: a hash of the key alone.
func Bucket(key string) int { return int(hash("bucket\x00", key) % fairlead.TallyBuckets) }

// unit is uniform in [0,1): the upper 53 bits of the hash, which a float64 holds exactly.
func unit(salt, key string) float64 { return float64(hash(salt, key)>>11) / (1 << 53) }

func hash(salt, key string) uint64 {
	var room [192]byte
	return xxhash.Sum64(append(append(room[:0], salt...), key...))
}

// Count adds a request to the tally of the arm of that number.
func (s *Split) Count(arm int, r *tally.Request) { s.counters[arm].Count(r) }

// Pairs compares with the shadow; nil without one.
func (s *Split) Pairs() *tally.Pairs { return s.pairs }

// Tallies are what the arms did since the split was made, by their names. It copies some 20 kB for each arm.
func (s *Split) Tallies() map[string]*fairlead.Tally {
	tallies := map[string]*fairlead.Tally{LiveArm: s.counters[s.Live()].Tally()}
	for i := range s.arms {
		tallies[s.arms[i].Name] = s.counters[i].Tally()
	}
	return tallies
}

// PairTally is what comparing with the shadow found since the split was made, nil without one.
func (s *Split) PairTally() *fairlead.PairTally {
	if s.pairs == nil {
		return nil
	}
	return s.pairs.Tally()
}

// arm is the number of the arm of that name, -1 for none.
func (s *Split) arm(name string) int {
	if name == LiveArm {
		return s.Live()
	}
	return slices.IndexFunc(s.arms, func(a Arm) bool { return a.Name == name })
}

// Choice is which version answers a call, and as what.
type Choice struct {
	Target *Target
	Role   fairlead.Role
	Arm    string // "" where there is no split, or for a version that is in none of its arms
	Number int    // of the arm, -1 for none
	Note   string // for the client, "" or why it is not what was asked for
}

// Assigned is the version that answers the calls of a routing key.
func (d *Deployment) Assigned(key string) Choice {
	if d.Split == nil {
		return Choice{Target: d.Live, Role: fairlead.RoleLive, Number: -1}
	}
	return d.choice(d.Split.Assign(key))
}

func (d *Deployment) choice(arm int) Choice {
	if arm == d.Split.Live() {
		return Choice{Target: d.Live, Role: fairlead.RoleLive, Arm: LiveArm, Number: arm}
	}
	a := &d.Split.arms[arm]
	return Choice{Target: a.Target, Role: fairlead.RoleCanary, Arm: a.Name, Number: arm}
}

// Pinned is the version that a client names: an arm, or a version or alias as in Lookup. "canary" is the live version where
// there is no canary at the time, with a note that says so. The errors are those of Lookup.
func (d *Deployment) Pinned(pin string) (Choice, error) {
	arm := -1
	if d.Split != nil {
		arm = d.Split.arm(pin)
	}
	switch {
	case arm >= 0:
		c := d.choice(arm)
		if c.Target != nil {
			return c, nil
		}
		pin = ""
	case pin == LiveArm:
		pin = ""
	case pin == string(fairlead.RoleCanary):
		if d.Split != nil && len(d.Split.arms) > 0 {
			return d.choice(0), nil
		}
		if _, alias := d.Aliases[pin]; !alias {
			t, err := d.lookup("")
			return Choice{Target: t, Role: fairlead.RoleLive, Number: -1,
				Note: fmt.Sprintf("%s has no canary now: its live version answered", d.Name)}, err
		}
	}
	t, err := d.lookup(pin)
	if err != nil {
		return Choice{}, err
	}
	return d.As(t), nil
}

// As is the choice of a version that a client asked for.
func (d *Deployment) As(t *Target) Choice {
	if d.Split != nil {
		for i := range d.Split.arms {
			if d.Split.arms[i].Target == t {
				return d.choice(i)
			}
		}
	}
	c := Choice{Target: t, Role: t.Role, Number: -1}
	if t == d.Live {
		c.Role = fairlead.RoleLive
	}
	return c
}

// Same says whether a request that was read for t is one for o as it is, and their answers are written alike. Both must be
// in a table.
func (t *Target) Same(o *Target) bool {
	return t == o || t.takes == o.takes && t.gives == o.gives
}

// SameInputs says whether what t takes, o takes as well. Both must be in a table.
func (t *Target) SameInputs(o *Target) bool { return t.takes == o.takes }

// fingerprint is a hash of what clients may send to a version, or get from it.
func fingerprint(specs []fairlead.TensorSpec) uint64 {
	h := xxhash.New()
	for i := range specs {
		s := &specs[i]
		_, _ = fmt.Fprintf(h, "%q %s %v %t %q %q\n", s.Name, s.Type, s.Shape, s.Shape == nil, s.Features, s.Classes) // never fails
	}
	return h.Sum64()
}
