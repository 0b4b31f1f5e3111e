package redlock

import (
	"context"
	"slices"
	"sync"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// Force frees the lock where it still has that token. It reports whether
// the holder has lost its quorum by that.
func (q *quorum) Force(ctx context.Context, name string, token int64) (bool, error) {
	freed, answered := 0, 0
	err := q.each(ctx, func(ctx context.Context, p *peer) error {
		ok, err := p.node.Force(ctx, name, token)
		q.mu.Lock()
		defer q.mu.Unlock()
		if err == nil {
			answered++
		}
		if ok {
			freed++
		}
		return err
	}, func() bool { return false })
	q.mu.Lock()
	defer q.mu.Unlock()
	if answered < q.need {
		return false, err
	}
	return freed > len(q.peers)-q.need, nil
}

// each asks all peers in parallel until all have answered, enough says so, or
// the node timeout is over.
func (q *quorum) each(ctx context.Context, ask func(context.Context, *peer) error, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, q.set.patience(relock.DefaultTTL))
	defer cancel()
	e := newNoQuorumError(q.need)
	type reply struct {
		p   *peer
		err error
	}
	replies := make(chan reply, len(q.peers))
	for _, p := range q.peers {
		go func() { replies <- reply{p, ask(ctx, p)} }()
	}
	for range q.peers {
		r := <-replies // bounded by ctx: every engine call is
		if r.err != nil {
			e.Nodes[r.p.addr] = r.err
		} else if e.Acquired++; enough() {
			return nil
		}
	}
	return e
}

// Status tells who holds the lock: whoever leaves too few nodes for another.
func (q *quorum) Status(ctx context.Context, name string) (engine.Status, error) {
	var mu sync.Mutex
	var all []engine.Status
	err := q.each(ctx, func(ctx context.Context, p *peer) error {
		st, err := p.node.Status(ctx, name)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			all = append(all, st)
		}
		return err
	}, func() bool { return false })
	if len(all) < q.need {
		return engine.Status{}, err
	}
	return summary(all, q.need), nil
}

// summary makes one status of those of the nodes. What was granted, or given
// back, is so at a quorum; some nodes may not have heard of it yet.
func summary(all []engine.Status, need int) engine.Status {
	var best engine.Status
	nodes := map[string]int{}
	waiters, free := 0, 0
	for _, st := range all {
		waiters = max(waiters, st.Waiters)
		if !st.Held {
			free++
			continue
		}
		nodes[st.Owner]++
		if nodes[st.Owner] > nodes[best.Owner] || st.Owner == best.Owner && st.Token > best.Token {
			best = st
		}
	}
	if free >= need {
		best = engine.Status{}
	}
	var counts []int
	for _, st := range all {
		if st.Held && st.Owner == best.Owner {
			counts = append(counts, st.Count)
		}
	}
	if len(counts) > 0 {
		slices.Sort(counts)
		best.Count = counts[max(0, len(counts)-need)]
	}
	best.Waiters = waiters
	return best
}
