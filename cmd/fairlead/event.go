package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// eventsPerRequest keeps a request at a few megabytes.
const eventsPerRequest = 10_000

func eventCommand() *cobra.Command {
	var t talk
	var e api.Event
	var value float64
	var at, file string
	cmd := t.command(&cobra.Command{
		Use: "event DEPLOYMENT", Short: "Say what came of a prediction: revenue, a click, minutes saved", Args: cobra.ExactArgs(1),
		Long: `Send business events: named numbers that rollouts and bandits compare versions by. An event belongs to the
prediction of --id, or to the latest one about the entity --key at --time.

A file is CSV with a header, or JSON Lines; its columns are name, value, prediction_id, key, time and id. The id is the
event's own: a later event of the same name and id takes the place of the earlier one, so a file in which every line has
an id can be sent again. --name, --key and --time fill in what a line does not say.`,
		Example: `  fairlead event shop --name revenue --value 12.5 --id 01J8Z5T4N8W9V6Y0M2K7R3Q1XA
  fairlead event shop --name click --value 1 --key customer-7
  fairlead event shop --file events.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if at != "" {
				when, err := eventTime(at)
				if err != nil {
					return fairlead.Invalid("--time %q is not a time", at).Hintf("write it as in RFC 3339: 2001-03-08T14:05:00Z")
				}
				e.Time = when
			}
			if math.IsNaN(value) || math.IsInf(value, 0) {
				return fairlead.Invalid("--value %v is not a finite number", value)
			}
			if cmd.Flags().Changed("value") {
				e.Value = &value
			}
			events := []api.Event{e}
			if file != "" {
				var err error
				if events, err = eventsOf(file, cmd.InOrStdin(), e); err != nil {
					return err
				}
			} else if e.Value == nil {
				return fairlead.Invalid("--value is missing").Hintf("--value 12.5, or --file for many events")
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			stored := 0
			for chunk := range slices.Chunk(events, eventsPerRequest) {
				answer, err := c.Event(cmd.Context(), args[0], chunk)
				if err != nil {
					if stored > 0 {
						fmt.Fprintf(cmd.ErrOrStderr(), "the first %d events are on disk, the next %d were not taken\n", stored, len(chunk))
					}
					return err
				}
				stored += answer.Accepted
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d events on disk\n", stored)
			return nil
		},
	}, false)
	f := cmd.Flags()
	f.StringVar(&e.Name, "name", "", "name of the event, for example revenue")
	f.Float64Var(&value, "value", 0, "a number; 1 or 0 for what happened or not")
	f.StringVar(&e.PredictionID, "id", "", "id of the prediction")
	f.StringVar(&e.Key, "key", "", "entity key, instead of a prediction's id")
	f.StringVar(&e.ID, "event-id", "", "id of the event itself: sending it again takes the place of the first")
	f.StringVar(&at, "time", "", "when it happened (RFC 3339); now if absent")
	f.StringVarP(&file, "file", "f", "", "CSV or JSON Lines (.jsonl, or - for standard input)")
	cmd.MarkFlagsMutuallyExclusive("file", "value")
	cmd.MarkFlagsMutuallyExclusive("file", "id")
	cmd.MarkFlagsMutuallyExclusive("file", "event-id")
	return cmd
}

func eventTime(s string) (time.Time, error) { return time.Parse(time.RFC3339, s) }

// eventsOf reads a file of events; base fills in what a line does not say.
func eventsOf(path string, stdin io.Reader, base api.Event) ([]api.Event, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fairlead.Invalid("the file of events cannot be read").Cause(err).Hintf("%v", err)
		}
		defer f.Close()
		in = f
	}
	read := jsonEvents
	if strings.EqualFold(filepath.Ext(path), ".csv") {
		read = csvEvents
	}
	events, err := read(in)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, fairlead.Invalid("%s has no events", path)
	}
	for i := range events {
		e := &events[i]
		e.Name = cmp.Or(e.Name, base.Name)
		if e.PredictionID == "" {
			e.Key = cmp.Or(e.Key, base.Key)
		}
		if e.Time.IsZero() {
			e.Time = base.Time
		}
	}
	return events, nil
}

var eventColumns = []string{"name", "value", "prediction_id", "key", "time", "id"}

func csvEvents(in io.Reader) ([]api.Event, error) {
	r := csv.NewReader(in)
	header, err := r.Read()
	if err != nil {
		return nil, fairlead.Invalid("the CSV has no header").Hintf("the first line names the columns, of %s", strings.Join(eventColumns, ", "))
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	for _, c := range header {
		if !slices.Contains(eventColumns, c) {
			return nil, fairlead.Invalid("the CSV has a column %q", c).Hintf("columns are %s", strings.Join(eventColumns, ", "))
		}
	}
	if !slices.Contains(header, "value") {
		return nil, fairlead.Invalid("the CSV has no column value")
	}
	var events []api.Event
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, fairlead.Invalid("the CSV cannot be read: %v", err)
		}
		var e api.Event
		for i, cell := range cells {
			if err := setEvent(&e, header[i], cell); err != nil {
				line, _ := r.FieldPos(i)
				return nil, fairlead.Invalid("line %d: %v", line, err)
			}
		}
		events = append(events, e)
	}
}

func setEvent(e *api.Event, column, cell string) (err error) {
	switch column {
	case "name":
		e.Name = cell
	case "prediction_id":
		e.PredictionID = cell
	case "key":
		e.Key = cell
	case "id":
		e.ID = cell
	case "time":
		if cell == "" {
			return nil
		}
		if e.Time, err = eventTime(cell); err != nil {
			return fairlead.Invalid("%q is not a time such as 2001-03-08T14:05:00Z", cell)
		}
	case "value":
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fairlead.Invalid("the value %q is not a finite number", cell)
		}
		e.Value = &v
	}
	return nil
}

func jsonEvents(in io.Reader) ([]api.Event, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var events []api.Event
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var e api.Event
		if err := d.Decode(&e); err != nil {
			return nil, fairlead.Invalid("line %d is not an event: %v", n, err).
				Hintf(`{"name": "revenue", "value": 12.5, "prediction_id": "…"}; a file whose name ends in .csv is read as CSV`)
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fairlead.Invalid("the events cannot be read: %v", err)
	}
	return events, nil
}
