package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// shared says that other servers may use the same event log and state.
func (a *App) shared() bool { return a.config.NATS.URL != "" }

func (a *App) startEvents(ctx context.Context) error {
	id, err := readIdentity(a.config.Data)
	if err != nil {
		return err
	}
	o := eventlog.Options{Dir: filepath.Join(a.config.Data, "eventlog"), Log: a.log}
	if !a.shared() {
		if id.Log != "" {
			return otherLog(a.config.Data, "NATS servers keep the log of it").
				Hintf("start it with --nats again, or with a folder of its own: --data DIR")
		}
		a.events, err = eventlog.Open(ctx, o)
		return err
	}
	if id.Server == "" {
		id.Server = ulid.Make().String()
	}
	n := a.config.NATS
	o.Dir, o.MaxBytes = "", int64(n.StreamMB)<<20
	o.Cluster = &eventlog.Cluster{
		URL: n.URL, Creds: n.Creds, CA: n.CA, Cert: n.Cert, Key: n.Key, Replicas: n.Replicas, Prefix: n.Prefix, Server: id.Server,
	}
	if a.events, err = eventlog.Open(ctx, o); err != nil {
		return err
	}
	a.id = id.Server
	if err := a.recognise(ctx, id); err != nil {
		return errors.Join(err, a.events.Close())
	}
	return nil
}

// identity is what a data folder remembers of the log that it was filled from.
type identity struct {
	Server string `json:"server"`
	Log    string `json:"log"` // empty: the folder's own
}

func identityFile(data string) string { return filepath.Join(data, "server.json") }

// readIdentity is the zero identity for a folder that has its own log.
func readIdentity(data string) (identity, error) {
	var id identity
	raw, err := os.ReadFile(identityFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return id, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &id)
	}
	if err != nil {
		return id, fmt.Errorf("read %s: %w", identityFile(data), err)
	}
	return id, nil
}

func otherLog(data, what string) *fairlead.Error {
	return fairlead.Errorf(fairlead.CodeConflict, "the evaluation store in %s was filled from another event log: %s", data, what)
}

// recognise refuses a data folder that was filled from another log: positions in it would be taken for positions in this
// one, and messages be passed over.
func (a *App) recognise(ctx context.Context, id identity) error {
	log, err := a.nameLog(ctx)
	if err != nil {
		return fmt.Errorf("name the event log: %w", err)
	}
	if id.Log == log {
		return nil
	}
	refused := otherLog(a.config.Data, fmt.Sprintf("this one is %s, with the prefix %s", log, a.config.NATS.Prefix)).
		Hintf("give the server a folder of its own, --data DIR: it takes in what the log holds")
	if id.Log != "" {
		return refused
	}
	for _, s := range ingested {
		at, err := a.store.Position(ctx, string(s))
		if err != nil {
			return err
		}
		if at > 0 {
			return refused
		}
	}
	id.Log = log
	raw, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return os.WriteFile(identityFile(a.config.Data), raw, 0o600)
}

// nameLog gives the log's own name, which the first server on it makes up.
func (a *App) nameLog(ctx context.Context) (string, error) {
	kv, err := a.events.KV(ctx, "installation")
	if err != nil {
		return "", err
	}
	for {
		name, _, err := kv.Get(ctx, "log")
		if err != nil || name != nil {
			return string(name), err
		}
		if _, err := kv.Put(ctx, "log", []byte(ulid.Make().String()), 0); err != nil && fairlead.CodeOf(err) != fairlead.CodeConflict {
			return "", err
		}
	}
}

// sharedMetrics say how this server stands to the others on its log.
func (a *App) sharedMetrics() []prometheus.Collector {
	gauge := func(name, help string, is func() bool) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "fairlead", Name: name, Help: help}, func() float64 { return one(is()) })
	}
	return []prometheus.Collector{
		gauge("event_log_connected", "1 while the server has a connection to NATS.", a.events.Connected),
		gauge("event_log_isolated", "1 while most of the NATS servers cannot be reached: rollouts part no traffic.", a.deployer.isolated.Load),
		gauge("leads", "1 on the server that steps rollouts, trims the log and keeps the alerts.", a.leader.leads),
	}
}
