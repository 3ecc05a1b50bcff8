package limit

import (
	"container/list"
	"path"
	"time"
)

// expiry is how long somebody unseen is remembered, if the bucket is full again by then.
const expiry = 10 * time.Minute

// table remembers the accounts of clients or of deployments, those seen last first.
type table struct {
	kind  string
	rules []Rule
	limit int
	by    map[string]*list.Element // of *entry
	seen  *list.List
}

type entry struct {
	account
	at time.Time // seen last
}

func newTable(kind string) table {
	return table{kind: kind, by: map[string]*list.Element{}, seen: list.New()}
}

// rule is the first that matches, false where none does or it limits nothing.
func (t *table) rule(name string) (Rule, bool) {
	for _, r := range t.rules {
		if ok, _ := path.Match(r.Match, name); ok || r.Match == name || r.Match == "*" {
			return r, !r.unlimited()
		}
	}
	return Rule{}, false
}

func (t *table) set(rules []Rule, limit int, now time.Time) {
	t.rules, t.limit = rules, limit
	for e := t.seen.Front(); e != nil; {
		next := e.Next()
		a := e.Value.(*entry)
		if r, ok := t.rule(a.name); ok {
			a.apply(r, now)
		} else if a.apply(Rule{}, now); a.underWay == 0 {
			t.drop(e)
		}
		e = next
	}
	t.forget(now)
}

// find gives the account of a name, nil where nothing limits it.
func (t *table) find(name string, now time.Time) *account {
	if len(t.rules) == 0 {
		return nil
	}
	if e := t.by[name]; e != nil {
		t.seen.MoveToFront(e)
		a := e.Value.(*entry)
		a.at = now
		return &a.account
	}
	r, ok := t.rule(name)
	if !ok {
		return nil
	}
	a := &entry{account: account{kind: t.kind, name: name}, at: now}
	a.apply(r, now)
	t.by[name] = t.seen.PushFront(a)
	t.forget(now)
	return &a.account
}

// forget drops those unseen for long and those beyond the limit, but nobody who has requests under way.
func (t *table) forget(now time.Time) {
	for e := t.seen.Back(); e != nil && e != t.seen.Front(); {
		before := e.Prev()
		a := e.Value.(*entry)
		old := now.Sub(a.at) > expiry && (a.bucket == nil || a.bucket.TokensAt(now) >= float64(a.bucket.Burst()))
		if !old && t.seen.Len() <= t.limit {
			return
		}
		if a.underWay == 0 {
			t.drop(e)
		}
		e = before
	}
}

func (t *table) drop(e *list.Element) {
	delete(t.by, e.Value.(*entry).name)
	t.seen.Remove(e)
}
