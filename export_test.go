package relock

import (
	"time"
)

// What tests reach of the inside, and what callers do not.

// RefuseSubscribe has c's server refuse SUBSCRIBE, with err.
func RefuseSubscribe(c *Client, err error) { c.redis.Subscription.(*notifier).refused(err) }

// PatienceAfter is for how long a subscription may be silent that took so long to
// be made.
func PatienceAfter(trip time.Duration) time.Duration {
	n := newNotifier(nil, "", newSettings(nil), nil)
	n.ready.Store(true)
	return n.patience(trip)
}

// DefaultsOf returns the defaults of a client's options.
func DefaultsOf() (prefix string, ttl, check, call, retention time.Duration) {
	s := newSettings(nil)
	return s.prefix, s.ttl, s.check, s.call, s.retention
}

// TermsOf returns the TTL of a lock, and what is wrong with its options.
func TermsOf(name string, ttl time.Duration, opts []LockOption) (time.Duration, error) {
	t := newTerms(name, ttl, opts)
	return t.TTL, t.Err
}

// CheckOwner is what a Reentrant asks of an owner.
func CheckOwner(o Owner) error { return checkOwner(o) }

// Tracers is how many a client has of two kinds.
type Tracers struct{ Losses, Grants int }

// TracersOf counts c's tracers.
func TracersOf(c *Client) Tracers { return Tracers{len(c.set.trace.loss), len(c.set.trace.grant)} }
