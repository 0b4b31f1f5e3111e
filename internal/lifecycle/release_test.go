package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

func TestUnlockIsBoundedThoughItsContextIsOver(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		a, wire := b.Client()
		lease := behaviour.LockOf(t, a.Mutex("a", relock.WithLease(time.Hour)))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		cancel()
		wire.CutOff()
		start := time.Now()
		err := lease.Unlock(ctx)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Unlock(done ctx) took %v: %v", d, err)
		}
	})
}

func TestDoIsBoundedThoughItsContextIsOver(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		a, wire := b.Client()
		ctx, cancel := context.WithTimeout(behaviour.Bg, time.Second)
		defer cancel()
		start := time.Now()
		err := relock.Do(ctx, a.Mutex("a", relock.WithLease(time.Hour)), func(ctx context.Context, _ *relock.Lease) error {
			wire.CutOff()
			<-ctx.Done()
			return ctx.Err()
		})
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("Do took %v: %v", d, err)
		}
	})
}
