package relock_test

import (
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// One behaviour table: every lock kind passes it, on every kind of server. The
// sentences are in internal/behaviour.
func TestBehaviour(t *testing.T) {
	t.Run("memory", func(t *testing.T) { behaviour.RunVirtual(t, behaviour.InMemory()) })
	t.Run("embedded", func(t *testing.T) { behaviour.RunVirtual(t, behaviour.OnRedis(behaviour.Embedded)...) })
	t.Run("redis-server", func(t *testing.T) { behaviour.Run(t, behaviour.OnRedis(behaviour.Servers(t))...) })
}

func TestZeroLease(t *testing.T) {
	for _, l := range []*relock.Lease{nil, {}} {
		behaviour.WantErr(t, l.Err(), relock.ErrNotHeld)
		behaviour.WantErr(t, l.Unlock(behaviour.Bg), relock.ErrNotHeld)
		behaviour.WantErr(t, l.Extend(behaviour.Bg, time.Second), relock.ErrNotHeld)
		behaviour.WantEnd(t, l, relock.ErrNotHeld)
		if l.Name() != "" || l.Token() != 0 || l.Owner() != "" || !l.ValidUntil().IsZero() || l.Members() != nil {
			t.Error("a zero lease has something")
		}
	}
}
