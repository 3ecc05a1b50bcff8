package eventlog

import (
	"fmt"
	"log/slog"
)

// serverLog gives the server's lines to a slog.Logger. Its notices are about itself: they come as debug lines.
type serverLog struct{ log *slog.Logger }

func (s serverLog) line(f string, v []any) string { return "nats: " + fmt.Sprintf(f, v...) }

func (s serverLog) Noticef(f string, v ...any) { s.log.Debug(s.line(f, v)) }
func (s serverLog) Warnf(f string, v ...any)   { s.log.Warn(s.line(f, v)) }
func (s serverLog) Fatalf(f string, v ...any)  { s.log.Error(s.line(f, v)) }
func (s serverLog) Errorf(f string, v ...any)  { s.log.Error(s.line(f, v)) }
func (s serverLog) Debugf(f string, v ...any)  { s.log.Debug(s.line(f, v)) }
func (s serverLog) Tracef(f string, v ...any)  { s.log.Debug(s.line(f, v)) }
