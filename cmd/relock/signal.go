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

// untilSignal returns a context that ends at the first signal that asks us to
// end. A hangup that is ignored (nohup) stays so. A second one has its usual effect: a command that hangs in its
// clean-up can still be ended.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	got := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(got, s)
		}
	}
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

// interruptible has a command end with the status that says which signal ended
// it.
func interruptible(run func(context.Context, []string, stdio) int) func(context.Context, []string, stdio) int {
	return func(ctx context.Context, args []string, std stdio) int {
		return bySignal(ctx, run(ctx, args, std))
	}
}
