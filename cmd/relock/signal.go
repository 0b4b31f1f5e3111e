package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// signalled is the cause of a context that a signal ended.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return s.String() }

// untilSignal returns a context that ends at the first interrupt or request to
// terminate. A second one has its usual effect: a command that hangs in its
// clean-up can still be ended.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	got := make(chan os.Signal, 1)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-got:
			signal.Stop(got)
			cancel(signalled{s})
		case <-ctx.Done():
			signal.Stop(got)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// bySignal returns the status that says which signal ended ctx, or status if
// none did.
func bySignal(ctx context.Context, status int) int {
	var by signalled
	if !errors.As(context.Cause(ctx), &by) {
		return status
	}
	if n, ok := by.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailed
}
