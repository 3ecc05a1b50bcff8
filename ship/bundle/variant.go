package bundle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// VariantFile is one form of a version's graph: the same inputs and outputs, in another precision or for other hosts.
type VariantFile struct {
	Name      string     `json:"name"`
	Model     string     `json:"model"` // a path inside the folder
	Requires  Requires   `json:"requires,omitzero"`
	Tolerance *Tolerance `json:"tolerance,omitempty"` // of its golden vectors; nil: that of the vectors
}

// Tolerance is how far a floating-point answer may lie from the golden one: Absolute + Relative·|expected|.
type Tolerance struct {
	Absolute float64 `json:"absolute"`
	Relative float64 `json:"relative"`
}

// Requires is what a host must have to run a variant. A zero field asks for nothing.
type Requires struct {
	OS          string   `json:"os,omitempty"`          // as Go names it: linux, darwin, windows
	Arch        string   `json:"arch,omitempty"`        // amd64, arm64
	ISA         []string `json:"isa,omitempty"`         // all of them: avx2, avx512_vnni, neon_dotprod
	Memory      int64    `json:"memory,omitempty"`      // bytes of the machine
	Runtime     string   `json:"runtime,omitempty"`     // versions of ONNX Runtime, for example ">=1.17 <2"
	Accelerator string   `json:"accelerator,omitempty"` // cuda, coreml
}

// Host is where a variant would run.
type Host struct {
	OS           string
	Arch         string
	ISA          []string
	Memory       int64  // bytes; 0: unknown, nothing is refused for it
	Runtime      string // version of ONNX Runtime; empty: unknown
	Accelerators []string
}

// Lacks says what a host lacks to run a variant, "" if nothing.
func (r Requires) Lacks(h Host) string {
	switch {
	case r.OS != "" && r.OS != h.OS:
		return fmt.Sprintf("needs %s, this host runs %s", r.OS, h.OS)
	case r.Arch != "" && r.Arch != h.Arch:
		return fmt.Sprintf("needs %s, this host is %s", r.Arch, h.Arch)
	case r.Memory > 0 && h.Memory > 0 && h.Memory < r.Memory:
		return fmt.Sprintf("needs %d bytes of memory, this host has %d", r.Memory, h.Memory)
	case r.Accelerator != "" && !slices.Contains(h.Accelerators, r.Accelerator):
		return fmt.Sprintf("needs %s, this host has no such accelerator", r.Accelerator)
	}
	for _, isa := range r.ISA {
		if !slices.Contains(h.ISA, isa) {
			return fmt.Sprintf("needs the instructions %s, this processor has %s", isa, list(h.ISA))
		}
	}
	if r.Runtime != "" && h.Runtime != "" {
		if ok, err := inRange(h.Runtime, r.Runtime); err != nil || !ok {
			return fmt.Sprintf("needs ONNX Runtime %s, this host has %s", r.Runtime, h.Runtime)
		}
	}
	return ""
}

// zero says that every host will do.
func (r Requires) zero() bool {
	return r.OS == "" && r.Arch == "" && len(r.ISA) == 0 && r.Memory == 0 && r.Runtime == "" && r.Accelerator == ""
}

// Choose is the place of the variant that a host runs: the one of that name, which must fit; with an empty name the
// first that fits. The error is CodeNotFound for a name that is none, CodeUnsupported with what is lacking where none
// fits.
func Choose(variants []Variant, name string, h Host) (int, error) {
	var why, names []string
	for i, v := range variants {
		names = append(names, v.Name)
		if name != "" && v.Name != name {
			continue
		}
		lacks := v.Requires.Lacks(h)
		if lacks == "" {
			return i, nil
		}
		why = append(why, fmt.Sprintf("%s %s", v.Name, lacks))
	}
	if len(why) == 0 {
		return 0, fairlead.NotFound("there is no variant %q", name).Hintf("variants are %s", list(names))
	}
	e := fairlead.Errorf(fairlead.CodeUnsupported, "no variant of this version runs here: %s", strings.Join(why, "; ")).
		Hintf("push a variant without requires, last in the list, as the one for every host")
	e.Reason = "no_variant"
	return 0, e
}

// inRange says whether a version fulfils every comparison of a range such as ">=1.17 <2". A bare number means at
// least that.
func inRange(version, want string) (bool, error) {
	for _, part := range strings.Fields(want) {
		digits := strings.TrimLeft(part, "<>=")
		op := part[:len(part)-len(digits)]
		c, err := compareVersions(version, digits)
		if err != nil {
			return false, err
		}
		ok, known := map[string]bool{"": c >= 0, ">=": c >= 0, ">": c > 0, "<": c < 0, "<=": c <= 0, "=": c == 0, "==": c == 0}[op]
		if !known {
			return false, fmt.Errorf("%q is not a comparison", op)
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// compareVersions compares as many numbers as b has: 1.17.3 is equal to 1.17.
func compareVersions(a, b string) (int, error) {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i, part := range y {
		want, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is not a version", b)
		}
		var have uint64
		if i < len(x) {
			digits := strings.IndexFunc(x[i]+"-", func(r rune) bool { return r < '0' || r > '9' })
			if have, err = strconv.ParseUint(x[i][:digits], 10, 31); err != nil {
				return 0, fmt.Errorf("%q is not a version", a)
			}
		}
		if have != want {
			if have < want {
				return -1, nil
			}
			return 1, nil
		}
	}
	return 0, nil
}
