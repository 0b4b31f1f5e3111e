package lifecycle

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
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
func (m *Manager) keeps(r *engine.Release, left time.Duration) {
	again := &engine.Release{Name: r.Name, Hold: r.Hold, Token: r.Token, Keep: left, Lease: r.Lease}
	m.later(r.Hold, left, func(ctx context.Context) { m.announce(ctx, again) })
}

// later has f run in the background after d, in place of what was to run for that
// hold, and reports whether it will. Close drops it.
func (m *Manager) later(hold string, d time.Duration, f func(context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.ends[hold]; old != nil {
		old.Stop() // a copy of its release was answered as well
	} else if m.closed || len(m.ends) >= mostEnds {
		return false
	}
	var end *time.Timer
	end = time.AfterFunc(max(d, queue.MinCheck), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.ends[hold] == end {
			delete(m.ends, hold)
			m.spawnLocked(f)
		}
	})
	m.ends[hold] = end
	return true
}

// announce sends the release that is due at an end. If it is lost, the first waiters ask then;
// close does not wait for it.
func (m *Manager) announce(ctx context.Context, r *engine.Release) {
	var rel engine.Released
	err := m.onceOpen(ctx, func(ctx context.Context) error {
		return m.ask(ctx, func(ctx context.Context) (err error) {
			rel, err = m.eng.Release(ctx, r)
			return err
		})
	})
	if err == nil && rel.Kept > 0 {
		m.keeps(r, rel.Kept)
	}
}

// dropEnds leaves the ends to the server. It needs m.mu.
func (m *Manager) dropEnds() {
	for hold, end := range m.ends {
		end.Stop()
		delete(m.ends, hold)
	}
}
