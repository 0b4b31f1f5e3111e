package lifecycle

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// tryAll takes several locks of one slot, or none. It returns the holds, or why
// there are none.
func (m *Manager) tryAll(ctx context.Context, ls []*Lock, owners []string) ([]*Hold, error) {
	holds := make([]*Hold, len(ls))
	for i, l := range ls {
		holds[i] = m.newHold(ctx, l, owners[i], false)
		m.called(ctx, holds[i])
	}
	err := m.obtainAll(ctx, holds)
	for _, o := range holds {
		m.returned(o, err)
	}
	if err != nil {
		return nil, err
	}
	return holds, nil
}

// obtainAll takes the locks of all holds, or of none.
func (m *Manager) obtainAll(ctx context.Context, holds []*Hold) error {
	requests := make([]*engine.Request, len(holds))
	for i, o := range holds {
		if err := m.enter(o, false); err != nil {
			return m.abandonAll(holds[:i], err)
		}
		o.first = time.Now()
		requests[i] = &o.req
	}
	var answers []engine.Answer
	err := m.ask(ctx, func(ctx context.Context) (err error) {
		for _, o := range holds {
			o.unsure.Add(1) // each copy on its own: one that is lost may come after the one that is answered
		}
		answers, err = m.eng.(engine.Batcher).AcquireAll(ctx, requests)
		for _, o := range holds {
			o.answered(err)
		}
		return err
	})
	if err != nil {
		for _, o := range holds {
			m.settle(o, engine.Answer{}, err) // one that left nothing there need not be withdrawn
		}
		return m.abandonAll(holds, err)
	}
	for i, o := range holds {
		if answers[i].State == engine.Absent {
			if o.unsure.Load() == 0 { // else an earlier copy may yet arrive
				o.first = time.Time{} // the server has nothing of it
			}
			continue
		}
		m.settle(o, answers[i], nil)
	}
	for _, o := range holds {
		if m.stageOf(o) == failed {
			return m.abandonAll(holds, o.failure)
		}
	}
	for i, o := range holds {
		if _, err := m.take(ctx, o); err != nil {
			for _, had := range holds[:i] {
				m.spawn(func(ctx context.Context) { _ = had.unlock(ctx) })
			}
			return m.abandonAll(holds[i+1:], err)
		}
	}
	return nil
}

func (m *Manager) abandonAll(holds []*Hold, err error) error {
	for _, o := range holds {
		_ = m.abandon(o, err)
	}
	return err
}
