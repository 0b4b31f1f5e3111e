// Package leash keeps a command from outliving the lease that it runs under.
package leash

import "time"

// Margin is how long before the end of the validity a command is killed: so long
// a busy system may take to run us, and until it is dead.
func Margin(ttl time.Duration) time.Duration {
	return min(max(ttl/10, 10*time.Millisecond), time.Second)
}

// Needs is how much validity a command needs to start with: what is kept free
// at the end, and a third of the TTL for the next renewal to come.
func Needs(grace, ttl time.Duration) time.Duration { return ttl/3 + grace + Margin(ttl) }

// action is what a command gets.
type action int

const (
	nothing action = iota
	term
	kill
)

// A schedule decides when a command is asked to end, and when it is killed. Only
// what it is told of the clock and the lease counts: it can be tested without
// either.
type schedule struct {
	grace, margin time.Duration
	killAt        time.Time // zero until the command was asked to end
}

// next returns what is due now, and when to ask again. until is the end of the
// validity, which renewals move, and gone says that the lease has ended before.
//
// Once the command was asked to end its time is fixed: a renewal that comes
// after all does not keep it. A lease that was taken away may already have
// another holder, so its command has the grace and no more.
func (s *schedule) next(now, until time.Time, gone bool) (action, time.Time) {
	if !s.killAt.IsZero() {
		if now.Before(s.killAt) {
			return nothing, s.killAt
		}
		return kill, now
	}
	last := until.Add(-s.margin)
	if askAt := last.Add(-s.grace); !gone && now.Before(askAt) {
		return nothing, askAt
	}
	s.killAt = last
	if graced := now.Add(s.grace); gone && graced.Before(last) {
		s.killAt = graced
	}
	if now.Before(s.killAt) {
		return term, s.killAt
	}
	return kill, now
}
