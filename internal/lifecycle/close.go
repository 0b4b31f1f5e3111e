package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// A debt is what the server may have yet of a hold that is over.
type debt struct {
	until time.Time // by then it has ended there
	err   error     // why it was not given back; nil: that is under way
}

// owe notes that o is to be given back. What was held has an end by what was sent
// for it, and else ends by itself with until.
func (m *Manager) owe(o *Hold, until time.Time) {
	if o.valid.Load() != 0 {
		until = o.serverEnd()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owed[o] = debt{until: until}
}

// errUsed is why Close has not given back what a Leader uses.
var errUsed = errors.New("the function that leads has not returned")

// oweUsed is owe for what is in use, and waits for its user.
func (m *Manager) oweUsed(o *Hold) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owed[o] = debt{until: o.serverEnd(), err: errUsed}
}

// paid notes that o was given back, or why it was not: it is then owed until it
// has ended by itself.
func (m *Manager) paid(o *Hold, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.owed[o]
	if left := time.Until(d.until); err != nil && left > 0 {
		d.err = err
		m.owed[o] = d
		time.AfterFunc(left, func() { m.paid(o, nil) })
		return
	}
	delete(m.owed, o)
}

// Close is argued by its order: no hold can enter once closed is set; waiters
// withdraw themselves when open ends, and wait for no answer any more; leases end
// before they are released, so that nobody believes in a lock that is on its way
// back.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		<-m.bg.Done()
		return nil
	}
	m.closed = true
	m.shut()
	m.dropEnds()
	var leases []*Hold
	for _, o := range m.holds {
		switch {
		case o.waiter.State() == queue.Held:
			leases = append(leases, o)
		case o.underWay != nil:
			o.underWay.cancel()
		}
	}
	m.mu.Unlock()
	leases = slices.DeleteFunc(leases, func(o *Hold) bool { return !o.endByClose() || m.leaveToLeader(o) })
	m.spawn(func(ctx context.Context) { m.returnAll(ctx, leases) })

	timeout := time.NewTimer(m.cfg.Call)
	defer timeout.Stop()
	select {
	case <-m.drained:
	case <-timeout.C:
	}
	err := m.leftBehind()
	m.cancel()
	m.dog.stop()
	m.eng.Close()
	return err
}

// endByClose ends a lease, and reports whether Close is to give it back: else it has
// ended otherwise.
func (o *Hold) endByClose() bool {
	if !o.endBy(closedEnd) {
		return false
	}
	o.lock.manager.counts.closed.Add(1)
	return true
}

// leaveToLeader has o, which Close has ended, given back once the function that
// leads by it has returned, and reports whether one does. It leads no more once its
// lease has ended: one that begins after this sees that first.
func (m *Manager) leaveToLeader(o *Hold) bool {
	if done, by := o.user(); done == nil || by != Leader {
		return false
	}
	m.spawn(func(ctx context.Context) {
		if o.awaitUser(o.serverEnd) {
			m.returnAll(ctx, []*Hold{o})
			return
		}
		m.retire(o, queue.Ended)
		m.retired(o)
	})
	return true
}

// returnAll gives back what Close has ended, all in one batch, until each is
// answered.
func (m *Manager) returnAll(ctx context.Context, leases []*Hold) {
	told := make(map[*Hold]func(error), len(leases))
	for _, o := range leases {
		_, told[o] = m.givesBack(ctx, o)
		m.retire(o, queue.Ended)
		m.owe(o, time.Time{})
	}
	for n := 0; len(leases) > 0; n++ {
		last := n > 0 && !engine.Sleep(ctx, engine.Pause(n-1))
		var again []*Hold
		for o, err := range m.returnEach(ctx, leases) {
			if err != nil && !last && !errors.Is(err, engine.ErrDisconnected) && time.Now().Before(o.serverEnd()) {
				again = append(again, o)
				continue
			}
			m.paid(o, err)
			told[o](engine.ErrClosed)
			m.retired(o)
		}
		leases = again
	}
}

// returnEach sends a withdrawal of each hold, and returns what came of it.
func (m *Manager) returnEach(ctx context.Context, leases []*Hold) map[*Hold]error {
	type outcome struct {
		o   *Hold
		err error
	}
	got := make(chan outcome, len(leases))
	batch := make([]engine.BatchItem, len(leases))
	for i, o := range leases {
		r := o.release(0)
		batch[i] = engine.BatchItem{
			Release: &r,
			Done:    func(_ engine.Answer, err error) { got <- outcome{o, err} },
		}
	}
	m.eng.SendBatch(ctx, batch)
	errs := make(map[*Hold]error, len(leases))
	for range leases {
		out := <-got
		if errors.Is(out.err, engine.ErrWrongType) {
			out.err = nil // what is there is not ours
		}
		errs[out.o] = out.err
	}
	return errs
}

// leftBehind says what Close could not give back, or nil.
func (m *Manager) leftBehind() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.holds { // those whose Unlock has no answer yet
		if _, noted := m.owed[o]; !noted && o.cause.Load() == unlockedEnd {
			m.owed[o] = debt{until: o.serverEnd()}
		}
	}
	var locks []string
	calls, left, why := 0, time.Duration(0), error(nil)
	for o, d := range m.owed {
		switch {
		case time.Until(d.until) <= 0:
			continue
		case o.valid.Load() != 0 || o.grant().State == engine.Granted:
			locks = append(locks, o.req.Name)
		case o.waiter.MayRemain(), o.copies.Load() > 0:
			calls++
		default: // nothing of it has reached the server
			continue
		}
		left = max(left, time.Until(d.until))
		if d.err != nil {
			why = d.err
		}
	}
	if len(locks)+calls == 0 {
		return nil
	}
	if why == nil {
		why = fmt.Errorf("no answer within %v", m.cfg.Call)
	}
	return fmt.Errorf("relock: close: %s, which by itself ends within %v: %w", unreturned(locks, calls), left.Round(time.Millisecond), why)
}

// unreturned names the locks, if they are few, and counts them if they are not.
func unreturned(locks []string, calls int) string {
	const few = 5
	var parts []string
	if n := len(locks); n > 0 {
		slices.Sort(locks)
		text := fmt.Sprintf("%d locks were not given back", n)
		if n <= few {
			text += fmt.Sprintf(" (%q)", locks)
		}
		parts = append(parts, text)
	}
	if calls > 0 {
		parts = append(parts, fmt.Sprintf("%d calls that were given up may have left a lock or a place in a queue", calls))
	}
	return strings.Join(parts, ", and ")
}
