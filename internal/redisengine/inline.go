package redisengine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// Bounds of inline requests.
const (
	// inlineFor is when one is given up: well within what a Lock may take to
	// return once its context has ended.
	inlineFor = 20 * time.Millisecond
	// inlineQuick is what a reply may take for the server to count as near.
	inlineQuick = inlineFor / 4
	// inlineProof is how many replies in a row must have been quick.
	inlineProof = 16
	// inlineLeast is how many may be under way at the least.
	inlineLeast = 4
)

// An inlineSender sends requests in the goroutine that makes them. To hand a request
// to another goroutine and its reply back, as must be done to give up a reply
// that go-redis waits for, costs a process that has nothing else to do as much
// as the round trip itself.
//
// What keeps the promise that a call ends with its context is that an inline
// request is given up after inlineFor whatever happens: no answer, as when a
// connection breaks, so that the caller asks again by the same hold id. To give
// one up costs its connection. Therefore only a server whose last replies were
// all quick is asked inline, not again after one was not, and by no more
// goroutines at a time than there are processors, or four: a server that stalls
// costs a client no more connections than that, once.
//
// A client's hooks are then called by the caller too. They are given a context
// that ends with the request; one that does not mind it delays its caller.
type inlineSender struct {
	rdb     *boundedClient // nil: there is none
	moments moments
	quick   atomic.Int32 // replies in a row, up to inlineProof
	busy    atomic.Int32 // requests under way
	most    int32
}

func newInlineSender(rdb Client) *inlineSender {
	s := &inlineSender{most: int32(max(inlineLeast, runtime.GOMAXPROCS(0)))}
	if bounded := newBoundedClient(rdb, inlineFor, true); bounded.one != nil {
		s.rdb = bounded
	}
	return s
}

// bounds tells whether go-redis can give up a request of a client by itself: its
// connections take deadlines, and it calls nothing on the way that may block.
func bounds(o *redis.Options) bool {
	return o.ReadTimeout >= 0 && o.WriteTimeout >= 0 && o.Limiter == nil && o.OnConnect == nil &&
		o.CredentialsProvider == nil && o.CredentialsProviderContext == nil && o.StreamingCredentialsProvider == nil
}

// enter tells whether a request may be sent inline; run or leave follows it.
func (s *inlineSender) enter() bool {
	if s.rdb == nil || s.quick.Load() < inlineProof {
		return false
	}
	if s.busy.Add(1) > s.most {
		s.leave()
		return false
	}
	return true
}

func (s *inlineSender) leave() { s.busy.Add(-1) }

// observe takes note of how long a request took, and whether it was answered.
func (s *inlineSender) observe(took time.Duration, err error) {
	switch {
	case s.rdb == nil:
	case took > inlineQuick, engine.Unanswered(err):
		s.quick.Store(0)
	case s.quick.Load() < inlineProof:
		s.quick.Add(1)
	}
}

// run sends c and returns its reply, within inlineFor, and leaves.
func (s *inlineSender) run(ctx context.Context, c *command, now time.Time) (any, error) {
	defer s.leave() // also when a hook of the client's panics
	s.moments.begin(ctx, &c.moment, now)
	val, err := c.process(&c.moment, s.rdb.client())
	err = c.fault(s.rdb.rdb, err)
	if errors.Is(err, engine.ErrUnknown) && ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrUnknown, engine.ContextError(ctx))
	}
	return val, err
}
