package lifecycle

import (
	"context"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
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
	for i, o := range holds {
		if err := m.enter(o); err != nil {
			m.giveUpAll(holds[:i])
			return err
		}
	}
	if err := m.askForAll(ctx, holds); err != nil {
		m.giveUpAll(holds)
		return err
	}
	for i, o := range holds {
		if _, err := m.take(ctx, o); err != nil {
			for _, had := range holds[:i] {
				m.spawn(func(ctx context.Context) { _ = had.unlock(ctx) })
			}
			m.giveUpAll(holds[i:])
			return err
		}
	}
	return nil
}

// askForAll asks for all holds by one request until it is answered.
func (m *Manager) askForAll(ctx context.Context, holds []*Hold) error {
	var answers []engine.Answer
	err := m.ask(ctx, func(ctx context.Context) (err error) {
		requests := make([]*engine.Request, len(holds))
		for i, o := range holds {
			if !m.send(o, &o.req, nil) {
				return engine.ErrClosed
			}
			requests[i] = &o.req
		}
		answers, err = m.eng.(engine.Batcher).AcquireAll(ctx, requests)
		for i, o := range holds {
			ans := engine.Answer{}
			if i < len(answers) {
				ans = answers[i]
			}
			m.answered(o, ans, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, o := range holds {
		// One that would have been granted, were it not for the others, is Absent.
		if answers[i].State != engine.Absent && m.stateOf(o) == queue.Failed {
			return m.failure(o)
		}
	}
	return nil
}

func (m *Manager) giveUpAll(holds []*Hold) {
	for _, o := range holds {
		m.giveUp(o)
	}
}
