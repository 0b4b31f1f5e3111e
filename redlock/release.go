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
	c := q.find(r.Hold)
	if c == nil {
		return engine.Released{Gone: true}, nil
	}
	c.locked(func() {
		c.end(r.Leave)
		c.expectReturns()
	})
	for {
		c.mu.Lock()
		v, err := c.returned()
		changed := c.change()
		c.mu.Unlock()
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

// end ends the claim, and leaves its votes where they are or not. It needs c.mu.
func (c *claim) end(leave bool) {
	if c.ended {
		return
	}
	c.ended = true
	if t := c.try; t != nil {
		if t.phase == held {
			c.q.heldNoMore(&t.req)
		}
		t.leave = leave
		c.drop()
	}
	c.finish(engine.Answer{State: engine.Withdrawn}, nil)
	c.tidy()
}

// expectReturns has the nodes waited for that were asked in vain and will be asked
// again. It needs c.mu.
func (c *claim) expectReturns() {
	if c.last == nil {
		return
	}
	for i := range c.last.votes {
		if v := &c.last.votes[i]; v.returned == returning && c.lanes[i].busy {
			v.returnErr = nil
		}
	}
}

// returned judges the release of the try that was ended. A claim that came to
// nothing is gone when every lane is empty. It needs c.mu.
func (c *claim) returned() (verdict, error) {
	if c.last == nil || c.last.phase != held {
		if c.busy > 0 {
			return undecided, nil
		}
		return taken, nil
	}
	t := c.last
	e := newNoQuorumError(c.q.need)
	var n [gone + 1]int
	pending := 0
	for i := range t.votes {
		v := &t.votes[i]
		n[v.returned]++
		if v.returned == returning && v.returnErr == nil && c.lanes[i].busy {
			pending++
		} else if v.returnErr != nil {
			e.Nodes[c.q.peers[i].addr] = v.returnErr
		}
	}
	e.Acquired = n[given] + n[gone]
	return released(len(t.votes), c.q.need, n[given], n[gone], pending), e
}
