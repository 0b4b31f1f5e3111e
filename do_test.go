package relock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/relocktest"
)

// fakeLocker grants whatever lease it has.
type fakeLocker struct{ lease *relock.Lease }

func (f fakeLocker) Lock(context.Context) (*relock.Lease, error)    { return f.lease, nil }
func (f fakeLocker) TryLock(context.Context) (*relock.Lease, error) { return f.lease, nil }
func (f fakeLocker) Name() string                                   { return "fake" }

// What a Locker of one's own can return is no lease: there is nothing to work
// under.
func TestDoRefusesALeaseThatIsNone(t *testing.T) {
	for what, lease := range map[string]*relock.Lease{"zero": {}, "nil": nil} {
		err := relock.Do(behaviour.Bg, fakeLocker{lease}, func(context.Context, *relock.Lease) error {
			t.Errorf("%s: fn was called", what)
			return nil
		})
		if !errors.Is(err, relock.ErrNotHeld) {
			t.Errorf("%s: got %v, want ErrNotHeld", what, err)
		}
	}
}

func TestDoValue(t *testing.T) {
	failed := errors.New("fn failed")
	count := func(n int, err error) func(context.Context, *relock.Lease) (int, error) {
		return func(context.Context, *relock.Lease) (int, error) { return n, err }
	}
	srv := relocktest.New(t)
	client := srv.Client()
	defer srv.Take("taken")()
	for _, c := range []struct {
		what string
		name string
		fn   func(context.Context, *relock.Lease) (int, error)
		want int
		errs []error
	}{
		{"fn's value", "free", count(7, nil), 7, nil},
		{"fn's value and its error", "free", count(7, failed), 7, []error{failed}},
		{"nothing where the lock is taken", "taken", count(7, nil), 0, []error{relock.ErrNotAcquired}},
		{"nothing where the lock is invalid", "", count(7, nil), 0, []error{relock.ErrInvalid}},
		{"fn's value and error, and the loss", "free", func(_ context.Context, l *relock.Lease) (int, error) {
			srv.Lose(l)
			return 7, failed
		}, 7, []error{failed, relock.ErrLost}},
		{"fn's value and the loss", "free", func(_ context.Context, l *relock.Lease) (int, error) {
			srv.Lose(l)
			return 7, nil
		}, 7, []error{relock.ErrLost}},
	} {
		got, err := relock.DoValue(behaviour.Bg, client.Mutex(c.name, relock.WithWait(0)), c.fn)
		if got != c.want || (err != nil) != (len(c.errs) > 0) {
			t.Errorf("%s: got %d and %v, want %d and %v", c.what, got, err, c.want, c.errs)
		}
		for _, want := range c.errs {
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v in it", c.what, err, want)
			}
		}
	}
	if st, err := client.Mutex("free").Status(behaviour.Bg); err != nil || st.Held {
		t.Errorf("got %+v and %v at the end, want a free lock", st, err)
	}
}
