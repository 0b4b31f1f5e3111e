package lifecycle

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// tryAll takes several locks of one slot, or none. It returns the holds, or why
// there are none.
func (h *Manager) tryAll(ctx context.Context, ls []*Lock, owners []string) ([]*Hold, error) {
	holds := make([]*Hold, len(ls))
	for i, l := range ls {
		holds[i] = h.newHold(ctx, l, owners[i], false)
		h.called(ctx, holds[i])
	}
	err := h.obtainAll(ctx, holds)
	for _, o := range holds {
		h.returned(o, err)
	}
	if err != nil {
		return nil, err
	}
	return holds, nil
}

// obtainAll takes the locks of all holds, or of none.
func (h *Manager) obtainAll(ctx context.Context, holds []*Hold) error {
	requests := make([]*engine.Request, len(holds))
	for i, o := range holds {
		if err := h.enter(o, false); err != nil {
			return h.abandonAll(holds[:i], err)
		}
		o.first = time.Now()
		requests[i] = &o.req
	}
	var answers []engine.Answer
	err := h.ask(ctx, func(ctx context.Context) (err error) {
		for _, o := range holds {
			o.unsure.Add(1) // each copy on its own: one that is lost may come after the one that is answered
		}
		answers, err = h.eng.(engine.Batcher).AcquireAll(ctx, requests)
		for _, o := range holds {
			o.answered(err)
		}
		return err
	})
	if err != nil {
		for _, o := range holds {
			h.settle(o, engine.Answer{}, err) // one that left nothing there need not be withdrawn
		}
		return h.abandonAll(holds, err)
	}
	for i, o := range holds {
		if answers[i].State == engine.Absent {
			if o.unsure.Load() == 0 { // else an earlier copy may yet arrive
				o.first = time.Time{} // the server has nothing of it
			}
			continue
		}
		h.settle(o, answers[i], nil)
	}
	for _, o := range holds {
		if h.stageOf(o) == failed {
			return h.abandonAll(holds, o.failure)
		}
	}
	for i, o := range holds {
		if _, err := h.take(ctx, o); err != nil {
			for _, had := range holds[:i] {
				h.spawn(func(ctx context.Context) { _ = had.unlock(ctx) })
			}
			return h.abandonAll(holds[i+1:], err)
		}
	}
	return nil
}

func (h *Manager) abandonAll(holds []*Hold, err error) error {
	for _, o := range holds {
		_ = h.abandon(o, err)
	}
	return err
}
