package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

// alertsSubcommands do something about alerts. Groups are the root's: they have none.
func alertsSubcommands() []*cobra.Command {
	all := []*cobra.Command{
		explainAlertCommand(), incidentsCommand(), ackCommand(), unackCommand(), silenceCommand(), silencesCommand(), unsilenceCommand(), receiversCommand(), notifyTestCommand(),
	}
	for _, c := range all {
		c.GroupID = ""
	}
	return all
}

// whoCares says who has taken care of an alert, or why nobody is told.
func whoCares(a *api.Acknowledgement, s *api.SilencedBy) string {
	var parts []string
	if a != nil {
		parts = append(parts, "acknowledged by "+a.By)
	}
	if s != nil {
		parts = append(parts, "silenced by "+s.By)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func incidentsCommand() *cobra.Command {
	var t talk
	var state, deployment string
	cmd := t.command(&cobra.Command{
		Use: "incidents", Short: "List incidents: alerts that began together, and who was told of them", Args: cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := c.Incidents(cmd.Context(), state, deployment)
			if err != nil {
				return err
			}
			if len(all) == 0 && t.out.format == "table" {
				fmt.Fprintln(cmd.OutOrStdout(), "there are none")
				return nil
			}
			return t.out.print(cmd.OutOrStdout(), all, "STATE|DEPLOYMENT|COLUMNS|SINCE|UNTIL|WHO|TOLD|ID", func(add func(...any)) {
				for _, x := range all {
					who := "-"
					switch {
					case x.Acknowledged != nil:
						who = "acknowledged by " + x.Acknowledged.By
					case x.Silenced:
						who = "silenced"
					}
					add(x.State, x.Deployment, some(x.Columns), x.Since, x.Until, who, toldText(x.Told), x.ID)
				}
			})
		}),
	}, true)
	cmd.Flags().StringVar(&state, "state", "", "only firing or resolved ones")
	cmd.Flags().StringVar(&deployment, "deployment", "", "only of this one")
	return cmd
}

// some are the first of many names.
func some(names []string) string {
	const most = 4
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), len(names)-most+1)
	}
	return strings.Join(names, ", ")
}

// toldText says which receiver knows what.
func toldText(told []api.Told) string {
	var parts []string
	for _, x := range told {
		text := x.Receiver + " " + x.State
		if x.State == "" {
			text = x.Receiver + " not yet"
		}
		if x.Failed > 0 {
			text += fmt.Sprintf(" (%d in vain)", x.Failed)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "nobody"
	}
	return strings.Join(parts, ", ")
}

func ackCommand() *cobra.Command {
	var t talk
	var note string
	cmd := t.command(&cobra.Command{
		Use: "ack ID", Short: "Say that you take care of an incident: nobody is told of it again until it is over",
		Long:    "ID is that of an incident or of one of its alerts; all of the incident is meant, also what joins it later.",
		Example: "  fairlead alerts ack flights/distance/2001-03-08T14:00:00Z --note 'the feed of tail numbers broke, fixed tonight'", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in, err := c.Acknowledge(cmd.Context(), api.AckRequest{ID: args[0], By: whoami(), Note: note})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s since %s is yours; nobody is told of it again until it is over\n",
				in.Deployment, some(in.Columns), in.Since.UTC().Format("2006-01-02 15:04"))
			return nil
		}),
	}, false)
	cmd.Flags().StringVar(&note, "note", "", "what others should know")
	return cmd
}

func unackCommand() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "unack ID", Short: "Take an acknowledgement back", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in, err := c.Unacknowledge(cmd.Context(), api.AckRequest{ID: args[0], By: whoami()})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is nobody's again\n", in.Deployment, some(in.Columns))
			return nil
		}),
	}, false)
}

func receiversCommand() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "receivers", Short: "List who is told of incidents, and whether that works", Args: cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := c.Receivers(cmd.Context())
			if err != nil {
				return err
			}
			if len(all) == 0 && t.out.format == "table" {
				fmt.Fprintln(cmd.OutOrStdout(), "nobody: the server's configuration names no receivers under notify (docs/alerts.md)")
				return nil
			}
			return t.out.print(cmd.OutOrStdout(), all, "RECEIVER|TYPE|HOST|DEPLOYMENTS|FROM HARM|SENT|FAILED|LAST SENT|LAST ERROR", func(add func(...any)) {
				for _, r := range all {
					deployments, harm, last := "all", "any", "-"
					if len(r.Deployments) > 0 {
						deployments = strings.Join(r.Deployments, ", ")
					}
					if r.MinHarm != "" {
						harm = r.MinHarm
					}
					if r.LastError != "" {
						last = r.LastFailed.UTC().Format("2006-01-02 15:04") + " " + r.LastError
					}
					add(r.Name, r.Type, r.Host, deployments, harm, r.Sent, r.Failed, r.LastSent, last)
				}
			})
		}),
	}, true)
}

func notifyTestCommand() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "notify-test RECEIVER", Short: "Have the server send a receiver a test message", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			m, err := c.TestReceiver(cmd.Context(), args[0], whoami())
			if err != nil {
				return err
			}
			if !m.OK {
				return fairlead.Errorf(fairlead.CodeUnavailable, "%s was not told: %s", m.Receiver, m.Answer).Hintf("see its url, and what it needs, under notify in the server's configuration")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has a test message (%.2f s): %s\n", m.Receiver, m.Seconds, m.Answer)
			return nil
		}),
	}, false)
}
