package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

func pipelineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pipeline", Short: "Push, list, show and delete pipelines: deployments made of several steps", GroupID: "client",
		Aliases: []string{"pipelines"},
	}
	cmd.AddCommand(pipelinePush(), pipelineList(), pipelineShow(), pipelineDelete())
	for _, sub := range cmd.Commands() {
		sub.GroupID = "" // the group is the parent's
	}
	return cmd
}

func pipelinePush() *cobra.Command {
	var t talk
	var check bool
	cmd := t.command(&cobra.Command{
		Use: "push FOLDER", Short: "Push a pipeline and put it live", Args: cobra.ExactArgs(1),
		Long: `Push a pipeline and put it live. FOLDER holds pipeline.yaml and the files it names: WebAssembly modules and the
programs of process steps. The models of its steps are pushed by themselves, before.`,
		Example: "  fairlead pipeline push examples/pipelines/reviews",
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := tarPipeline(args[0])
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			answer, err := c.PushPipeline(cmd.Context(), bytes.NewReader(body), check)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), answer, "", nil)
			}
			pipelinePushed(cmd.OutOrStdout(), answer)
			return nil
		},
	}, true)
	cmd.Flags().BoolVar(&check, "check", false, "only check that it fits together; put nothing live")
	return cmd
}

// tarPipeline packs a pipeline's folder, or a definition alone.
func tarPipeline(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fairlead.Invalid("cannot read %s", path).Hintf("FOLDER holds pipeline.yaml").Cause(err)
	}
	if !info.IsDir() {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return tarOf([]entry{{"pipeline.yaml", content}})
	}
	if _, err := os.Stat(filepath.Join(path, "pipeline.yaml")); err != nil {
		return nil, fairlead.Invalid("%s has no pipeline.yaml", path).Hintf("docs/pipelines.md describes it").Cause(err)
	}
	entries, err := readFolder(os.DirFS(path))
	if err != nil {
		return nil, err
	}
	return tarOf(entries)
}

func pipelinePushed(w io.Writer, p api.PipelinePush) {
	verb := "pushed"
	switch {
	case p.Existing:
		verb = "was live already"
	case p.Checked:
		verb = "fits together; nothing was put live"
	}
	fmt.Fprintf(w, "%s@%d %s (%s)\n", p.Name, p.Version, verb, fairlead.Digest(p.Digest).Short())
	describePipeline(w, p.Pipeline)
	if !p.Checked {
		fmt.Fprintf(w, "live as /v2/models/%s/infer\n", p.Name)
	}
}

func describePipeline(w io.Writer, p api.Pipeline) {
	for _, in := range p.Inputs {
		fmt.Fprintf(w, "  input   %-16s %s %s\n", in.Name, in.Datatype, fairlead.ShapeString(in.Shape))
	}
	for _, s := range p.Steps {
		line := fmt.Sprintf("  step    %-16s %s", s.Name, s.Runs)
		if len(s.Needs) > 0 {
			line += " after " + strings.Join(s.Needs, ", ")
		}
		if s.Within != "" {
			line += " within " + s.Within
		}
		if s.Fallback != "" {
			line += ", else " + s.Fallback
		}
		fmt.Fprintln(w, line)
	}
	for _, out := range p.Outputs {
		fmt.Fprintf(w, "  output  %-16s %s %s %s\n", out.Name, out.Datatype, fairlead.ShapeString(out.Shape), out.Role)
	}
}

func pipelineList() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "list", Short: "List the pipelines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			all, err := c.Pipelines(cmd.Context())
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), all, "PIPELINE|VERSION|STATE|STEPS|DIGEST|PUSHED", func(add func(...any)) {
				for _, p := range all {
					state := p.State
					if p.Reason != "" {
						state += ": " + p.Reason
					}
					add(p.Name, p.Version, state, len(p.Steps), fairlead.Digest(p.Digest).Short(), p.Pushed)
				}
			})
		},
	}, true)
}

func pipelineShow() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "show NAME", Short: "Show a pipeline's steps and what happened to each", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			p, err := c.Pipeline(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), p, "STEP|RUNS|NEEDS|WITHIN|FALLBACK|COUNT|ROWS|MEAN MS|FAILED|LATE|FALLBACKS", func(add func(...any)) {
				for _, s := range p.Steps {
					add(s.Name, s.Runs, strings.Join(s.Needs, ","), s.Within, s.Fallback, s.Count, s.Rows, fmt.Sprintf("%.2f", s.MeanMS), s.Failed, s.Late, s.Fallbacks)
				}
			})
		},
	}, true)
}

func pipelineDelete() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "delete NAME", Short: "Take a pipeline out of service and forget it; its models stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			p, err := c.DeletePipeline(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s@%d deleted\n", p.Name, p.Version)
			return nil
		},
	}, false)
}
