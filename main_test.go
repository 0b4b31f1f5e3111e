package relock_test

import (
	"testing"

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
