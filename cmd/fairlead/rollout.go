package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

func rolloutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "Put a version live step by step, as far as the evidence goes",
		Long: `Put a version live step by step: copies of the requests first, then a growing share of the traffic.
Each stage ends on evidence. Harm that is shown rolls back by itself, at once.`,
		GroupID: "client",
	}
	cmd.AddCommand(rolloutStartCommand(), rolloutStatusCommand(), rolloutExplainCommand(), rolloutHistoryCommand(), rolloutPlanCommand(),
		rolloutPolicyCommand())
	for _, c := range []struct{ do, short string }{
		{"pause", "Promote nothing until it is resumed; harm still rolls back"},
		{"resume", "Go on after a pause"},
		{"approve", "Allow the next stage that waits for a person"},
		{"promote", "Enter the next stage now, whatever the evidence says"},
		{"abort", "Roll back: the version that was live before gets all requests, at once"},
	} {
		cmd.AddCommand(rolloutDoCommand(c.do, c.short))
	}
	return cmd
}

func rolloutStartCommand() *cobra.Command {
	var t talk
	var file string
	var in api.RolloutStart
	cmd := t.sub(&cobra.Command{
		Use: "start DEPLOYMENT VERSION", Short: "Start a rollout of a version: its number, an alias or a digest", Args: cobra.ExactArgs(2),
		Example: "  fairlead rollout start flights 4 --policy careful.yaml --why 'retrained on March'",
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var err error
			if in.Policy, err = policyFile(file); err != nil {
				return err
			}
			in.Version, in.By = args[1], whoami()
			r, err := c.StartRollout(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			return t.showRollout(cmd.OutOrStdout(), r)
		}),
	}, true)
	cmd.Flags().StringVar(&file, "policy", "", "YAML or JSON file (default: the deployment's policy, else the one that `fairlead rollout policy` prints)")
	cmd.Flags().StringVar(&in.Why, "why", "", "for the history")
	cmd.Flags().BoolVar(&in.Force, "force", false, "also where the signature breaks the clients of the live version")
	return cmd
}

// policyFile reads a policy; "" for no file.
func policyFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fairlead.Invalid("cannot read the policy %s", path).Hintf("`fairlead rollout policy > policy.yaml` writes the default, to be changed").Cause(err)
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return "{}", nil
	}
	return string(raw), nil
}

func (t *talk) showRollout(w io.Writer, r api.Rollout) error {
	if t.out.format == "json" {
		return t.out.print(w, r, "", nil)
	}
	_, err := io.WriteString(w, rolloutText(r))
	return err
}

// rolloutText is a rollout in a few lines: what, where it stands, what it says.
func rolloutText(r api.Rollout) string {
	var b strings.Builder
	switch {
	case r.To != 0:
		fmt.Fprintf(&b, "%s: version %d → %d, %s\n", r.Deployment, r.From, r.To, standing(r))
	default:
		fmt.Fprintf(&b, "%s: %s, %s\n", r.Deployment, r.Kind, standing(r))
	}
	if len(r.Stages) > 0 {
		var stages []string
		for _, s := range append(r.Stages, "bake") {
			if s == r.Stage && r.Phase != "completed" && r.Phase != "rolled_back" {
				s = "[" + s + "]"
			}
			stages = append(stages, s)
		}
		fmt.Fprintf(&b, "  stages    %s\n", strings.Join(stages, " → "))
	}
	for _, a := range r.Arms {
		fmt.Fprintf(&b, "  version   %d gets %s%%\n", a.Version, strconv.FormatFloat(100*a.Share, 'f', -1, 64))
	}
	if n := r.Requests; r.Ended.IsZero() && n.Live+n.Canary+n.Pairs > 0 {
		fmt.Fprintf(&b, "  counted   %d requests of the live version, %d of the new one, %d compared copies\n", n.Live, n.Canary, n.Pairs)
	}
	fmt.Fprintf(&b, "  started   %s by %s", stampOf(r.Started), cmp.Or(r.StartedBy, "somebody"))
	if r.Why != "" {
		fmt.Fprintf(&b, ": %s", r.Why)
	}
	fmt.Fprintf(&b, "\n  says      %s\n", r.Says)
	return b.String()
}

func standing(r api.Rollout) string {
	s := map[string]string{"completed": "completed", "rolled_back": "rolled back", "ended": "ended", "waiting": "waiting to begin"}[r.Phase]
	if s == "" {
		s = "at " + r.Stage
	}
	if r.Paused {
		s += ", paused"
	}
	return s
}

func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

func rolloutStatusCommand() *cobra.Command {
	var t talk
	var watch bool
	cmd := t.sub(&cobra.Command{
		Use: "status [DEPLOYMENT]", Short: "Where rollouts stand", Args: cobra.MaximumNArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if len(args) == 0 {
				return t.allRollouts(cmd, c)
			}
			if watch {
				return watchRollout(cmd.Context(), cmd.OutOrStdout(), c, args[0], time.Second)
			}
			r, err := c.Rollout(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.showRollout(cmd.OutOrStdout(), r)
		}),
	}, true)
	cmd.Flags().BoolVar(&watch, "watch", false, "follow it: a line per decision, until it is over")
	return cmd
}

func (t *talk) allRollouts(cmd *cobra.Command, c *client.Client) error {
	all, err := c.Deployments(cmd.Context())
	if err != nil {
		return err
	}
	running := []api.Rollout{}
	for _, d := range all {
		if d.Rollout == nil {
			continue
		}
		r, err := c.Rollout(cmd.Context(), d.Name)
		if err != nil {
			return err
		}
		running = append(running, r)
	}
	return t.printRollouts(cmd.OutOrStdout(), running)
}

func (t *talk) printRollouts(w io.Writer, all []api.Rollout) error {
	return t.out.print(w, all, "DEPLOYMENT|FROM|TO|STANDS|SINCE|SAYS", func(add func(...any)) {
		for _, r := range all {
			add(r.Deployment, r.From, r.To, standing(r), r.Started, r.Says)
		}
	})
}

// watchRollout prints each decision as it is made.
func watchRollout(ctx context.Context, w io.Writer, c *client.Client, name string, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for said := 0; ; {
		e, err := c.ExplainRollout(ctx, name, "")
		if err != nil {
			return err
		}
		for _, d := range e.History {
			if d.Sequence > said {
				fmt.Fprintf(w, "%s  %-8s  %s\n", stampOf(d.Time), d.Action, d.Text)
				said = d.Sequence
			}
		}
		if !e.Ended.IsZero() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func rolloutExplainCommand() *cobra.Command {
	var t talk
	var id string
	cmd := t.sub(&cobra.Command{
		Use: "explain DEPLOYMENT", Short: "Every decision of a rollout with its numbers", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			e, err := c.ExplainRollout(cmd.Context(), args[0], id)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), e, "", nil)
			}
			fmt.Fprint(cmd.OutOrStdout(), e.Text)
			if len(e.Now) > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "\nnow, at %s:\n", e.Stage)
				t.out.format = "table"
				return t.printEvidence(cmd.OutOrStdout(), e.Now)
			}
			return nil
		}),
	}, true)
	cmd.Flags().StringVar(&id, "id", "", "of a rollout (default: the latest)")
	return cmd
}

func (t *talk) printEvidence(w io.Writer, evidence []api.RolloutEvidence) error {
	return t.out.print(w, evidence, "GATE|SAYS|LIVE|CANARY|DIFFERENCE|AT MOST|MARGIN|N", func(add func(...any)) {
		for _, e := range evidence {
			says := strings.ReplaceAll(e.Finding, "_", " ")
			if e.Required {
				says += ", required"
			}
			add(strings.TrimSpace(e.Gate+" "+e.Segment), says, e.Live.Value, e.Canary.Value, e.Difference, bound(e.Upper), e.Margin, e.Canary.N)
		}
	})
}

// bound is an upper bound, where there is one: JSON writes infinity as the largest number.
func bound(x float64) any {
	if x >= math.MaxFloat64 {
		return "∞"
	}
	return x
}

func rolloutHistoryCommand() *cobra.Command {
	var t talk
	return t.sub(&cobra.Command{
		Use: "history DEPLOYMENT", Short: "List the rollouts of a deployment, newest first", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			all, err := c.Rollouts(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.printRollouts(cmd.OutOrStdout(), all)
		}),
	}, true)
}

func rolloutDoCommand(do, short string) *cobra.Command {
	var t talk
	var why string
	cmd := t.sub(&cobra.Command{
		Use: do + " DEPLOYMENT", Short: short, Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := c.CommandRollout(cmd.Context(), args[0], do, api.RolloutCommand{By: whoami(), Why: why})
			if err != nil {
				return err
			}
			return t.showRollout(cmd.OutOrStdout(), r)
		}),
	}, true)
	cmd.Flags().StringVar(&why, "why", "", "for the history")
	return cmd
}

func rolloutPlanCommand() *cobra.Command {
	var t talk
	var file string
	var in api.RolloutPlanRequest
	cmd := t.sub(&cobra.Command{
		Use: "plan DEPLOYMENT", Short: "What a policy means at this traffic: times to promote and to notice harm, probability of a false alarm",
		Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var err error
			if in.Policy, err = policyFile(file); err != nil {
				return err
			}
			p, err := c.PlanRollout(cmd.Context(), args[0], in)
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), p, "", nil)
			}
			fmt.Fprint(cmd.OutOrStdout(), p.Text)
			return nil
		}),
	}, true)
	cmd.Flags().StringVar(&file, "policy", "", "YAML or JSON file (default: the deployment's policy, else the default)")
	cmd.Flags().Float64Var(&in.Traffic.RequestsPerSecond, "rate", 0, "requests per second (default: as measured now)")
	cmd.Flags().Float64Var(&in.Traffic.ErrorRate, "errors", 0, "share of requests that fail (default: as measured)")
	return cmd
}

func rolloutPolicyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "policy", Short: "Print the default policy, to be changed and given to --policy", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := defaultPolicy()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

// defaultPolicy is the default in YAML, with every value that a person may change.
func defaultPolicy() ([]byte, error) {
	raw, err := json.Marshal(rollout.Default())
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil { // in the order of the fields
		return nil, err
	}
	block(&doc)
	return yaml.Marshal(&doc)
}

// block takes JSON's braces and quotes from a document; what is small stays on a line.
func block(n *yaml.Node) {
	n.Style &^= yaml.DoubleQuotedStyle
	small := n.Kind == yaml.MappingNode && len(n.Content) <= 14
	for _, c := range n.Content {
		block(c)
		small = small && c.Kind == yaml.ScalarNode
	}
	if !small {
		n.Style &^= yaml.FlowStyle
	}
}
