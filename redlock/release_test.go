package redlock

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// forgetful is a node whose first answer to a release may be lost.
type forgetful struct {
	engine.Node
	name   string
	lose   atomic.Int32
	silent bool          // it is waited for in vain, not cut off
	lag    time.Duration // of an answer that is not lost
}

func (f *forgetful) Addr() string { return f.name }

func (f *forgetful) Release(ctx context.Context, r *engine.Release) (engine.Released, error) {
	rel, err := f.Node.Release(ctx, r)
	if f.lose.Add(-1) >= 0 {
		if f.silent {
			<-ctx.Done()
		}
		return engine.Released{}, fmt.Errorf("%w: reset by peer", engine.ErrUnknown)
	}
	<-time.After(f.lag)
	return rel, err
}

// The answer of a quorum to the resends is that of Unlock: the hold was given
// back, whichever copy did it, and whatever the other nodes are slow to say.
func TestUnlockWaitsForResendsOfLostAnswers(t *testing.T) {
	for name, silent := range map[string]bool{"waited for in vain": true, "cut off": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				_, locks := locksOn(t, embedded(t, 5), func(i int, n engine.Node) engine.Node {
					f := &forgetful{Node: n, name: fmt.Sprint("node-", i), silent: silent}
					if i < 3 {
						f.lose.Store(1)
					}
					if silent == (i < 3) {
						f.lag = time.Second
					}
					return f
				})
				lease, err := locks.Mutex("x").Lock(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Millisecond)
				synctest.Wait()
				if err := lease.Unlock(context.Background()); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			})
		})
	}
}
