package relock_test

import (
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

func TestMain(m *testing.M) { behaviour.Main(m) }

// What is documented here is what the packages below mean.
func TestConstantsAreThoseOfTheInside(t *testing.T) {
	for _, c := range []struct{ public, inside any }{
		{relock.MinTTL, engine.MinTTL},
		{relock.MaxTTL, engine.MaxTTL},
		{relock.MaxName, engine.MaxName},
		{string(relock.KeptOwner), engine.KeptOwner},
		{string(relock.LostExpired), lifecycle.ReasonExpired},
		{string(relock.LostGone), lifecycle.ReasonGone},
		{string(relock.LostForced), lifecycle.ReasonForced},
		{string(relock.EndLease), lifecycle.ReasonLease},
		{string(relock.EndMaxHold), lifecycle.ReasonMaxHold},
		{string(relock.EndDetached), lifecycle.ReasonDetached},
		{uint8(relock.ViaRequest), uint8(lifecycle.ViaRequest)},
		{uint8(relock.ViaMessage), uint8(lifecycle.ViaMessage)},
		{uint8(relock.ViaRelease), uint8(lifecycle.ViaRelease)},
		{uint8(relock.ViaCheckIn), uint8(lifecycle.ViaCheckIn)},
	} {
		if c.public != c.inside {
			t.Errorf("documented as %v, and %v inside", c.public, c.inside)
		}
	}
}

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
