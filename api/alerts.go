package api

import "time"

// Acknowledgement says that somebody takes care of an incident: nobody is told of it any more until it is over.
type Acknowledgement struct {
	By   string    `json:"by"`
	Note string    `json:"note,omitempty"`
	At   time.Time `json:"at"`
}

// AckRequest is the body of POST /api/v1/alerts/ack and of POST /api/v1/alerts/unack.
type AckRequest struct {
	ID   string `json:"id" doc:"of an alert or of an incident: all of the incident is meant"`
	By   string `json:"by,omitempty" maxLength:"200" doc:"who does it, for the log"`
	Note string `json:"note,omitempty" maxLength:"2000"`
}

// Incident is one entry of GET /api/v1/alerts/incidents: alerts of one deployment that began together.
type Incident struct {
	ID           string           `json:"id" doc:"what receivers were told it is called, else the id of its first alert"`
	Deployment   string           `json:"deployment"`
	State        string           `json:"state" enum:"firing,resolved"`
	Columns      []string         `json:"columns" doc:"in the order in which they began to drift"`
	Alerts       []string         `json:"alerts" doc:"ids, in the same order"`
	Since        time.Time        `json:"since" doc:"event time"`
	Until        time.Time        `json:"until,omitzero" doc:"event time"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	Silenced     bool             `json:"silenced,omitempty" doc:"silences cover every column of it that drifts"`
	Told         []Told           `json:"told" doc:"who was told of it"`
}

// Told is what a receiver knows of an incident.
type Told struct {
	Receiver string    `json:"receiver"`
	State    string    `json:"state,omitempty" enum:"firing,resolved" doc:"absent: it could not be told yet"`
	At       time.Time `json:"at,omitzero"`
	Failed   int       `json:"failed,omitempty" doc:"attempts in vain since"`
	Next     time.Time `json:"next,omitzero" doc:"not tried again before"`
}

// SilenceRequest is the body of POST /api/v1/silences. It needs an end, or to be weekly.
type SilenceRequest struct {
	Deployment string    `json:"deployment" maxLength:"200" doc:"a name or a pattern: * stands for any text, ? for one character"`
	Column     string    `json:"column,omitempty" maxLength:"200" doc:"a name or a pattern; absent: every column"`
	From       time.Time `json:"from,omitzero" doc:"by the clock; absent: now"`
	Until      time.Time `json:"until,omitzero" doc:"by the clock; absent only for weekly ones, which then have no end"`
	Weekly     string    `json:"weekly,omitempty" example:"sat 22:00 - sun 06:00" doc:"a downtime window: it holds only in this part of each week"`
	Zone       string    `json:"zone,omitempty" example:"Europe/Berlin" doc:"whose clock weekly goes by; absent: UTC"`
	Reason     string    `json:"reason" minLength:"1" maxLength:"2000"`
	By         string    `json:"by,omitempty" maxLength:"200"`
}

// Silence keeps alerts from being told.
type Silence struct {
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"`
	Column     string    `json:"column"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until,omitzero"`
	Weekly     string    `json:"weekly,omitempty"`
	Zone       string    `json:"zone,omitempty"`
	Reason     string    `json:"reason"`
	By         string    `json:"by"`
	Created    time.Time `json:"created"`
	EndedBy    string    `json:"ended_by,omitempty" doc:"who ended it before its time; until says when"`
	State      string    `json:"state" enum:"active,waiting,ended" doc:"waiting: it begins later, or its part of the week does"`
	Alerts     []string  `json:"alerts" doc:"ids of the firing alerts that it covers"`
}

// Receiver is one entry of GET /api/v1/alerts/receivers: somebody who is told, from the server's configuration.
type Receiver struct {
	Name        string    `json:"name"`
	Type        string    `json:"type" enum:"webhook,slack,email,alertmanager"`
	Host        string    `json:"host" doc:"where messages go; the rest of the URL is a secret"`
	Deployments []string  `json:"deployments" doc:"patterns; empty: all"`
	MinHarm     string    `json:"min_harm,omitempty"`
	Sent        uint64    `json:"sent" doc:"by this server, since it started; the one that leads sends"`
	Failed      uint64    `json:"failed"`
	LastSent    time.Time `json:"last_sent,omitzero"`
	LastFailed  time.Time `json:"last_failed,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
}

// TestMessage answers POST /api/v1/alerts/receivers/{name}/test.
type TestMessage struct {
	Receiver string  `json:"receiver"`
	OK       bool    `json:"ok"`
	Answer   string  `json:"answer" doc:"what the receiver said, or why it could not be told"`
	Seconds  float64 `json:"seconds"`
}
