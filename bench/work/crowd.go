package work

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/rival"
	"github.com/relock-go/relock/bench/stats"
)

// crowd is waiters behind a held lock. It is made by gather; release lets them
// through, one by one.
type crowd struct {
	*baton
	handoffs *stats.Hist
	release  func() error  // what holds them back gives its lock back
	done     chan struct{} // closed when all have had their turn
	mu       sync.Mutex
	failed   error
}

// arriving is the time over which waiters come. Those that all came at once
// would poll in step, which is not how they meet.
const arriving = 120 * time.Millisecond

// gather holds a lock by the fleet's last client and puts n waiters of the other
// clients behind it, whose hand-offs are recorded. It returns when they have had
// time to queue.
func (f *fleet) gather(ctx context.Context, n int, handoffs *stats.Hist) (*crowd, error) {
	name := f.rig.fresh("crowd")
	last := len(f.clients) - 1
	held, err := f.clients[last].Locker(name).Lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	c := &crowd{baton: newBaton(), handoffs: handoffs, done: make(chan struct{})}
	c.release = func() error {
		c.passed.Store(c.now())
		return held.Unlock(ctx)
	}
	var wg sync.WaitGroup
	for i := range n {
		l := f.clients[i%last].Locker(name)
		wg.Go(func() { c.fail(c.turn(ctx, l.Lock)) })
		if err := rest(ctx, arriving/time.Duration(n)); err != nil {
			return nil, err
		}
	}
	go func() {
		wg.Wait()
		close(c.done)
	}()
	return c, rest(ctx, 30*time.Millisecond)
}

// turn waits for the lock and passes it on at once.
func (c *crowd) turn(ctx context.Context, lock lockFunc) error {
	held, err := lock(ctx)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	c.handoffs.Record(c.take())
	c.pass()
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}

func (c *crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.failed == nil {
		c.failed = err
	}
}

// drain releases the crowd and returns when all have had their turn.
func (c *crowd) drain() error {
	err := c.release()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(err, c.failed, c.check())
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// idle measures what the waiters send while nothing happens for d, in a second.
func (f *fleet) idle(ctx context.Context, d time.Duration) (result.Sample, error) {
	stop, err := f.meter(ctx)
	if err != nil {
		return nil, err
	}
	if err := rest(ctx, d); err != nil {
		return nil, err
	}
	u, err := stop()
	return result.Sample{result.Idle: u.commands() / u.took.Seconds()}, err
}

// warm has a waiter of every client behind another, on a name of its own:
// connections are open and subscriptions made when it is measured.
func (f *fleet) warm(ctx context.Context) error {
	errs := make([]error, len(f.clients))
	var wg sync.WaitGroup
	for i, c := range f.clients {
		name := f.rig.fresh("warm")
		wg.Go(func() { errs[i] = contend(ctx, c, name) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	return nil
}

// contend has two of a client's goroutines meet at a lock.
func contend(ctx context.Context, c rival.Client, name string) error {
	held, err := c.Locker(name).Lock(ctx)
	if err != nil {
		return err
	}
	waited := make(chan error, 1)
	go func() { waited <- pair(ctx, c.Locker(name)) }()
	return errors.Join(rest(ctx, 20*time.Millisecond), held.Unlock(ctx), <-waited)
}
