package redlock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A peer is one node of a quorum, as this process sees it.
type peer struct {
	node  engine.Node
	addr  string
	index int

	// late counts the requests of all holds that were waited for in vain and are
	// still under way. While there is one the node is not asked again: a node that
	// hangs costs one request, not one for every lock.
	late atomic.Int32
}

func (p *peer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.node.CallTimeout())
}

func (p *peer) acquire(ctx context.Context, r *engine.Request) (engine.Answer, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return p.node.Acquire(ctx, r)
}

// listen makes grants of the node heard before one is waited for there. Where
// that takes too long the check-ins must do.
func (p *peer) listen(ctx context.Context, patience time.Duration) {
	if p.node.Listening() || p.node.Deaf() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = p.node.Listen(ctx)
}

func (p *peer) release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return p.node.Release(ctx, r)
}

// lateError is a node that was waited for in vain.
type lateError struct{ after time.Duration }

func (e lateError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }

// errHangs is a node that was not asked, since it owes an answer.
var errHangs = errors.New("not asked: an earlier request has no answer yet")
