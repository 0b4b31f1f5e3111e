package lifecycle

import (
	"context"
	"errors"

	"github.com/relock-go/relock/internal/engine"
)

// A User is whose function uses a lease, and so what Close does meanwhile.
type User int

const (
	// Worker is a function of Do's: Close takes its lock back at once.
	Worker User = iota
	// Leader is one that leads: its lock is given back by nobody before it has
	// returned, by Close neither.
	Leader
)

// Lend calls fn with a context that ends with ctx or with o, with the cause of the
// one that was first, and with what fn knows o as. It gives o back whatever happens,
// panics included, once fn has returned, and returns fn's error, with ErrLost if o
// was lost; where that is nil, any other error of Unlock.
func Lend[L any](ctx context.Context, o Lease, to User, as L, fn func(context.Context, L) error) (err error) {
	used := make(chan struct{})
	o.Use(used, to)
	inner, cancel := context.WithCancelCause(o.Context())
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer func() {
		stop()
		cancel(nil)
		close(used)
		// A lock that was used is given back even if ctx is over by now.
		unlocked := o.Unlock(ctx)
		switch {
		case errors.Is(unlocked, engine.ErrLost):
			err = engine.Join(err, unlocked)
		case errors.Is(unlocked, engine.ErrNotHeld): // fn did it itself
		case unlocked != nil && err == nil:
			err = unlocked
		}
	}()
	return fn(inner, as)
}
