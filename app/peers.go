package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// peers is what the servers on one log tell each other: how far each has read the log, and what the arms of a rollout did
// where each of them serves. Every server writes keys of its own; the one that leads adds the tallies up.
//
// The tallies of a server that falls silent go on to count: what it saw, it saw. A server that has had no contact for
// isolatedAfter parts no traffic any more: whoever can neither report harm nor hear of a rollback answers with the live
// version.
type peers struct {
	id       string
	reads    keyValue // how far each server has read the log
	tallies  keyValue
	position func(context.Context, eventlog.Stream) (uint64, error)
	deployer *deployer
	log      *slog.Logger
	now      func() time.Time

	mu      sync.Mutex
	contact time.Time                   // when the log last took a sign of life
	own     map[fairlead.Name]*armsHere // what this server's arms did
	others  map[string]sharedTally      // by key
	written map[string]uint64           // revisions of this server's keys
}

const (
	sayEvery = time.Second
	// signEvery is how often a server says that it is there, and how far it has read.
	signEvery = 3 * time.Second
	// isolatedAfter is how long a server goes without contact before it parts no traffic.
	isolatedAfter = 15 * time.Second
	// forgetAfter is how long the log is kept for a server that is away.
	forgetAfter = 24 * time.Hour
)

// sharedTally is what one server's arms did in one stage of a rollout.
type sharedTally struct {
	Split string                     `json:"split"` // the rollout and its stage
	Arms  map[string]*fairlead.Tally `json:"arms"`
	Pairs *fairlead.PairTally        `json:"pairs,omitempty"`
}

// plus is the sum. Neither is changed.
func (t sharedTally) plus(o sharedTally) sharedTally {
	sum := sharedTally{Split: t.Split, Arms: map[string]*fairlead.Tally{}}
	for _, part := range []sharedTally{t, o} {
		for arm, tally := range part.Arms {
			if sum.Arms[arm] == nil {
				sum.Arms[arm] = &fairlead.Tally{}
			}
			sum.Arms[arm].Add(tally)
		}
		if part.Pairs != nil {
			if sum.Pairs == nil {
				sum.Pairs = &fairlead.PairTally{}
			}
			sum.Pairs.Add(part.Pairs)
		}
	}
	return sum
}

// armsHere is one deployment's tally here.
type armsHere struct {
	split  string
	routed *route.Split // what counts now
	before sharedTally  // what was counted by splits before it, in this life and the last
	total  sharedTally
}

// readUpTo is the value of a server's key in peers.reads.
type readUpTo struct {
	At        time.Time         `json:"at"`
	Positions map[string]uint64 `json:"positions"`
}

func (p *peers) run(ctx context.Context) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	var signed time.Time
	for {
		if p.now().Sub(signed) >= signEvery {
			signed = p.now()
			if err := p.sign(ctx); err != nil && ctx.Err() == nil {
				p.log.Debug("no sign of life written", "err", err)
			}
		}
		p.judge()
		if err := p.say(ctx); err != nil && ctx.Err() == nil {
			p.log.Debug("tallies not shared", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sign writes how far this server has read. That it was written shows that most of the log's servers can be reached.
func (p *peers) sign(ctx context.Context) error {
	up := readUpTo{At: p.now().UTC(), Positions: map[string]uint64{}}
	for _, s := range ingested {
		at, err := p.position(ctx, s)
		if err != nil {
			return err
		}
		up.Positions[string(s)] = at
	}
	if err := p.put(ctx, p.reads, p.id, up); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contact = p.now()
	return nil
}

// judge stops parting traffic where the contact is lost, and goes on where it is back.
func (p *peers) judge() {
	p.mu.Lock()
	lost := p.now().Sub(p.contact) > isolatedAfter
	p.mu.Unlock()
	if p.deployer.isolated.Swap(lost) == lost {
		return
	}
	if lost {
		p.log.Warn("no contact with the event log: every request goes to a live version until it is back")
	} else {
		p.log.Info("the event log is back: rollouts have their share of the traffic again")
	}
	p.deployer.swap(false)
}

// put writes a key of this server's own; another life of it may have written it before.
func (p *peers) put(ctx context.Context, kv keyValue, key string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	p.mu.Lock()
	at := p.written[key]
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, signEvery)
	defer cancel()
	written, err := kv.Put(ctx, key, raw, at)
	if fairlead.CodeOf(err) == fairlead.CodeConflict {
		if _, at, err = kv.Get(ctx, key); err == nil {
			written, err = kv.Put(ctx, key, raw, at)
		}
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written[key] = written
	return nil
}

func (p *peers) key(name fairlead.Name) string { return bucketKey(name) + "/" + p.id }

// say shares what the arms did since it was last said.
func (p *peers) say(ctx context.Context) error {
	for _, name := range p.deployer.rollingNames() {
		split, routed := p.deployer.counting(name)
		if routed == nil {
			continue
		}
		total, changed, err := p.count(ctx, name, split, routed)
		if err != nil {
			return err
		}
		if changed {
			if err := p.put(ctx, p.tallies, p.key(name), total); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// count brings this server's tally up to date. A restart, or a version that was loaded again, counts on from what was
// shared last.
func (p *peers) count(ctx context.Context, name fairlead.Name, split string, routed *route.Split) (sharedTally, bool, error) {
	p.mu.Lock()
	c := p.own[name]
	p.mu.Unlock()
	switch {
	case c == nil || c.split != split:
		c = &armsHere{split: split, routed: routed, before: sharedTally{Split: split}}
		raw, _, err := p.tallies.Get(ctx, p.key(name))
		if err != nil {
			return sharedTally{}, false, err
		}
		var last sharedTally
		if raw != nil && json.Unmarshal(raw, &last) == nil && last.Split == split {
			c.before = last
		}
	case c.routed != routed:
		c = &armsHere{split: split, routed: routed, before: c.total}
	default:
		c = &armsHere{split: split, routed: routed, before: c.before, total: c.total}
	}
	total := c.before.plus(sharedTally{Split: split, Arms: routed.Tallies(), Pairs: routed.PairTally()})
	changed := requests(total) != requests(c.total)
	c.total = total
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own[name] = c
	return total, changed, nil
}

// requests is enough to see that something was counted.
func requests(t sharedTally) (n uint64) {
	for _, arm := range t.Arms {
		n += arm.Total().Requests
	}
	if t.Pairs != nil {
		n += t.Pairs.Requests + t.Pairs.Dropped
	}
	return n
}

// follow takes over what another server shares.
func (p *peers) follow(_ context.Context, c eventlog.Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t sharedTally
	if c.Value == nil {
		delete(p.others, c.Key)
		return nil
	}
	if err := json.Unmarshal(c.Value, &t); err != nil {
		return fmt.Errorf("tallies of %s: %w", c.Key, err)
	}
	p.others[c.Key] = t
	return nil
}

// sum is what the arms of a split did on all servers together.
func (p *peers) sum(name fairlead.Name, split string) sharedTally {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sharedTally{Split: split}
	if c := p.own[name]; c != nil && c.split == split {
		sum = sum.plus(c.total)
	}
	prefix, own := bucketKey(name)+"/", p.key(name)
	for _, key := range slices.Sorted(maps.Keys(p.others)) {
		if t := p.others[key]; len(key) > len(prefix) && key[:len(prefix)] == prefix && key != own && t.Split == split {
			sum = sum.plus(t)
		}
	}
	return sum
}

// readByAll is how far every server has read a stream that was there within forgetAfter.
func (p *peers) readByAll(ctx context.Context, s eventlog.Stream) (uint64, error) {
	least, err := p.position(ctx, s)
	if err != nil {
		return 0, err
	}
	keys, err := p.reads.Keys(ctx)
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		raw, _, err := p.reads.Get(ctx, key)
		if err != nil {
			return 0, err
		}
		var up readUpTo
		if raw == nil {
			continue
		}
		if err := json.Unmarshal(raw, &up); err != nil {
			return 0, fmt.Errorf("server %s: %w", key, err)
		}
		if p.now().Sub(up.At) < forgetAfter {
			least = min(least, up.Positions[string(s)])
		}
	}
	return least, nil
}

// rollingNames lists the deployments whose traffic is parted.
func (d *deployer) rollingNames() []fairlead.Name {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.rolling))
}

// counting is the split that counts now, and its name; nil: none does.
func (d *deployer) counting(name fairlead.Name) (string, *route.Split) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rolling[name]; r != nil && r.split != nil {
		return r.split.id, r.split.routed
	}
	return "", nil
}
