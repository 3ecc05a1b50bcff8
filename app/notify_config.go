package app

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/notify"
)

// Notify says who is told of incidents; the zero value: nobody.
type Notify struct {
	Receivers []notify.Receiver `yaml:"receivers"`
	Wait      time.Duration     `yaml:"wait"`     // of a new incident, so that what belongs to it is in one message; 0: notifyWait
	Downtime  []Downtime        `yaml:"downtime"` // in which nobody is told
}

// Downtime is a silence of the configuration.
type Downtime struct {
	Deployment string    `yaml:"deployment"` // a pattern; "": every one
	Column     string    `yaml:"column"`     // a pattern; "": every one
	Weekly     string    `yaml:"weekly"`     // "sat 22:00 - sun 06:00"
	Zone       string    `yaml:"zone"`       // whose clock weekly goes by; "": UTC
	From       time.Time `yaml:"from"`
	Until      time.Time `yaml:"until"`
	Reason     string    `yaml:"reason"`
}

const (
	notifyWait  = 15 * time.Second // how long a new incident gathers
	configured  = "configuration"  // who made a silence that is in the configuration
	maxDowntime = 50
)

// Check says what is wrong with it, the environment that it names included; the error is CodeInvalid.
func (n Notify) Check() error {
	if _, err := n.silences(); err != nil {
		return err
	}
	_, err := n.filled()
	return err
}

// filled takes secrets and URLs from the environment and from files.
func (n Notify) filled() (Notify, error) {
	if n.Wait < 0 || n.Wait > time.Hour {
		return n, fairlead.Invalid("notify: wait is %s, between 0s and 1h was expected", n.Wait)
	}
	if n.Wait == 0 {
		n.Wait = notifyWait
	}
	var err error
	if n.Receivers, err = notify.Fill(n.Receivers, secretOf); err != nil {
		return n, err
	}
	return n, notify.Check(n.Receivers)
}

// secretOf is what a variable of the environment says, or, for file:PATH, a file without the space around it.
func secretOf(name string) (string, bool) {
	path, isFile := strings.CutPrefix(name, "file:")
	if !isFile {
		return os.LookupEnv(name)
	}
	raw, err := os.ReadFile(path)
	return string(bytes.TrimSpace(raw)), err == nil
}

// silences are the downtimes of the configuration as silences.
func (n Notify) silences() ([]notify.Silence, error) {
	if len(n.Downtime) > maxDowntime {
		return nil, fairlead.Invalid("notify: there are %d downtimes, at most %d are possible", len(n.Downtime), maxDowntime)
	}
	var out []notify.Silence
	for i, x := range n.Downtime {
		s := notify.Silence{
			ID: fmt.Sprint("downtime-", i+1), Deployment: x.Deployment, Column: x.Column, From: x.From, Until: x.Until, Weekly: x.Weekly, Zone: x.Zone,
			Reason: x.Reason, By: configured, Created: x.From,
		}
		if s.Deployment == "" {
			s.Deployment = "*"
		}
		if s.Column == "" {
			s.Column = "*"
		}
		if s.Reason == "" {
			s.Reason = "downtime"
		}
		err := s.Check(time.Time{}) // one that is over does no harm
		if err == nil {
			_, err = loadZone(s.Zone)
		}
		if err != nil {
			e := fairlead.Invalid("notify: downtime number %d: %v", i+1, err)
			return nil, e.Hintf("for example: {deployment: flights, weekly: sat 22:00 - sun 06:00, zone: Europe/Berlin}")
		}
		out = append(out, s)
	}
	return out, nil
}

// page is the address of the page as people reach it, without a slash at the end; "": it is not known.
func (c Config) page() (string, error) {
	if c.ExternalURL == "" {
		return "", nil
	}
	u, err := url.Parse(c.ExternalURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return "", fairlead.Invalid("external-url %q is no address of a page", c.ExternalURL).Hintf("for example https://fairlead.example.com")
	}
	return strings.TrimRight(c.ExternalURL, "/"), nil
}

// openNotify makes the desk, and what tells receivers if there are any.
func (a *App) openNotify(kv keyValue) error {
	config, err := a.config.Notify.filled()
	if err != nil {
		return err
	}
	page, err := a.config.page()
	if err != nil {
		return err
	}
	fixed, err := config.silences()
	if err != nil {
		return err
	}
	a.desk = &desk{kv: kv, now: time.Now, log: a.log, fixed: fixed}
	a.sender = newSender(a.config.Version, nil, time.Now)
	a.notifier = &notifier{
		receivers: config.Receivers, wait: config.Wait, kv: kv, names: a.deployer.Names, incidents: a.incidents, desk: a.desk,
		behind: func() bool { return a.backlog.streams(time.Now()) }, send: a.sender.send, now: time.Now, chance: rand.Float64, log: a.log,
		describer: describer{explain: a.Explain, page: page},
		leads:     func() bool { return a.leader == nil || a.leader.leads() },
	}
	return nil
}

// streams says whether past predictions come in at this moment. Unlike waits it changes nothing: the monitor's rounds are its own.
func (b *backlog) streams(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.last) <= importPause
}

// notifyLoop tells receivers of incidents.
func (a *App) notifyLoop(ctx context.Context) {
	defer a.sender.close()
	if len(a.notifier.receivers) == 0 {
		<-ctx.Done()
		return
	}
	a.notifier.run(ctx)
}
