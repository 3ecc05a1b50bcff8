package registry

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// minPrefix is how many hex digits of a digest are needed at least to name a version.
const minPrefix = 4

var aliasPattern = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)
var versionPattern = regexp.MustCompile(`^v?[0-9]+$`)

// CheckAlias says whether a name may be an alias: it must not look like a version. The error is CodeInvalid.
func CheckAlias(alias string) error {
	if !aliasPattern.MatchString(alias) || versionPattern.MatchString(alias) {
		return fairlead.Invalid("%q is not an alias", alias).
			Hintf("an alias has 1 to 64 of a-z 0-9 . _ - and starts with a letter, for example %q; %q would be a version", Champion, "v3")
	}
	return nil
}

// Resolve finds a version of a model by what people write: "" is the alias champion or, where that is not set, the
// newest version; "3" and "v3" are ordinals; then come aliases; then digests, whole or a prefix of at least four hex
// digits, with or without "sha256:". What fits nothing is CodeNotFound and lists what there is; a prefix that fits
// several is CodeInvalid and lists those. A removed version is CodeNotFound, and the error says when that was.
func (r *Registry) Resolve(ctx context.Context, model fairlead.Name, ref string) (Entry, error) {
	m, err := r.Model(ctx, model)
	if err != nil {
		return Entry{}, err
	}
	if ref == "" {
		if v, ok := m.Aliases[Champion]; ok {
			return m.at(v)
		}
		kept := m.Kept()
		return kept[len(kept)-1], nil
	}
	if versionPattern.MatchString(ref) {
		// Eight or more digits that are no version may still be the start of a digest.
		v, err := fairlead.ParseVersion(ref)
		if err == nil && int(v) <= len(m.Versions) {
			return m.at(v)
		}
	}
	if v, ok := m.Aliases[ref]; ok {
		return m.at(v)
	}
	return m.byDigest(ref)
}

// at is the version v; the error tells of an alias in the record that points at nothing.
func (m *Model) at(v fairlead.Version) (Entry, error) {
	if v < 1 || int(v) > len(m.Versions) {
		return Entry{}, fmt.Errorf("record of model %s: an alias points at version %d of %d", m.Name, v, len(m.Versions))
	}
	e := m.Versions[v-1]
	if !e.Kept() {
		return Entry{}, removed(e)
	}
	return e, nil
}

func removed(e Entry) error {
	by := ""
	if e.By != "" {
		by = " by " + e.By
	}
	err := fairlead.NotFound("version %d of %s was removed on %s%s", e.Version, e.Model, e.Removed.UTC().Format("2006-01-02 15:04"), by).
		Hintf("its content was %s: pushed again, it gets a new number", e.Digest.Short())
	err.Reason = "removed"
	return err
}

func (m *Model) byDigest(ref string) (Entry, error) {
	prefix := strings.TrimPrefix(ref, "sha256:")
	if len(prefix) < minPrefix || !isHex(prefix) {
		return Entry{}, unknownVersion(m, ref)
	}
	var found []Entry
	for _, e := range m.Kept() {
		if strings.HasPrefix(strings.TrimPrefix(string(e.Digest), "sha256:"), prefix) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return Entry{}, unknownVersion(m, ref)
	case 1:
		return found[0], nil
	}
	var fits []string
	for _, e := range found {
		fits = append(fits, fmt.Sprintf("%s (version %d)", e.Digest.Short(), e.Version))
	}
	return Entry{}, fairlead.Invalid("%q fits %d versions of %s", ref, len(found), m.Name).
		Hintf("they are %s: give more digits", strings.Join(fits, ", "))
}

func isHex(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}
