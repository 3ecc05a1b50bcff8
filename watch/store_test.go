package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

var signature = fairlead.Signature{
	Task: fairlead.TaskBinary,
	Inputs: []fairlead.TensorSpec{
		{Name: "distance", Type: fairlead.FP32, Shape: []int64{-1, 1}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
	},
	Outputs: []fairlead.TensorSpec{
		{Name: "late", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore, Classes: []string{"on_time", "late"}},
	},
	Label: fairlead.LabelSpec{Name: "late"},
}

// flight is one row of a test stream.
type flight struct {
	at       time.Time
	distance float64
	origin   string
	score    float64
	label    string // what will turn out
}

var airports = []string{"ATL", "ORD", "DFW", "LAX", "PHX", "DEN", "IAH", "SFO"}

// flights draws n rows, spread evenly from start on over d.
func flights(r *rand.Rand, start time.Time, d time.Duration, n int) []flight {
	rows := make([]flight, n)
	for i := range rows {
		score := r.Float64()
		rows[i] = flight{
			at:       start.Add(time.Duration(float64(d) * float64(i) / float64(n))),
			distance: math.Round(200 + 700*r.ExpFloat64()),
			origin:   airports[min(int(3*r.ExpFloat64()), len(airports)-1)],
			score:    score * score,
			label:    "on_time",
		}
		if r.Float64() < rows[i].score {
			rows[i].label = "late"
		}
	}
	return rows
}

func inKilometres(rows []flight) []flight {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].distance = math.Round(rows[i].distance * 1.609)
	}
	return rows
}

func table(rows []flight) *fairlead.Table {
	t := &fairlead.Table{Rows: len(rows), Columns: []fairlead.TableColumn{{Name: "distance"}, {Name: "origin"}, {Name: "late"}, {Name: "time"}}}
	for _, f := range rows {
		t.Columns[0].Floats = append(t.Columns[0].Floats, f.distance)
		t.Columns[1].Strings = append(t.Columns[1].Strings, f.origin)
		t.Columns[2].Floats = append(t.Columns[2].Floats, f.score)
		t.Columns[3].Times = append(t.Columns[3].Times, f.at)
	}
	return t
}

// reference is learnt from five weeks of flights before the test streams; by hour of the week if phases are asked for.
func reference(t *testing.T, phases bool) *profile.Reference {
	t.Helper()
	opt := profile.Options{}
	if phases {
		opt.TimeColumn = "time"
	}
	rows := flights(rand.New(rand.NewPCG(1, 1)), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), 35*24*time.Hour, 50_000)
	ref, err := profile.Learn(signature.Fields(), table(rows), opt)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

type versionKey struct {
	deployment fairlead.Name
	version    fairlead.Version
}

// store is an evaluation store in memory: Source, Sink, Models and AlertStore. fail, if set, is asked before each
// call on a window or deployment.
type store struct {
	refs       map[versionKey]*profile.Reference
	profiles   map[Window]map[time.Time]*profile.Counts // by hour window, then minute
	damaged    map[Window]bool
	rows       map[Window]int
	outcomes   map[Window][]realised.Outcome // by hour window
	seqs, done map[Window]uint64
	watermarks map[versionKey]time.Time
	findings   map[Window][]Finding
	metrics    map[Window]MetricsRow
	books      map[fairlead.Name][]byte
	saved      []Result
	fail       func(call string, deployment fairlead.Name) error
}

func newStore() *store {
	return &store{
		refs:     map[versionKey]*profile.Reference{},
		profiles: map[Window]map[time.Time]*profile.Counts{}, damaged: map[Window]bool{},
		rows: map[Window]int{}, outcomes: map[Window][]realised.Outcome{},
		seqs: map[Window]uint64{}, done: map[Window]uint64{},
		watermarks: map[versionKey]time.Time{},
		findings:   map[Window][]Finding{}, metrics: map[Window]MetricsRow{},
		books: map[fairlead.Name][]byte{},
		fail:  func(string, fairlead.Name) error { return nil },
	}
}

// predict takes rows in; their labels come with label.
func (s *store) predict(t testing.TB, deployment fairlead.Name, version fairlead.Version, rows []flight) {
	t.Helper()
	key := versionKey{deployment, version}
	layout := &profile.Layout{}
	if ref := s.refs[key]; ref != nil {
		layout = ref.Layout
	}
	tab := table(rows)
	for i, f := range rows {
		w := Window{deployment, version, fairlead.RoleLive, Hour, Hour.Start(f.at)}
		if s.profiles[w] == nil {
			s.profiles[w] = map[time.Time]*profile.Counts{}
		}
		minute := f.at.Truncate(time.Minute)
		c := s.profiles[w][minute]
		if c == nil {
			c = profile.NewCounts(layout)
			s.profiles[w][minute] = c
		}
		c.AddTable(layout, tab, i, i+1)
		s.outcomes[w] = append(s.outcomes[w], realised.Outcome{Score: f.score})
		s.rows[w]++
		s.seqs[w]++
		if f.at.After(s.watermarks[key]) {
			s.watermarks[key] = f.at
		}
	}
}

// label brings the labels of rows, which were the first of their hour to be predicted.
func (s *store) label(deployment fairlead.Name, version fairlead.Version, rows []flight) {
	next := map[Window]int{}
	for _, f := range rows {
		w := Window{deployment, version, fairlead.RoleLive, Hour, Hour.Start(f.at)}
		s.outcomes[w][next[w]].Label = f.label
		next[w]++
		s.seqs[w]++
	}
}

func (s *store) Changes(context.Context) ([]Change, error) {
	if err := s.fail("changes", ""); err != nil {
		return nil, err
	}
	var changes []Change
	for w, seq := range s.seqs { // in the map's order: any order must do
		if s.done[w] < seq {
			changes = append(changes, Change{w.Deployment, w.Version, w.Role, w.Start, seq, s.watermarks[versionKey{w.Deployment, w.Version}]})
		}
	}
	return changes, nil
}

func (s *store) hours(w Window) []Window {
	var hours []Window
	for at := w.Start; at.Before(w.End()); at = at.Add(time.Hour) {
		hours = append(hours, Window{w.Deployment, w.Version, w.Role, Hour, at})
	}
	return hours
}

func (s *store) Profiles(_ context.Context, w Window) ([][]byte, error) {
	if err := s.fail("profiles", w.Deployment); err != nil {
		return nil, err
	}
	var blobs [][]byte
	for _, h := range s.hours(w) {
		for _, c := range s.profiles[h] {
			b, err := c.MarshalBinary()
			if err != nil {
				return nil, err
			}
			if s.damaged[h] {
				b = b[:len(b)/2]
			}
			blobs = append(blobs, b)
		}
	}
	return blobs, nil
}

func (s *store) Outcomes(_ context.Context, w Window) (uint64, []realised.Outcome, error) {
	if err := s.fail("outcomes", w.Deployment); err != nil {
		return 0, nil, err
	}
	var outcomes []realised.Outcome
	for _, h := range s.hours(w) {
		outcomes = append(outcomes, s.outcomes[h]...)
	}
	return uint64(len(outcomes)), outcomes, nil
}

func (s *store) Save(_ context.Context, res Result) error {
	if len(res.Windows) > 0 {
		if err := s.fail("save", res.Windows[0].Deployment); err != nil {
			return err
		}
	}
	for _, w := range res.Windows {
		delete(s.findings, w)
		delete(s.metrics, w)
	}
	for _, f := range res.Findings {
		s.findings[f.Window] = append(s.findings[f.Window], f)
	}
	for _, m := range res.Metrics {
		s.metrics[m.Window] = m
	}
	for _, c := range res.Done {
		s.done[Window{c.Deployment, c.Version, c.Role, Hour, c.Hour}] = c.Seq
	}
	s.saved = append(s.saved, res)
	return nil
}

func (s *store) Reference(_ context.Context, d fairlead.Name, v fairlead.Version) (*profile.Reference, fairlead.Signature, error) {
	if err := s.fail("reference", d); err != nil {
		return nil, fairlead.Signature{}, err
	}
	return s.refs[versionKey{d, v}], signature, nil
}

// bookStore is the AlertStore of a store: its Save would clash with the Sink's.
type bookStore struct{ *store }

func (s bookStore) Load(_ context.Context, d fairlead.Name) (book alert.Book, err error) {
	if err := s.fail("load alerts", d); err != nil || s.books[d] == nil {
		return book, err
	}
	return book, json.Unmarshal(s.books[d], &book)
}

func (s bookStore) Save(_ context.Context, d fairlead.Name, book alert.Book) error {
	if err := s.fail("save alerts", d); err != nil {
		return err
	}
	b, err := json.Marshal(book)
	s.books[d] = b
	return err
}

func (s *store) alerts(t *testing.T, d fairlead.Name) []alert.Alert {
	t.Helper()
	book, err := bookStore{s}.Load(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return book.Alerts()
}

// watcher is one with the rule of a single hour where opt has none: stories are shorter with it.
func (s *store) watcher(opt Options) *Watcher {
	if opt.Rule == nil {
		opt.Rule = func(fairlead.Name) alert.Rule {
			return alert.Rule{Measure: alert.MeasurePSI, Threshold: 0.25, Grain: "hour", For: 1, Clear: 2}
		}
	}
	return New(s, s, s, bookStore{s}, opt, slog.New(slog.DiscardHandler))
}

// drain steps until there is nothing to do.
func drain(t *testing.T, w *Watcher) (windows int) {
	t.Helper()
	for range 1000 {
		n, err := w.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return windows
		}
		windows += n
	}
	t.Fatal("it never ends")
	return 0
}

// pending lists the hours that are not done.
func (s *store) pending() []string {
	var hours []string
	for w, seq := range s.seqs {
		if s.done[w] < seq {
			hours = append(hours, fmt.Sprintf("%s@%d %s", w.Deployment, w.Version, w.Start.Format("02 15:04")))
		}
	}
	slices.Sort(hours)
	return hours
}
