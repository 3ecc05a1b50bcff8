package main

import (
	"archive/tar"
	"bytes"
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
)

func pushCommand() *cobra.Command {
	var t talk
	var name, reference, policy string
	var o api.PushOptions
	cmd := t.command(&cobra.Command{
		Use:   "push PATH",
		Short: "Push a model and put it live",
		Long: `Push a model and put it live. PATH is an .onnx file or a bundle folder with fairlead.yaml.
--reference is a Parquet or CSV file of training or evaluation rows: features, outputs and label if present.`,
		Example: "  fairlead push model.onnx --name flights --reference train.parquet --alias champion",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			up, err := prepare(args[0], name, reference)
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			o.By = whoami()
			if o.Policy, err = policyFile(policy); err != nil {
				return err
			}
			if o.Policy != "" && !o.Rollout {
				return fairlead.Invalid("--policy is the policy of a rollout").Hintf("add --rollout: without it the version goes live at once")
			}
			answer, err := c.PushWith(cmd.Context(), up.name, up.contentType, up.reader(), o)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), answer, "", nil)
			}
			fmt.Fprint(cmd.OutOrStdout(), pushed(answer))
			return nil
		},
	}, true)
	cmd.Flags().StringVar(&name, "name", "", "name of the model (default: the bundle's, or the file's)")
	cmd.Flags().StringVar(&reference, "reference", "", "Parquet or CSV file to compare live traffic with")
	cmd.Flags().StringVar(&o.Alias, "alias", "", "alias to point at the version, for example champion")
	cmd.Flags().BoolVar(&o.Force, "force", false, "also where the signature breaks the clients of the live version")
	cmd.Flags().BoolVar(&o.Test, "test", false, "only if it passes the tests in its bundle")
	cmd.Flags().BoolVar(&o.Rollout, "rollout", false, "put it live by a rollout, step by step, instead of at once")
	cmd.Flags().StringVar(&policy, "policy", "", "of the rollout, YAML or JSON (default: the deployment's, else the default)")
	cmd.Flags().StringSliceVar(&o.TrainedOn, "trained-on", nil, "lineage: the data it was trained on")
	cmd.Flags().StringVar(&o.QuantizedFrom, "quantized-from", "", "lineage: a version such as flights@3 or flights:champion")
	cmd.Flags().StringVar(&o.DistilledFrom, "distilled-from", "", "lineage: a version")
	return cmd
}

func pushed(a api.PushAnswer) string {
	var b strings.Builder
	if a.Existing {
		fmt.Fprintf(&b, "%s@%d was there already (%s)\n", a.Model, a.Version, fairlead.Digest(a.Digest).Short())
	} else {
		fmt.Fprintf(&b, "%s@%d pushed (%s)\n", a.Model, a.Version, fairlead.Digest(a.Digest).Short())
	}
	for _, in := range a.Inputs {
		fmt.Fprintf(&b, "  input   %-16s %s %s %s\n", in.Name, in.Datatype, fairlead.ShapeString(in.Shape), strings.Join(in.Features, " "))
	}
	for _, out := range a.Outputs {
		fmt.Fprintf(&b, "  output  %-16s %s %s %s\n", out.Name, out.Datatype, fairlead.ShapeString(out.Shape), out.Role)
	}
	if len(a.Variants) > 1 {
		fmt.Fprintf(&b, "  variants %s\n", strings.Join(variantNames(a.ModelVersion), ", "))
	}
	for _, o := range a.Origins {
		fmt.Fprintf(&b, "  %s %s\n", strings.ReplaceAll(o.Relation, "_", " "), originName(o))
	}
	if a.Reference != nil {
		fmt.Fprintf(&b, "  reference of %d rows: drift is watched\n", a.Reference.Rows)
	} else {
		fmt.Fprintf(&b, "  no reference: drift is not watched (push again with --reference FILE)\n")
	}
	for _, n := range a.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	if a.Rollout != nil {
		fmt.Fprintf(&b, "its rollout is at %s: `fairlead rollout status %s --watch` follows it\n", a.Rollout.Stage, a.Deployment)
		return b.String()
	}
	fmt.Fprintf(&b, "live as /v2/models/%s/infer\n", a.Deployment)
	return b.String()
}

type upload struct {
	name, contentType string
	body              []byte
}

func (u upload) reader() io.Reader { return bytes.NewReader(u.body) }

// prepare reads what is pushed: a bare model goes as it is, everything else as a tar of a bundle folder.
func prepare(path, name, reference string) (upload, error) {
	info, err := os.Stat(path)
	if err != nil {
		return upload{}, fairlead.Invalid("cannot read %s", path).Hintf("PATH is an .onnx file or a folder with fairlead.yaml").Cause(err)
	}
	if info.IsDir() {
		return prepareFolder(path, name, reference)
	}
	if name == "" {
		name = strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	}
	model, err := os.ReadFile(path)
	if err != nil {
		return upload{}, err
	}
	if reference == "" {
		return upload{name, "application/octet-stream", model}, nil
	}
	ref, err := os.ReadFile(reference)
	if err != nil {
		return upload{}, fmt.Errorf("read the reference: %w", err)
	}
	refName := "reference" + filepath.Ext(reference)
	yml, err := yaml.Marshal(map[string]any{"name": name, "model": "model.onnx", "reference": refName})
	if err != nil {
		return upload{}, err
	}
	body, err := tarOf([]entry{{"fairlead.yaml", yml}, {"model.onnx", model}, {refName, ref}})
	return upload{name, "application/x-tar", body}, err
}

func prepareFolder(folder, name, reference string) (upload, error) {
	entries, err := readFolder(os.DirFS(folder))
	if err != nil {
		return upload{}, err
	}
	settings := map[string]any{}
	at := -1
	for i, e := range entries {
		if e.name == "fairlead.yaml" {
			at = i
		}
	}
	if at < 0 {
		return upload{}, fairlead.Invalid("%s has no fairlead.yaml", folder).Hintf("a bundle folder holds fairlead.yaml and the model; the least it says is `name: my-model`")
	}
	if err := yaml.Unmarshal(entries[at].content, &settings); err != nil {
		return upload{}, fairlead.Invalid("%s/fairlead.yaml is not YAML: %v", folder, err)
	}
	if name == "" {
		name, _ = settings["name"].(string)
	}
	if reference != "" {
		ref, err := os.ReadFile(reference)
		if err != nil {
			return upload{}, fmt.Errorf("read the reference: %w", err)
		}
		refName := "reference" + filepath.Ext(reference)
		settings["reference"] = refName
		if entries[at].content, err = yaml.Marshal(settings); err != nil {
			return upload{}, err
		}
		entries = slices.DeleteFunc(entries, func(e entry) bool { return e.name == refName })
		entries = append(entries, entry{refName, ref})
	}
	body, err := tarOf(entries)
	return upload{name, "application/x-tar", body}, err
}

func readFolder(fsys fs.FS) ([]entry, error) {
	var entries []entry
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, path)
		entries = append(entries, entry{path, content})
		return err
	})
	return entries, err
}

type entry struct {
	name    string
	content []byte
}

func tarOf(entries []entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}
