package notify

import (
	"cmp"
	"maps"
	"slices"
)

// match finds for each incident the id of the record of the same one, "" if there is none. Shared alerts count before shared times,
// older records before younger ones.
func (l *Ledger) match(incidents []Incident) []string {
	ids := slices.SortedFunc(maps.Keys(l.Incidents), func(a, b string) int {
		return cmp.Or(l.Incidents[a].Incident.Since.Compare(l.Incidents[b].Incident.Since), cmp.Compare(a, b))
	})
	type known struct {
		at     int // in ids
		member Member
	}
	byID, byColumn := map[string][]known{}, map[string][]known{}
	for at, id := range ids {
		for _, m := range l.Incidents[id].Incident.Alerts {
			byID[m.ID] = append(byID[m.ID], known{at, m})
			byColumn[m.Column] = append(byColumn[m.Column], known{at, m})
		}
	}
	names, taken := make([]string, len(incidents)), make([]bool, len(ids))
	for _, candidates := range []func(m Member) []known{
		func(m Member) []known { return byID[m.ID] },
		func(m Member) []known {
			return slices.DeleteFunc(slices.Clone(byColumn[m.Column]), func(k known) bool { return !overlap(m, k.member) })
		},
	} {
		for i := range incidents {
			if names[i] != "" {
				continue
			}
			first := len(ids)
			for _, m := range incidents[i].Alerts {
				for _, k := range candidates(m) {
					if !taken[k.at] {
						first = min(first, k.at)
					}
				}
			}
			if first < len(ids) {
				names[i], taken[first] = ids[first], true
			}
		}
	}
	return names
}
