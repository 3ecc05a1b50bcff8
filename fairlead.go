// Package fairlead holds the nouns that more than one room of the server speaks: tensors, signatures,
// predictions, labels, tables and errors. It uses the standard library only and does no I/O.
//
// The rooms are ship (how a model gets here), serve (bytes in, bytes out), watch (is it still right?) and
// learn (from outcome to data). Data rests in two seams: eventlog and evalstore. ARCHITECTURE.md draws the river.
package fairlead

import (
	"regexp"
	"strconv"
	"strings"
)

// Name names a model or a deployment: 1 to 64 characters, a lower-case letter or digit first, then also
// '-', '_' and '.'.
type Name string

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ParseName checks s. The error is CodeInvalid and says which characters a name may have.
func ParseName(s string) (Name, error) {
	if !namePattern.MatchString(s) {
		return "", Invalid("%q is not a name", s).
			Hintf("a name has 1 to 64 of a-z 0-9 . _ - and starts with a letter or digit, for example %q", "flights")
	}
	return Name(s), nil
}

// Digest is "sha256:" and 64 lower-case hex digits.
type Digest string

// Short is the first twelve hex digits, what people see.
func (d Digest) Short() string {
	h := strings.TrimPrefix(string(d), "sha256:")
	if len(h) > 12 {
		h = h[:12]
	}
	return h
}

// Version is the ordinal of a model's version in one registry, from 1.
type Version int

// ParseVersion reads "3" or "v3".
func ParseVersion(s string) (Version, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "v"))
	if err != nil || n < 1 {
		return 0, Invalid("%q is not a version", s).Hintf("versions are counted from 1: write %q or %q", "3", "v3")
	}
	return Version(n), nil
}

// Role says how a version takes part in a deployment.
type Role string

// Roles of a version in a deployment.
const (
	RoleLive   Role = "live"
	RoleCanary Role = "canary"
	RoleShadow Role = "shadow"
)

// Task is what a model does; it decides which metrics are computed.
type Task string

// Tasks that have metrics of their own.
const (
	TaskNone       Task = "none"
	TaskBinary     Task = "binary"
	TaskMulticlass Task = "multiclass"
	TaskRegression Task = "regression"
)

// ParseTask reads the task of a bundle; the empty string is TaskNone.
func ParseTask(s string) (Task, error) {
	switch t := Task(s); t {
	case "":
		return TaskNone, nil
	case TaskNone, TaskBinary, TaskMulticlass, TaskRegression:
		return t, nil
	}
	return "", Invalid("task %q is not known", s).Hintf("use binary, multiclass, regression or none")
}

// String formats a version the way people write it after a name: flights@3.
func (v Version) String() string { return strconv.Itoa(int(v)) }
