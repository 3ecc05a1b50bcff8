package app

import (
	"context"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// AppendEvents implements admin.Events: it returns after the events are on disk.
func (a *App) AppendEvents(ctx context.Context, events []fairlead.BusinessEvent) error {
	_, err := a.events.Append(ctx, eventlog.Events, messageID(), eventlog.EncodeEvents(events))
	if err == nil {
		a.eventsStored.Add(uint64(len(events)))
	}
	return err
}
