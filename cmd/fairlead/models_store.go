package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

func modelsCollectCommand() *cobra.Command {
	var t talk
	var in api.CollectRequest
	var grace, age time.Duration
	cmd := t.sub(&cobra.Command{
		Use: "gc", Short: "Remove what nobody needs",
		Long: `Remove the content that no version refers to any more, and, with --keep or --max-age, first the versions beyond them.
What an alias, a deployment, a rollout or a lease needs always stays.`,
		Example: "  fairlead models gc --dry-run\n  fairlead models gc --keep 10 --max-age 720h",
		Args:    cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			in.Grace, in.MaxAge, in.By = grace.Seconds(), age.Seconds(), whoami()
			got, err := c.Collect(cmd.Context(), in)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), got, "", nil)
			}
			verb := "removed"
			if got.DryRun {
				verb = "would remove"
			}
			for _, v := range got.Versions {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s@%d (%s)\n", verb, v.Model, v.Version, fairlead.Digest(v.Digest).Short())
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %d blobs, %d bytes; %d are in use, %d wait for the grace period\n", verb, got.Blobs, got.Bytes, got.Kept, got.Waiting)
			return nil
		}),
	}, true)
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "only say what would go")
	cmd.Flags().IntVar(&in.Keep, "keep", 0, "versions of each model that stay without anybody needing them; 0: all")
	cmd.Flags().DurationVar(&age, "max-age", 0, "of those beyond --keep, remove only older ones")
	cmd.Flags().DurationVar(&grace, "grace", 24*time.Hour, "content younger than this stays: an upload may be under way")
	return cmd
}

func modelsCheckCommand() *cobra.Command {
	var t talk
	return t.sub(&cobra.Command{
		Use: "check", Short: "Read every file of the registry and list the damaged ones", Args: cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			found, err := c.CheckRegistry(cmd.Context())
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				err = t.out.print(cmd.OutOrStdout(), found, "", nil)
			} else if len(found) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "every file of the registry is whole")
			}
			for _, d := range found {
				if t.out.format != "json" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n  %s\n  needed by %s\n  %s\n", d.File, d.What, orNobody(d.Versions), d.Mend)
				}
			}
			if len(found) > 0 {
				err = errors.Join(err, fmt.Errorf("%d files of the registry are damaged", len(found)))
			}
			return err
		}),
	}, true)
}

func orNobody(versions []string) string {
	if len(versions) == 0 {
		return "no version"
	}
	return strings.Join(versions, ", ")
}

func modelsExportCommand() *cobra.Command {
	var t talk
	var file string
	cmd := t.sub(&cobra.Command{
		Use: "export NAME[@VERSION]", Short: "Write a version, or a whole model, into one file",
		Long: `Write a version, or with a bare NAME every version of a model, into one file: the tar of an OCI image layout, which
other OCI tools read (oras, skopeo) and ` + "`fairlead models load`" + ` stores in another registry. The same versions give the same bytes.`,
		Example: "  fairlead models export flights@3 -f flights-3.tar",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, version := split(args[0])
			if file == "" {
				file = strings.NewReplacer("@", "-", ":", "-").Replace(args[0]) + ".tar"
			}
			if file == "-" {
				_, err := c.Export(cmd.Context(), name, version, cmd.OutOrStdout())
				return err
			}
			n, err := writeFile(file, func(w io.Writer) (int64, error) { return c.Export(cmd.Context(), name, version, w) })
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", file, n)
			return nil
		}),
	}, false)
	cmd.Flags().StringVarP(&file, "file", "f", "", "where to write it, - for standard output (default: NAME-VERSION.tar)")
	return cmd
}

// writeFile writes a file that is there whole or not at all.
func writeFile(path string, write func(io.Writer) (int64, error)) (n int64, err error) {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) // #nosec G302 G304 -- the user's own file
	if err != nil {
		return 0, err
	}
	n, err = write(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return n, err
}

func modelsLoadCommand() *cobra.Command {
	var t talk
	var name string
	cmd := t.sub(&cobra.Command{
		Use: "load FILE", Short: "Store the versions in a file that export wrote",
		Long: `Store the versions in a file that ` + "`fairlead models export`" + ` wrote, or in the tar of any OCI image layout that holds such
versions. Every blob is verified, every version tried; nothing is deployed. Aliases come along where the model has none of the name.`,
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fairlead.Invalid("cannot read %s", args[0]).Cause(err)
			}
			defer f.Close()
			loaded, err := c.Load(cmd.Context(), name, f)
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), loaded, "MODEL|VERSION|DIGEST|WAS|NEW|ALIASES", func(add func(...any)) {
				for _, v := range loaded {
					add(v.Model, v.Version, fairlead.Digest(v.Digest).Short(), v.From, !v.Existing, v.Aliases)
				}
			})
		}),
	}, true)
	cmd.Flags().StringVar(&name, "name", "", "name of the model (default: the file's)")
	return cmd
}
