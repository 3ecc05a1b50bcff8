package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/importer"
)

func importCommand() *cobra.Command {
	var t talk
	var name, reference, out string
	var o api.PushOptions
	var past pastFlags
	cmd := t.command(&cobra.Command{
		Use:   "import FOLDER | DEPLOYMENT FILE",
		Short: "Push a model that another tool wrote (FOLDER), or take its past predictions (DEPLOYMENT FILE)",
		Long: `With DEPLOYMENT FILE: take past predictions, and labels where the file has them, from Parquet or CSV. Which column
holds what is guessed from its name, shown, and corrected by flags; --dry-run only shows it. Rows are on disk when they
are counted; sending the same file again adds nothing, so after an interruption the same command goes on (docs/import.md).

With FOLDER: push a model that another tool wrote: one that MLflow saved with mlflow.onnx, a folder as the ONNX model zoo has them
(model.onnx, test_data_set_0/…), or any folder with one ONNX file. Weights in files beside the graph are taken into it,
MLflow's signature names the features, examples and data sets become golden vectors. --out writes the bundle folder
instead of pushing it, for a look or a change. What another ` + "`fairlead models export`" + ` wrote is read by ` + "`fairlead models load`" + `.`,
		Example: "  fairlead import mlruns/1/models/m-42/artifacts --name flights\n  fairlead import resnet50 --name resnet --out bundle/\n" +
			"  fairlead import flights predictions.parquet --time departed --score p_late --label late --dry-run",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return importPast(cmd, &t, args[0], args[1], &past)
			}
			if isData(args[0]) {
				return fairlead.Invalid("%s is data: say which deployment's predictions it holds", args[0]).Hintf("fairlead import DEPLOYMENT %s", args[0])
			}
			folder, err := readForeign(args[0], name)
			if err != nil {
				return err
			}
			if err := addReference(folder, reference); err != nil {
				return err
			}
			var told strings.Builder
			fmt.Fprintf(&told, "%s: %s\n", args[0], folder.Kind)
			for _, n := range folder.Notes {
				fmt.Fprintf(&told, "  %s\n", n)
			}
			if out != "" {
				fmt.Fprint(cmd.OutOrStdout(), told.String())
				return writeFolder(cmd, folder, out)
			}
			var entries []entry
			for _, file := range slices.Sorted(maps.Keys(folder.Files)) {
				entries = append(entries, entry{file, folder.Files[file]})
			}
			body, err := tarOf(entries)
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			o.By = whoami()
			answer, err := c.PushWith(cmd.Context(), nameFor(args[0], name), "application/x-tar", bytes.NewReader(body), o)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), answer, "", nil)
			}
			fmt.Fprint(cmd.OutOrStdout(), told.String(), pushed(answer))
			return nil
		},
	}, true)
	cmd.Flags().StringVar(&name, "name", "", "name of the model (default: the folder's)")
	cmd.Flags().StringVar(&reference, "reference", "", "Parquet or CSV file to compare live traffic with")
	cmd.Flags().StringVar(&out, "out", "", "write a bundle folder instead of pushing")
	cmd.Flags().StringVar(&o.Alias, "alias", "", "alias to point at the version, for example champion")
	cmd.Flags().BoolVar(&o.Force, "force", false, "also where the signature breaks the clients of the live version")
	cmd.Flags().StringSliceVar(&o.TrainedOn, "trained-on", nil, "lineage: the data it was trained on")
	past.register(cmd)
	return cmd
}

// isData says whether a path looks like a file of rows.
func isData(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".parquet", ".csv", ".jsonl", ".ndjson", ".tsv":
		info, err := os.Stat(path)
		return err == nil && !info.IsDir()
	}
	return false
}

// readForeign reads a folder without following links out of it.
func readForeign(dir, name string) (*importer.Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fairlead.Invalid("cannot read %s", dir).Hintf("FOLDER is what MLflow saved, or holds an .onnx file; a single file goes with `fairlead push`").Cause(err)
	}
	defer func() { _ = root.Close() }() // opened for reading
	model, err := fairlead.ParseName(nameFor(dir, name))
	if err != nil {
		return nil, err
	}
	return importer.Read(root.FS(), model)
}

func nameFor(dir, name string) string {
	if name != "" {
		return name
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	return strings.ToLower(filepath.Base(dir))
}

// addReference puts the user's reference in the place of the importer's.
func addReference(f *importer.Folder, file string) error {
	if file == "" {
		return nil
	}
	content, err := os.ReadFile(file) // #nosec G304 -- named by the user
	if err != nil {
		return fmt.Errorf("read the reference: %w", err)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(f.Files["fairlead.yaml"], &settings); err != nil {
		return err
	}
	if old, ok := settings["reference"].(string); ok {
		delete(f.Files, old)
	}
	reference := "reference" + filepath.Ext(file)
	settings["reference"], f.Files[reference] = reference, content
	f.Files["fairlead.yaml"], err = yaml.Marshal(settings)
	return err
}

// writeFolder writes a bundle folder; a folder with something in it is left alone.
func writeFolder(cmd *cobra.Command, f *importer.Folder, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fairlead.Errorf(fairlead.CodeConflict, "%s is not empty", dir).Hintf("give --out a new folder")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, file := range slices.Sorted(maps.Keys(f.Files)) {
		if err := root.WriteFile(file, f.Files[file], 0o640); err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is a bundle folder: fairlead push %s\n", dir, dir)
	return nil
}
