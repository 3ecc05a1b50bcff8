package api

import "time"

// PushOptions are what can be said of a push beside the model itself.
type PushOptions struct {
	Alias         string   `json:"alias,omitempty"`
	Force         bool     `json:"force,omitempty" doc:"also where the signature breaks the clients of the live version"`
	By            string   `json:"by,omitempty" doc:"who, for the history"`
	TrainedOn     []string `json:"trained_on,omitempty"`
	QuantizedFrom string   `json:"quantized_from,omitempty"`
	DistilledFrom string   `json:"distilled_from,omitempty"`
	Rollout       bool     `json:"rollout,omitempty" doc:"it goes live by a rollout; a first version goes live at once"`
	Test          bool     `json:"test,omitempty" doc:"it is stored only if it passes the tests in its bundle"`
	Policy        string   `json:"policy,omitempty" doc:"of that rollout, YAML or JSON; absent: the deployment's own, else the default"`
}

// Variant is one form of a version's graph.
type Variant struct {
	Name      string     `json:"name"`
	File      string     `json:"file"`
	Digest    string     `json:"digest" doc:"of its manifest"`
	Lacking   string     `json:"lacking,omitempty" doc:"why this server cannot run it"`
	Serves    bool       `json:"serves" doc:"the one this server runs"`
	Requires  *Requires  `json:"requires,omitempty"`
	Tolerance *Tolerance `json:"tolerance,omitempty" doc:"of its golden vectors"`
}

// Requires is what a host must have to run a variant.
type Requires struct {
	OS          string   `json:"os,omitempty"`
	Arch        string   `json:"arch,omitempty"`
	ISA         []string `json:"isa,omitempty"`
	Memory      int64    `json:"memory_bytes,omitempty"`
	Runtime     string   `json:"runtime,omitempty"`
	Accelerator string   `json:"accelerator,omitempty"`
}

// Tolerance bounds how far an answer may lie from the golden one: absolute + relative·|expected|.
type Tolerance struct {
	Absolute float64 `json:"absolute"`
	Relative float64 `json:"relative"`
}

// Origin is one step of a version's lineage.
type Origin struct {
	Relation  string `json:"relation" enum:"trained_on,quantized_from,distilled_from"`
	Reference string `json:"reference" doc:"as given; a version is pinned to its digest"`
	Model     string `json:"model,omitempty" doc:"absent: data, or a version that this registry does not know"`
	Version   int    `json:"version,omitempty"`
	Removed   bool   `json:"removed,omitempty" doc:"the version's content is gone"`
	Depth     int    `json:"depth" doc:"1: a direct one"`
	Of        string `json:"of" doc:"the version, flights@3, on the other side of this step"`
}

// Lineage answers GET /api/v1/models/{name}/versions/{version}/lineage.
type Lineage struct {
	Model       string   `json:"model"`
	Version     int      `json:"version"`
	Ancestors   []Origin `json:"ancestors" doc:"what it came from, nearest first"`
	Descendants []Origin `json:"descendants" doc:"what came from it, nearest first"`
}

// RemovedVersion is a version whose number stays taken.
type RemovedVersion struct {
	Model   string    `json:"model"`
	Version int       `json:"version"`
	Digest  string    `json:"digest"`
	Removed time.Time `json:"removed"`
	By      string    `json:"by,omitempty"`
}

// Card answers GET /api/v1/models/{name}/versions/{version}/card.
type Card struct {
	Name string `json:"name" doc:"of the file"`
	Text string `json:"text"`
}

// AliasRequest is the body of PUT /api/v1/models/{name}/aliases/{alias}.
type AliasRequest struct {
	Version string `json:"version" minLength:"1" doc:"a number, another alias or a digest"`
	Force   bool   `json:"force,omitempty" doc:"also where the signature breaks the clients of the version it points at now"`
	By      string `json:"by,omitempty" doc:"who, for the history"`
}

// AliasMove is one change of an alias.
type AliasMove struct {
	Alias  string    `json:"alias"`
	From   int       `json:"from" doc:"0: there was no such alias"`
	To     int       `json:"to" doc:"0: it was removed"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Forced bool      `json:"forced,omitempty" doc:"over a breaking change"`
}

// CollectRequest is the body of POST /api/v1/registry/collect.
type CollectRequest struct {
	DryRun bool    `json:"dry_run,omitempty" doc:"only say what would go"`
	Grace  float64 `json:"grace_seconds,omitempty" minimum:"0" doc:"younger blobs stay; a day if absent"`
	Keep   int     `json:"keep,omitempty" minimum:"0" doc:"versions of each model that stay without anybody needing them; 0: all"`
	MaxAge float64 `json:"max_age_seconds,omitempty" minimum:"0" doc:"of those beyond keep, only older ones go"`
	By     string  `json:"by,omitempty" doc:"who, for the records of removed versions"`
}

// CollectAnswer says what a collection took, or would take.
type CollectAnswer struct {
	DryRun   bool             `json:"dry_run"`
	Versions []RemovedVersion `json:"versions" doc:"that were not kept by keep and max_age, and that nobody needs"`
	Blobs    int              `json:"blobs" doc:"removed"`
	Bytes    int64            `json:"bytes"`
	Kept     int              `json:"kept" doc:"blobs that something refers to"`
	Waiting  int              `json:"waiting" doc:"blobs that nothing refers to, within the grace period or being written"`
}

// Damage is a file of the registry that is not what it should be.
type Damage struct {
	File     string   `json:"file"`
	What     string   `json:"what"`
	Versions []string `json:"versions" doc:"that need it"`
	Mend     string   `json:"mend"`
}

// Loaded is a version that came in a file.
type Loaded struct {
	Model    string   `json:"model"`
	Version  int      `json:"version"`
	Digest   string   `json:"digest"`
	Existing bool     `json:"existing" doc:"it was there already"`
	From     int      `json:"from,omitempty" doc:"its number where it was exported"`
	Aliases  []string `json:"aliases,omitempty" doc:"that came with it"`
}
