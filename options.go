package relock

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Defaults and limits of the options.
const (
	DefaultPrefix         = "relock"
	DefaultTTL            = 30 * time.Second
	DefaultCheckInterval  = 3 * time.Second
	DefaultCallTimeout    = 3 * time.Second
	DefaultFenceRetention = time.Hour

	MinTTL = 100 * time.Millisecond
	MaxTTL = 365 * 24 * time.Hour

	MaxName  = 512 // bytes of a lock's name
	MaxOwner = 128 // bytes of an owner
)

// Option configures a [Client]. [WithTTL] is also a [LockOption].
type Option interface{ client(*settings) }

// LockOption configures one lock.
type LockOption interface{ lock(*lockSettings) }

// settings are a Client's, with the first thing that is wrong with them.
type settings struct {
	prefix    string
	ttl       time.Duration
	check     time.Duration
	call      time.Duration
	retention time.Duration
	log       *slog.Logger
	trace     *tracers // nil: none
	quorum    bool     // the locks are a RedLock's
	err       error
}

// lockSettings are one lock's, with the first thing that is wrong with them.
type lockSettings struct {
	ttl            time.Duration
	hasTTL         bool
	fixed          bool // ttl is WithLease's: no watchdog
	maxHold        time.Duration
	minHold        time.Duration
	replicas       int
	replicaTimeout time.Duration
	wait           time.Duration
	hasWait        bool
	err            error
}

type clientOption func(*settings)

func (o clientOption) client(s *settings) { o(s) }
func (o clientOption) guard(s *settings)  { o(s) }

type lockOption func(*lockSettings)

func (o lockOption) lock(s *lockSettings) { o(s) }

type ttlOption time.Duration

func (o ttlOption) client(s *settings) {
	s.ttl = time.Duration(o)
	s.fail(checkTTL("WithTTL", s.ttl))
}

func (o ttlOption) lock(s *lockSettings) {
	s.fail(checkTTL("WithTTL", time.Duration(o)))
	if s.fixed {
		s.fail(invalid("WithTTL and WithLease exclude each other"))
		return
	}
	s.ttl, s.hasTTL = time.Duration(o), true
}

func (s *settings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *lockSettings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func checkTTL(what string, d time.Duration) error {
	if d < MinTTL || d > MaxTTL {
		return invalid("%s(%v): must be between %v and %v", what, d, MinTTL, MaxTTL)
	}
	return nil
}

// WithTTL sets for how long a hold lives on the server without a renewal, and
// so for how long a lock stays taken when its holder dies (default
// [DefaultTTL], between [MinTTL] and [MaxTTL]). The watchdog renews at a third
// of it.
func WithTTL(d time.Duration) interface {
	Option
	LockOption
} {
	return ttlOption(d)
}

// WithPrefix sets what every key and channel begins with (default
// [DefaultPrefix]): 1 to 64 bytes without braces, spaces or control characters.
func WithPrefix(prefix string) interface {
	Option
	GuardOption
} {
	return clientOption(func(s *settings) {
		s.prefix = prefix
		s.fail(checkPrefix(prefix))
	})
}

func checkPrefix(prefix string) error {
	bad := func(r rune) bool { return r <= ' ' || r == '{' || r == '}' || r == 0x7f }
	if prefix == "" || len(prefix) > 64 || strings.ContainsFunc(prefix, bad) {
		return invalid("prefix %q: 1 to 64 bytes without braces, spaces or control characters", prefix)
	}
	return nil
}

// WithCheckInterval sets how often a waiter asks for its state in case a
// message was lost (default [DefaultCheckInterval], between 10 ms and an hour).
// A waiter whose TTL is below three of them asks more often, every third of its
// TTL. A waiter that has not asked for three intervals is passed over.
func WithCheckInterval(d time.Duration) Option {
	return clientOption(func(s *settings) {
		s.check = d
		if d < 10*time.Millisecond || d > time.Hour {
			s.fail(invalid("WithCheckInterval(%v): must be between 10ms and 1h", d))
		}
	})
}

// WithCallTimeout bounds every single request, whatever the timeouts of the
// go-redis client (default [DefaultCallTimeout], between 1 ms and an hour). A
// lock's request without an answer is sent again, under the same hold id, and
// first on another connection after a twelfth of the call timeout (50 ms at the
// least); a Guard's is not.
func WithCallTimeout(d time.Duration) interface {
	Option
	GuardOption
} {
	return clientOption(func(s *settings) {
		s.call = d
		if d < time.Millisecond || d > time.Hour {
			s.fail(invalid("WithCallTimeout(%v): must be between 1ms and 1h", d))
		}
	})
}

// WithFenceRetention sets for how long the counter of a lock's tokens is kept
// after its last grant (default [DefaultFenceRetention]), or for how long a Guard
// remembers the last holder (default [DefaultGuardRetention]); between a second
// and [MaxTTL]. Tokens rise without the counter as long as the server's clock
// does not step back.
func WithFenceRetention(d time.Duration) interface {
	Option
	GuardOption
} {
	return clientOption(func(s *settings) {
		s.retention = d
		if d < time.Second || d > MaxTTL {
			s.fail(invalid("WithFenceRetention(%v): must be between 1s and %v", d, MaxTTL))
		}
	})
}

// WithLogger sets who is told what no caller can be told: at level Warn that a
// lease was lost and why, that Redis does not answer or refuses a request, a
// renewal or a release, that SUBSCRIBE is refused or fails again and again; at
// level Info that SUBSCRIBE is accepted after all, that a lock was taken away by
// ForceUnlock, and that a call has waited for a check interval for a lease of its
// own client; at level Debug that a lease came to the end it was given, or was
// left to it. By default nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return clientOption(func(s *settings) {
		s.log = l
		if l == nil {
			s.fail(invalid("WithLogger(nil)"))
		}
	})
}

// WithLease takes the lock for a fixed time, between [MinTTL] and [MaxTTL]: no
// watchdog renews it. It excludes WithTTL. A lease that is left to run out ends with
// [ErrLost] at ValidUntil, which is no loss to [Stats] and a [Tracer]; the lock is
// free when the server's time for it is up, a drift later. [Lease.Detach] leaves it
// to that end though the client is closed.
func WithLease(d time.Duration) LockOption {
	return lockOption(func(s *lockSettings) {
		s.fail(checkTTL("WithLease", d))
		if s.hasTTL {
			s.fail(invalid("WithTTL and WithLease exclude each other"))
			return
		}
		s.ttl, s.fixed = d, true
	})
}

// WithMaxHold bounds how long a hold may live, renewals and extensions
// included: the lease ends with [ErrLost] no later than d after its grant, which is
// no loss to [Stats] and a [Tracer].
// Between [MinTTL] and [MaxTTL], and no less than a WithLease beside it.
func WithMaxHold(d time.Duration) LockOption {
	return lockOption(func(s *lockSettings) {
		s.fail(checkTTL("WithMaxHold", d))
		s.maxHold = d
	})
}

// WithReplicas has n replicas acknowledge the hold within timeout, by WAIT,
// before Lock returns; else the hold is released and Lock returns
// [ErrNotReplicated]. A renewal that too few acknowledge is repeated and does not
// count: the lease may end for it. An Extend that too few acknowledge returns
// ErrNotReplicated and releases nothing.
//
// It makes it less likely that a failover loses the lock and proves nothing: the
// replica that is promoted may be another. It needs a *redis.Client or a
// *redis.ClusterClient, an n of at least 1, and a timeout of at least a
// millisecond, below a third of the TTL and below the call timeout; a RedLock
// refuses it.
func WithReplicas(n int, timeout time.Duration) LockOption {
	return lockOption(func(s *lockSettings) {
		s.replicas, s.replicaTimeout = n, timeout
		if n < 1 || timeout < time.Millisecond {
			s.fail(invalid("WithReplicas(%d, %v): needs a replica and a millisecond at least", n, timeout))
		}
	})
}

// WithWait bounds how long Lock, and so [Do], waits for the lock (default: as
// long as its context lives). Lock then fails as if its context had ended, with
// [context.DeadlineExceeded]; the context of the lease does not end by it. 0 is
// one try: Lock is TryLock. TryLock takes no notice of it. A MultiLock waits for
// no longer than its least patient member.
func WithWait(d time.Duration) LockOption {
	return lockOption(func(s *lockSettings) {
		s.wait, s.hasWait = d, true
		if d < 0 {
			s.fail(invalid("WithWait(%v): must not be negative", d))
		}
	})
}

// boundWait returns ctx with the bound of WithWait.
func (s *lockSettings) boundWait(ctx context.Context) (context.Context, context.CancelFunc) {
	if !s.hasWait || s.wait == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, s.wait, waitOverError(s.wait))
}

// oneTry reports whether Lock is TryLock.
func (s *lockSettings) oneTry() bool { return s.hasWait && s.wait == 0 }

// waitOverError is why a wait of WithWait ended.
type waitOverError time.Duration

func (w waitOverError) Error() string { return fmt.Sprintf("WithWait(%v) is over", time.Duration(w)) }

func newSettings(opts []Option) settings {
	s := settings{
		prefix:    DefaultPrefix,
		ttl:       DefaultTTL,
		check:     DefaultCheckInterval,
		call:      DefaultCallTimeout,
		retention: DefaultFenceRetention,
		log:       slog.New(slog.DiscardHandler),
	}
	for _, o := range opts {
		if o == nil {
			s.fail(invalid("a nil Option"))
			continue
		}
		o.client(&s)
	}
	return s
}

func newLockSettings(name string, ttl time.Duration, opts []LockOption) lockSettings {
	s := lockSettings{err: checkName(name)}
	for _, o := range opts {
		if o == nil {
			s.fail(invalid("a nil LockOption"))
			continue
		}
		o.lock(&s)
	}
	if s.ttl == 0 {
		s.ttl = ttl
	}
	if s.fixed && s.maxHold > 0 && s.ttl > s.maxHold {
		s.fail(invalid("WithLease(%v) is longer than WithMaxHold(%v)", s.ttl, s.maxHold))
	}
	if s.maxHold > 0 && s.minHold > s.maxHold {
		s.fail(invalid("WithMinHold(%v) is longer than WithMaxHold(%v)", s.minHold, s.maxHold))
	}
	if s.replicas > 0 && s.replicaTimeout >= s.ttl/3 {
		s.fail(invalid("WithReplicas: a timeout of %v is no less than a third of the TTL of %v", s.replicaTimeout, s.ttl))
	}
	return s
}

func checkName(name string) error {
	switch {
	case name == "":
		return invalid("an empty lock name")
	case len(name) > MaxName:
		return invalid("a lock name of %d bytes: at most %d", len(name), MaxName)
	}
	return nil
}
