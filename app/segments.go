package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/realised"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

const (
	maxSegments = 200 // saved ones of a deployment
	maxByValues = 50  // of a column, as segments
	everything  = "all"
)

var segmentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// segments keeps the saved segments, one list a deployment, in a bucket, and the evaluation store's copy of them.
type segments struct {
	kv    keyValue
	store *evalstore.Store

	mu     sync.Mutex
	copied map[fairlead.Name]string // what the store has
}

// list reads the bucket: another server may have written it.
func (s *segments) list(ctx context.Context, name fairlead.Name) ([]api.Segment, uint64, error) {
	raw, revision, err := s.kv.Get(ctx, bucketKey(name))
	if err != nil || raw == nil {
		return []api.Segment{}, revision, err
	}
	list := []api.Segment{}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, 0, fmt.Errorf("read the segments of %s: %w", name, err)
	}
	return list, revision, nil
}

// change replaces the list by what edit makes of it; others that write at the same time go first.
func (s *segments) change(ctx context.Context, name fairlead.Name, edit func([]api.Segment) ([]api.Segment, error)) error {
	for tries := 0; ; tries++ {
		list, revision, err := s.list(ctx, name)
		if err != nil {
			return err
		}
		if list, err = edit(list); err != nil {
			return err
		}
		raw, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if _, err = s.kv.Put(ctx, bucketKey(name), raw, revision); err == nil {
			return s.copy(ctx, name)
		}
		if fairlead.CodeOf(err) != fairlead.CodeConflict || tries == 5 {
			return fmt.Errorf("store the segments of %s: %w", name, err)
		}
	}
}

// copy gives the store what the bucket has, if that is not what it got last.
func (s *segments) copy(ctx context.Context, name fairlead.Name) error {
	list, _, err := s.list(ctx, name)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.copied[name]; ok && known == string(raw) || !ok && len(list) == 0 {
		return nil
	}
	saved, err := s.compiled(ctx, name, list)
	if err != nil {
		return err
	}
	if err := s.store.PutSegments(ctx, name, saved); err != nil {
		return err
	}
	if s.copied == nil {
		s.copied = map[fairlead.Name]string{}
	}
	s.copied[name] = string(raw)
	return nil
}

func (s *segments) compiled(ctx context.Context, name fairlead.Name, list []api.Segment) ([]evalstore.SavedSegment, error) {
	columns, err := s.store.SegmentColumns(ctx, name)
	if err != nil {
		return nil, err
	}
	var out []evalstore.SavedSegment
	for _, x := range list {
		p, err := segment.Compile(x.Where, columns)
		if err != nil {
			return nil, fmt.Errorf("segment %s of %s: %w", x.Name, name, err)
		}
		out = append(out, evalstore.SavedSegment{Name: x.Name, Predicate: p})
	}
	return out, nil
}

// Segments implements admin.Segments.
func (a *App) Segments(ctx context.Context, name fairlead.Name) ([]api.Segment, error) {
	if a.deployer.get(name) == nil {
		return nil, fairlead.NotFound("there is no deployment %q of one model", name).Hintf("`fairlead deployments` lists them")
	}
	list, _, err := a.segments.list(ctx, name)
	return list, err
}

// SetSegment implements admin.Segments: it saves a segment, or changes one.
func (a *App) SetSegment(ctx context.Context, name fairlead.Name, which string, in api.SegmentRequest) (api.Segment, error) {
	out := api.Segment{Name: which, Where: strings.TrimSpace(in.Where), By: in.By, Set: time.Now().UTC()}
	if _, err := a.Segments(ctx, name); err != nil {
		return out, err
	}
	if !segmentName.MatchString(which) || which == everything {
		return out, fairlead.Invalid("%q cannot be the name of a segment", which).Hintf("a name has up to 63 letters, digits, dots, dashes and underscores, begins with a letter or digit, and is not %q", everything)
	}
	columns, err := a.store.SegmentColumns(ctx, name)
	if err != nil {
		return out, err
	}
	if _, err := segment.Compile(out.Where, columns); err != nil {
		if stats, e := a.store.Stats(ctx, name); e == nil && stats.Rows == 0 {
			return out, fairlead.Invalid("%v", err).Hintf("the model's own columns are known when its first row is stored: send a prediction first")
		}
		return out, err
	}
	return out, a.segments.change(ctx, name, func(list []api.Segment) ([]api.Segment, error) {
		list = slices.DeleteFunc(list, func(x api.Segment) bool { return x.Name == which })
		if len(list) >= maxSegments {
			return nil, fairlead.Errorf(fairlead.CodeExhausted, "%s has %d segments", name, maxSegments).Hintf("remove one that nobody needs")
		}
		list = append(list, out)
		slices.SortFunc(list, func(x, y api.Segment) int { return cmp.Compare(x.Name, y.Name) })
		return list, nil
	})
}

// RemoveSegment implements admin.Segments.
func (a *App) RemoveSegment(ctx context.Context, name fairlead.Name, which string) (api.Segment, error) {
	var gone api.Segment
	if _, err := a.Segments(ctx, name); err != nil {
		return gone, err
	}
	return gone, a.segments.change(ctx, name, func(list []api.Segment) ([]api.Segment, error) {
		i := slices.IndexFunc(list, func(x api.Segment) bool { return x.Name == which })
		if i < 0 {
			return nil, fairlead.NotFound("%s has no segment %q", name, which).Hintf("`fairlead segments %s` lists them", name)
		}
		gone = list[i]
		return slices.Delete(list, i, i+1), nil
	})
}

// asked is a segment of a question, under the name that the answer gives it.
type asked struct {
	name string
	evalstore.CubeSegment
}

// Cube implements admin.Segments.
func (a *App) Cube(ctx context.Context, name fairlead.Name, q api.CubeQuery) (api.Cube, error) {
	out := api.Cube{Deployment: string(name), Grain: q.Grain, Names: []string{}, Cells: []api.CubeCell{}}
	if _, err := a.Segments(ctx, name); err != nil {
		return out, err
	}
	if err := a.segments.copy(ctx, name); err != nil {
		return out, err
	}
	if q.From.IsZero() && q.Limit > 0 {
		latest, err := a.watermark(ctx, name)
		if err != nil {
			return out, err
		}
		grain := watch.Grain(q.Grain)
		q.From = grain.Start(latest).Add(-time.Duration(q.Limit-1) * grain.Length())
	}
	which, err := a.askedSegments(ctx, name, q)
	if err != nil {
		return out, err
	}
	values, err := a.byValues(ctx, name, q)
	if err != nil {
		return out, err
	}
	names := slices.Clone(values)
	for i := range which {
		names = slices.Insert(names, i, which[i].name)
	}
	versions := []fairlead.Version{fairlead.Version(q.Version)}
	if q.Version == 0 {
		if versions, err = a.store.Versions(ctx, name, fairlead.RoleLive); err != nil {
			return out, err
		}
	}
	for _, v := range versions {
		known, err := a.deployer.describe(ctx, name, a.deployer.get(name).Model, v)
		if err != nil {
			return out, err
		}
		for _, n := range realised.Names(known.sig.Task) {
			if !slices.Contains(out.Names, n) {
				out.Names = append(out.Names, n)
			}
		}
		query := evalstore.CubeQuery{
			Deployment: name, Version: v, Role: fairlead.RoleLive, Grain: watch.Grain(q.Grain), From: q.From, To: q.To, Signature: &known.sig, By: q.By, Values: values,
		}
		for _, x := range which {
			query.Segments = append(query.Segments, x.CubeSegment)
		}
		cells, err := a.store.Cube(ctx, query)
		if err != nil {
			return out, err
		}
		for i := range cells {
			out.Cells = append(out.Cells, cubeCellOf(names[cells[i].Segment], v, &cells[i], known.sig.Task))
		}
	}
	place := map[string]int{}
	for i, n := range names {
		place[n] = i
	}
	slices.SortStableFunc(out.Cells, func(x, y api.CubeCell) int {
		return cmp.Or(cmp.Compare(place[x.Segment], place[y.Segment]), cmp.Compare(x.Version, y.Version), x.Start.Compare(y.Start))
	})
	return out, nil
}

func cubeCellOf(name string, v fairlead.Version, c *evalstore.CubeCell, task fairlead.Task) api.CubeCell {
	cell := api.CubeCell{Segment: name, Version: int(v), Start: c.Start, N: c.Totals.N, Labelled: c.Totals.Labelled, Metrics: map[string]api.Estimate{}}
	for metric, m := range c.Totals.Metrics(task) {
		if !math.IsNaN(m.Value) {
			cell.Metrics[metric] = api.Estimate{Value: m.Value, Low: finitePointer(m.Low), High: finitePointer(m.High)}
		}
	}
	return cell
}

// askedSegments are the segments of a question: saved ones by name, predicates as they are written, values of a column.
func (a *App) askedSegments(ctx context.Context, name fairlead.Name, q api.CubeQuery) ([]asked, error) {
	list, _, err := a.segments.list(ctx, name)
	if err != nil {
		return nil, err
	}
	saved, err := a.segments.compiled(ctx, name, list)
	if err != nil {
		return nil, err
	}
	var out []asked
	keep := func(x evalstore.SavedSegment) asked {
		return asked{x.Name, evalstore.CubeSegment{Predicate: x.Predicate, Kept: true}}
	}
	all := asked{everything, evalstore.CubeSegment{Kept: true}}
	if len(q.Segments) == 0 && q.By == "" {
		out = append(out, all)
		for _, x := range saved {
			out = append(out, keep(x))
		}
		return out, nil
	}
	columns, err := a.store.SegmentColumns(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, text := range q.Segments {
		if i := slices.IndexFunc(saved, func(x evalstore.SavedSegment) bool { return x.Name == text }); i >= 0 {
			out = append(out, keep(saved[i]))
			continue
		}
		if text == everything {
			out = append(out, all)
			continue
		}
		p, err := segment.Compile(text, columns)
		if err != nil {
			if segmentName.MatchString(text) {
				return nil, fairlead.NotFound("%s has no segment %q", name, text).Hintf("`fairlead segments %s` lists them; a predicate looks like distance > 1000", name)
			}
			return nil, err
		}
		out = append(out, asked{text, evalstore.CubeSegment{Predicate: p}})
	}
	return out, nil
}

// byValues are the most frequent values of the column that a question is about.
func (a *App) byValues(ctx context.Context, name fairlead.Name, q api.CubeQuery) ([]string, error) {
	if q.By == "" {
		return nil, nil
	}
	columns, err := a.store.SegmentColumns(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, ok := columns[q.By]; !ok {
		_, err := segment.Compile("has(row["+strconv.QuoteToASCII(q.By)+"])", columns)
		return nil, err
	}
	return a.store.TopValues(ctx, name, q.By, q.From, q.To, maxByValues)
}
