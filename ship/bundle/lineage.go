package bundle

import (
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Lineage says where a version comes from. The references to models are, in a sealed bundle, a name and the digest of a
// version, flights@sha256:…; in fairlead.yaml also flights@3 and flights:champion. Data sets are named as people like.
type Lineage struct {
	TrainedOn     []string `json:"trained_on,omitempty"`
	QuantizedFrom string   `json:"quantized_from,omitempty"`
	DistilledFrom string   `json:"distilled_from,omitempty"`
}

// Relation is how a version came from another one or from data.
type Relation string

// Relations of the lineage.
const (
	TrainedOn     Relation = "trained_on"
	QuantizedFrom Relation = "quantized_from"
	DistilledFrom Relation = "distilled_from"
)

// Origin is one step back in the lineage.
type Origin struct {
	Relation  Relation `json:"relation"`
	Reference string   `json:"reference"`
}

// Origins lists the steps back, models first.
func (l Lineage) Origins() []Origin {
	var out []Origin
	if l.QuantizedFrom != "" {
		out = append(out, Origin{QuantizedFrom, l.QuantizedFrom})
	}
	if l.DistilledFrom != "" {
		out = append(out, Origin{DistilledFrom, l.DistilledFrom})
	}
	for _, d := range l.TrainedOn {
		out = append(out, Origin{TrainedOn, d})
	}
	return out
}

// zero says that nothing is known.
func (l Lineage) zero() bool {
	return len(l.TrainedOn) == 0 && l.QuantizedFrom == "" && l.DistilledFrom == ""
}

// ParseReference splits what people write for a version of a model: flights, flights@3, flights:champion,
// flights@sha256:…. ref is empty for a bare name. The error is CodeInvalid.
func ParseReference(s string) (model fairlead.Name, ref string, err error) {
	at := strings.IndexAny(s, "@:")
	name := s
	if at >= 0 {
		name, ref = s[:at], s[at+1:]
		if ref == "" {
			return "", "", fairlead.Invalid("%q names no version after %q", s, s[at:]).Hintf("write for example flights@3, flights:champion or flights@sha256:…")
		}
	}
	model, err = fairlead.ParseName(name)
	return model, ref, err
}
