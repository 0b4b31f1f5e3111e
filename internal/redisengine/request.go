package redisengine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// A request is what is asked of a server, as a command that is made when it is
// sent: what it says of the time and of tokens is then true.
type request struct {
	name    string // of the lock; "": of no lock
	hold    string // the hold that it is about; "": none
	acquire *engine.Request
	renewal *engine.Renewal
	release *engine.Release
	make    func() *command   // of one that is none of these
	carried []*engine.Request // in it, which may take effect late
	urgent  bool              // it goes before those that are not
	ends    bool              // it gives up the hold

	// Most requests are sent once, and are one piece with what they are sent as.
	made  atomic.Bool
	first command
	alone [1]*engine.Request // for carried
}

// build makes the command of r, as of now.
func (s *Engine) build(r *request) *command {
	c := &r.first
	if !r.made.CompareAndSwap(false, true) {
		c = new(command)
	}
	switch {
	case r.acquire != nil:
		return s.acquireInto(c, r.acquire)
	case r.renewal != nil:
		return s.renewInto(c, r.renewal)
	case r.release != nil:
		return s.releaseInto(c, r.release)
	}
	return r.make()
}

// run sends r, and copies of it while it is not answered.
func (s *Engine) run(ctx context.Context, r *request) outcome {
	got := outcome{sent: time.Now(), copies: 1}
	if ctx.Err() != nil {
		got.err = fmt.Errorf("%w: %w", engine.ErrUnsent, ctx.Err())
		return got
	}
	queue, queued := s.rdb.(submitter)
	d := s.dispatchers.of(r)
	switch {
	case s.enterInline(d, r):
		got.val, got.err = s.runInline(ctx, d, r, got.sent)
		if errors.Is(got.err, engine.ErrUnsent) {
			// No connection was had in the time that an inline request has: that says
			// nothing of what can be had. What was kept back once is not to leave.
			got = s.send(ctx, d, r)
		}
	case queued && takes(queue):
		got.val, got.err = s.build(r).submit(ctx, s.rdb, queue)
	default:
		got = s.send(ctx, d, r)
		s.inline.observe(time.Since(got.sent), got.err)
	}
	s.refreshAfter(got.err)
	return got
}

// enterInline tells whether a request may be sent by its caller.
func (s *Engine) enterInline(d *dispatcher, r *request) bool {
	switch {
	case !s.inline.enter():
		return false
	case d != nil && !d.enter(r):
		s.inline.leave()
		return false
	}
	return true
}

// runInline sends r in the goroutine of its caller, which has entered.
func (s *Engine) runInline(ctx context.Context, d *dispatcher, r *request, sent time.Time) (val any, err error) {
	err = engine.ErrUnknown // if a hook panics
	defer func() {
		took := time.Since(sent)
		s.inline.observe(took, err)
		if d != nil {
			d.leave(took, err)
		}
	}()
	return s.inline.run(ctx, s.build(r), sent)
}

// send sends r by its dispatcher, or in a goroutine of its own.
func (s *Engine) send(ctx context.Context, d *dispatcher, r *request) outcome {
	f := &flight{decided: make(chan struct{})}
	if d == nil {
		return s.sender.send(ctx, f, s.build(r), func() (transmission, []*engine.Request) { return s.build(r), r.carried })
	}
	f.first = item{dispatcher: d, r: r}
	return s.sender.send(ctx, f, &f.first, func() (transmission, []*engine.Request) { return &item{dispatcher: d, r: r}, r.carried })
}
