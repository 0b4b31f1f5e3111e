package redlock

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

var _ engine.Inspector = (*quorum)(nil)

// Names returns the locks that any of the nodes knows of. To look through all its
// keys may take a node long; once a quorum has, the others are waited for no
// longer than for any answer.
func (q *quorum) Names(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type reply struct {
		addr  string
		names []string
		err   error
	}
	replies := make(chan reply, len(q.peers))
	for _, p := range q.peers {
		go func() {
			names, err := p.node.Names(ctx)
			replies <- reply{p.addr, names, err}
		}()
	}
	found := map[string]bool{}
	e := newNoQuorumError(q.need)
	var enough <-chan time.Time
	for pending := len(q.peers); pending > 0; pending-- {
		select {
		case r := <-replies:
			if r.err != nil {
				e.Nodes[r.addr] = r.err
				continue
			}
			for _, name := range r.names {
				found[name] = true
			}
			if e.Acquired++; e.Acquired == q.need {
				enough = time.After(q.set.patience(relock.DefaultTTL))
			}
		case <-enough:
			pending = 0
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if e.Acquired < q.need {
		return nil, e
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Statuses tells of each lock what [quorum.Status] does.
func (q *quorum) Statuses(ctx context.Context, names []string) ([]engine.Status, []error) {
	var mu sync.Mutex
	known := make([][]engine.Status, len(names))
	refused := make([]error, len(names))
	err := q.each(ctx, func(ctx context.Context, p *peer) error {
		got, errs := p.node.Statuses(ctx, names)
		mu.Lock()
		defer mu.Unlock()
		for i, st := range got {
			switch {
			case errs[i] == nil:
				known[i] = append(known[i], st)
			case engine.Unanswered(errs[i]):
				return errs[i] // of the node, not of this lock
			default:
				refused[i] = errs[i]
			}
		}
		return nil
	}, func() bool { return false })
	mu.Lock()
	defer mu.Unlock()
	all, errs := make([]engine.Status, len(names)), make([]error, len(names))
	for i := range names {
		switch {
		case len(known[i]) >= q.need:
			all[i] = summary(known[i], q.need)
		case refused[i] != nil:
			errs[i] = refused[i]
		default:
			errs[i] = err
		}
	}
	return all, errs
}

// Queue tells of a lock what [quorum.Status] does, and who waits for it at the
// node where most do: a waiter at one of the others waits at the coordinator, too.
func (q *quorum) Queue(ctx context.Context, name string, most int) (engine.Status, []engine.Waiter, error) {
	var mu sync.Mutex
	var known []engine.Status
	var longest []engine.Waiter
	err := q.each(ctx, func(ctx context.Context, p *peer) error {
		st, queue, err := p.node.Queue(ctx, name, most)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		known = append(known, st)
		if len(queue) > len(longest) {
			longest = queue
		}
		return nil
	}, func() bool { return false })
	if len(known) < q.need {
		return engine.Status{}, nil, err
	}
	return summary(known, q.need), longest, nil
}
