package redlock

import (
	"context"
	"fmt"

	"github.com/relock-go/relock/internal/engine"
)

// Release gives up a hold or a wait at every node. It returns when a quorum has
// said that the hold was there, or that it was not, and goes on with the others.
// A resend of it waits for the resends that are under way, by which a lost answer
// is made good. A hold that is to be left keeps the votes that it has; late copies
// of its requests are refused, and it waits nowhere any more.
func (q *quorum) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	d := q.find(r.Hold)
	if d == nil {
		return engine.Released{Gone: true}, nil
	}
	d.take(&event{kind: ended, leave: r.Detach})
	for {
		d.mu.Lock()
		v, err := d.request.releaseVerdict()
		changed := d.awaitChange()
		d.mu.Unlock()
		switch v {
		case won:
			return engine.Released{}, nil
		case taken:
			return engine.Released{Gone: true}, nil
		case silent:
			return engine.Released{}, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return engine.Released{}, fmt.Errorf("%w: %w", engine.ErrUnknown, context.Cause(ctx))
		}
	}
}
