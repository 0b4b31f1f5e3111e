package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// What is refused, and whether it passes.

// outlasted returns err, as one that is for good if it has lasted for longer than
// such an error may.
func (m *Manager) outlasted(err error, lasted time.Duration) error {
	return engine.Outlasted(err, int(lasted/m.cfg.Call))
}

// trouble is what err comes to, in a sentence about Redis.
func trouble(err error) string {
	switch engine.ClassOf(err) {
	case engine.NoQuorum:
		return "no quorum of the nodes"
	case engine.NoAnswer:
		return "no answer from Redis"
	case engine.Unsent, engine.Denied:
		return "nothing could be sent to Redis"
	case engine.Refused:
		return "refused by Redis"
	}
	return "not acquired"
}

// soFar returns the error of one try, of which the last attempt came to err: that
// nothing of it was sent says nothing of one before that may have been executed.
func soFar(last, err error) error {
	if errors.Is(last, engine.ErrUnknown) && errors.Is(err, engine.ErrUnsent) {
		return last
	}
	return err
}

// latest returns the error of a request and its resend that says more of the
// server: that the resend was cut off by the end of ctx says nothing.
func latest(ctx context.Context, last, err error) error {
	if last != nil && isOver(ctx) && engine.Unanswered(err) {
		return last
	}
	return err
}

// isOver reports whether ctx has ended, or is about to: a connection that was given
// its deadline finds out first.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// retry sends until that succeeds, final says that the error is the result, or ctx
// ends, with a growing pause before each resend. It returns the error that says
// most of the server.
func retry(ctx context.Context, send func() error, final func(n int, err error) bool) (err error) {
	for n := 0; ; n++ {
		err = latest(ctx, err, send())
		if err == nil || final(n, err) || !engine.Sleep(ctx, engine.Pause(n)) {
			return err
		}
	}
}
