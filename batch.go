package relock

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

var (
	_ engine.Batcher    = (*single)(nil)
	_ engine.Identified = (*single)(nil)
)

// Slot returns the same for names whose keys one script may take. Where there may
// be a cluster behind rdb, as behind an AutoPipeliner, only names that bring one
// tag are known to share a slot.
func (s *single) Slot(name string) string {
	if _, one := s.rdb.(*redis.Client); one {
		return ""
	}
	return tagOf(name)
}

// AcquireAll sends one script for all of the requests.
func (s *single) AcquireAll(ctx context.Context, rs []*engine.Request) ([]engine.Answer, error) {
	c := func() *command {
		var keys, args []any
		for _, r := range rs {
			k, a := s.acquireCommand(r).words()
			keys, args = append(keys, k...), append(args, a...)
		}
		return newCommand(&allScript, keys, args...)
	}
	got := s.run(ctx, c(), func() (transmission, []*engine.Request) { return c(), rs })
	if got.err != nil {
		return nil, got.err
	}
	rd := readReply(got.val)
	answers := make([]engine.Answer, len(rs))
	for i := range rs {
		var err error
		if answers[i], err = s.readAnswer(rd.next(), got.sent); err != nil {
			return nil, err
		}
	}
	return answers, rd.err
}

// tryAll takes several locks of one slot, or none. It returns the holds, or why
// there are none.
func (h *host) tryAll(ctx context.Context, ls []*lock, owners []Owner) ([]*hold, error) {
	holds := make([]*hold, len(ls))
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
func (h *host) obtainAll(ctx context.Context, holds []*hold) error {
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

func (h *host) abandonAll(holds []*hold, err error) error {
	for _, o := range holds {
		_ = h.abandon(o, err)
	}
	return err
}
