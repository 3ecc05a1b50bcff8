package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

func applyCommand() *cobra.Command {
	var t talk
	var path string
	var dry, force bool
	cmd := t.command(&cobra.Command{
		Use:   "apply -f FILE|FOLDER",
		Short: "Make deployments, rollout policies and pipelines what files say",
		Long: `Make deployments, rollout policies and pipelines what files say. A file lists them:

  deployments:
    - name: flights          # what clients call
      model: flights         # default: the name
      version: champion      # a number, an alias or a digest; absent: as it is
      rollout:               # how a new version goes live; absent: at once
        stages: [shadow, 5%, 50%, 100%]
        bake: 6h
  pipelines: [pipelines/reviews]   # folders with a pipeline.yaml

Of a FOLDER every such file is applied, and every folder in it with a pipeline.yaml. What no file names stays as it is.`,
		Example: "  fairlead apply -f deploy/ --dry-run",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if path == "" {
				return fairlead.Invalid("apply needs a file or a folder").Hintf("fairlead apply -f fairlead.yaml")
			}
			want, err := readWishes(path)
			if err != nil {
				return err
			}
			return (&application{client: c, out: cmd.OutOrStdout(), dry: dry, force: force, json: t.out.format == "json"}).apply(cmd.Context(), want)
		}),
	}, true)
	cmd.Flags().StringVarP(&path, "file", "f", "", "the file or folder")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&force, "force", false, "also where a signature breaks the clients of the live version")
	return cmd
}

// wishes is what the files ask for.
type wishes struct {
	deployments []wish
	pipelines   []string // folders
}

// wish is one deployment as a file has it.
type wish struct {
	name, model, version string
	policy               string // "": as it is
	rollout              bool
	file                 string
}

// readWishes reads a file, or all that a folder has.
func readWishes(path string) (wishes, error) {
	info, err := os.Stat(path)
	if err != nil {
		return wishes{}, fairlead.Invalid("cannot read %s", path).Hintf("-f names a file such as fairlead.yaml, or a folder of them").Cause(err)
	}
	var all wishes
	if !info.IsDir() {
		if filepath.Base(path) == "pipeline.yaml" {
			return wishes{pipelines: []string{filepath.Dir(path)}}, nil
		}
		found, err := all.file(path)
		if err == nil && !found {
			err = fairlead.Invalid("%s has neither deployments nor pipelines", path).Hintf("`fairlead apply --help` shows the form")
		}
		return all, errors.Join(err, all.unique())
	}
	err = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(at); {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && at != path:
			return filepath.SkipDir
		case d.IsDir() || ext != ".yaml" && ext != ".yml":
			return nil
		case d.Name() == "pipeline.yaml":
			all.pipelines = append(all.pipelines, filepath.Dir(at))
			return nil
		}
		_, err = all.file(at) // a bundle's fairlead.yaml is none of ours
		return err
	})
	if err == nil && len(all.deployments)+len(all.pipelines) == 0 {
		err = fairlead.Invalid("no file under %s lists deployments or pipelines", path).Hintf("`fairlead apply --help` shows the form")
	}
	slices.Sort(all.pipelines)
	all.pipelines = slices.Compact(all.pipelines)
	if err != nil {
		return all, err
	}
	return all, all.unique()
}

func (w *wishes) unique() error {
	at := map[string]string{}
	for _, d := range w.deployments {
		if first, twice := at[d.name]; twice {
			return fairlead.Invalid("the deployment %s is in %s and in %s", d.name, first, d.file).Hintf("name it once")
		}
		at[d.name] = d.file
	}
	return nil
}

// file adds what a file lists; false if it lists nothing.
func (w *wishes) file(path string) (bool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return false, fairlead.Invalid("%s is not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Kind == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return false, nil
	}
	root := doc.Content[0]
	deployments, pipelines := child(root, "deployments"), child(root, "pipelines")
	if deployments == nil && pipelines == nil {
		return false, nil
	}
	if err := onlyKeys(path, root, "deployments", "pipelines"); err != nil {
		return false, err
	}
	if deployments != nil {
		if deployments.Kind != yaml.SequenceNode {
			return false, misread(path, deployments, "deployments is a list")
		}
		for _, n := range deployments.Content {
			d, err := readWish(path, n)
			if err != nil {
				return false, err
			}
			w.deployments = append(w.deployments, d)
		}
	}
	if pipelines != nil {
		var folders []string
		if err := pipelines.Decode(&folders); err != nil {
			return false, misread(path, pipelines, "pipelines is a list of folders")
		}
		for _, f := range folders {
			w.pipelines = append(w.pipelines, filepath.Join(filepath.Dir(path), f))
		}
	}
	return true, nil
}

func readWish(path string, n *yaml.Node) (wish, error) {
	d := wish{file: path}
	if n.Kind != yaml.MappingNode {
		return d, misread(path, n, "a deployment has at least a name")
	}
	if err := onlyKeys(path, n, "name", "model", "version", "rollout"); err != nil {
		return d, err
	}
	for key, to := range map[string]*string{"name": &d.name, "model": &d.model, "version": &d.version} {
		if v := child(n, key); v != nil {
			if v.Kind != yaml.ScalarNode {
				return d, misread(path, v, key+" is a text")
			}
			*to = v.Value
		}
	}
	if d.name == "" {
		return d, misread(path, n, "a deployment has at least a name")
	}
	how := child(n, "rollout")
	if how == nil {
		return d, nil
	}
	switch {
	case how.Kind == yaml.ScalarNode && how.Value == "true":
		d.rollout, d.policy = true, "default"
	case how.Kind == yaml.ScalarNode && how.Value == "false":
	default:
		// Checked here, where the lines are those of the file; the server gets what was meant, defaults and all.
		p, err := rollout.ParseNode(how)
		if err != nil {
			var e *fairlead.Error
			if errors.As(err, &e) {
				at := *e
				at.Message = path + ": " + e.Message
				return d, &at
			}
			return d, err
		}
		raw, err := json.Marshal(p)
		if err != nil {
			return d, err
		}
		d.rollout, d.policy = true, string(raw)
	}
	return d, nil
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func onlyKeys(path string, n *yaml.Node, known ...string) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(known, key.Value) {
			return misread(path, key, fmt.Sprintf("unknown key %q", key.Value)).Hintf("known keys are %s", strings.Join(known, ", "))
		}
	}
	return nil
}

func misread(path string, n *yaml.Node, what string) *fairlead.Error {
	return fairlead.Invalid("%s, line %d: %s", path, n.Line, what)
}

// application carries wishes out.
type application struct {
	client           *client.Client
	out              io.Writer
	dry, force, json bool
}

func (a *application) apply(ctx context.Context, want wishes) error {
	// Everything is looked at before anything changes: a file with a mistake changes nothing.
	if !a.dry {
		try := *a
		try.dry, try.out, try.json = true, io.Discard, false
		if err := try.apply(ctx, want); err != nil {
			return err
		}
	}
	answers := []api.DeploymentAnswer{}
	changed := 0
	for _, d := range want.deployments {
		answer, err := a.client.ApplyDeployment(ctx, d.name, api.DeploymentRequest{
			Model: d.model, Version: d.version, Policy: d.policy, Rollout: d.rollout, Force: a.force, DryRun: a.dry, By: whoami(),
		})
		if err != nil {
			return within(d.file, d.name, err)
		}
		answers = append(answers, answer)
		changed += len(answer.Changes)
		if !a.json {
			fmt.Fprint(a.out, difference(answer))
		}
	}
	for _, folder := range want.pipelines {
		if err := a.pipeline(ctx, folder); err != nil {
			return within(folder, "pipeline", err)
		}
	}
	if a.json {
		return (&printer{"json"}).print(a.out, answers, "", nil)
	}
	switch {
	case len(want.deployments) == 0:
	case changed == 0:
		fmt.Fprintln(a.out, "every deployment is as the files say")
	case a.dry:
		fmt.Fprintln(a.out, "nothing was changed: this was a dry run")
	}
	return nil
}

func (a *application) pipeline(ctx context.Context, folder string) error {
	body, err := tarPipeline(folder)
	if err != nil {
		return err
	}
	answer, err := a.client.PushPipeline(ctx, bytes.NewReader(body), a.dry)
	if err == nil && !a.json {
		pipelinePushed(a.out, answer)
	}
	return err
}

// within says which wish an error is about.
func within(file, name string, err error) error {
	var e *fairlead.Error
	if errors.As(err, &e) {
		at := *e
		at.Message = fmt.Sprintf("%s: %s: %s", file, name, e.Message)
		return &at
	}
	return fmt.Errorf("%s: %s: %w", file, name, err)
}

// difference is an answer as people read one: what goes with a minus, what comes with a plus.
func difference(a api.DeploymentAnswer) string {
	if len(a.Changes) == 0 {
		return fmt.Sprintf("  %s\n", a.Deployment)
	}
	var b strings.Builder
	mark := "~"
	if a.Changes[0].Field == "deployment" {
		mark = "+"
	}
	fmt.Fprintf(&b, "%s %s\n", mark, a.Deployment)
	for _, c := range a.Changes {
		switch c.Field {
		case "policy":
			b.WriteString("    rollout:\n" + lineDifference(c.From, c.To))
		case "deployment":
			fmt.Fprintf(&b, "    + version %s  (%s)\n", c.To, c.How)
		default:
			fmt.Fprintf(&b, "    version %s → %s  (%s)\n", c.From, c.To, cmp.Or(c.How, "at once"))
		}
	}
	return b.String()
}

// lineDifference shows the lines of two texts that differ, in their order; the rest is left out.
func lineDifference(from, to string) string {
	old, now := strings.Split(from, "\n"), strings.Split(to, "\n")
	// longest[i][j] is the length of the longest common subsequence of old[i:] and now[j:].
	longest := make([][]int, len(old)+1)
	for i := range longest {
		longest[i] = make([]int, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if longest[i][j] = max(longest[i+1][j], longest[i][j+1]); old[i] == now[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var b strings.Builder
	for i, j := 0, 0; i < len(old) || j < len(now); {
		switch {
		case i < len(old) && j < len(now) && old[i] == now[j]:
			i, j = i+1, j+1
		case j == len(now) || i < len(old) && longest[i+1][j] >= longest[i][j+1]:
			fmt.Fprintf(&b, "      - %s\n", old[i])
			i++
		default:
			fmt.Fprintf(&b, "      + %s\n", now[j])
			j++
		}
	}
	return b.String()
}
