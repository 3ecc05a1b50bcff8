package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Move is one change of an alias.
type Move struct {
	Alias  string           `json:"alias"`
	From   fairlead.Version `json:"from,omitempty"` // 0: there was no such alias
	To     fairlead.Version `json:"to,omitempty"`   // 0: it was removed
	At     time.Time        `json:"at"`
	By     string           `json:"by,omitempty"`
	Forced bool             `json:"forced,omitempty"` // over a breaking change
}

// Pointing asks for an alias to be moved.
type Pointing struct {
	Alias  string
	To     fairlead.Version  // 0 removes the alias
	Expect *fairlead.Version // where it must point now, 0: nowhere; nil: it does not matter
	Force  bool              // also to a version that breaks the clients of the one it points at
	By     string
	At     time.Time
}

// Point moves an alias. Where it points already nothing is written, and the move says so by From and To. An error is
// CodeConflict with reason "moved" when it does not point where it was expected to, or with reason "breaking_change"
// when the new version's signature breaks clients of the old one; CodeNotFound for a version that there is not.
func (r *Registry) Point(ctx context.Context, model fairlead.Name, p Pointing) (Move, error) {
	if err := CheckAlias(p.Alias); err != nil {
		return Move{}, err
	}
	var move Move
	err := r.update(ctx, model, func(m *Model) error {
		if len(m.Kept()) == 0 {
			return r.unknownModel(ctx, model)
		}
		from := m.Aliases[p.Alias]
		move = Move{Alias: p.Alias, From: from, To: p.To, At: p.At.UTC(), By: p.By}
		if p.Expect != nil && *p.Expect != from {
			return moved(m, p, from)
		}
		if from == p.To {
			return errUnchanged
		}
		if p.To == 0 {
			m.point(move)
			return r.archive(ctx, m)
		}
		if p.To < 1 || int(p.To) > len(m.Versions) {
			return unknownVersion(m, p.To.String())
		}
		e, err := m.at(p.To)
		if err != nil {
			return err
		}
		if move.Forced, err = r.allowed(ctx, m, from, e, p.Force); err != nil {
			return err
		}
		m.Versions[p.To-1].Removing = time.Time{} // it is wanted
		m.point(move)
		return r.archive(ctx, m)
	})
	return move, err
}

// SetAlias lets an alias of a model point at one of its versions, whatever it pointed at.
func (r *Registry) SetAlias(ctx context.Context, model fairlead.Name, alias string, v fairlead.Version) error {
	if v < 1 { // 0 would remove it
		m, err := r.Model(ctx, model)
		if err != nil {
			return err
		}
		return unknownVersion(&m, v.String())
	}
	_, err := r.Point(ctx, model, Pointing{Alias: alias, To: v, Force: true, At: time.Now()})
	return err
}

// allowed checks the signature of a new version against that of the one an alias leaves. forced says that it would have
// been refused. An old version that cannot be read any more protects nobody.
func (r *Registry) allowed(ctx context.Context, m *Model, from fairlead.Version, to Entry, force bool) (forced bool, err error) {
	if from == 0 || int(from) > len(m.Versions) {
		return false, nil
	}
	breaks, err := r.Compatible(ctx, m.Versions[from-1], to)
	if err != nil || len(breaks) == 0 {
		return false, err
	}
	if force {
		return true, nil
	}
	return false, bundle.Breaking(fmt.Sprintf("%s@%d does not fit the clients of %s@%d", m.Name, to.Version, m.Name, from), breaks)
}

// Compatible lists what breaks for the clients of one version when another one answers them. A version that cannot be
// read has no clients to break; the other one must be readable.
func (r *Registry) Compatible(ctx context.Context, from, to Entry) ([]bundle.Break, error) {
	if from.Digest == to.Digest {
		return nil, nil
	}
	next, err := r.Describe(ctx, to.Digest)
	if err != nil {
		return nil, err
	}
	old, err := r.Describe(ctx, from.Digest)
	if err != nil {
		return nil, ctx.Err()
	}
	return bundle.Compatible(old.Signature, next.Signature), nil
}

func moved(m *Model, p Pointing, from fairlead.Version) error {
	is, was := fmt.Sprintf("points at version %d", from), fmt.Sprintf("version %d", *p.Expect)
	if from == 0 {
		is = "does not exist"
	}
	if *p.Expect == 0 {
		was = "nowhere"
	}
	e := fairlead.Errorf(fairlead.CodeConflict, "the alias %s of %s %s, expected %s", p.Alias, m.Name, is, was).
		Hintf("somebody has moved it: look at `fairlead models history %s`, then ask again", m.Name)
	e.Reason = "moved"
	return e
}

// point moves an alias in the record.
func (m *Model) point(move Move) {
	if m.Aliases == nil {
		m.Aliases = map[string]fairlead.Version{}
	}
	move.From = m.Aliases[move.Alias]
	if move.From == move.To {
		return
	}
	if move.To == 0 {
		delete(m.Aliases, move.Alias)
	} else {
		m.Aliases[move.Alias] = move.To
	}
	m.Moves = append(m.Moves, move)
}

// aliasesOf names the aliases that point at a version.
func (m *Model) aliasesOf(v fairlead.Version) []string {
	var names []string
	for _, alias := range slices.Sorted(maps.Keys(m.Aliases)) {
		if m.Aliases[alias] == v {
			names = append(names, alias)
		}
	}
	return names
}

// blockMoves is how many moves are archived at a time; the record keeps as many at least.
const blockMoves = 200

// archive writes old moves under a key of their own before the record forgets them. Every writer would write the same
// block, so one that is there already is as good.
func (r *Registry) archive(ctx context.Context, m *Model) error {
	for len(m.Moves) >= 2*blockMoves {
		value, err := json.Marshal(m.Moves[:blockMoves])
		if err != nil {
			return err
		}
		if _, err := r.kv.Put(ctx, blockKey(m.Name, m.Archived), value, 0); err != nil && fairlead.CodeOf(err) != fairlead.CodeConflict {
			return fmt.Errorf("archive the aliases' history of %s: %w", m.Name, err)
		}
		m.Moves, m.Archived = slices.Clone(m.Moves[blockMoves:]), m.Archived+1
	}
	return nil
}

func blockKey(model fairlead.Name, block int) string {
	return fmt.Sprintf("moves/%s/%d", key(model), block)
}

// History lists the moves of an alias, of all if it is empty, oldest first. Nothing is ever forgotten.
func (r *Registry) History(ctx context.Context, model fairlead.Name, alias string) ([]Move, error) {
	m, _, err := r.load(ctx, model)
	if err != nil {
		return nil, err
	}
	if len(m.Versions) == 0 {
		return nil, r.unknownModel(ctx, model)
	}
	all := []Move{}
	for block := range m.Archived {
		value, _, err := r.kv.Get(ctx, blockKey(model, block))
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", model, err)
		}
		var moves []Move
		if err := json.Unmarshal(value, &moves); err != nil {
			return nil, fmt.Errorf("history of %s, block %d: %w", model, block, err)
		}
		all = append(all, moves...)
	}
	all = append(all, m.Moves...)
	return slices.DeleteFunc(all, func(x Move) bool { return alias != "" && x.Alias != alias }), nil
}
