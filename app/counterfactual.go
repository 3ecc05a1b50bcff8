package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/watch/explain"
)

// Bounds of asking a model again.
const (
	askedRows  = 2000
	askedTime  = 10 * time.Second
	leastAsked = 100
	poolRows   = 200  // of a segment; with fewer its values of before are those of all other rows
	poolPoints = 2000 // that stand for the counts of a reference
)

// counterfactual is rows of a look asked again with values of before.
type counterfactual struct {
	*look
	run      *replayRun
	method   string
	compared string
	pool     float64 // rows that the values of before rest on
	back     []any   // of each row of now
	rows     []int   // that were asked
	replaced float64 // share of them
	answers  map[int][2]explain.Answer
	impact   *explain.Impact
}

// putBack asks the version that answered the rows once more: as they are, and with values of the column from before. What hinders it
// is the reason of the impact.
func (l *look) putBack(ctx context.Context) (*counterfactual, error) {
	c := &counterfactual{look: l, answers: map[int][2]explain.Answer{}}
	because := func(format string, args ...any) (*counterfactual, error) {
		c.impact = &explain.Impact{Reason: fmt.Sprintf(format, args...)}
		return c, nil
	}
	name := l.alert.Column
	switch {
	case l.ref.Layout.Columns[l.column].Output:
		return because("%s is what the model says: its inputs that moved have alerts of their own", name)
	case l.target >= l.inputs:
		return because("%s is made of other inputs: it cannot be put back alone", name)
	case l.wide != "":
		return because("the rows of %s are too wide to be read by the hundred", l.wide)
	}
	dep := l.app.deployer.get(l.alert.Deployment)
	e, version, err := l.app.candidate(ctx, dep.Model, l.version.String(), "")
	if err != nil {
		return because("%s@%d, which answered these rows, is gone: %v", dep.Model, l.version, err)
	}
	c.run = &replayRun{
		app: l.app, model: dep.Model, sig: version.sig, against: fmt.Sprintf("%s@%d", e.Model, e.Version), needed: map[string]bool{},
		recording: evalstore.Recording{Deployment: l.alert.Deployment},
	}
	if err := c.run.plan(ctx); err != nil {
		return because("%v", err)
	}
	for f := range c.run.needed {
		if l.hidden[f] {
			return because("%s is redacted, which the model needs", f)
		}
	}
	if c.choose(); len(c.rows) < leastAsked {
		return because("only %d rows are recorded with all of their inputs", len(c.rows))
	}
	c.replace()
	done, err := l.app.asking.take(ctx)
	if err != nil {
		return because("another explanation is being made on this server: ask again")
	}
	defer done()
	if c.run.session, _, err = l.app.deployer.loadFastest(ctx, version.graph, 1, version.golden); err != nil {
		return because("%s cannot be loaded: %v", c.run.against, err)
	}
	defer func() { _ = c.run.session.Close() }() // nothing was asked of it that could be lost
	if err := c.ask(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, engine.ContextError(ctx)
		}
		return because("%s fails on recorded rows: %v", c.run.against, err)
	}
	return c, nil
}

// ask gets both answers to each row, as many as there is time for, and to rows where nothing has changed.
func (c *counterfactual) ask(ctx context.Context) error {
	began := time.Now()
	asked := 0
	for from := 0; from < len(c.rows); from += c.run.batch {
		part := c.rows[from:min(from+c.run.batch, len(c.rows))]
		worked := time.Now()
		now, err := c.answer(ctx, part, nil)
		if err != nil {
			return err
		}
		back, err := c.answer(ctx, part, c.back)
		if err != nil {
			return err
		}
		for k, i := range part {
			c.answers[i] = [2]explain.Answer{now[k], back[k]}
		}
		asked += len(part)
		c.app.pace.Rest(ctx, time.Since(worked), 0)
		if time.Since(began) > askedTime {
			break
		}
	}
	c.rows = c.rows[:asked]
	if asked < leastAsked {
		return errors.New("it takes too long")
	}
	chance, err := c.chance(ctx, time.Since(began) < askedTime/2)
	if err != nil {
		return err
	}
	was := c.values(c.now)
	pairs := c.pairs(c.rows, was, c.back, c.answers)
	changed, sum := 0.0, 0.0
	for _, i := range c.rows {
		sum += c.now.Weight[i]
		if fmt.Sprint(was[i]) != fmt.Sprint(c.back[i]) {
			changed += c.now.Weight[i]
		}
	}
	c.replaced = changed / sum
	c.impact = explain.Summarise(pairs, chance, c.pool, c.scale(pairs))
	return nil
}

func (c *counterfactual) pairs(rows []int, was, back []any, answers map[int][2]explain.Answer) []explain.Pair {
	var out []explain.Pair
	for _, i := range rows {
		a := answers[i]
		out = append(out, explain.Pair{
			Weight: c.now.Weight[i], Now: a[0], Back: a[1],
			Place: c.ref.Layout.AlertPlace(c.column, was[i]), PutBack: c.ref.Layout.AlertPlace(c.column, back[i]),
		})
	}
	return out
}

// chance gives half of the rows the values of the other half: what flips then flips by the method alone.
func (c *counterfactual) chance(ctx context.Context, enough bool) ([]explain.Pair, error) {
	if !enough {
		return nil, nil
	}
	var rows []int
	pool, was := &explain.Pool{}, c.values(c.now)
	for k, i := range c.rows {
		if k%2 == 0 {
			rows = append(rows, i)
			continue
		}
		pool.Values, pool.Weight = append(pool.Values, was[i]), append(pool.Weight, c.now.Weight[i])
	}
	back, answers := slices.Clone(was), map[int][2]explain.Answer{}
	for k, v := range c.exchange(was, rows, pool) {
		back[rows[k]] = v
	}
	for from := 0; from < len(rows); from += c.run.batch {
		part := rows[from:min(from+c.run.batch, len(rows))]
		worked := time.Now()
		other, err := c.answer(ctx, part, back)
		if err != nil {
			return nil, err
		}
		for k, i := range part {
			answers[i] = [2]explain.Answer{c.answers[i][0], other[k]}
		}
		c.app.pace.Rest(ctx, time.Since(worked), 0)
	}
	return c.pairs(rows, was, back, answers), nil
}

// answer runs rows, with values of the column in place of theirs if some are given.
func (c *counterfactual) answer(ctx context.Context, rows []int, instead []any) ([]explain.Answer, error) {
	values := slices.Clone(c.now.Values[:c.inputs])
	column := slices.Clone(values[c.target])
	for _, i := range rows {
		if instead != nil {
			column[i] = instead[i]
		}
		if column[i] == nil {
			column[i] = math.NaN() // only where the column can hold one
		}
	}
	values[c.target] = column
	inputs, err := replayInputs(&c.run.sig, values, rows)
	if err != nil {
		return nil, err
	}
	outputs, err := c.run.session.Run(ctx, inputs, nil)
	if err != nil {
		return nil, err
	}
	out := make([]explain.Answer, len(rows))
	for n := range rows {
		out[n] = answerOf(&c.run.sig, outputs, n)
	}
	return out, nil
}
