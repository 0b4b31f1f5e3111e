package relock

import (
	"log/slog"
	"strings"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redisengine"
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
	batching  redisengine.Batching
	log       *slog.Logger
	trace     tracers
	err       error
}

// lockSettings are one lock's, with the first thing that is wrong with them.
type lockSettings struct {
	lifecycle.Terms
	hasTTL bool
}

type clientOption func(*settings)

func (o clientOption) client(s *settings) { o(s) }

func (o clientOption) guard(s *settings) { o(s) }

type lockOption func(*lockSettings)

func (o lockOption) lock(s *lockSettings) { o(s) }

type ttlOption time.Duration

func (o ttlOption) client(s *settings) {
	s.ttl = time.Duration(o)
	s.fail(engine.CheckTTL("WithTTL", s.ttl))
}

func (o ttlOption) lock(s *lockSettings) {
	s.fail(engine.CheckTTL("WithTTL", time.Duration(o)))
	if s.Fixed {
		s.fail(engine.Invalid("WithTTL and WithLease exclude each other"))
		return
	}
	s.TTL, s.hasTTL = time.Duration(o), true
}

func (s *settings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *lockSettings) fail(err error) {
	if s.Err == nil {
		s.Err = err
	}
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
		return engine.Invalid("prefix %q: 1 to 64 bytes without braces, spaces or control characters", prefix)
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
			s.fail(engine.Invalid("WithCheckInterval(%v): must be between 10ms and 1h", d))
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
			s.fail(engine.Invalid("WithCallTimeout(%v): must be between 1ms and 1h", d))
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
			s.fail(engine.Invalid("WithFenceRetention(%v): must be between 1s and %v", d, MaxTTL))
		}
	})
}

// WithBatching sets whether requests that come together leave together, as one
// pipeline (true), or each by itself (false). By default they leave together where
// nobody looks on: from a *redis.Client or a *redis.ClusterClient without hooks, and
// whose nodes' clients have none. It has no effect on what a call returns, nor on the
// order of those who wait.
//
// What comes while as many requests are under way as the server has use for leaves
// in the next pipeline, of 64 at the most, renewals and releases in front. How many
// that is, each on a connection of its own, is found out by what answers take; it
// is no more than four fifths of the pool, and at least two. A lone goroutine's
// requests always leave alone.
//
// With true and a client that has hooks, these see pipelines: all commands, but under
// one context that is nobody's, so that a span of redisotel's has no parent, and in
// a goroutine that is no caller's, so that one that panics ends the process.
// With false, and by default where there are hooks, each request has the context of its
// caller. A hook that is added while requests wait may see these in one last pipeline.
//
// Not promised: that two requests share a pipeline. Requests of several locks at
// once, and renewals that wait for replicas, leave by themselves, and so do
// those of a RedLock's nodes and of an asynchronous AutoPipeliner, which is a
// queue of its own.
func WithBatching(on bool) Option {
	return clientOption(func(s *settings) {
		s.batching = redisengine.BatchingOff
		if on {
			s.batching = redisengine.BatchingOn
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
			s.fail(engine.Invalid("WithLogger(nil)"))
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
		s.fail(engine.CheckTTL("WithLease", d))
		if s.hasTTL {
			s.fail(engine.Invalid("WithTTL and WithLease exclude each other"))
			return
		}
		s.TTL, s.Fixed = d, true
	})
}

// WithMaxHold bounds how long a hold may live, renewals and extensions
// included: the lease ends with [ErrLost] no later than d after its grant, which is
// no loss to [Stats] and a [Tracer].
// Between [MinTTL] and [MaxTTL], and no less than a WithLease beside it.
func WithMaxHold(d time.Duration) LockOption {
	return lockOption(func(s *lockSettings) {
		s.fail(engine.CheckTTL("WithMaxHold", d))
		s.MaxHold = d
	})
}

// WithMinHold has the lock stay taken until d after its grant, though it is given
// back before: what is tried again within d, here or elsewhere, finds it taken, by
// [KeptOwner]. So a job that several hosts start at about the same time runs once.
// Between 1 ms and [MaxTTL], and no more than a WithMaxHold beside it.
//
// Unlock does not wait for it, and waiters have the lock then in their order, also
// if this process is gone. d counts by the server's clock from when the owner took
// the lock, re-entries included. A lease that is lost, or that Close ends, leaves
// the lock kept as well; where the process dies the lock is free after its TTL, or
// d after the grant if that is later. What no caller was given (the lock of a call
// that failed), and what ForceUnlock takes, is free at once. The lease itself is
// valid no longer than without it.
//
// A RedLock refuses it.
func WithMinHold(d time.Duration) LockOption {
	return lockOption(func(s *lockSettings) {
		s.MinHold = d
		if d < time.Millisecond || d > MaxTTL {
			s.fail(engine.Invalid("WithMinHold(%v): must be between 1ms and %v", d, MaxTTL))
		}
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
		s.Replicas, s.ReplicaTimeout = n, timeout
		if n < 1 || timeout < time.Millisecond {
			s.fail(engine.Invalid("WithReplicas(%d, %v): needs a replica and a millisecond at least", n, timeout))
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
		s.Wait, s.HasWait = d, true
		if d < 0 {
			s.fail(engine.Invalid("WithWait(%v): must not be negative", d))
		}
	})
}

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
			s.fail(engine.Invalid("a nil Option"))
			continue
		}
		o.client(&s)
	}
	return s
}

// redis is what an engine on rdb is made with.
func (s *settings) redis(rdb Redis) redisengine.Config {
	return redisengine.Config{
		Prefix: s.prefix, Call: s.call, Retention: s.retention, Batching: s.batching,
		NewSubscription: func(channel string, parse func(string) (engine.Message, error)) redisengine.Subscription {
			return newNotifier(rdb, channel, *s, parse)
		},
	}
}

// life is what the life of the client's locks is made with.
func (s *settings) life(quorum bool) lifecycle.Config {
	return lifecycle.Config{
		Check: s.check, Call: s.call, Log: s.log,
		Observer: s.trace.observer(quorum), NotAcquired: notAcquiredError,
	}
}

func newTerms(name string, ttl time.Duration, opts []LockOption) lifecycle.Terms {
	s := lockSettings{Terms: lifecycle.Terms{Err: engine.CheckName(name)}}
	for _, o := range opts {
		if o == nil {
			s.fail(engine.Invalid("a nil LockOption"))
			continue
		}
		o.lock(&s)
	}
	if s.TTL == 0 {
		s.TTL = ttl
	}
	if s.Fixed && s.MaxHold > 0 && s.TTL > s.MaxHold {
		s.fail(engine.Invalid("WithLease(%v) is longer than WithMaxHold(%v)", s.TTL, s.MaxHold))
	}
	if s.MaxHold > 0 && s.MinHold > s.MaxHold {
		s.fail(engine.Invalid("WithMinHold(%v) is longer than WithMaxHold(%v)", s.MinHold, s.MaxHold))
	}
	if s.Replicas > 0 && s.ReplicaTimeout >= s.TTL/3 {
		s.fail(engine.Invalid("WithReplicas: a timeout of %v is no less than a third of the TTL of %v", s.ReplicaTimeout, s.TTL))
	}
	return s.Terms
}
