package eventlog

import (
	"fmt"
	"log/slog"
	"strings"
)

// serverLog gives the server's lines to a slog.Logger. Its notices are about itself: they come as debug lines.
type serverLog struct{ log *slog.Logger }

func (s serverLog) line(f string, v []any) string { return "nats: " + fmt.Sprintf(f, v...) }

func (s serverLog) Noticef(f string, v ...any) { s.log.Debug(s.line(f, v)) }
func (s serverLog) Warnf(f string, v ...any) {
	// Large messages are discouraged for traffic over a network; ours never leave the process.
	if strings.HasPrefix(f, "Maximum payloads over") {
		s.log.Debug(s.line(f, v))
		return
	}
	s.log.Warn(s.line(f, v))
}
func (s serverLog) Fatalf(f string, v ...any) { s.log.Error(s.line(f, v)) }
func (s serverLog) Errorf(f string, v ...any) { s.log.Error(s.line(f, v)) }
func (s serverLog) Debugf(f string, v ...any) { s.log.Debug(s.line(f, v)) }
func (s serverLog) Tracef(f string, v ...any) { s.log.Debug(s.line(f, v)) }
