package behaviour

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
)

// tokens are the tokens of a lease, or of its members.
func tokens(l *relock.Lease) (all []relock.Token) {
	for _, m := range l.Members() {
		all = append(all, tokens(m)...)
	}
	if len(all) == 0 {
		all = append(all, l.Token())
	}
	return all
}

func lockOnce(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	lease := LockOf(t, l)
	Unlock(t, lease)
	return lease
}

// WantErr checks that an error is each of want.
func WantErr(t testing.TB, got error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(got, w) {
			t.Errorf("got error %v, want one that is %v", got, w)
		}
	}
}

// WantEnd waits for the end of the lease's context and checks its cause.
func WantEnd(t testing.TB, l *relock.Lease, cause error) {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(15 * time.Second):
		t.Fatalf("the lease's context did not end; want cause %v", cause)
	}
	WantErr(t, context.Cause(l.Context()), cause)
	WantErr(t, l.Err(), cause)
}

// endsWithin is a context that ends after d.
func endsWithin(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(Bg, d)
	t.Cleanup(cancel)
	return ctx
}
