package lifecycle

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type boundKey struct{}

// A bound is told of each end, whenever it is first waited for.
func TestABoundEndsAsAContextDoes(t *testing.T) {
	why := errors.New("why")
	ends := map[string]struct {
		end   func(b *bound, cancel context.CancelCauseFunc)
		err   error
		cause error
	}{
		"its time is over": {func(*bound, context.CancelCauseFunc) { <-time.After(time.Second) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"its parent ends":  {func(_ *bound, cancel context.CancelCauseFunc) { cancel(why) }, context.Canceled, why},
		"it is cancelled":  {func(b *bound, _ context.CancelCauseFunc) { b.cancel() }, context.Canceled, context.Canceled},
	}
	for name, e := range ends {
		for _, when := range []string{"before", "after", "never"} {
			t.Run(name+", waited for "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), boundKey{}, 1))
					defer cancel(nil)
					b := newBound(parent, time.Second)
					defer b.cancel()
					if when == "before" {
						select {
						case <-b.Done():
							t.Fatal("ended at once")
						default:
						}
					}
					if err := b.Err(); err != nil {
						t.Fatalf("got %v at once", err)
					}
					e.end(b, cancel)
					synctest.Wait()
					if when != "never" {
						select {
						case <-b.Done():
						default:
							t.Error("not done")
						}
					}
					if err := b.Err(); !errors.Is(err, e.err) {
						t.Errorf("got %v, want %v", err, e.err)
					}
					if cause := context.Cause(b); !errors.Is(cause, e.cause) {
						t.Errorf("got cause %v, want %v", cause, e.cause)
					}
					if b.Value(boundKey{}) != 1 {
						t.Error("the parent's values are gone")
					}
				})
			})
		}
	}
}

func TestABoundHasTheEarlierDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, d := range []time.Duration{time.Minute, time.Millisecond} {
			b := newBound(parent, d)
			defer b.cancel()
			if got, ok := b.Deadline(); !ok || time.Until(got) != min(d, time.Second) {
				t.Errorf("bounded by %v and a second: got %v", d, time.Until(got))
			}
			child, stop := context.WithCancel(b)
			defer stop()
			defer func() {
				<-child.Done()
				if err := child.Err(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want that the deadline is over", err)
				}
			}()
		}
	})
}

// Its own instant is another than its parent's, whose end it hears of: at the
// parent's deadline it may not have ended yet, and who minded that would look for
// its end again and again.
func TestABoundTellsOfItsOwnInstantAlone(t *testing.T) {
	parent, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b := newBound(parent, time.Minute)
	defer b.cancel()
	other, itself, at := b.Ends()
	if deadline, _ := b.Deadline(); !at.After(deadline) {
		t.Errorf("got %v, the parent's deadline", at)
	}
	if other != parent.Done() || itself == nil {
		t.Error("not told of the parent's end, or of its own")
	}
}
