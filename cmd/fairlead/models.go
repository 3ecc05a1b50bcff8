package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

func modelsCommand() *cobra.Command {
	var t talk
	cmd := t.command(&cobra.Command{
		Use: "models", Short: "List models and their versions, and keep the registry", Args: cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			models, err := c.Models(cmd.Context())
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), models, "MODEL|VERSION|DIGEST|ALIASES|TASK|REFERENCE ROWS|VARIANTS|FROM|PUSHED", func(add func(...any)) {
				for _, m := range models {
					for _, v := range m.Versions {
						add(m.Name, v.Version, fairlead.Digest(v.Digest).Short(), aliasesOf(m, v.Version), v.Task, rowsOf(v),
							variantNames(v), origins(v.Origins), v.Created)
					}
				}
			})
		}),
	}, true)
	cmd.AddCommand(modelsShowCommand(), modelsAliasCommand(), modelsHistoryCommand(), modelsLineageCommand(),
		modelsRemoveCommand(), modelsCollectCommand(), modelsCheckCommand(), modelsExportCommand(), modelsLoadCommand())
	return cmd
}

// sub is a subcommand of a client command, which its group is that of.
func (t *talk) sub(cmd *cobra.Command, listing bool) *cobra.Command {
	cmd = t.command(cmd, listing)
	cmd.GroupID = ""
	return cmd
}

// run gives a command its client.
func (t *talk) run(f func(*cobra.Command, *client.Client, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := t.client()
		if err != nil {
			return err
		}
		return f(cmd, c, args)
	}
}

// whoami is who a change is recorded as.
func whoami() string {
	name := os.Getenv("FAIRLEAD_USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	return name
}

func rowsOf(v api.ModelVersion) string {
	if v.Reference == nil {
		return "none"
	}
	return strconv.Itoa(v.Reference.Rows)
}

func variantNames(v api.ModelVersion) []string {
	names := make([]string, len(v.Variants))
	for i, x := range v.Variants {
		names[i] = x.Name
	}
	return names
}

func origins(all []api.Origin) string {
	if len(all) == 0 {
		return "-"
	}
	var out []string
	for _, o := range all {
		out = append(out, strings.ReplaceAll(o.Relation, "_", " ")+" "+originName(o))
	}
	return strings.Join(out, ", ")
}

func originName(o api.Origin) string {
	switch {
	case o.Model != "" && o.Removed:
		return fmt.Sprintf("%s@%d (removed)", o.Model, o.Version)
	case o.Model != "":
		return fmt.Sprintf("%s@%d", o.Model, o.Version)
	}
	if model, digest, ok := strings.Cut(o.Reference, "@sha256:"); ok {
		return model + "@" + fairlead.Digest(digest).Short() + " (not in this registry)"
	}
	return o.Reference
}

func aliasesOf(m api.Model, version int) []string {
	var names []string
	for alias, v := range m.Aliases {
		if v == version {
			names = append(names, alias)
		}
	}
	slices.Sort(names)
	return names
}

// split takes NAME, NAME@VERSION or NAME:ALIAS apart.
func split(reference string) (name, version string) {
	if i := strings.IndexAny(reference, "@:"); i >= 0 {
		return reference[:i], reference[i+1:]
	}
	return reference, ""
}

// pick is the version of a model that people mean: as the server resolves it.
func pick(m api.Model, version string) (api.ModelVersion, error) {
	if version == "" {
		if v, ok := m.Aliases["champion"]; ok {
			version = strconv.Itoa(v)
		} else {
			return m.Versions[0], nil
		}
	}
	if v, ok := m.Aliases[version]; ok {
		version = strconv.Itoa(v)
	}
	for _, v := range m.Versions {
		hex := strings.TrimPrefix(v.Digest, "sha256:")
		if strconv.Itoa(v.Version) == strings.TrimPrefix(version, "v") || len(version) >= 4 && strings.HasPrefix(hex, strings.TrimPrefix(version, "sha256:")) {
			return v, nil
		}
	}
	return api.ModelVersion{}, fairlead.NotFound("model %s has no version %q", m.Name, version).Hintf("`fairlead models show %s` lists them", m.Name)
}

func modelsShowCommand() *cobra.Command {
	var t talk
	return t.sub(&cobra.Command{
		Use: "show NAME[@VERSION]", Short: "Show a version: signature, variants, lineage, card", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, version := split(args[0])
			m, err := c.Model(cmd.Context(), name)
			if err != nil {
				return err
			}
			if t.out.format == "json" && version == "" {
				return t.out.print(cmd.OutOrStdout(), m, "", nil)
			}
			v, err := pick(m, version)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), v, "", nil)
			}
			var card string
			if v.Card != "" {
				got, err := c.Card(cmd.Context(), name, strconv.Itoa(v.Version))
				if err != nil {
					return err
				}
				card = got.Text
			}
			fmt.Fprint(cmd.OutOrStdout(), shown(m, v, card))
			return nil
		}),
	}, true)
}

func shown(m api.Model, v api.ModelVersion, card string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s@%d  %s\n", v.Model, v.Version, v.Digest)
	fmt.Fprintf(&b, "  pushed         %s, %d bytes\n", v.Created.UTC().Format("2006-01-02 15:04"), v.Size)
	if names := aliasesOf(m, v.Version); len(names) > 0 {
		fmt.Fprintf(&b, "  aliases        %s\n", strings.Join(names, ", "))
	}
	fmt.Fprintf(&b, "  task           %s\n", v.Task)
	fmt.Fprintf(&b, "  reference      %s\n", rowsOf(v))
	if v.Tests > 0 {
		fmt.Fprintf(&b, "  tests          %d\n", v.Tests)
	}
	for _, o := range v.Origins {
		fmt.Fprintf(&b, "  %-14s %s\n", strings.ReplaceAll(o.Relation, "_", " "), originName(o))
	}
	for _, x := range v.Variants {
		state := ""
		switch {
		case x.Serves:
			state = "  serves here"
		case x.Lacking != "":
			state = "  " + x.Lacking
		}
		fmt.Fprintf(&b, "  variant        %-12s %s%s\n", x.Name, x.File, state)
	}
	for _, in := range v.Inputs {
		fmt.Fprintf(&b, "  input          %-16s %s %s %s\n", in.Name, in.Datatype, fairlead.ShapeString(in.Shape), strings.Join(in.Features, " "))
	}
	for _, out := range v.Outputs {
		fmt.Fprintf(&b, "  output         %-16s %s %s %s %s\n", out.Name, out.Datatype, fairlead.ShapeString(out.Shape), out.Role, strings.Join(out.Classes, " "))
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "  note: %s\n", n)
	}
	for _, r := range m.Removed {
		fmt.Fprintf(&b, "  removed        version %d on %s %s\n", r.Version, r.Removed.UTC().Format("2006-01-02"), r.By)
	}
	if card != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(card, "\n"))
	}
	return b.String()
}

func modelsAliasCommand() *cobra.Command {
	var t talk
	var expect string
	var force, remove bool
	cmd := t.sub(&cobra.Command{
		Use: "alias NAME ALIAS VERSION", Short: "Point an alias at a version",
		Long: `Point an alias at a version. With --expect the alias moves only from there: two people cannot move it at once.
A version whose signature breaks the clients of the one it points at needs --force.`,
		Example: "  fairlead models alias flights champion 4 --expect 3\n  fairlead models alias flights beta --remove",
		Args:    cobra.RangeArgs(2, 3),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if remove == (len(args) == 3) {
				return fairlead.Invalid("a version, or --remove").Hintf("fairlead models alias NAME ALIAS VERSION, or fairlead models alias NAME ALIAS --remove")
			}
			from, err := expected(expect)
			if err != nil {
				return err
			}
			var move api.AliasMove
			if remove {
				move, err = c.RemoveAlias(cmd.Context(), args[0], args[1], whoami(), from)
			} else {
				move, err = c.SetAlias(cmd.Context(), args[0], args[1], api.AliasRequest{Version: args[2], Force: force, By: whoami()}, from)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), told(args[0], move))
			return nil
		}),
	}, false)
	cmd.Flags().StringVar(&expect, "expect", "", "version that the alias must point at now, or none")
	cmd.Flags().BoolVar(&force, "force", false, "also over a breaking change of the signature")
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the alias")
	return cmd
}

// expected reads --expect.
func expected(s string) (*int, error) {
	if s == "" {
		return nil, nil
	}
	n := 0
	if s != "none" {
		v, err := fairlead.ParseVersion(s)
		if err != nil {
			return nil, err
		}
		n = int(v)
	}
	return &n, nil
}

func told(model string, m api.AliasMove) string {
	switch {
	case m.From == m.To:
		return fmt.Sprintf("%s:%s points at version %d already", model, m.Alias, m.To)
	case m.To == 0:
		return fmt.Sprintf("%s:%s is gone; it pointed at version %d", model, m.Alias, m.From)
	case m.From == 0:
		return fmt.Sprintf("%s:%s points at version %d", model, m.Alias, m.To)
	}
	return fmt.Sprintf("%s:%s points at version %d; it pointed at %d", model, m.Alias, m.To, m.From)
}

func modelsHistoryCommand() *cobra.Command {
	var t talk
	return t.sub(&cobra.Command{
		Use: "history NAME [ALIAS]", Short: "List every move of a model's aliases, oldest first", Args: cobra.RangeArgs(1, 2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			moves, err := c.AliasHistory(cmd.Context(), args[0], strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			version := func(v int) string {
				if v == 0 {
					return "-"
				}
				return strconv.Itoa(v)
			}
			return t.out.print(cmd.OutOrStdout(), moves, "AT|ALIAS|FROM|TO|BY|FORCED", func(add func(...any)) {
				for _, m := range moves {
					add(m.At, m.Alias, version(m.From), version(m.To), m.By, m.Forced)
				}
			})
		}),
	}, true)
}

func modelsLineageCommand() *cobra.Command {
	var t talk
	return t.sub(&cobra.Command{
		Use: "lineage NAME[@VERSION]", Short: "Walk what a version came from, and what came from it", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, version := split(args[0])
			m, err := c.Model(cmd.Context(), name)
			if err != nil {
				return err
			}
			v, err := pick(m, version)
			if err != nil {
				return err
			}
			l, err := c.Lineage(cmd.Context(), name, strconv.Itoa(v.Version))
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), l, "VERSION|RELATION|ORIGIN", func(add func(...any)) {
				for _, o := range l.Ancestors {
					add(o.Of, strings.ReplaceAll(o.Relation, "_", " "), originName(o))
				}
				for _, o := range l.Descendants {
					add(originName(o), strings.ReplaceAll(o.Relation, "_", " "), o.Of)
				}
			})
		}),
	}, true)
}

func modelsRemoveCommand() *cobra.Command {
	var t talk
	return t.sub(&cobra.Command{
		Use: "rm NAME@VERSION", Short: "Remove a version that no alias, deployment or lease needs", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			name, version := split(args[0])
			if version == "" {
				return fairlead.Invalid("which version of %s?", name).Hintf("write for example %s@1", name)
			}
			gone, err := c.RemoveVersion(cmd.Context(), name, version, whoami())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s@%d is removed (%s); its content goes with the next `fairlead models gc`\n",
				gone.Model, gone.Version, fairlead.Digest(gone.Digest).Short())
			return nil
		}),
	}, false)
}
