package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/learn/backfill"
)

// pastFlags are those of an import of past predictions.
type pastFlags struct {
	backfill.Wanted
	fields  []string
	version int
	dryRun  bool
}

func (p *pastFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.ID, "id", "", "past predictions: column with the prediction's id; without one, ids are made of what the row says")
	f.StringVar(&p.Time, "time", "", "past predictions: column with the time of the prediction")
	f.StringVar(&p.Wanted.Key, "key", "", "past predictions: column with the entity key")
	f.StringVar(&p.Score, "score", "", "past predictions: column with the score or value")
	f.StringVar(&p.Value, "label", "", "past predictions: column with the truth, - for none")
	f.StringVar(&p.LabelTime, "label-time", "", "past predictions: column with the time when the truth was known")
	f.StringArrayVar(&p.fields, "field", nil, "past predictions: FIELD=COLUMN for a feature or output of another name, FIELD=- to leave it out")
	f.IntVar(&p.version, "version", 0, "past predictions: the version that made them (default: the live one)")
	f.BoolVar(&p.dryRun, "dry-run", false, "past predictions: show which column is taken for what, and the first rows")
}

// importPast sends a file of past predictions and labels.
func importPast(cmd *cobra.Command, t *talk, deployment, path string, p *pastFlags) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	src, f, err := openData(path)
	if err != nil {
		return err
	}
	defer f.Close()
	v, err := versionOf(cmd.Context(), c, deployment, p.version)
	if err != nil {
		return err
	}
	p.Fields = map[string]string{}
	for _, f := range p.fields {
		field, column, ok := strings.Cut(f, "=")
		if !ok {
			return fairlead.Invalid("--field %q is not FIELD=COLUMN", f)
		}
		p.Fields[field] = column
	}
	m, err := backfill.Predictions(src.Columns(), &v.Signature, p.Wanted)
	if err != nil {
		return err
	}
	showMapping(cmd.ErrOrStderr(), v, m, src.Columns())
	r, err := backfill.NewReader(src, v, m)
	if err != nil {
		return err
	}
	if p.dryRun {
		return firstRows(cmd, r)
	}
	return sendPast(cmd, c, v, src, r)
}

// versionOf asks the server what a version's inputs and outputs are.
func versionOf(ctx context.Context, c *client.Client, deployment string, version int) (backfill.Version, error) {
	v := backfill.Version{Deployment: fairlead.Name(deployment)}
	all, err := c.Deployments(ctx)
	if err != nil {
		return v, err
	}
	i := slices.IndexFunc(all, func(d api.Deployment) bool { return d.Name == deployment })
	if i < 0 {
		return v, fairlead.NotFound("there is no deployment %q", deployment).Hintf("push the model first: fairlead push FOLDER --name %s; `fairlead deployments` lists what there is", deployment)
	}
	version = cmp.Or(version, all[i].Version)
	models, err := c.Models(ctx)
	if err != nil {
		return v, err
	}
	for _, m := range models {
		for _, x := range m.Versions {
			if m.Name == all[i].Model && x.Version == version {
				v.Model, v.Version, v.Digest, v.Signature = fairlead.Name(m.Name), fairlead.Version(x.Version), fairlead.Digest(x.Digest), signatureOf(x)
				return v, nil
			}
		}
	}
	return v, fairlead.NotFound("the model %s has no version %d", all[i].Model, version).Hintf("`fairlead models` lists them")
}

func signatureOf(x api.ModelVersion) fairlead.Signature {
	specs := func(all []api.Tensor) []fairlead.TensorSpec {
		var out []fairlead.TensorSpec
		for _, t := range all {
			out = append(out, fairlead.TensorSpec{
				Name: t.Name, Type: fairlead.DataType(t.Datatype), Shape: t.Shape, Features: t.Features,
				Role: fairlead.OutputRole(t.Role), Classes: t.Classes,
			})
		}
		return out
	}
	return fairlead.Signature{
		Task: fairlead.Task(x.Task), Inputs: specs(x.Inputs), Outputs: specs(x.Outputs),
		Label: fairlead.LabelSpec{Name: x.Label, Delay: time.Duration(x.LabelDelay * float64(time.Second))},
	}
}

// showMapping says which column is taken for what, so that a wrong guess is seen.
func showMapping(w io.Writer, v backfill.Version, m backfill.Mapping, columns []string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s, by version %s of %s\n", v.Deployment, v.Version, v.Model)
	used := map[string]bool{}
	line := func(what, column, otherwise string) {
		used[column] = true
		fmt.Fprintf(tw, "  %s\t%s\n", what, cmp.Or(column, otherwise))
	}
	line("prediction id", m.ID, "(made of what the row says)")
	line("time", m.Time, "")
	line("entity key", m.Key, "(none)")
	for _, f := range v.Signature.Fields() {
		kind := "feature "
		if f.Output {
			kind = "output "
		}
		line(kind+f.Name, m.Fields[f.Name], "(missing)")
	}
	line("label", m.Value, "(none)")
	if m.Value != "" {
		line("label's time", m.LabelTime, "(as the model declares: "+v.Signature.Label.Delay.String()+" later)")
	}
	var rest []string
	for _, c := range columns {
		if !used[c] {
			rest = append(rest, c)
		}
	}
	if len(rest) > 0 {
		fmt.Fprintf(tw, "  not taken\t%s\n", strings.Join(rest, ", "))
	}
	_ = tw.Flush() // for a person to read
}

const rowsShown = 5

// firstRows prints what the first rows of a file are.
func firstRows(cmd *cobra.Command, r *backfill.Reader) error {
	var part backfill.Part
	for part.Prediction == nil {
		var err error
		if part, err = r.Next(); errors.Is(err, io.EOF) {
			faults(cmd.ErrOrStderr(), &r.Faults)
			return fairlead.Invalid("the file has no row that can be taken")
		} else if err != nil {
			return err
		}
	}
	p := part.Prediction
	labels := map[string]string{}
	for _, l := range part.Labels {
		labels[l.PredictionID] = l.Value
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "PREDICTION ID\tTIME\tKEY")
	for _, t := range slices.Concat(p.Inputs, p.Outputs) {
		fmt.Fprint(tw, "\t", strings.ToUpper(t.Name))
	}
	fmt.Fprintln(tw, "\tLABEL")
	for i := range min(rowsShown, len(p.Rows)) {
		row := p.Rows[i]
		fmt.Fprintf(tw, "%s\t%s\t%s", row.ID, row.Time.Format("2006-01-02 15:04:05"), cmp.Or(row.Key, "-"))
		for _, t := range slices.Concat(p.Inputs, p.Outputs) {
			cells := t.Slice(i, i+1)
			fmt.Fprintf(tw, "\t%v", cells.Data)
		}
		fmt.Fprintf(tw, "\t%s\n", cmp.Or(labels[row.ID], "-"))
	}
	faults(cmd.ErrOrStderr(), &r.Faults)
	return tw.Flush()
}

// pastPart is a part of a file on its way.
type pastPart struct {
	rows        int
	predictions []byte
	labels      []byte
	labelled    int
	done, ofAll int64
}

// Progress lets a part show itself as its source did.
func (p pastPart) Progress() (done, total int64) { return p.done, p.ofAll }

type pastTotals struct{ accepted, repeated, labels, oldLabels int }

// sendPast reads ahead of what it sends by two parts.
func sendPast(cmd *cobra.Command, c *client.Client, v backfill.Version, src backfill.Source, r *backfill.Reader) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a part of the file at a time is little: collect less often
	ctx, cancel := context.WithCancel(cmd.Context())
	parts, read := make(chan pastPart, 1), make(chan error, 1)
	go func() {
		defer close(parts)
		read <- readPast(ctx, v, src, r, parts)
	}()
	began := time.Now()
	bar := newDataBar(cmd.ErrOrStderr(), "rows")
	var sum pastTotals
	var failed error
	for p := range parts {
		if failed == nil {
			if failed = sum.send(ctx, c, string(v.Deployment), p); failed != nil {
				cancel()
			}
			bar.showPart(p)
		}
	}
	cancel()
	err := <-read
	bar.close()
	if failed != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d rows are on disk; the same command goes on from there\n", sum.accepted+sum.repeated)
		return failed
	}
	if err != nil {
		return err
	}
	faults(cmd.ErrOrStderr(), &r.Faults)
	if sum.accepted+sum.repeated == 0 {
		return fairlead.Invalid("no row of the file could be taken as a prediction")
	}
	took := time.Since(began)
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%d predictions on disk (%s rows/s)", sum.accepted, strconv.FormatFloat(float64(sum.accepted+sum.repeated)/took.Seconds(), 'f', 0, 64))
	if sum.repeated > 0 {
		fmt.Fprintf(out, ", %d were there already", sum.repeated)
	}
	if sum.labels+sum.oldLabels > 0 {
		fmt.Fprintf(out, "; %d labels", sum.labels)
	}
	fmt.Fprintln(out)
	return awaitStored(cmd, c)
}

// readPast makes messages of the file until it ends or ctx does.
func readPast(ctx context.Context, v backfill.Version, src backfill.Source, r *backfill.Reader, parts chan<- pastPart) error {
	for {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if part.Rows == 0 {
			continue
		}
		out := pastPart{rows: part.Rows, labelled: len(part.Labels)}
		if out.predictions, err = part.Message(&v.Signature); err != nil {
			return err
		}
		if out.labelled > 0 {
			out.labels = part.LabelMessage()
		}
		out.done, out.ofAll = src.Progress()
		select {
		case parts <- out:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *pastTotals) send(ctx context.Context, c *client.Client, deployment string, p pastPart) error {
	err := insist(ctx, func() error {
		answer, err := c.Import(ctx, deployment, p.predictions)
		if err == nil {
			s.accepted, s.repeated = s.accepted+answer.Accepted, s.repeated+answer.Repeated
		}
		return err
	})
	if err != nil || p.labelled == 0 {
		return err
	}
	return insist(ctx, func() error {
		answer, err := c.LabelMessage(ctx, deployment, p.labels)
		if err == nil {
			s.labels, s.oldLabels = s.labels+answer.Accepted, s.oldLabels+answer.Repeated
		}
		return err
	})
}

func (b *dataBar) showPart(p pastPart) {
	if b.bar != nil {
		b.bar.ChangeMax64(max(p.ofAll, 1))
		_ = b.bar.Set64(p.done) // a bar that cannot be drawn stops nothing
	}
}

// awaitStored waits until the evaluation store has taken in what is on disk: then queries see it.
func awaitStored(cmd *cobra.Command, c *client.Client) error {
	for {
		s, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		if s.Lag == 0 {
			return nil
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
}
