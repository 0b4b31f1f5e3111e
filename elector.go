package relock

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/election"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// DefaultLeadPause is that of [WithLeadPause].
const DefaultLeadPause = time.Second

// LeadOption configures [Lead] and an [Elector].
type LeadOption interface{ lead(*leadSettings) }

// leadSettings are a candidate's, with the first thing that is wrong with them.
type leadSettings struct {
	again func(error) bool
	pause time.Duration
	err   error
}

type leadOption func(*leadSettings)

func (o leadOption) lead(s *leadSettings) { o(s) }

func (s *leadSettings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// WithLeadRetry sets after which errors a candidate stands again: those of the
// function that leads (where the lease was lost while it ran, joined with
// [ErrLost]), and those that Lock returns for another reason than that the lock is
// taken. The default is [ErrLost] alone: an error of the function's, or a request
// that Redis refuses, ends [Lead].
//
// again is called in the goroutine of Lead or Run, when the lock is given back. It
// is not asked where the client is closed, the lock or an option is invalid, or ctx
// has ended: these end it; nor of [ErrNotAcquired] and [ErrNotReplicated] of Lock,
// after which the candidate stands again in any case.
func WithLeadRetry(again func(err error) bool) LeadOption {
	return leadOption(func(s *leadSettings) {
		s.again = again
		if again == nil {
			s.fail(engine.Invalid("WithLeadRetry(nil)"))
		}
	})
}

// WithLeadPause sets how long a candidate pauses before it stands again, give or
// take a half (default [DefaultLeadPause], between a millisecond and an hour): after
// a loss, an error that is retried, a Resign, and where [WithWait] of the lock was
// over. Nobody pauses who waits for the lock: it is handed on at once.
func WithLeadPause(d time.Duration) LeadOption {
	return leadOption(func(s *leadSettings) {
		s.pause = d
		if d < time.Millisecond || d > time.Hour {
			s.fail(engine.Invalid("WithLeadPause(%v): must be between 1ms and 1h", d))
		}
	})
}

// Lead calls fn whenever this process leads, which is while it holds l, until ctx
// ends, fn returns nil, or fn returns an error that is not retried
// ([WithLeadRetry]). All who call it for the same lock are candidates, and stand in
// the order in which they came. Of a leader that dies the next takes over after the
// TTL of l at the latest.
//
// fn's context ends with ctx or with the lease, with the cause of the one that was
// first, and fn is to return then: the lock is given back only when it has. A lease
// that is lost while fn runs passes to nobody before fn has returned, or the lock's
// time on the server is up; but at once where the server says that the lock is not
// ours any more. Lead waits for fn in any case, pauses, and stands again. [Client.Close]
// ends the lease, and leaves the lock to its end on the server, within a TTL, if fn
// has not returned within the call timeout: end ctx, and wait for Lead, before Close.
//
// A paused process does not know that it is overtaken: fence what fn writes, by
// [Lease.Sequencer] and a [Guard]. The tokens of leaders rise.
//
// l may be any Locker whose token orders its holders: a Mutex, of a client or of a
// RedLock, with any options. [WithMaxHold] has candidates take turns.
//
// Lead returns nil when fn did, and the lock is then given back; the error of fn,
// joined with [ErrLost] where the lease was lost, that is not retried, or that it
// returned when ctx had ended; the cause of ctx, where it ended while fn did not
// run; the error of Lock that is not retried; [ErrClosed]; and [ErrInvalid] for an
// option out of range and for a Locker whose token orders nobody: a MultiLock, a
// Reentrant, and one of whose leases the token is 0, which is taken for a moment. A
// panic of fn gives the lock back and goes on.
func Lead(ctx context.Context, l Locker, fn func(ctx context.Context, lease *Lease) error, opts ...LeadOption) error {
	c, err := newCandidate(l, opts)
	if err != nil {
		return err
	}
	return c.Lead(ctx, func(ctx context.Context, o lifecycle.Lease) error { return fn(ctx, &Lease{o}) })
}

func newCandidate(l Locker, opts []LeadOption) (election.Candidate, error) {
	s := leadSettings{pause: DefaultLeadPause, again: func(err error) bool { return errors.Is(err, ErrLost) }}
	s.fail(ordersHolders(l))
	for _, o := range opts {
		if o == nil {
			s.fail(engine.Invalid("a nil LeadOption"))
			continue
		}
		o.lead(&s)
	}
	lock := func(ctx context.Context) (lifecycle.Lease, error) {
		lease, err := l.Lock(ctx)
		if err == nil && (lease == nil || lease.o == nil) {
			err = fmt.Errorf("%w: the %T returned a zero Lease and no error", ErrNotHeld, l)
		}
		if err != nil {
			return nil, err
		}
		return lease.o, nil
	}
	return election.Candidate{Lock: lock, Again: s.again, Pause: s.pause}, s.err
}

// ordersHolders returns why the tokens of l are known not to order its holders, or
// nil.
func ordersHolders(l Locker) error {
	if l == nil {
		return engine.Invalid("an election by a nil Locker")
	}
	if v := reflect.ValueOf(l); v.Kind() == reflect.Pointer && v.IsNil() {
		return engine.Invalid("an election by a nil %T", l)
	}
	why := ""
	if _, reenters := l.(*Reentrant); reenters {
		why = "the holds of one owner of a Reentrant have one token"
	} else if access.NoOrder != nil {
		why = access.NoOrder(l)
	}
	if why != "" {
		return engine.Invalid("an election by %q: the token is to order the leaders, and %s", l.Name(), why)
	}
	return nil
}

// An Elector is a candidate for code that asks whether it leads, instead of being
// called: a scheduler's jobs, a handler. While [Elector.Run] runs it stands; without
// it, it can watch. Make it by [NewElector]. It is safe for concurrent use.
//
// What is answered may be over when it is read: work that takes longer than the
// validity that is left is for [Lead], whose function has a context, and what is
// written is to be fenced with [Elector.Sequencer].
type Elector struct {
	e      *election.Elector
	locker Locker
	err    error // what is wrong with it: it is returned by every call
}

// NewElector returns an Elector by l, which is as for [Lead]. It does no I/O; what is
// wrong with l or opts is returned, as [ErrInvalid], by every call.
func NewElector(l Locker, opts ...LeadOption) *Elector {
	c, err := newCandidate(l, opts)
	return &Elector{e: election.NewElector(c), locker: l, err: err}
}

// Run stands and, when this process leads, keeps the lock, until ctx ends; it stands
// again after a loss and after [Elector.Resign]. When ctx ends it gives the lock
// back, and Leading says no before: end what asks for it first.
//
// It returns the cause of ctx; else the error of Lock that is not retried
// ([WithLeadRetry]), [ErrClosed], or [ErrInvalid], also where it runs already.
func (e *Elector) Run(ctx context.Context) error {
	if e.err != nil {
		return e.err
	}
	return e.e.Run(ctx)
}

// Leading reports whether this process leads. It asks no server, and reads the
// clock: it says no past the validity of the lease, also in a process that has just
// been woken from a long pause.
func (e *Elector) Leading() bool { return e.e.Lease() != nil }

// IsLeader returns nil if this process leads, and else [ErrNotLeader], or
// [ErrInvalid]. It is [Elector.Leading] as gocron's Elector has it; it takes no
// notice of its context.
func (e *Elector) IsLeader(context.Context) error {
	switch {
	case e.err != nil:
		return e.err
	case !e.Leading():
		return ErrNotLeader
	}
	return nil
}

// Token returns the fencing token of this process's term, or 0 if it does not lead.
func (e *Elector) Token() Token { return e.Sequencer().Token }

// Sequencer returns what a storage needs to refuse this process once a later leader
// has been there; the zero Sequencer, which a [Guard] refuses, if it does not lead.
func (e *Elector) Sequencer() Sequencer {
	if lease := e.e.Lease(); lease != nil {
		return (&Lease{lease}).Sequencer()
	}
	return Sequencer{}
}

// Resign gives the lock back, to whoever waits for it; Leading says no before. Run
// pauses ([WithLeadPause]) and stands again.
//
// It returns [ErrNotLeader] if this process does not lead, [ErrInvalid], and else
// the errors of [Lease.Unlock]: this process has ceased to lead in each case.
func (e *Elector) Resign(ctx context.Context) error {
	if e.err != nil {
		return e.err
	}
	return e.e.Resign(ctx)
}

// Leader asks the server who leads: Held is false where nobody does, also where
// [WithMinHold] keeps the lock. Run need not run. It returns the errors of
// [Mutex.Status]; [ErrInvalid] where the Locker has no such method.
func (e *Elector) Leader(ctx context.Context) (Status, error) {
	if e.err != nil {
		return Status{}, e.err
	}
	asked, ok := e.locker.(interface {
		Status(ctx context.Context) (Status, error)
	})
	if !ok {
		return Status{}, engine.Invalid("who leads: a %T has no Status", e.locker)
	}
	st, err := asked.Status(ctx)
	if err != nil || st.Owner == KeptOwner {
		return Status{}, err
	}
	return st, nil
}

// Watch asks who leads, as [Elector.Leader] does, and again every so often (between
// 10 ms and an hour), without standing. It yields the first answer, and each that
// names another leader or none; and each error of Leader beside a zero Status. It
// goes on then, and the next answer counts as the first. It ends with ctx, and after
// an [ErrInvalid]. A leader whose term falls between two questions is not seen.
func (e *Elector) Watch(ctx context.Context, every time.Duration) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		if every < 10*time.Millisecond || every > time.Hour {
			yield(Status{}, engine.Invalid("Watch every %v: must be between 10ms and 1h", every))
			return
		}
		known, last := false, Token(0)
		for {
			st, err := e.Leader(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !yield(Status{}, err) || errors.Is(err, ErrInvalid) {
					return
				}
				known = false
			case !known || st.Token != last:
				if !yield(st, nil) {
					return
				}
				known, last = true, st.Token
			}
			if !engine.Sleep(ctx, every) {
				return
			}
		}
	}
}
