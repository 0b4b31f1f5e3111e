package cached

import (
	"slices"
	"testing"
	"time"
)

var defaults = Terms{TTL: 30 * time.Second, Idle: time.Second, Check: 3 * time.Second}

// began is a hold whose first section runs since at, under token 10.
func began(at time.Duration) *Hold {
	h := &Hold{}
	h.Step(defaults, Event{Kind: Sent, Subscribed: true}, at)
	h.Step(defaults, Event{Kind: Began, Token: 10, Contact: at, Until: at + defaults.TTL, Subscribed: true}, at)
	return h
}

// step takes e to h, and compares what comes of it.
func step(t *testing.T, h *Hold, e Event, now time.Duration, want State, effects ...Effect) {
	t.Helper()
	e.Subscribed = true
	fx, ok := h.Step(defaults, e, now)
	if got := fx.All(); !ok || h.State() != want || !slices.Equal(got, effects) {
		t.Fatalf("event %s: got ok %v, state %s, effects %v; want state %s, effects %v",
			eventNames[e.Kind], ok, stateNames[h.State()], got, stateNames[want], effects)
	}
}

// kept is a hold that is idle at a second, with a block of a million tokens.
func kept(t *testing.T) *Hold {
	t.Helper()
	const at = time.Second
	h := began(at)
	step(t, h, Event{Kind: Ended, Waiting: true}, at, Renewing, Effect{Do: Renew})
	step(t, h, Event{Kind: Renewed, Contact: at, Until: at + defaults.TTL, From: 10, To: 1_000_010, Waiting: true}, at,
		Busy, Effect{Do: Lend, Token: 11})
	step(t, h, Event{Kind: Ended}, at, Idle, Effect{Do: Schedule, At: 2 * time.Second})
	return h
}

func TestStep(t *testing.T) {
	t.Run("the second section waits for a renewal, and the third for nothing", func(t *testing.T) {
		h := kept(t)
		step(t, h, Event{Kind: Wanted}, 1500*time.Millisecond, Busy, Effect{Do: Lend, Token: 12})
		step(t, h, Event{Kind: Ended, Waiting: true}, 1500*time.Millisecond, Busy, Effect{Do: Lend, Token: 13})
		if h.Lent() != 3 || h.Token() != 13 {
			t.Errorf("got %d sections, the last under token %d, want 3 and 13", h.Lent(), h.Token())
		}
	})
	t.Run("a section that begins half a check interval after the contact renews beside it", func(t *testing.T) {
		step(t, kept(t), Event{Kind: Wanted}, 2500*time.Millisecond, Busy, Effect{Do: Lend, Token: 12}, Effect{Do: Renew})
	})
	t.Run("a section a check interval after the contact waits for a renewal", func(t *testing.T) {
		step(t, kept(t), Event{Kind: Wanted}, 4*time.Second, Renewing, Effect{Do: Renew})
	})
	t.Run("what is idle for long enough is given back, and not before", func(t *testing.T) {
		h := kept(t)
		step(t, h, Event{Kind: Due}, 1900*time.Millisecond, Idle, Effect{Do: Schedule, At: 2 * time.Second})
		step(t, h, Event{Kind: Due}, 2*time.Second, Returning, Effect{Do: GiveBack})
		step(t, h, Event{Kind: Wanted}, 2*time.Second, Returning)
		step(t, h, Event{Kind: Returned}, 2*time.Second, Over)
		step(t, h, Event{Kind: Wanted}, 2*time.Second, Over, Effect{Do: Ask})
	})
	t.Run("after a section that was longer than the check interval nothing is kept", func(t *testing.T) {
		h := kept(t)
		step(t, h, Event{Kind: Wanted}, 1500*time.Millisecond, Busy, Effect{Do: Lend, Token: 12})
		step(t, h, Event{Kind: Ended}, 4*time.Second, Returning, Effect{Do: GiveBack})
	})
	t.Run("a renewal that brings no token is not repeated", func(t *testing.T) {
		h := began(0)
		step(t, h, Event{Kind: Ended, Waiting: true}, 0, Renewing, Effect{Do: Renew})
		step(t, h, Event{Kind: Renewed, Until: defaults.TTL, From: 10, To: 10, Waiting: true}, 0, Returning, Effect{Do: GiveBack})
	})
	t.Run("a block begins behind what was used while its renewal was under way", func(t *testing.T) {
		h := kept(t)
		const now = 1500 * time.Millisecond
		for token := range int64(3) {
			step(t, h, Event{Kind: Wanted}, now, Busy, Effect{Do: Lend, Token: 12 + token})
			step(t, h, Event{Kind: Ended}, now, Idle, Effect{Do: Schedule, At: 2500 * time.Millisecond})
		}
		step(t, h, Event{Kind: Renewed, Contact: now, Until: now + defaults.TTL, From: 12, To: 2_000_000}, now, Idle,
			Effect{Do: Schedule, At: 2500 * time.Millisecond})
		step(t, h, Event{Kind: Wanted}, now, Busy, Effect{Do: Lend, Token: 15})
	})
	t.Run("what is dropped is given back at the section's end, or at once", func(t *testing.T) {
		h := began(0)
		step(t, h, Event{Kind: Dropped}, 0, Busy)
		step(t, h, Event{Kind: Ended, Waiting: true}, 0, Returning, Effect{Do: GiveBack})
		step(t, kept(t), Event{Kind: Dropped}, time.Second, Returning, Effect{Do: GiveBack})
	})
	t.Run("an answer that comes late is minded by nobody", func(t *testing.T) {
		h := kept(t)
		step(t, h, Event{Kind: Recalled}, time.Second, Returning, Effect{Do: GiveBack})
		step(t, h, Event{Kind: Renewed, Contact: time.Second, Until: time.Minute, From: 20, To: 30}, time.Second, Returning)
		step(t, h, Event{Kind: Unrenewed}, time.Second, Returning)
		step(t, h, Event{Kind: Gone}, time.Second, Returning)
		step(t, h, Event{Kind: Due}, time.Second, Returning)
	})
	t.Run("what cannot come is said to be so", func(t *testing.T) {
		h := kept(t)
		if _, ok := h.Step(defaults, Event{Kind: Ended}, time.Second); ok {
			t.Error("a section has ended that had not begun")
		}
	})
}
