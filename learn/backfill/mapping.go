package backfill

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Mapping says which column of a file holds what; "" is none.
type Mapping struct {
	ID, Key, Time    string
	Value, LabelTime string            // of the label
	Fields           map[string]string // field of the model → column
}

// Wanted is a mapping as a person gave it: "" is to be guessed, "-" is none.
type Wanted struct {
	ID, Key, Time, Score, Value, LabelTime string
	Fields                                 map[string]string
}

// names that columns have in other tools, the likeliest first.
var (
	idNames        = []string{"prediction_id", "id", "inference_id", "request_id", "uuid"}
	keyNames       = []string{"key", "entity_key", "entity_id", "entity"}
	timeNames      = []string{"event_time", "timestamp", "time", "prediction_time", "prediction_timestamp", "datetime", "date", "ts", "created_at"}
	scoreNames     = []string{"score", "prediction_score", "probability", "proba", "y_score", "y_prob", "prediction", "y_pred"}
	predictedNames = []string{"predicted", "prediction", "prediction_label", "predicted_label", "y_pred"}
	valueNames     = []string{"value", "label", "actual", "actual_label", "truth", "ground_truth", "y_true", "outcome", "target"}
	labelTimes     = []string{"label_time", "labelled_at", "labeled_at", "actual_time", "outcome_time"}
)

// columns finds columns by name and remembers which are taken.
type columns struct {
	names []string
	taken map[string]bool
}

// pick is the column that was asked for, or the first of the names that is there and not taken.
func (c *columns) pick(what, wanted string, names ...string) (string, error) {
	switch wanted {
	case "-":
		return "", nil
	case "":
		for _, fold := range []bool{false, true} {
			for _, n := range names {
				for _, have := range c.names {
					if (have == n || fold && strings.EqualFold(have, n)) && !c.taken[have] {
						c.taken[have] = true
						return have, nil
					}
				}
			}
		}
		return "", nil
	}
	if !slices.Contains(c.names, wanted) {
		return "", fairlead.Invalid("there is no column %q for the %s", wanted, what).Hintf("the columns are %s", strings.Join(c.names, ", "))
	}
	c.taken[wanted] = true
	return wanted, nil
}

// Predictions maps the columns of a file of past predictions of a model. What was not said is guessed from the names of
// the model's fields and those that columns have in other tools. The error is CodeInvalid: a column is not there, or
// something that a prediction needs has none.
func Predictions(names []string, sig *fairlead.Signature, w Wanted) (Mapping, error) {
	c := &columns{names: names, taken: map[string]bool{}}
	m := Mapping{Fields: map[string]string{}}
	fields := sig.Fields()
	for field := range w.Fields {
		if !slices.ContainsFunc(fields, func(f fairlead.Field) bool { return f.Name == field }) {
			return m, fairlead.Invalid("the model has no field %q", field).Hintf("its fields are %s", strings.Join(fieldNames(fields), ", "))
		}
	}
	score, scored := sig.Score()
	for _, f := range fields {
		wanted := w.Fields[f.Name]
		if scored && f == score && wanted == "" {
			wanted = w.Score
		}
		column, err := c.pick("field "+f.Name, wanted, f.Name)
		if err != nil {
			return m, err
		}
		if column != "" {
			m.Fields[f.Name] = column
		}
	}
	var err error
	pick := func(to *string, what, wanted string, names []string) {
		if err == nil {
			*to, err = c.pick(what, wanted, names...)
		}
	}
	pick(&m.ID, "prediction id", w.ID, idNames)
	pick(&m.Time, "event time", w.Time, timeNames)
	pick(&m.Key, "entity key", w.Key, keyNames)
	values := valueNames
	if sig.Label.Name != "" {
		values = append([]string{sig.Label.Name}, valueNames...)
	}
	pick(&m.Value, "label", w.Value, values)
	if m.Value != "" {
		pick(&m.LabelTime, "label's time", w.LabelTime, labelTimes)
	}
	for _, f := range fields {
		if _, ok := m.Fields[f.Name]; ok || !f.Output || err != nil {
			continue
		}
		guess := scoreNames
		if f.Role == fairlead.RoleLabel {
			guess = predictedNames
		}
		var column string
		if pick(&column, "field "+f.Name, w.Fields[f.Name], guess); column != "" {
			m.Fields[f.Name] = column
		}
	}
	if err != nil {
		return m, err
	}
	return m, m.check(fields, names)
}

func (m *Mapping) check(fields []fairlead.Field, names []string) error {
	all := strings.Join(names, ", ")
	if m.Time == "" {
		return fairlead.Invalid("no column holds the time of the predictions").Hintf("--time names it; the columns are %s", all)
	}
	outputs := 0
	for _, f := range fields {
		if _, ok := m.Fields[f.Name]; ok && f.Output {
			outputs++
		}
	}
	if outputs == 0 {
		return fairlead.Invalid("no column holds what the model predicted").Hintf("--score names it, or --field OUTPUT=COLUMN; the columns are %s", all)
	}
	return nil
}

func fieldNames(fields []fairlead.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// Labels maps the columns of a file of labels, whose name in the model may be given.
func Labels(names []string, name string, w Wanted) (Mapping, error) {
	c := &columns{names: names, taken: map[string]bool{}}
	var m Mapping
	var err error
	pick := func(to *string, what, wanted string, names []string) {
		if err == nil {
			*to, err = c.pick(what, wanted, names...)
		}
	}
	values := valueNames
	if name != "" {
		values = append([]string{name}, valueNames...)
	}
	if w.Key == "" || w.ID != "" { // a key that was asked for says that there are no ids
		pick(&m.ID, "prediction id", w.ID, idNames)
	}
	if m.ID == "" || w.Key != "" {
		pick(&m.Key, "entity key", w.Key, keyNames)
	}
	pick(&m.Value, "label", w.Value, values)
	pick(&m.LabelTime, "label's time", w.Time, append(slices.Clone(labelTimes), timeNames...))
	all := strings.Join(names, ", ")
	switch {
	case err != nil:
	case m.Value == "":
		err = fairlead.Invalid("no column holds the labels").Hintf("--value names it; the columns are %s", all)
	case m.ID == "" && m.Key == "":
		err = fairlead.Invalid("no column says which prediction a label is about").Hintf("--id names the prediction's id, or --key and --time the entity and when; the columns are %s", all)
	case m.ID != "" && m.Key != "":
		err = fairlead.Invalid("both --id and --key are given").Hintf("give one of them: the id is the exact one")
	case m.Key != "" && m.LabelTime == "":
		err = fairlead.Invalid("labels by entity key need the time when the outcome was known").Hintf("--time names its column; the columns are %s", all)
	}
	return m, err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
