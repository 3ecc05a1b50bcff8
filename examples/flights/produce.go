package flights

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// recall is how far before the point of resumption flights are read again for their labels: longer than any flight and
// than a full outbox together.
const recall = 48 * time.Hour

// batch is one step of event time: the request to send when it ends, and the labels its flights will get.
type batch struct {
	end    int64 // minute, exclusive
	body   []byte
	n      int
	first  int64 // row number of the first flight
	labels []label
}

// producer reads the file and encodes requests, ahead of the sender by as much as the channel holds.
type producer struct {
	path   string
	start  int64 // minute of the replay's first flight, where nothing is resumed
	from   int64 // minute
	to     int64
	step   int64
	faults []Fault
	out    chan<- batch
}

// run closes out when it has sent the last batch. Steps without flights are sent too: event time goes on.
func (p *producer) run(ctx context.Context) error {
	defer close(p.out)
	recalled := max(p.from-int64(recall/time.Minute), p.start)
	r, err := OpenReader(ctx, p.path, at(recalled), at(p.to))
	if err != nil {
		return err
	}
	err = p.read(ctx, r)
	return errors.Join(err, r.Close())
}

func (p *producer) read(ctx context.Context, r *Reader) error {
	past := batch{end: p.from} // flights before the point of resumption: labels only
	for {
		f, err := r.Next()
		if err == nil && f.Minute < p.from {
			if plant(p.faults, &f) {
				past.labels = appendLabel(past.labels, &f)
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if sent := p.send(ctx, past); sent != nil {
			return sent
		}
		return p.steps(ctx, r, f, err)
	}
}

// steps sends the batches from p.from on; f is the first flight, unless err is io.EOF.
func (p *producer) steps(ctx context.Context, r *Reader, f Flight, err error) error {
	size := 0
	for begin := p.from; begin < p.to; {
		end := min(begin-begin%p.step+p.step, p.to)
		b := batch{end: end}
		body := request{instances: make([]byte, 0, size+size/4), rows: make([]byte, 0, size/2)}
		for ; err == nil && f.Minute < end; f, err = r.Next() {
			if !airport(f.Origin) || !airport(f.Destination) {
				return fairlead.Invalid("row %d of the flights file is from %q to %q", f.Row, f.Origin, f.Destination).
					Hintf("airport codes are letters and digits")
			}
			if !plant(p.faults, &f) {
				continue
			}
			if b.n == 0 {
				b.first = f.Row
			}
			b.n++
			body.add(&f)
			b.labels = appendLabel(b.labels, &f)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if b.n > 0 {
			b.body = body.body()
			size = len(b.body)
		}
		if err := p.send(ctx, b); err != nil {
			return err
		}
		begin = end
	}
	return nil
}

func (p *producer) send(ctx context.Context, b batch) error {
	select {
	case p.out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func appendLabel(labels []label, f *Flight) []label {
	if outcome := f.Outcome(); outcome != "" {
		labels = append(labels, label{row: f.Row, due: f.Landed, value: outcome})
	}
	return labels
}
