package protocol

import (
	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// Statistics are the totals of one loaded version since the server started.
type Statistics struct {
	meter.Statistics
	Memory int64 // bytes that loading it took; 0: unknown
}

// AllStatistics reads the totals of loaded versions, also of those that were not asked yet: of all models where name is
// "", of all versions of one where version is "". The errors are those of route.Table's Lookup.
func AllStatistics(server *serve.Server, name, version string) ([]Statistics, error) {
	table := server.Table()
	if name == "" {
		list := []Statistics{}
		for _, name := range table.Names() {
			d, err := table.Deployment(name)
			if err != nil {
				return nil, err
			}
			list = append(list, statistics(server, d.Name, d.Targets())...)
		}
		return list, nil
	}
	d, err := table.Deployment(name)
	if err != nil {
		return nil, err
	}
	targets := d.Targets()
	if version != "" || len(targets) == 0 {
		t, err := table.Lookup(name, version)
		if err != nil {
			return nil, err
		}
		targets = []*route.Target{t}
	}
	return statistics(server, d.Name, targets), nil
}

func statistics(server *serve.Server, name fairlead.Name, targets []*route.Target) []Statistics {
	counted := server.Meter().Statistics(name)
	list := make([]Statistics, len(targets))
	for i, t := range targets {
		list[i] = Statistics{Statistics: meter.Statistics{Deployment: name, Version: t.Version}, Memory: t.Settings.Memory}
		for _, c := range counted {
			if c.Version == t.Version {
				list[i].Statistics = c
			}
		}
	}
	return list
}
