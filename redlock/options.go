package redlock

import (
	"fmt"
	"time"

	"github.com/relock-go/relock"
)

// Defaults of the options.
const (
	// A node is waited for no longer than the TTL divided by
	// DefaultNodeShare, within these bounds.
	DefaultNodeShare      = 50
	MinDefaultNodeTimeout = 50 * time.Millisecond
	MaxDefaultNodeTimeout = time.Second

	// A lock needs at least the validity of its TTL divided by
	// DefaultValidityShare.
	DefaultValidityShare = 10
)

// Option configures a [RedLock].
type Option func(*settings)

type settings struct {
	quorum      int
	nodeTimeout time.Duration // 0: a share of the TTL
	minValidity time.Duration // 0: a share of the TTL
	err         error
}

func (s *settings) fail(format string, args ...any) {
	if s.err == nil {
		s.err = invalid(format, args...)
	}
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", relock.ErrInvalid, fmt.Sprintf(format, args...))
}

// WithQuorum sets how many nodes must grant a lock (default: the majority,
// n/2+1, which is also the least).
func WithQuorum(n int) Option { return func(s *settings) { s.quorum = n } }

// WithNodeTimeout sets for how long one node is waited for where the others
// cannot decide without it (default: the TTL / [DefaultNodeShare], between
// [MinDefaultNodeTimeout] and [MaxDefaultNodeTimeout], and no more than a quarter
// of the TTL). Between a millisecond and an hour.
func WithNodeTimeout(d time.Duration) Option {
	return func(s *settings) {
		s.nodeTimeout = d
		if d < time.Millisecond || d > time.Hour {
			s.fail("WithNodeTimeout(%v): must be between 1ms and 1h", d)
		}
	}
}

// WithMinValidity sets which validity a lock must at least have left when its
// quorum has answered; with less, the attempt fails (default: the TTL /
// [DefaultValidityShare]). Above 0, and at most [relock.MaxTTL].
func WithMinValidity(d time.Duration) Option {
	return func(s *settings) {
		s.minValidity = d
		if d <= 0 || d > relock.MaxTTL {
			s.fail("WithMinValidity(%v): must be between 0 and %v", d, relock.MaxTTL)
		}
	}
}

// patience is for how long one node is waited for.
func (s *settings) patience(ttl time.Duration) time.Duration {
	if s.nodeTimeout > 0 {
		return s.nodeTimeout
	}
	share := min(max(ttl/DefaultNodeShare, MinDefaultNodeTimeout), MaxDefaultNodeTimeout)
	return min(share, ttl/4)
}

// least is the validity that an attempt must have left.
func (s *settings) least(ttl time.Duration) time.Duration {
	if s.minValidity > 0 {
		return s.minValidity
	}
	return ttl / DefaultValidityShare
}
