package eventlog

import "context"

// Size is how many bytes a stream takes on disk, and the sequence number of its first message (0 when it is empty).
func (l *Log) Size(ctx context.Context, s Stream) (bytes, first uint64, err error) {
	state, err := l.state(ctx, s)
	if err != nil || state.Msgs == 0 {
		return 0, 0, err
	}
	return state.Bytes, state.FirstSeq, nil
}
