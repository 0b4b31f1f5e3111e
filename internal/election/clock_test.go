package election

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
)

// frozen is a lease whose context has not ended yet, as in a process that has just
// been woken from a pause.
type frozen struct {
	lifecycle.Lease
	until time.Time
}

func (f frozen) Context() context.Context            { return context.Background() }
func (f frozen) Token() int64                        { return 1 }
func (f frozen) Unlock(context.Context) error        { return nil }
func (f frozen) Use(<-chan struct{}, lifecycle.User) {}
func (f frozen) Err() error {
	if time.Now().Before(f.until) {
		return nil
	}
	return engine.ErrLost
}

// Whether it leads is read off the clock, and not off what has been noticed.
func TestAnElectorReadsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewElector(Candidate{Lock: func(context.Context) (lifecycle.Lease, error) {
			return frozen{until: time.Now().Add(time.Second)}, nil
		}})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		if e.Lease() == nil {
			t.Error("it does not lead")
		}
		<-time.After(time.Second)
		if e.Lease() != nil {
			t.Error("it leads past its validity")
		}
		cancel()
		<-done
	})
}
