package election_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// After which errors a candidate stands again.

// The lock is free when the function's error is judged, and while the candidate
// pauses; what is retried is led again.
func TestAnErrorOfALeadersIsRetriedIfItIsToBe(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		var asked []error
		again := func(err error) bool {
			asked = append(asked, err)
			b.WantFree(c, "a")
			return len(asked) < 3
		}
		r := lead(t, behaviour.Bg, c.Mutex("a"), relock.WithLeadRetry(again))
		for n := range 3 {
			tm := r.next(t)
			if n == 1 {
				b.Server.Del("relock:lock:{a}")
				<-tm.ctx.Done()
			}
			tm.end <- errWork
		}
		r.wantEnd(t, errWork)
		for n, err := range asked {
			if !errors.Is(err, errWork) || errors.Is(err, relock.ErrLost) != (n == 1) {
				t.Errorf("asked %d: got %v, want the function's error, and the loss with the second", n, err)
			}
		}
		if len(asked) != 3 {
			t.Errorf("asked %d times, want 3", len(asked))
		}
	})
}

// Where the lock has a wait of its own, that is one try of many.
func TestACandidateWhoseWaitIsOverStandsAgain(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		behaviour.InBubble(t, func(b *behaviour.Bubble) {
			c, _ := b.Client()
			other, _ := b.Client()
			held := behaviour.LockOf(t, other.Mutex("a"))
			r := lead(t, behaviour.Bg, c.Mutex("a", relock.WithWait(wait)), relock.WithLeadRetry(func(err error) bool {
				t.Errorf("asked about %v", err)
				return false
			}))
			behaviour.Pass(time.Minute)
			r.none(t)
			behaviour.Unlock(t, held)
			r.next(t).end <- nil
			r.wantEnd(t)
		})
	}
}

// A Lock that is refused is the end by default, and retried if it is to be.
func TestARefusalIsRetriedIfItIsToBe(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		if err := b.Server.Set("relock:lock:{a}", "a stranger's"); err != nil {
			t.Fatal(err)
		}
		lead(t, behaviour.Bg, c.Mutex("a")).wantEnd(t, relock.ErrWrongType)
		r := lead(t, behaviour.Bg, c.Mutex("a"), relock.WithLeadRetry(func(err error) bool { return errors.Is(err, relock.ErrWrongType) }))
		behaviour.Pass(time.Minute)
		r.none(t)
		b.Server.Del("relock:lock:{a}")
		r.next(t).end <- nil
		r.wantEnd(t)
	})
}

// Some errors of Lock are the end whatever is to be retried.
func TestWhatNoRetryMends(t *testing.T) {
	always := relock.WithLeadRetry(func(error) bool { return true })
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		held := behaviour.LockOf(t, c.Mutex("a"))
		lead(t, held.Context(), c.Mutex("a"), always).wantEnd(t, relock.ErrSelfDeadlock)
		lead(t, behaviour.Bg, c.Mutex(""), always).wantEnd(t, relock.ErrInvalid)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		lead(t, behaviour.Bg, c.Mutex("b"), always).wantEnd(t, relock.ErrClosed)
	})
}

// Close ends a term though its function's error would be retried.
func TestCloseEndsLead(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		r := lead(t, behaviour.Bg, c.Mutex("a"), relock.WithLeadRetry(func(err error) bool {
			t.Errorf("asked about %v", err)
			return true
		}))
		one := r.next(t)
		go func() { <-one.ctx.Done(); one.end <- errWork }()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		r.wantEnd(t, relock.ErrClosed, errWork)
	})
}

// wrapped hides of what kind a Locker is.
type wrapped struct{ relock.Locker }

// granting is a Locker with whatever lease it has.
type granting struct{ lease *relock.Lease }

func (g granting) Lock(context.Context) (*relock.Lease, error)    { return g.lease, nil }
func (g granting) TryLock(context.Context) (*relock.Lease, error) { return g.lease, nil }
func (g granting) Name() string                                   { return "granting" }

func TestAnElectionIsRefused(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		mutex := c.Mutex("a")
		for what, call := range map[string]func(context.Context) error{
			"a nil Locker":      func(ctx context.Context) error { return relock.Lead(ctx, nil, nil) },
			"a nil Mutex":       func(ctx context.Context) error { return relock.Lead(ctx, (*relock.Mutex)(nil), nil) },
			"a nil option":      func(ctx context.Context) error { return relock.Lead(ctx, mutex, nil, nil) },
			"no retry":          func(ctx context.Context) error { return relock.Lead(ctx, mutex, nil, relock.WithLeadRetry(nil)) },
			"too short a pause": func(ctx context.Context) error { return relock.Lead(ctx, mutex, nil, relock.WithLeadPause(0)) },
			"too long a pause":  relock.NewElector(mutex, relock.WithLeadPause(2*time.Hour)).Run,
			"a MultiLock in disguise": func(ctx context.Context) error {
				return relock.Lead(ctx, wrapped{behaviour.CompositeOf(t, mutex, c.Mutex("b"))}, nil)
			},
		} {
			if err := withinAMinute(call); !errors.Is(err, relock.ErrInvalid) {
				t.Errorf("%s: got %v, want ErrInvalid", what, err)
			}
		}
		behaviour.AwaitClean(t, b.Rdb)
		behaviour.WantErr(t, relock.Lead(behaviour.Bg, granting{&relock.Lease{}}, nil), relock.ErrNotHeld)
	})
}
