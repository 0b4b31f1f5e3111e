package lifecycle

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// mostEnds bounds how many ends of minimums and of fixed leases a client has to
// announce. Of those beyond it the first waiters learn by their check-ins, as after
// the client's death.
const mostEnds = 10_000

// minimum is for how long after its grant o's lock stays taken though o is given
// up: only a hold that the caller has had may have begun what must not be begun
// twice.
func (o *Hold) minimum() time.Duration {
	if !o.had.Load() {
		return 0
	}
	return o.req.Keep
}

// trusts returns for how long an answer to a request for ttl is believed: the
// server's grant may be as long as the minimum, and the lease is not.
func (o *Hold) trusts(ans engine.Answer, ttl time.Duration) validity {
	if o.req.Keep > 0 {
		ans.Left = min(ans.Left, ttl)
	}
	return validity{ans.Sent, ans.Left}
}

// keeps has the release r sent again when the minimum that it left is over: that
// passes the free lock on. left counts from now, after the server said so, so it
// is not sent too early; where it is all the same, by a clock that is too fast,
// nothing happens but that the server says what is left.
func (h *Manager) keeps(r *engine.Release, left time.Duration) {
	again := &engine.Release{Name: r.Name, Hold: r.Hold, Token: r.Token, Keep: left, Lease: r.Lease}
	h.later(r.Hold, left, func(ctx context.Context) { h.announce(ctx, again) })
}

// later has f run in the background after d, in place of what was to run for that
// hold, and reports whether it will. Close drops it.
func (h *Manager) later(hold string, d time.Duration, f func(context.Context)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.ends[hold]; old != nil {
		old.Stop() // a copy of its release was answered as well
	} else if h.closed || len(h.ends) >= mostEnds {
		return false
	}
	var end *time.Timer
	end = time.AfterFunc(max(d, minCheck), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.ends[hold] == end {
			delete(h.ends, hold)
			h.spawnLocked(f)
		}
	})
	h.ends[hold] = end
	return true
}

// announce sends the release that is due at an end. If it is lost, the first waiters ask then;
// close does not wait for it.
func (h *Manager) announce(ctx context.Context, r *engine.Release) {
	var rel engine.Released
	err := h.onceOpen(ctx, func(ctx context.Context) error {
		return h.ask(ctx, func(ctx context.Context) (err error) {
			rel, err = h.eng.Release(ctx, r)
			return err
		})
	})
	if err == nil && rel.Kept > 0 {
		h.keeps(r, rel.Kept)
	}
}

// dropEnds leaves the ends to the server. It needs h.mu.
func (h *Manager) dropEnds() {
	for hold, end := range h.ends {
		end.Stop()
		delete(h.ends, hold)
	}
}

// Nudge has a waiter ask when the lock will be free. Where a request of its is
// under way, what it is told may be from before the lock was given back: it asks
// once more.
func (h *Manager) Nudge(m engine.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.holds[m.Hold]; o != nil && o.stage.grantable() {
		o.missed = true
		h.dog.at(o, time.Now().Add(max(m.Left, minCheck)))
	}
}
